"""File names that are not UTF-8 survive every command that writes them, and are read back."""

import json
import os

import pytest
from PIL import Image

from anykeypoint import cli
from anykeypoint.evaluation.run_folder import write_text
from anykeypoint.forms.registry import read

NAME = os.fsdecode(b"caf\xe9.png")
POINTS = ["nose", "left eye", "right eye"]


@pytest.fixture
def labels(tmp_path, monkeypatch):
    """COCO labels of two pictures, one with a name that is not UTF-8."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    try:
        for name in (NAME, "b.png"):
            Image.new("RGB", (40, 30)).save(tmp_path / "images" / name)
    except OSError:
        pytest.skip("this file system takes text names only")
    images = [{"id": i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate((NAME, "b.png"))]
    places = [8, 8, 2, 12, 9, 2, 20, 15, 2]
    objects = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [2, 3, 30, 20], "keypoints": places, "num_keypoints": 3}
        for i in range(2)
    ]
    kinds = [{"id": 1, "name": "cat", "keypoints": POINTS, "skeleton": []}]
    (tmp_path / "labels.json").write_text(json.dumps({"images": images, "annotations": objects, "categories": kinds}))
    return tmp_path


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return ended.value.code, printed.out, printed.err


def names(spec, folder):
    return sorted(item.image.name for item in read(spec, folder).objects)


@pytest.mark.parametrize(("form", "out"), [("coco", "out.json"), ("labelstudio", "out.json"), ("csv", "out.csv")])
def test_a_name_of_bytes_is_converted_and_read_back(labels, capsys, form, out):
    assert run(capsys, "data", "convert", "coco:labels.json", "--images", "images", "--to", form, "-o", out)[0] == 0
    assert names(f"{form}:{out}", "images") == sorted(["b.png", NAME])
    if out.endswith(".json"):
        json.loads((labels / out).read_text(encoding="utf-8"))  # JSON that every reader takes


def test_a_name_of_bytes_goes_into_the_parts_of_a_split(labels, capsys):
    arguments = ["data", "split", "coco:labels.json", "--images", "images", "-o", "parts", "--share", ".5"]
    assert run(capsys, *arguments)[0] == 0
    parts = names("coco:parts/part.json", "images") + names("coco:parts/rest.json", "images")
    assert sorted(parts) == sorted(["b.png", NAME])


def test_xml_says_that_it_cannot_hold_such_a_name(labels, capsys):
    code, _, err = run(
        capsys, "data", "convert", "coco:labels.json", "--images", "images", "--to", "cvat", "-o", "x.xml"
    )
    assert code == 2 and "XML cannot hold" in err and err.count("\n") == 1 and not (labels / "x.xml").exists()


def test_check_goes_on_beside_a_file_that_is_no_text(labels, capsys):
    folder = labels / "labelme"
    arguments = ["data", "convert", "coco:labels.json", "--images", "images", "--to", "labelme", "-o", folder]
    assert run(capsys, *arguments)[0] == 0
    (folder / "odd.json").write_bytes(b'{"shapes": "\xe9"}')
    assert run(capsys, "data", "check", f"labelme:{folder}", "--images", folder)[0] in (0, 1)


def test_a_table_is_text_but_for_the_names_of_its_pictures(labels, capsys):
    run(capsys, "data", "convert", "coco:labels.json", "--images", "images", "--to", "csv", "-o", "out.csv")
    broken = (labels / "out.csv").read_bytes().replace(b"nose", b"n\xe9z")
    (labels / "broken.csv").write_bytes(broken)
    code, _, err = run(capsys, "data", "check", "csv:broken.csv", "--images", "images")
    assert code == 2 and "not UTF-8 text" in err


def test_tables_of_an_evaluation_keep_the_bytes(tmp_path):
    write_text(tmp_path / "x.csv", f"{NAME},1\n")
    assert (tmp_path / "x.csv").read_bytes() == b"caf\xe9.png,1\n"
