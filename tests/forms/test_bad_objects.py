"""One bad object never costs the file: every reader leaves it out, names its place, and reads the others."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anykeypoint import cli
from anykeypoint.errors import InputError
from anykeypoint.forms.dataset import UNREADABLE
from anykeypoint.forms.registry import read


def coco() -> str:
    annotation = {"category_id": 1, "keypoints": [1, 2, 2, 3, 4, 1], "num_keypoints": 2, "bbox": [0, 0, 5, 6]}
    return json.dumps(
        {
            "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
            "annotations": [{"id": i, "image_id": 1, **annotation} for i in (1, 2, 3)],
            "categories": [{"id": 1, "name": "lamp", "keypoints": ["base", "head"], "skeleton": []}],
        }
    )


def labelstudio(second_name: str = "head") -> str:
    size = {"original_width": 8, "original_height": 8, "image_rotation": 0}
    result = []
    for i in (1, 2, 3):
        value = {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["lamp"]}
        result.append({"id": f"box{i}", "type": "rectanglelabels", **size, "value": value})
        for k, name in enumerate(("base", second_name if i == 2 else "head")):
            value = {"x": 20, "y": 30 + k, "width": 1, "keypointlabels": [name]}
            result.append({"id": f"{i}-{k}", "type": "keypointlabels", "parentID": f"box{i}", **size, "value": value})
    return json.dumps([{"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": result}]}])


def cvat(second: str = "3,4") -> str:
    skeleton = '<skeleton label="lamp"><points label="base" points="1,2"/><points label="head" points="{}"/></skeleton>'
    shapes = "".join(skeleton.format(second if i == 2 else "3,4") for i in (1, 2, 3))
    return f'<annotations><image id="0" name="a.png" width="8" height="8">{shapes}</image></annotations>'


def table(*rows: list) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def dlc(second: object = 4) -> str:
    heads = [["scorer"] + ["me"] * 4, ["bodyparts", "base", "base", "head", "head"], ["coords", *"xyxy"]]
    return table(*heads, *([f"{name}.png", 1, 2, 3, second if name == "b" else 4] for name in "abc"))


def dlc_of_several(second: object = 4) -> str:
    heads = [
        ["scorer"] + ["me"] * 12,
        ["individuals", *["one"] * 4, *["two"] * 4, *["three"] * 4],
        ["bodyparts", *["base", "base", "head", "head"] * 3],
        ["coords", *"xyxyxyxyxyxy"],
    ]
    return table(*heads, ["a.png", 1, 2, 3, 4, 1, 2, 3, second, 1, 2, 3, 4])


def tidy(second: object = 4) -> str:
    head = ["image", "object", "category", "keypoint", "x", "y", "confidence", "present"]
    rows = []
    for i in (1, 2, 3):
        rows.append(["a.png", i, "lamp", "base", 1, 2, "", "true"])
        rows.append(["a.png", i, "lamp", "head", 3, second if i == 2 else 4, "", "true"])
    return table(head, *rows)


def changed(text: str, **keys) -> str:
    """The document of `coco` with other values in its second annotation."""
    document = json.loads(text)
    document["annotations"][1] |= keys
    return json.dumps(document)


def with_entry(text: str, section: str, entry: object) -> str:
    """The document of `coco` with an unusable entry more, which its second annotation names."""
    document = json.loads(text)
    document[section].append(entry)
    document["annotations"][1] |= {"image_id" if section == "images" else "category_id": 9}
    return json.dumps(document)


BAD = [  # specification, name of the file, its text, what the sentence names
    ("coco", "l.json", changed(coco(), bbox=[0, 0]), "annotation 2.*'bbox'"),
    ("coco", "l.json", changed(coco(), keypoints=[1, 2]), "annotation 2.*'keypoints'"),
    ("coco", "l.json", changed(coco(), id="x"), r"annotations\[1\].*'id'"),
    ("coco", "l.json", changed(coco(), id=1), "annotation 1 appears twice"),
    ("coco", "l.json", changed(coco(), image_id=7), "annotation 2.*image_id 7"),
    ("coco", "l.json", changed(coco(), category_id=7), "annotation 2.*category_id 7"),
    ("coco", "l.json", with_entry(coco(), "images", {"id": 9, "file_name": "../a.png"}), "image 9.*leaves"),
    ("coco", "l.json", with_entry(coco(), "categories", {"id": 9, "name": "x", "keypoints": [1]}), "category 9"),
    ("mp100", "l.json", changed(coco(), bbox=[0, 0, -1, 3]), "annotation 2.*negative side"),
    ("labelstudio", "l.json", labelstudio("base"), "task 1, region '2-1'.*second point 'base'"),
    ("cvat", "l.xml", cvat("3;4"), "image 0, skeleton 'lamp'.*one point"),
    ("dlc/lamp", "l.csv", dlc("x"), "row 2 .*'x' for 'head'"),
    ("dlc/lamp", "l.csv", dlc_of_several("x"), "row 1 .*'x' for 'head'"),
    ("csv", "l.csv", tidy("x"), "row 4 .*'y'"),
]


@pytest.fixture
def put(tmp_path):
    """Writes a label file beside three pictures and returns the specification of it."""

    def put(form: str, name: str, text: str) -> tuple[str, Path]:
        for picture in "abc":
            Image.new("RGB", (8, 8)).save(tmp_path / f"{picture}.png")
        (tmp_path / name).write_text(text)
        return f"{form}:{tmp_path / name}", tmp_path

    return put


@pytest.mark.parametrize(("form", "name", "text", "place"), BAD)
def test_a_bad_object_is_left_out_and_named_and_the_others_are_read(put, form, name, text, place):
    spec, images = put(form, name, text)
    data = read(spec, images)
    assert len(data.objects) == 2 and data.skipped == {UNREADABLE: 1}
    (sentence,) = data.faults
    with pytest.raises(InputError, match=place) as error:
        read(spec, images, strict=True)
    assert str(error.value) == sentence and str(images / name) in sentence


@pytest.mark.parametrize(("form", "name", "text", "place"), BAD)
def test_without_the_bad_object_nothing_of_the_file_has_a_fault(put, form, name, text, place):
    good = {"dlc/lamp": dlc, "csv": tidy, "cvat": cvat, "labelstudio": labelstudio}.get(form, coco)()
    spec, images = put(form, name, good)
    data = read(spec, images, strict=True)
    assert len(data.objects) == 3 and data.faults == () and data.skipped == {}


def test_a_file_without_a_good_object_is_refused_with_its_first_fault(put):
    document = json.loads(coco())
    for entry in document["annotations"]:
        entry["bbox"] = "none"
    spec, images = put("coco", "l.json", json.dumps(document))
    with pytest.raises(InputError, match=r"annotation 1.*2 more faults"):
        read(spec, images)


def test_points_of_a_bad_rectangle_go_to_no_other_one(put):
    tasks = json.loads(labelstudio())
    regions = tasks[0]["annotations"][0]["result"]
    regions[3]["value"]["width"] = -1  # the second rectangle; one of 0 would be a line, which is legal
    for region in regions[6:]:  # the third rectangle and its points: only the first is left beside the bad one
        regions.remove(region)
    for region in regions[4:]:
        del region["parentID"]
        region["value"] |= {"x": 90, "y": 90}
    data = read(*put("labelstudio", "l.json", json.dumps(tasks)))
    (item,) = data.objects
    assert np.isfinite(item.points).all() and item.points.max() < 4
    assert len(data.faults) == 3  # the rectangle, and two points of which it is not said whose they are


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_convert_leaves_the_bad_object_out_and_says_where_and_strict_refuses(put, capsys, tmp_path_factory):
    spec, images = put("coco", "l.json", changed(coco(), bbox=[0, 0]))
    out = tmp_path_factory.mktemp("out") / "copy.json"
    convert = ("data", "convert", spec, "--images", images, "-o", out)
    code, said, notes = run(capsys, *convert)
    assert code == 0 and "2 objects" in said
    assert f"left out: 1 ({UNREADABLE})" in notes and "annotation 2" in notes
    assert [entry["id"] for entry in json.loads(out.read_text())["annotations"]] == [1, 3]
    out.unlink()
    code, _, notes = run(capsys, *convert, "--strict")
    assert code == 2 and "annotation 2" in notes and not out.exists()


def test_a_real_export_with_one_object_that_has_a_point_twice(shared):
    folder = shared / "cases" / "labelstudio_one_bad_task"
    if not folder.is_dir():
        pytest.skip("the small inputs are not beside the checkout")
    data = read(f"labelstudio:{folder / 'export.json'}", folder)
    assert len(data.objects) == 3 and len(data.faults) == 1 and "left eye" in data.faults[0]
