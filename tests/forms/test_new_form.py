"""A new label form is one file and one line: the toy form of `toys.toy_form`, from reading to the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from anykeypoint import cli
from anykeypoint.errors import InputError
from anykeypoint.forms.registry import FORMS, convert, fingerprint, form_of, read, writable_forms


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The one line."""
    monkeypatch.setitem(FORMS, "toy", "toys.toy_form:FORM")


@pytest.fixture
def labels(tmp_path):
    """Two objects in two pictures, one with a point that is not labelled."""
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 48)).save(images / name)
    file = tmp_path / "lamps.toy"
    file.write_text("lamp top base\na.png 10 11.5 20 40\nb.png - - 3 4\n")
    return file, images


def run(capsys, *arguments):
    """Exit code and standard output of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", *(str(argument) for argument in arguments)])
    return ended.value.code, capsys.readouterr().out


def same(first, second) -> bool:
    """Do two data sets have the same pictures, categories and points?"""
    pairs = list(zip(first.objects, second.objects, strict=True))
    return all(
        (a.image, a.category.name, a.category.names) == (b.image, b.category.name, b.category.names)
        and np.array_equal(a.points, b.points, equal_nan=True)
        for a, b in pairs
    )


def test_it_is_read_by_its_name(labels):
    file, images = labels
    first, second = read(f"toy:{file}", images).objects
    assert first.category.name == "lamp" and first.category.names == ["top", "base"]
    assert first.points.tolist() == [[10, 11.5], [20, 40]] and first.image == images / "a.png"
    assert np.isnan(second.points[0]).all() and second.visibility.tolist() == [0, 2]
    assert read(f"toy/hook:{file}", images).objects[0].category.name == "hook"
    assert fingerprint(f"toy:{file}") != fingerprint(f"toy/hook:{file}")


def test_its_errors_name_file_and_line(labels):
    file, images = labels
    file.write_text("lamp top base\na.png 10 11.5 20\n")
    with pytest.raises(InputError, match=r"lamps\.toy: line 2 must have x and y of 2 points"):
        read(f"toy:{file}", images)


def test_labels_are_converted_from_it_and_back_to_it(labels, tmp_path, capsys):
    file, images = labels
    code, out = run(capsys, "convert", f"toy:{file}", "--images", images, "-o", tmp_path / "coco.json")
    assert code == 0 and "2 objects" in out
    code, out = run(
        capsys, "convert", f"coco:{tmp_path / 'coco.json'}", "--images", images, "--to", "toy", "-o", tmp_path / "x.toy"
    )
    assert code == 0 and "not in it, as toy has no room: boxes" in out
    assert same(read(f"toy:{tmp_path / 'x.toy'}", images), read(f"toy:{file}", images))
    assert len(json.loads((tmp_path / "coco.json").read_text())["annotations"]) == 2


def test_a_name_of_another_suffix_is_noted(labels, tmp_path, capsys):
    file, images = labels
    for name, noted in (("x.toy", False), ("y.TOY", False), ("z.json", True), ("w", True)):
        with pytest.raises(SystemExit):
            out = tmp_path / name
            cli.main(["data", "convert", f"toy:{file}", "--images", str(images), "--to", "toy", "-o", str(out)])
        said = capsys.readouterr().err
        assert out.is_file() and ("end in .toy" in said) == noted, said


@pytest.mark.parametrize("name", writable_forms())
def test_every_form_that_is_a_file_says_its_suffix(labels, name):
    file, images = labels
    content = convert(read(f"toy:{file}", images), images, name).content
    assert form_of(name).suffix.startswith(".") if isinstance(content, str) else form_of(name).suffix == ""


def test_it_is_listed_and_checked_like_any_other(labels, capsys):
    file, images = labels
    code, out = run(capsys, "list")
    assert code == 0 and "the toy form of the tests (.toy)" in out and "toy" in writable_forms()
    code, out = run(capsys, "check", f"toy:{file}", "--images", images)
    assert code == 0 and "Nothing is wrong." in out


def test_what_it_cannot_hold_is_refused(labels, tmp_path):
    file, images = labels
    both = tmp_path / "both.yaml"
    both.write_text(f"- {{data: 'toy:{file}', images: {images}}}\n- {{data: 'toy/hook:{file}', images: {images}}}\n")
    assert {item.source for item in read(f"joint:{both}").objects} == {"toy", "toy/hook"}
    with pytest.raises(InputError, match="one category"):
        convert(read(f"joint:{both}"), images, "toy")
