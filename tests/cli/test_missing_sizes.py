"""`data check --fix` of forms whose places need the size of a picture that is not at its path."""

import json

import pytest
from PIL import Image

from anykeypoint import cli

LEFT_OUT = "objects of missing pictures, without whose size"
FORMS = pytest.mark.parametrize("form", ["yolo", "tps"])


def run(capsys, *arguments):
    """Exit code and standard output of `data check`."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["data", "check", *map(str, arguments)])
    return ended.value.code, capsys.readouterr().out


def put(folder, form, files, names):
    """Files of 80 x 40 pixels, and labels of pictures with a point at a quarter of the width and half of the height."""
    for file in files:
        (folder / "images" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 40)).save(folder / "images" / file)
    if form == "tps":
        (folder / "x.tps").write_text("".join(f"LM=1\n20 20\nIMAGE={name}.jpg\n" for name in names))
        return [f"tps:{folder / 'x.tps'}", "--images", folder / "images"]
    for name in names:
        (folder / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.9 0.9 0.25 0.5 2\n")
    (folder / "list.txt").write_text("".join(f"./images/{name}.jpg\n" for name in names))
    (folder / "data.yaml").write_text("train: list.txt\nkpt_shape: [1, 3]\nnames: [lamp]\n")
    return [f"yolo:{folder / 'data.yaml'}"]


@FORMS
@pytest.mark.parametrize("found", ["a.JPG", "in/a.jpg", "a.png", None])
def test_a_mended_copy_has_places_in_the_picture_that_was_found_elsewhere_or_none(capsys, tmp_path, form, found):
    options = put(tmp_path, form, ["b.jpg", *([] if found is None else [found])], "ab")
    _, out = run(capsys, *options, "--fix", tmp_path / "mended.json")
    mended = json.loads((tmp_path / "mended.json").read_text())
    assert [entry["keypoints"] for entry in mended["annotations"]] == [[20, 20, 2]] * (1 if found is None else 2)
    assert (f"left out: 1 {LEFT_OUT}" in out) == (found is None)


@FORMS
@pytest.mark.parametrize("names", [["in/a", "other/a"], ["one/a", "other/a", "in/a"], ["one/a", "other/a"]])
def test_a_mended_copy_has_no_object_that_was_placed_by_the_size_of_another_picture(capsys, tmp_path, form, names):
    """The only file of the name is a picture of its own, or may be either of two."""
    copy, table = tmp_path / "mended.json", tmp_path / "changes.csv"
    options = put(tmp_path, form, ["in/a.jpg", "b.jpg"], [*names, "b"])
    _, out = run(capsys, *options, "--fix", copy, "--changes", table)
    mended = json.loads(copy.read_text())
    files = {entry["id"]: entry["file_name"].removeprefix("images/") for entry in mended["images"]}
    kept = [f"{name}.jpg" for name in (*names, "b") if name in ("in/a", "b")]
    assert [files[entry["image_id"]] for entry in mended["annotations"]] == kept
    assert f"left out: {len(names) + 1 - len(kept)} {LEFT_OUT}" in out
    assert run(capsys, f"coco:{copy}", "--undo", table)[0] == 0
