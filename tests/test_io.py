"""A folder of files is written whole or not at all, and never over something that is there."""

import pytest

from anykeypoint.errors import InputError
from anykeypoint.io import write_folder


def test_a_folder_is_there_with_all_its_files(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"pixels")
    (tmp_path / "out").mkdir()  # an empty folder is taken
    write_folder(tmp_path / "out", {"labels/in/a.txt": b"0 1", "images/a.png": picture})
    assert (tmp_path / "out/labels/in/a.txt").read_bytes() == b"0 1"
    assert (tmp_path / "out/images/a.png").read_bytes() == b"pixels"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "out"]


def test_a_folder_with_something_in_it_is_refused_and_untouched(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already and is no empty folder"):
        write_folder(tmp_path / "out", {"a.txt": b"0"})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_nothing_is_left_where_a_file_cannot_be_copied(tmp_path):
    with pytest.raises(InputError, match=r"there is no .*gone\.png"):
        write_folder(tmp_path / "out", {"a.txt": b"0", "b.png": tmp_path / "gone.png"})
    with pytest.raises(InputError, match=r"there is no .*nowhere"):
        write_folder(tmp_path / "nowhere" / "out", {"a.txt": b"0"})
    assert list(tmp_path.iterdir()) == []
