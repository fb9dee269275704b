"""Every ordered pair of forms that labels are written in: what both can hold comes back, and the rest is said."""

import json

import numpy as np
import pytest
from PIL import Image

from anykeypoint import cli
from anykeypoint.forms.areas import box_area
from anykeypoint.forms.losses import DETAILS
from anykeypoint.forms.registry import convert, form_of, read, writable_forms
from anykeypoint.forms.writing import save

WORD = {"dlc": "/odd_cat", "tps": "/odd_cat"}  # forms that have no name for the object
PLACE = {"yolo": "out/data.yaml"}  # what is read of a form that is a folder
OBJECTS = [
    {
        "id": 7,
        "image_id": 1,
        "bbox": [1, 2, 30.5, 40],
        "keypoints": [3.25, 4, 2, 0, 0, 0, 9, 9.123, 1],
        "segmentation": [[1, 2, 30, 2, 30, 40]],
        "area": 512.5,
    },
    {"id": 5, "image_id": 1, "bbox": [50, 2, 30, 40], "keypoints": [60, 4, 2, 70, 7, 2, 0, 0, 0], "scale": 0.25},
    {"id": 9, "image_id": 3, "bbox": [0, 0, 90, 70], "keypoints": [1, 1, 2, 2, 2, 2, 80, 3.1, 2], "score": 0.5},
    {
        "id": 8,
        "image_id": 2,
        "bbox": [7, 3, 0, 9.5],
        "keypoints": [1 / 3, 7, 2, 0, 0, 0, 0, 0, 0],
        "keypoint_confidence": [0.75, None, None],
        "score": 0.75,
        "box_score": 0.625,
        "box_word": "cat",
    },
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Labels with something of every detail, and the folder of their pictures."""
    folder = tmp_path_factory.mktemp("matrix")
    for name in ("a b.png", "in/é.png", "c.png", "nothing.png"):
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (123, 77)).save(folder / "images" / name)
    names = ["a b.png", "in/é.png", "c.png", "nothing.png"]
    groups = [{"group": "film"}, {}, {}, {}]
    category = {"id": 4, "name": "odd_cat", "keypoints": ["tail_tip", "left_ear", "right_ear"]}
    category["descriptions"] = ["the free end", "the upper end", ""]
    labels = {
        "info": {"skeleton_base": 0},
        "images": [{"id": i + 1, "file_name": name, **groups[i]} for i, name in enumerate(names)],
        "annotations": [{"category_id": 4, **entry} for entry in OBJECTS],
        "categories": [{**category, "skeleton": [[0, 1], [0, 2]], "pairs": [], "alone": [1, 2]}],
    }
    (folder / "labels.json").write_text(json.dumps(labels))
    data = read(f"coco:{folder / 'labels.json'}", folder / "images")
    assert all(phrase(data) for phrase in DETAILS.values()), "a detail without an example is not tested"
    return data, folder / "images"


def through(data, form, images, folder):
    """The labels written in a form and read again."""
    content, _ = convert(data, images, form)
    folder.mkdir()
    save(content, folder / "out")
    place = folder / PLACE.get(form, "out")
    again = read(f"{form}{WORD.get(form, '')}:{place}", images)
    assert not again.faults and not again.skipped
    return again


def matched(before, after):
    """Each object with the one that it became, by picture and places."""
    assert len(before.objects) == len(after.objects)
    pairs = []
    for old in before.objects:
        same = [
            new
            for new in after.objects
            if new.image == old.image and np.allclose(new.points, old.points, rtol=0, atol=1e-3, equal_nan=True)
        ]
        assert len(same) == 1, f"{old.id} of {old.image.name} did not come back"
        pairs.append((old, same[0]))
    return pairs


def check_kept(before, after, form):
    """What the form holds is as before; what it does not hold is not there."""
    holds = form_of(form).holds
    for old, new in matched(before, after):
        assert new.category.name == old.category.name
        if form != "tps":
            assert new.category.names == old.category.names
        if "boxes" in holds:
            np.testing.assert_allclose(new.box, old.box, rtol=0, atol=1e-3)
        if "hidden" in holds:
            np.testing.assert_array_equal(new.visibility, old.visibility)
        if "areas" in holds:
            assert (new.area or box_area(new.box)) == pytest.approx(old.area or box_area(old.box))
        if "outlines" in holds:
            assert (new.segmentation or None) == (old.segmentation or None)
        if "skeletons" in holds:
            assert new.category.skeleton == old.category.skeleton
        if "pairs" in holds:
            assert new.category.pairs == old.category.pairs
        if "alone" in holds:
            assert new.category.alone == old.category.alone
        if "descriptions" in holds:
            assert [p.description for p in new.category.keypoints] == [p.description for p in old.category.keypoints]
        if "confidences" in holds and old.confidence is not None:
            np.testing.assert_array_equal(new.confidence, old.confidence)
        fields = {"groups": ("group",), "ids": ("id",), "scores": ("score",), "scales": ("scale",)}
        for detail, names in {**fields, "detections": ("box_score", "box_word")}.items():
            if detail in holds:
                assert [getattr(new, name) for name in names] == [getattr(old, name) for name in names]
    assert sorted(after.empty) == (sorted(before.empty) if "empty" in holds else [])
    for detail, phrase in DETAILS.items():
        if detail not in {*holds, "boxes"} and (form, detail) != ("dlc", "groups"):  # DLC's groups are folders
            assert not phrase(after), f"{form} does not say that it holds {detail}"


def check_said(data, images, form):
    """What the data have and the form does not hold is said, each once, and nothing else of the details."""
    said = convert(data, images, form).lost
    for detail, phrase in DETAILS.items():
        text = phrase(data)
        assert said.count(text) == (1 if text and detail not in form_of(form).holds else 0)


@pytest.mark.parametrize("second", writable_forms())
@pytest.mark.parametrize("first", writable_forms())
def test_what_both_forms_hold_comes_back_through_both(source, first, second, tmp_path):
    data, images = source
    once = through(data, first, images, tmp_path / "first")
    check_kept(data, once, first)
    check_said(once, images, second)
    twice = through(once, second, images, tmp_path / "second")
    check_kept(once, twice, second)


@pytest.mark.parametrize("form", writable_forms())
def test_what_a_form_has_no_room_for_is_said_once(source, form):
    data, images = source
    check_said(data, images, form)


@pytest.mark.parametrize("form", writable_forms())
def test_a_dry_run_says_what_the_real_one_says_and_writes_nothing(source, form, tmp_path, capsys):
    _, images = source
    lines = []
    for dry in (["--dry-run"], []):
        asked = [
            f"coco:{images.parent / 'labels.json'}",
            "--images",
            str(images),
            "--to",
            form,
            "-o",
            str(tmp_path / "o"),
        ]
        with pytest.raises(SystemExit) as ended:
            cli.main(["data", "convert", *asked, *dry])
        assert ended.value.code == 0
        lines.append(capsys.readouterr().out.splitlines())
        assert (tmp_path / "o").exists() == (not dry)
    assert "4 objects" in lines[0][0] and lines[0][0].endswith("nothing was written")
    assert lines[0][1:] == [line.replace("Written", "Would be written") for line in lines[1][1:]]
    assert [line for line in lines[0] if line.startswith("not in it")] == [
        f"not in it, as {form} has no room: {thing}" for thing in convert(source[0], images, form).lost
    ]


def test_coco_holds_all_of_it(source):
    data, images = source
    assert convert(data, images, "coco").lost == []
