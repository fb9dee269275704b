"""The COCO reader: what it keeps, what it counts, and what it refuses with one sentence."""

import copy
import json

import numpy as np
import pytest
from PIL import Image

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.forms import dataset as objects
from anykeypoint.forms import walk
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import without_descriptions
from anykeypoint.library.lookup import lent

GOOD = {
    "images": [
        {"id": 1, "file_name": "a/one.png", "width": 8, "height": 8, "group": "film"},
        {"id": 2, "file_name": "two.png", "width": 8, "height": 8},
    ],
    "annotations": [
        {
            "id": 10,
            "image_id": 1,
            "category_id": 5,
            "bbox": [1, 1.5, 4, 5],
            "iscrowd": 0,
            "keypoints": [2, 3.25, 2, 0, 0, 0, 4, 4, 1],
        },
        {"id": 11, "image_id": 2, "category_id": 5, "bbox": [0, 0, 8, 8], "keypoints": [1, 1, 2, 2, 2, 2, 3, 3, 2]},
    ],
    "categories": [{"id": 5, "name": "odd_lamp", "keypoints": ["lamp_top", "left base", "right base"]}],
}


@pytest.fixture(autouse=True)
def no_library(monkeypatch):
    monkeypatch.setattr(walk, "lent", lambda name, labels: None)


@pytest.fixture
def read(tmp_path):
    def read(data, **options):
        file = tmp_path / "labels.json"
        file.write_text(data if isinstance(data, str) else json.dumps(data))
        for name in ("a/one.png", "two.png"):
            path = tmp_path / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
        return read_coco(file, tmp_path / "images", **options)

    return read


def changed(**edits):
    """GOOD with `section__index__key=value` replaced."""
    data = copy.deepcopy(GOOD)
    for place, value in edits.items():
        section, index, key = place.split("__")
        data[section][int(index)][key] = value
    return data


def test_points_boxes_and_groups_are_read_as_written(read, tmp_path):
    first, second = read(GOOD).objects
    assert first.id == 10 and first.category_id == 5
    assert first.image == tmp_path / "images" / "a" / "one.png"
    assert first.box == (1, 1.5, 4, 5)
    assert first.group == "film" and second.group is None
    np.testing.assert_array_equal(first.points, [[2, 3.25], [np.nan, np.nan], [4, 4]])
    assert first.points.dtype == np.float64
    assert first.visibility.tolist() == [2, 0, 1]


def test_an_area_is_the_files_own_or_none(read):
    first, second = read(changed(annotations__0__area=7.5)).objects
    assert first.area == 7.5 and second.area is None
    assert read(changed(annotations__0__area=None)).objects[0].area is None
    assert (first.source, read(GOOD).weights) == ("", {})


def test_objects_come_in_the_order_of_the_annotations(read):
    data = changed(annotations__0__image_id=2, annotations__1__image_id=1)
    assert [item.id for item in read(data).objects] == [10, 11]


def test_an_unknown_category_keeps_its_labels_and_takes_its_name_as_noun(read):
    category = read(GOOD).categories[5]
    assert category.names == ["lamp top", "left base", "right base"]
    assert category.keypoints[0].label == "lamp_top"
    assert (category.name, category.noun) == ("odd_lamp", "odd lamp")
    assert category.pairs == ((1, 2),)


def test_a_category_of_the_library_takes_its_words_and_keeps_its_own_name_and_skeleton(read, monkeypatch):
    known = Category(
        "lamp",
        tuple(Keypoint(name, f"what the {name} is") for name in ("top", "left foot", "right foot")),
        skeleton=((0, 1),),
        noun="desk lamp",
    )
    monkeypatch.setattr(walk, "lent", lambda name, labels: known if labels[0] == "lamp_top" else None)
    category = read(GOOD).categories[5]
    assert category.keypoints == known.keypoints
    assert (category.name, category.noun, category.skeleton) == ("odd_lamp", "desk lamp", ((0, 1),))
    assert read(changed(categories__0__skeleton=[[0, 2]])).categories[5].skeleton == ((0, 2),)
    assert without_descriptions(category).keypoints[0] == Keypoint("top")


def test_points_told_apart_by_descriptions_alone_cannot_lose_them():
    wheels = Category("chair", (Keypoint("wheel", "the front one"), Keypoint("wheel", "the rear one")))
    with pytest.raises(InputError, match="'wheel'"):
        without_descriptions(wheels)


