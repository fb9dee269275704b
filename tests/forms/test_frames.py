"""DeepLabCut's .h5 tables, which pandas wrote; the files in fixtures/pandas are pandas' own (3.1, PyTables 3.11)."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.registry import read

FIXTURES = Path(__file__).parents[1] / "fixtures" / "pandas"


@pytest.fixture
def images(tmp_path):
    for name in ("img1.png", "img2.png"):
        path = tmp_path / "labeled-data" / "v" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(path)
    return tmp_path


def test_a_table_of_one_animal_is_read_as_its_csv_is(images):
    pytest.importorskip("h5py")
    first, second = read(f"dlc/moth:{FIXTURES / 'single.h5'}", images).objects
    assert first.category.names == ["nose", "left ear"] and first.category.name == "moth" and first.group.endswith("v")
    assert first.image == images / "labeled-data" / "v" / "img1.png"
    np.testing.assert_array_equal(first.points, [[1.5, 2], [np.nan, np.nan]])
    np.testing.assert_array_equal(second.points, [[3, 4], [5, 6.25]])
    (images / "t.csv").write_text(
        "scorer,,,s,s,s,s\nbodyparts,,,nose,nose,left ear,left ear\ncoords,,,x,y,x,y\n"
        "labeled-data,v,img1.png,1.5,2,,\nlabeled-data,v,img2.png,3,4,5,6.25\n"
    )
    for ours, theirs in zip(read(f"dlc/moth:{images / 't.csv'}", images).objects, (first, second), strict=True):
        assert ours.image == theirs.image and ours.box == theirs.box and ours.group == theirs.group
        np.testing.assert_array_equal(ours.points, theirs.points)


def test_a_table_of_several_animals_has_an_object_for_each(images):
    pytest.importorskip("h5py")
    objects = read(f"dlc:{FIXTURES / 'several.h5'}", images).objects
    assert [item.points.ravel().tolist() for item in objects] == np.arange(16).reshape(4, 4).tolist()


def test_a_pickle_is_never_opened(images):
    pytest.importorskip("h5py")
    with pytest.raises(InputError, match=r"as a pickle, which is never opened; give the \.csv"):
        read(f"dlc:{FIXTURES / 'pickled_columns.h5'}", images)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda group: group.attrs.__setitem__("pandas_type", np.bytes_(b"series")), "must hold one table of pandas"),
        (lambda group: group.__delitem__("axis0_label1"), "cannot be read as a table of pandas"),
        (lambda group: group.__delitem__("block0_values"), "cannot be read as a table of pandas"),
        (lambda group: group["axis0_label2"].__setitem__(0, 9), "cannot be read as a table of pandas"),
    ],
)
def test_another_table_is_refused_in_one_sentence(images, change, words):
    h5py = pytest.importorskip("h5py")
    (images / "t.h5").write_bytes((FIXTURES / "single.h5").read_bytes())
    with h5py.File(images / "t.h5", "r+") as file:
        change(file["df_with_missing"])
    with pytest.raises(InputError, match=words) as raised:
        read(f"dlc:{images / 't.h5'}", images)
    assert "give the .csv" in str(raised.value) and "\n" not in str(raised.value)


def test_a_block_of_another_type_or_shape_is_refused(images):
    h5py = pytest.importorskip("h5py")
    for data, words in ((np.zeros((2, 3)), "a block of"), (np.zeros((2, 4), dtype="S3"), "cannot be read")):
        (images / "t.h5").write_bytes((FIXTURES / "single.h5").read_bytes())
        with h5py.File(images / "t.h5", "r+") as file:
            del file["df_with_missing/block0_values"]
            file["df_with_missing/block0_values"] = data
        with pytest.raises(InputError, match=words):
            read(f"dlc:{images / 't.h5'}", images)


def test_what_is_no_hdf5_and_a_missing_file_and_a_missing_package_are_one_sentence(images, monkeypatch):
    pytest.importorskip("h5py")
    (images / "t.h5").write_text("no such thing")
    with pytest.raises(InputError, match=r"cannot be read as a table of pandas .*give the \.csv"):
        read(f"dlc:{images / 't.h5'}", images)
    with pytest.raises(InputError, match=r"There is no label file .*none\.h5"):
        read(f"dlc:{images / 'none.h5'}", images)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"needs the package h5py; give the \.csv"):
        read(f"dlc:{images / 't.h5'}", images)
