"""Ids that tools can use: those of labels taken over for predictions, and those of labels counted from 1."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.forms.label_ids import label_ids
from anykeypoint.forms.poses import coco_document, write_coco
from anykeypoint.forms.registry import convert, read, writable_forms
from anykeypoint.forms.renumber import renumber
from anykeypoint.forms.writing import point_labels, save
from anykeypoint.library.lookup import category
from anykeypoint.pose import Pose

CAT = Category("cat", (Keypoint("nose"), Keypoint("left eye", label="left_eye")), noun="cat")


def labels(*names, categories=((0, "dog", ["nose", "tail"]), (106, "Cat", ["Nose", "left_eye"]))):
    """A COCO document with these pictures, whose ids are 40, 41, ..., and one object of each category in the first."""
    images = [{"id": 40 + i, "file_name": name} for i, name in enumerate(names)]
    kinds = [{"id": key, "name": name, "keypoints": points} for key, name, points in categories]
    entries = [
        {"id": 900 + key, "image_id": 40, "category_id": key, "keypoints": [5, 5, 2, 8, 8, 2], "bbox": [1, 1, 20, 20]}
        for key, _, _ in categories
    ]
    return {"images": images, "annotations": entries, "categories": kinds}


@pytest.fixture
def put(tmp_path):
    def write(made):
        (tmp_path / "labels.json").write_text(json.dumps(made))
        return tmp_path / "labels.json"

    return write


def test_ids_and_spelling_are_those_of_the_labels(put):
    found = label_ids(put(labels("a.jpg", "sub\\b.jpg")), [Path("/x/a.jpg"), Path("y/sub/b.jpg")], CAT)
    assert found.pictures == {Path("/x/a.jpg"): "a.jpg", Path("y/sub/b.jpg"): "sub\\b.jpg"}
    assert found.image_ids == {"a.jpg": 40, "sub\\b.jpg": 41}
    assert (found.category, found.category_id, list(found.points)) == ("Cat", 106, ["Nose", "left_eye"])


def test_the_longest_name_that_fits_is_meant(put):
    found = label_ids(put(labels("b.jpg", "s/b.jpg")), [Path("/x/b.jpg"), Path("/x/s/b.jpg")], CAT)
    assert [found.image_ids[name] for name in found.pictures.values()] == [40, 41]


@pytest.mark.parametrize(
    ("made", "pictures", "words"),
    [
        (labels("a.jpg"), ["/x/c.jpg"], r"does not list 1 of the 1 pictures \(c\.jpg\)"),
        (labels("a.jpg"), ["/x/a.jpg", "/y/a.jpg"], "lists a.jpg once, but both"),
        (labels("a.jpg", "./a.jpg"), ["/x/a.jpg"], "under two ids"),
        (labels("a.jpg", categories=[(1, "cat", ["left_eye", "nose"])]), ["a.jpg"], "has no categories with the 2"),
        (labels("a.jpg", categories=[(1, "a", CAT.names), (2, "b", CAT.names)]), ["a.jpg"], "has 2 categories with"),
    ],
)
def test_what_the_labels_do_not_have_is_one_sentence(put, made, pictures, words):
    with pytest.raises(InputError, match=words):
        label_ids(put(made), [Path(one) for one in pictures], CAT)


def test_a_document_with_given_ids_has_them_even_if_they_are_zero():
    pose = Pose(
        names=CAT.names, xy=[[1, 2], [3, 4]], confidence=[0.5] * 2, present=[True] * 2, image_size=(9, 9), image="a.jpg"
    )
    made = coco_document([pose], {"a.jpg": 0}, 0)
    assert (made["images"][0]["id"], made["categories"][0]["id"]) == (0, 0)
    assert (made["annotations"][0]["image_id"], made["annotations"][0]["category_id"]) == (0, 0)


def test_renumbering_counts_from_one_and_leaves_out_categories_without_an_object(put, tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    made = labels("a.png", categories=((166, "b", CAT.names), (7, "c", CAT.names), (106, "a", CAT.names)))
    del made["annotations"][1]
    before = read(f"coco:{put(made)}", tmp_path)
    after, ids = renumber(before)
    assert ids == {166: 1, 106: 2} and [kind.name for kind in after.categories.values()] == ["b", "a"]
    assert [(item.id, item.category_id, item.category.name) for item in after.objects] == [(1, 1, "b"), (2, 2, "a")]
    written = json.loads(convert(after, tmp_path, "coco")[0])
    assert [entry["category_id"] for entry in written["annotations"]] == [1, 2]
    for old, new in zip(before.objects, after.objects, strict=True):
        np.testing.assert_array_equal(old.points, new.points)


@pytest.mark.parametrize("form", [name for name in writable_forms() if name != "tps"])  # TPS has no names of points
@pytest.mark.parametrize("name", ["animal_face", "human_body", "field_05_car"])
def test_names_of_predictions_stay_the_same_in_every_form(tmp_path, form, name):
    """So that corrected labels join predictions: no form gives back the library's other spelling (`left_eye`)."""
    kind = category(name)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (300, 200)).save(tmp_path / "photos" / "a.png")
    places = np.column_stack([np.linspace(20, 200, len(kind)), np.linspace(30, 150, len(kind))])
    pose = Pose(
        names=kind.names, xy=places, confidence=[0.5] * len(kind), present=[True] * len(kind), image_size=(300, 200),
        box=(10, 20, 220, 150), image="a.png", category=kind.name, skeleton=kind.skeleton,
    )  # fmt: skip
    write_coco([pose], tmp_path / "poses.json")
    content = convert(read(f"coco:{tmp_path / 'poses.json'}", tmp_path / "photos"), tmp_path / "photos", form)[0]
    save(content, tmp_path / "out")
    where = tmp_path / "out" / "data.yaml" if form == "yolo" else tmp_path / "out"
    images = tmp_path / "out" if not isinstance(content, str) else tmp_path / "photos"
    spec = f"dlc/{kind.name}:{where}" if form == "dlc" else f"{form}:{where}"
    (item,) = read(spec, None if form == "yolo" else images).objects
    assert point_labels(item.category) == kind.names and item.category.name == kind.name