@pytest.mark.parametrize(
    "skeleton, expected",
    [([[1, 2], [2, 3]], ((0, 1), (1, 2))), ([[0, 1], [1, 2]], ((0, 1), (1, 2))), ([[1, 2]], ((1, 2),)), (None, ())],
)
def test_a_skeleton_counted_from_one_becomes_counted_from_zero(read, skeleton, expected):
    assert read(changed(categories__0__skeleton=skeleton)).categories[5].skeleton == expected


def test_a_skeleton_counted_both_ways_is_refused(read):
    with pytest.raises(InputError, match="counts keypoints from 0"):
        read(changed(categories__0__skeleton=[[0, 1], [2, 3]]))


def test_pairs_of_the_file_come_before_those_of_the_names(read):
    assert read(GOOD).categories[5].pairs == ((1, 2),)
    assert read(changed(categories__0__pairs=[[0, 2]])).categories[5].mirrored() == [2, 1, 0]
    assert read(changed(categories__0__pairs=[])).categories[5].mirrored() == [0, 1, 2]
    assert read(changed(categories__0__pairs=None)).categories[5].pairs == ((1, 2),)
    lone = read(changed(categories__0__keypoints=["top", "left base", "hook"], categories__0__alone=[1])).categories[5]
    assert lone.alone == (1,) and not lone.flips


def test_a_crowd_flag_of_null_is_none_and_a_text_is_a_fault(read):
    assert len(read(changed(annotations__0__iscrowd=None)).objects) == 2
    for value in ("0", "false", 2):
        data = read(changed(annotations__0__iscrowd=value))
        assert [item.id for item in data.objects] == [11] and "annotation 10, key 'iscrowd'" in data.faults[0]


def test_an_object_that_is_to_be_ignored_is_left_out_and_counted(read):
    data = read(changed(annotations__0__ignore=1, annotations__1__ignore=0))
    assert [item.id for item in data.objects] == [11] and data.skipped == {objects.IGNORED: 1}
    assert "annotation 10, key 'ignore'" in read(changed(annotations__0__ignore="yes")).faults[0]


def test_crowds_and_objects_without_labels_are_left_out_and_counted(read):
    data = changed(annotations__0__iscrowd=1, annotations__1__keypoints=[0] * 9)
    dataset = read(data)
    assert dataset.objects == [] and dataset.skipped == {objects.CROWD: 1, objects.UNLABELLED: 1}
    assert list(dataset.categories) == [5]


def test_a_missing_picture_is_named_and_can_be_allowed_and_counted(read):
    data = changed(images__0__file_name="a/gone.png")
    with pytest.raises(InputError, match=r"1 of the pictures .*gone\.png"):
        read(data)
    dataset = read(data, allow_missing=True)
    assert [item.id for item in dataset.objects] == [11] and dataset.skipped == {objects.NO_IMAGE: 1}


@pytest.mark.parametrize("name", ["../two.png", "a/../../two.png", "/etc/hosts", "..\\two.png", "C:\\two.png", "\\two"])
def test_a_file_name_may_not_leave_the_images_folder(read, name):
    with pytest.raises(InputError, match=r"image 2.*leaves the images folder"):
        read(changed(images__1__file_name=name), strict=True)


@pytest.mark.parametrize(
    "edit, message",
    [
        ({"annotations__0__keypoints": [1, 2, 2]}, "annotation 10.*'keypoints'.*3 keypoints.*3 numbers"),
        ({"annotations__0__keypoints": None}, "annotation 10.*'keypoints'"),
        ({"annotations__0__keypoints": [float("nan"), 1, 2] + [1] * 6}, "annotation 10.*finite.*nan"),
        ({"annotations__0__keypoints": [1, float("inf"), 2] + [1] * 6}, "annotation 10.*finite.*inf"),
        ({"annotations__0__keypoints": ["1", 1, 2] + [1] * 6}, "annotation 10.*finite"),
        ({"annotations__0__keypoints": [True, 1, 2] + [1] * 6}, "annotation 10.*finite"),
        ({"annotations__0__keypoints": [10**400, 1, 2] + [1] * 6}, "annotation 10.*finite"),
        ({"annotations__0__keypoints": [1, 1, 3] + [1] * 6}, "annotation 10.*visibility 3"),
        ({"annotations__0__bbox": [1, 1, 0, 0]}, "annotation 10.*'bbox'.*above 0"),
        ({"annotations__0__bbox": [1, 1, 0, -4]}, "annotation 10.*'bbox'.*neither below"),
        ({"annotations__0__bbox": [1, 1, 4, -4]}, "annotation 10.*'bbox'.*above 0"),
        ({"annotations__0__bbox": [1, 1, 4]}, "annotation 10.*'bbox'.*four numbers"),
        ({"annotations__0__bbox": [1, float("nan"), 4, 4]}, "annotation 10.*'bbox'.*finite"),
        ({"annotations__0__bbox": [1, 1, 1e308, 4]}, "annotation 10.*'bbox'.*at most 1e\\+09, but has '1e\\+308'"),
        ({"annotations__0__area": "large"}, "annotation 10.*'area'.*finite"),
        ({"annotations__0__area": -1}, "annotation 10.*'area'.*below 0"),
        ({"annotations__0__image_id": 9}, "annotation 10.*image_id 9"),
        ({"annotations__0__category_id": 9}, "annotation 10.*category_id 9"),
        ({"annotations__0__image_id": "one"}, "annotation 10.*'image_id'"),
        ({"annotations__1__id": 10}, "annotation 10 appears twice"),
        ({"annotations__1__id": None}, r"annotations\[1\].*'id'"),
        ({"images__1__id": 1}, "image 1 appears twice"),
        ({"images__1__file_name": 3}, "image 2.*'file_name'"),
        ({"categories__0__keypoints": "nose"}, "category 5.*'keypoints'"),
        ({"categories__0__keypoints": ["a", "a", "b"]}, "category 5.*'a'"),
        ({"categories__0__name": ""}, "category 5.*'name'"),
        ({"categories__0__skeleton": [[0, 7]]}, "category 5.*skeleton"),
        ({"categories__0__skeleton": [[0]]}, "category 5.*skeleton"),
        ({"categories__0__pairs": "01"}, "category 5.*'pairs', must be a list of pairs of whole numbers"),
        ({"categories__0__pairs": [[0, 1, 2]]}, "category 5.*'pairs', must be a list of pairs of whole numbers"),
        ({"categories__0__alone": [True]}, "category 5.*'alone', must be a list of whole numbers"),
        (
            {"categories__0__alone": [3]},
            "category 5.*stands alone in .* from 0 to 2, but got 3",
        ),
        ({"categories__0__descriptions": "lamp"}, "category 5.*'descriptions', must be a list of texts"),
        ({"categories__0__descriptions": ["top"]}, "category 5.*'descriptions'.* each of 3 keypoints, but has 1"),
        ({"categories__0__pairs": [[0, 3]]}, "category 5.*pairs of 'odd_lamp' must hold .* from 0 to 2"),
        ({"categories__0__pairs": [[0, 1], [1, 2]]}, "category 5.*pairs of 'odd_lamp' must be disjoint"),
    ],
)
def test_what_is_malformed_is_named_with_file_key_and_id(read, edit, message):
    with pytest.raises(InputError, match=rf"labels\.json: {message}"):
        read(changed(**edit), strict=True)


@pytest.mark.parametrize(
    "text", ["{", "[]", "3", '{"images": []}', '{"images": 1, "annotations": [], "categories": []}', "[" * 100_000]
)
def test_a_file_that_is_not_coco_is_refused_with_its_name(read, text):
    with pytest.raises(InputError, match=r"labels\.json"):
        read(text)


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path):
    with pytest.raises(InputError, match=r"no\.json"):
        read_coco(tmp_path / "no.json", tmp_path)


def test_reading_writes_nothing(read, tmp_path):
    read(GOOD)
    before = sorted(tmp_path.rglob("*"))
    read(GOOD)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["field_val", "field_test"])
def test_the_field_data_is_read_whole(shared, name, monkeypatch):
    monkeypatch.setattr(walk, "lent", lent)
    raw = json.loads((shared / "data" / f"{name}.json").read_text())
    dataset = read_coco(shared / "data" / f"{name}.json", shared / "data" / "images")
    assert len(dataset.objects) + sum(dataset.skipped.values()) == len(raw["annotations"])
    labelled = sum(v > 0 for item in raw["annotations"] for v in item["keypoints"][2::3])
    assert sum(int((item.visibility > 0).sum()) for item in dataset.objects) == labelled
    skeletons = {entry["id"]: tuple(map(tuple, entry["skeleton"])) for entry in raw["categories"]}
    assert all(dataset.categories[key].skeleton == edges for key, edges in skeletons.items() if edges)


@pytest.mark.parametrize("sample", ["coco/test_coco", "ap10k/test_ap10k", "macaque/test_macaque", "atrw/test_atrw"])
def test_public_files_of_the_format_are_read(shared, sample):
    file = shared / "data" / "samples" / f"{sample}.json"
    dataset = read_coco(file, file.parent)
    assert dataset.objects
    used = dataset.objects[0].category
    assert {0, len(used) - 1} & {index for edge in used.skeleton for index in edge}
