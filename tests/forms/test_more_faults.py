"""What people's labels have: each fault is found with its place, and mended where it has one meaning, or left."""

import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
from fault_labels import entry, good_labels, kinds, mended, spread, triples
from PIL import Image

from anykeypoint.configs.doubled_keys import dump_json
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import IGNORED
from anykeypoint.forms.document import load_document
from anykeypoint.forms.faults.changes import take_back
from anykeypoint.forms.faults.doctor import examine
from anykeypoint.forms.faults.repair import mend
from anykeypoint.forms.outlines import read_outline


@pytest.fixture
def good(tmp_path):
    return good_labels(tmp_path)


def test_good_labels_stay_as_they_are(good, tmp_path):
    assert kinds(good, tmp_path) == [] and mended(good, tmp_path) == good


# --- one meaning in another spelling -------------------------------------------------------------------------------

SPELLINGS = {
    "an id with a decimal point": ("id as text", {"id": 2.0}),
    "an id as a text": ("id as text", {"id": "2"}),
    "a picture's id as a text": ("id as text", {"image_id": "1"}),
    "a category's id with a decimal point as a text": ("id as text", {"category_id": "1.0"}),
    "a box of texts": ("number as text", {"bbox": [str(value) for value in entry(2)["bbox"]]}),
    "points of texts": ("number as text", {"keypoints": [str(value) for value in entry(2)["keypoints"]]}),
    "an area as a text": ("number as text", {"area": "6300"}),
    "a count as a text": ("number as text", {"num_keypoints": "3"}),
    "a box by its sides": (
        "shape of values",
        {"bbox": dict(zip(("x", "y", "width", "height"), entry(2)["bbox"], strict=True))},
    ),
    "a crowd flag as a text": ("crowd flag", {"iscrowd": "0"}),
    "a crowd flag as a text with a point": ("crowd flag", {"iscrowd": "0.0"}),
    "a crowd flag as a word": ("crowd flag", {"iscrowd": "false"}),
}


@pytest.mark.parametrize("what", SPELLINGS)
def test_what_has_one_meaning_is_written_as_coco_has_it(good, tmp_path, what):
    kind, edits = SPELLINGS[what]
    data = copy.deepcopy(good)
    data["annotations"][1] |= edits
    (fault,) = examine(data, tmp_path).faults
    assert fault.kind == kind and fault.where == "annotation 2" and fault.places == {1}
    assert mended(data, tmp_path) == good


@pytest.mark.parametrize(
    "shape",
    [
        lambda flat: [flat[i : i + 3] for i in range(0, 9, 3)],
        lambda flat: [flat[i : i + 2] for i in range(0, 9, 3)],
        lambda flat: [value for i in range(0, 9, 3) for value in flat[i : i + 2]],
        lambda flat: [{"x": flat[i], "y": flat[i + 1], "v": 2} for i in range(0, 9, 3)],
        lambda flat: {name: flat[3 * i : 3 * i + 3] for i, name in enumerate("abc")},
        lambda flat: {name: flat[3 * i : 3 * i + 2] for i, name in reversed(list(enumerate("abc")))},
    ],
)
def test_points_in_rows_or_by_name_are_put_in_a_row(good, tmp_path, shape):
    data = copy.deepcopy(good)
    data["annotations"][1]["keypoints"] = shape(data["annotations"][1]["keypoints"])
    assert kinds(data, tmp_path) == ["shape of values"]
    assert mended(data, tmp_path) == good


@pytest.mark.parametrize(
    "outline",
    [
        [50, 40, 140, 40, 140, 110],
        [[50, 40], [140, 40], [140, 110]],
        [[[50, 40], [140, 40], [140, 110]]],
        [{"x": 50, "y": 40}, {"x": 140, "y": 40}, {"x": 140, "y": 110}],
        [["50", "40", "140", "40", "140", "110"]],
    ],
)
def test_an_outline_in_another_shape_becomes_polygons(good, tmp_path, outline):
    good["annotations"][0]["segmentation"] = outline
    assert kinds(good, tmp_path) == ["shape of values"]
    written = mended(good, tmp_path)["annotations"][0]["segmentation"]
    assert written == [[50, 40, 140, 40, 140, 110]]


def test_ids_that_are_texts_become_numbers_and_keep_their_objects(good, tmp_path):
    data = copy.deepcopy(good)
    for picture, name in zip(data["images"], ("cam-1", "cam-2"), strict=True):
        picture["id"] = name
    for item in data["annotations"]:
        item["image_id"] = data["images"][item["image_id"] - 1]["id"]
    del data["annotations"][3]["id"]
    fixed = mended(data, tmp_path)
    assert kinds(fixed, tmp_path) == []
    names = {picture["id"]: picture["file_name"] for picture in fixed["images"]}
    found = [names[item["image_id"]] for item in fixed["annotations"]]
    assert found == [good["images"][item["image_id"] - 1]["file_name"] for item in good["annotations"]]


@pytest.mark.parametrize("identity", [None, 1.5, True, [4], "", "obj-4"])
def test_an_object_whose_id_is_none_gets_a_new_one(good, tmp_path, identity):
    data = copy.deepcopy(good)
    data["annotations"][3]["id"] = identity
    assert kinds(data, tmp_path) == ["id as text"]
    good["annotations"][3]["id"] = 6
    assert mended(data, tmp_path) == good


def test_two_objects_with_one_id_both_stay(good, tmp_path):
    good["annotations"][3]["id"] = 1
    assert kinds(good, tmp_path) == ["id twice"]
    assert [item["id"] for item in mended(good, tmp_path)["annotations"]] == [1, 2, 3, 6, 5]


def test_two_pictures_with_one_id_are_left_to_a_person(good, tmp_path):
    good["images"][1]["id"] = 1
    report = examine(good, tmp_path)
    assert "id of two things" in [fault.kind for fault in report.faults]
    fixed = mended(good, tmp_path)
    assert len(fixed["images"]) == 2 and {item["image_id"] for item in fixed["annotations"]} == {1}


@pytest.mark.parametrize("value", ["maybe", 7, [1]])
def test_a_crowd_flag_without_a_meaning_is_left_to_a_person(good, tmp_path, value):
    good["annotations"][0]["iscrowd"] = value
    assert kinds(good, tmp_path) == ["crowd flag"] and mended(good, tmp_path) == good


def test_an_object_that_is_to_be_ignored_is_counted_apart(good, tmp_path):
    good["annotations"][0]["ignore"] = 1
    report = examine(good, tmp_path)
    assert report.faults == [] and report.counts[1].objects == 4 and report.left_out == {IGNORED: 1}
    good["annotations"][0]["ignore"] = "true"
    assert kinds(good, tmp_path) == ["crowd flag"] and mended(good, tmp_path)["annotations"][0]["ignore"] == 1


def test_null_is_no_crowd(good, tmp_path):
    good["annotations"][0]["iscrowd"] = None
    report = examine(good, tmp_path)
    assert report.faults == [] and report.counts[1].objects == 5


# --- places that stand for "not labelled" --------------------------------------------------------------------------


def put(document, places):
    """Put points of objects elsewhere: (object, point) -> [x, y, v]."""
    for (at, i), row in places.items():
        document["annotations"][at]["keypoints"][3 * i : 3 * i + 3] = row
    return document


@pytest.mark.parametrize("value", [-1, -1.0, -999])
def test_minus_one_is_a_way_of_saying_not_labelled(good, tmp_path, value):
    data = put(copy.deepcopy(good), {(0, 0): [value, value, 2], (3, 2): [value, value, 1]})
    (fault,) = examine(data, tmp_path).faults
    assert fault.kind == "sentinel" and fault.where == "annotations 1, 4" and "2 labelled points" in fault.text
    fixed = mended(data, tmp_path)["annotations"]
    assert fixed[0]["keypoints"][:3] == fixed[3]["keypoints"][6:] == [0, 0, 0]
    assert [item["num_keypoints"] for item in fixed] == [2, 3, 3, 2, 3]
    assert fixed[1] == good["annotations"][1] and fixed[0]["bbox"] == good["annotations"][0]["bbox"]


@pytest.mark.parametrize("value", [float("nan"), None, "NaN", ""])
def test_points_without_a_place_are_not_labelled(good, tmp_path, value):
    data = put(copy.deepcopy(good), {(0, 0): [value, value, 2], (3, 2): [value, value, 2]})
    (fault,) = examine(data, tmp_path).faults
    assert fault.kind == "sentinel" and "without a place" in fault.text
    assert mended(data, tmp_path)["annotations"][0]["num_keypoints"] == 2


def test_zeros_that_no_box_reaches_are_not_labelled(good, tmp_path):
    data = put(copy.deepcopy(good), {(0, 0): [0, 0, 2]})
    assert kinds(data, tmp_path) == ["sentinel"]
    assert mended(data, tmp_path)["annotations"][0]["num_keypoints"] == 2


def test_two_points_of_one_object_in_the_corner_are_not_labelled(good, tmp_path):
    data = put(copy.deepcopy(good), {(0, 0): [0, 0, 2], (0, 1): [0, 0, 2]})
    data["annotations"][0] |= {"bbox": [0, 0, 150, 120], "area": 18000}
    assert kinds(data, tmp_path) == ["sentinel"]


def test_a_true_point_in_the_corner_is_no_fault(good, tmp_path):
    data = put(copy.deepcopy(good), {(0, 0): [0, 0, 2]})
    data["annotations"][0] |= {"bbox": [0, 0, 150, 120], "area": 18000}
    assert kinds(data, tmp_path) == []


def test_zeros_in_many_objects_of_large_animals_are_not_labelled(good, tmp_path):
    for item, i in zip(good["annotations"], (0, 1, 2, 0, 1), strict=True):
        item["keypoints"] = triples([15 + item["id"], 12, 190, 20 + item["id"], 100, 150])
        item["keypoints"][3 * i : 3 * i + 3] = [0, 0, 2]
        item |= {"bbox": [0, 0, 195, 155], "area": 195 * 155}
    (fault,) = examine(good, tmp_path).faults
    assert fault.kind == "sentinel" and len(fault.places) == 5
    good["annotations"] = good["annotations"][:2]  # two may be true
    assert kinds(good, tmp_path) == []


def test_the_same_corner_of_a_sheet_in_every_scan_is_no_fault(good, tmp_path):
    for item in good["annotations"]:
        i = item["id"]
        item["keypoints"] = triples([0, 0, 190 + i, 2, 3, 140 + i])
        item |= {"bbox": [0, 0, 198, 158], "area": 198 * 158}
    assert kinds(good, tmp_path) == []


def test_a_box_that_was_put_round_a_sentinel_is_put_round_the_other_points(good, tmp_path):
    item = put(good, {(0, 0): [0, 0, 2]})["annotations"][0]
    item |= {"bbox": [0, 0, 121, 101], "area": 121 * 101}
    put(good, {(1, 0): [-1, -1, 2]})
    fixed = mended(good, tmp_path)["annotations"][0]
    assert fixed["bbox"] == [91, 71, 30, 30] and fixed["area"] == 900


# --- boxes and areas -----------------------------------------------------------------------------------------------


def as_corners(box):
    x, y, w, h = box
    return [x, y, x + w, y + h]


def test_boxes_of_two_corners_are_found_for_the_file_as_a_whole(good, tmp_path):
    data = copy.deepcopy(spread(good))
    for item in data["annotations"]:
        item["bbox"] = as_corners(item["bbox"])
    (fault,) = examine(data, tmp_path).faults
    assert fault.kind == "order of the box" and "x1, y1, x2, y2" in fault.text and len(fault.places) == 5
    assert mended(data, tmp_path) == good


def test_boxes_of_two_corners_that_stay_in_large_pictures_are_found_by_their_margins(good, tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (900, 800)).save(tmp_path / name)
    for picture in good["images"]:
        picture |= {"width": 900, "height": 800}
    data = copy.deepcopy(spread(good))
    for item in data["annotations"]:
        item["bbox"] = as_corners(item["bbox"])
    assert kinds(data, tmp_path) == ["order of the box"] and mended(data, tmp_path) == good


def test_boxes_by_their_centres_are_found(good, tmp_path):
    data = copy.deepcopy(spread(good))
    for item in data["annotations"]:
        x, y, w, h = item["bbox"]
        item["bbox"] = [x + w / 2, y + h / 2, w, h]
    (fault,) = examine(data, tmp_path).faults
    assert "centre x" in fault.text and mended(data, tmp_path) == good


def test_labels_without_boxes_get_those_of_their_points(good, tmp_path):
    for item in good["annotations"]:
        del item["bbox"], item["area"]
    (fault,) = examine(good, tmp_path).faults
    assert fault.kind == "no box" and len(fault.places) == 5
    fixed = mended(good, tmp_path)
    read = {item.id: item.box for item in read_coco_text(good, tmp_path).objects}
    assert [tuple(item["bbox"]) for item in fixed["annotations"]] == [read[i] for i in range(1, 6)]


def test_a_box_without_a_width_is_legal(good, tmp_path):
    good["annotations"][0] |= {"keypoints": triples([60, 50, 60, 70, 60, 100]), "bbox": [60, 45, 0, 60], "area": 3600}
    assert kinds(good, tmp_path) == [] and len(read_coco_text(good, tmp_path).objects) == 5


@pytest.mark.parametrize("centre", [False, True])
def test_boxes_as_shares_of_their_pictures_are_found(good, tmp_path, centre):
    data = copy.deepcopy(spread(good))
    for item in data["annotations"]:
        x, y, w, h = item["bbox"]
        x, y = (x + w / 2, y + h / 2) if centre else (x, y)
        item["bbox"] = [x / 200, y / 160, w / 200, h / 160]
    (fault,) = examine(data, tmp_path).faults
    assert fault.kind == "order of the box" and "shares" in fault.text
    fixed = mended(data, tmp_path)
    found = np.array([item["bbox"] for item in fixed["annotations"]])
    np.testing.assert_allclose(found, [item["bbox"] for item in good["annotations"]], atol=1e-6)


@pytest.mark.parametrize("boxes", [True, False])
def test_points_as_shares_of_their_pictures_are_found_and_become_pixels(good, tmp_path, boxes):
    data = copy.deepcopy(good)
    for item in data["annotations"]:
        item["keypoints"] = [v / (200, 160, 1)[i % 3] for i, v in enumerate(item["keypoints"])]
        if boxes:
            item |= {"bbox": [v / side for v, side in zip(item["bbox"], (200, 160) * 2, strict=True)]}
            item |= {"area": item["area"] / 200 / 160}
    (fault,) = examine(data, tmp_path).faults
    assert fault.kind == "shares of the picture" and len(fault.places) == 5
    for item, right in zip(mended(data, tmp_path)["annotations"], good["annotations"], strict=True):
        for key in ("keypoints", "bbox", "area"):
            np.testing.assert_allclose(item[key], right[key], atol=1e-6)


def test_few_points_in_the_first_pixel_are_no_shares(good, tmp_path):
    good["annotations"][0]["keypoints"][:2] = [0.25, 0.5]
    assert "shares of the picture" not in kinds(good, tmp_path)


def test_one_box_that_reaches_out_is_no_matter_of_order(good, tmp_path):
    data = copy.deepcopy(spread(good))
    data["annotations"][1]["bbox"][2] = 150
    data["annotations"][1]["area"] = 150 * 70
    assert kinds(data, tmp_path) == ["box outside"]


@pytest.mark.parametrize("area", [0, 1, 90 * 70 * 3])
def test_an_area_that_cannot_be_the_objects_becomes_the_boxs(good, tmp_path, area):
    data = copy.deepcopy(good)
    data["annotations"][2]["area"] = area
    (fault,) = examine(data, tmp_path).faults
    assert fault.kind == "area" and fault.where == "annotation 3"
    assert mended(data, tmp_path) == good


def test_one_area_for_all_objects_is_a_fault_of_the_file(good, tmp_path):
    for i, item in enumerate(good["annotations"]):
        item["bbox"] = [*item["bbox"][:2], 70 + 10 * i, 70]
        item["bbox"][3] = 66 + 5 * i
        item["area"] = 500
    good["annotations"][0]["bbox"] = [10, 10, 180, 140]
    (fault,) = examine(good, tmp_path).faults
    assert fault.kind == "area" and len(fault.places) == 5
    assert all(item["area"] == item["bbox"][2] * item["bbox"][3] for item in mended(good, tmp_path)["annotations"])


# --- outlines, pictures, keys, points ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "outline", [[[30, 30, 130, 110]], "none", [[1, 2, 3, 4, 5]], {"size": [9, 9], "counts": [1]}, [["x"] * 6]]
)
def test_an_outline_that_no_command_can_use_is_told_with_its_annotation(good, tmp_path, outline):
    good["annotations"][2]["segmentation"] = outline
    (fault,) = examine(good, tmp_path).faults
    assert fault.kind == "outline" and fault.where == "annotation 3" and fault.category == "thing"
    assert mended(good, tmp_path) == good


@pytest.mark.parametrize("outline", [[[]], [[], []]])
def test_an_outline_of_empty_polygons_is_none(good, tmp_path, outline):
    good["annotations"][2]["segmentation"] = outline
    assert kinds(good, tmp_path) == ["shape of values"]
    assert mended(good, tmp_path)["annotations"][2]["segmentation"] == []


def test_a_mask_of_another_size_than_its_picture_is_told(good, tmp_path):
    good["annotations"][2]["segmentation"] = {"size": [200, 160], "counts": [0, 32000]}
    assert kinds(good, tmp_path) == ["outline"]
    good["annotations"][2]["segmentation"]["size"] = [160, 200]
    assert kinds(good, tmp_path) == [] and read_outline(good["annotations"][2]["segmentation"], "").mask.all()


@pytest.mark.parametrize("name", ["a.png", "./a.png", "x/../a.png"[5:]])
def test_a_picture_under_two_ids_becomes_one(good, tmp_path, name):
    good["images"].append({"id": 9, "file_name": name, "width": 200, "height": 160})
    good["annotations"][0]["image_id"] = 9
    before = read_coco_text(good, tmp_path)
    (fault,) = examine(good, tmp_path).faults
    assert fault.kind == "picture twice" and fault.where == "image 9" and "image 1" in fault.text
    fixed = mended(good, tmp_path)
    assert len(fixed["images"]) == 2 and fixed["annotations"][0]["image_id"] == 1
    assert len(read_coco_text(fixed, tmp_path).objects) == len(before.objects) == 5


@pytest.mark.parametrize("name", ["../labels/a.png", "C:\\me\\a.png", "/home/me/a.png", "..\\a.png"])
def test_a_path_that_leads_out_of_the_folder_means_the_file_of_its_name_there(good, tmp_path, name):
    before = len(good["annotations"])
    good["images"][0]["file_name"] = name
    assert kinds(good, tmp_path) == ["picture elsewhere"]
    fixed = mended(good, tmp_path)
    assert fixed["images"][0]["file_name"] == "a.png" and len(fixed["annotations"]) == before
    for odd in ("..", "/", "C:/"):
        good["images"][0]["file_name"] = odd
        assert "broken entry" in kinds(good, tmp_path)


def test_true_as_visibility_is_a_point_that_is_labelled(good, tmp_path):
    good["annotations"][0]["keypoints"][2] = True
    assert "visibility" in kinds(good, tmp_path)
    assert mended(good, tmp_path)["annotations"][0]["keypoints"][2] == 2


def read_coco_text(document, folder):
    file = folder / "labels.json"
    file.write_text(json.dumps(document))
    return read_coco(file, folder)


def test_a_picture_under_two_ids_in_two_groups_is_left_to_a_person(good, tmp_path):
    good["images"][0]["group"] = "film 1"
    good["images"].append({"id": 9, "file_name": "a.png", "width": 200, "height": 160, "group": "film 2"})
    (fault,) = examine(good, tmp_path).faults
    assert fault.kind == "picture twice" and not fault.sure and "another group" in fault.text
    assert mended(good, tmp_path) == good


def test_a_key_with_two_values_costs_its_object_and_neither_value_is_taken(good, tmp_path):
    text = json.dumps(good).replace('"id": 3, "image_id"', '"id": 3, "bbox": [1, 2, 30, 40], "image_id"')
    (tmp_path / "twice.json").write_text(text)
    document = load_document(tmp_path / "twice.json")
    (fault,) = examine(document, tmp_path).faults
    assert fault.kind == "key with two values" and "'bbox'" in fault.text and fault.places == {2}
    assert dump_json(mend(document, tmp_path).document) == text
    data = read_coco(tmp_path / "twice.json", tmp_path)
    assert [item.id for item in data.objects] == [1, 2, 4, 5]
    assert len(data.faults) == 1 and "annotations[2] has the key 'bbox' twice" in data.faults[0]


def test_a_key_twice_with_one_value_is_written_once(good, tmp_path):
    text = json.dumps(good).replace('"id": 3, "image_id"', '"id": 3, "iscrowd": 0, "image_id"')
    (tmp_path / "twice.json").write_text(text)
    document = load_document(tmp_path / "twice.json")
    (fault,) = examine(document, tmp_path).faults
    assert fault.kind == "key twice" and fault.where == "annotation 3"
    assert mended(document, tmp_path) == good and len(read_coco(tmp_path / "twice.json", tmp_path).objects) == 5


def test_a_key_with_two_values_inside_an_object_is_told_and_does_not_cost_it(good, tmp_path):
    text = json.dumps(good).replace('"id": 3, "image_id"', '"id": 3, "about": {"a": 1, "a": NaN}, "image_id"')
    (tmp_path / "twice.json").write_text(text)
    document = load_document(tmp_path / "twice.json")
    (fault,) = examine(document, tmp_path).faults
    assert fault.kind == "key with two values" and "'about.a'" in fault.text
    assert dump_json(mend(document, tmp_path).document) == text
    assert len(read_coco(tmp_path / "twice.json", tmp_path).objects) == 5


def test_points_on_each_other_are_told_where_other_objects_have_them_apart(good, tmp_path):
    put(good, {(2, 1): good["annotations"][2]["keypoints"][:3]})
    (fault,) = examine(good, tmp_path).faults
    assert fault.kind == "points on each other" and fault.where == "annotation 3" and "'a', 'b'" in fault.text
    assert mended(good, tmp_path) == good


def test_neighbours_that_coincide_in_one_object_are_no_fault(good, tmp_path):
    for item in good["annotations"]:
        x, y = item["keypoints"][:2]
        item["keypoints"][3:5] = [x + 2, y + 1]
    put(good, {(2, 1): good["annotations"][2]["keypoints"][:3]})
    assert kinds(good, tmp_path) == []


def test_two_objects_of_the_same_points_that_differ_otherwise_both_stay(good, tmp_path):
    good["annotations"].append({**good["annotations"][0], "id": 9})
    assert kinds(good, tmp_path) == ["same object"] and len(mended(good, tmp_path)["annotations"]) == 5
    good["annotations"][5]["bbox"] = [45, 35, 100, 80]
    assert kinds(good, tmp_path) == ["same object"] and mended(good, tmp_path) == good


def test_labels_without_an_object_are_a_fault(good, tmp_path):
    good["annotations"] = []
    assert kinds(good, tmp_path) == ["no object"]
    good["annotations"] = [entry(1, keypoints=[0] * 9, num_keypoints=0)]
    assert kinds(good, tmp_path) == ["no object"]


# --- the inputs of the reports -------------------------------------------------------------------------------------

REPORTS = {  # folder -> kinds of faults, and whether the mended copy has none left
    "area_zero_or_one/l.json": ({"area"}, True),
    "boxes_xyxy/l.json": ({"order of the box"}, True),
    "ids_as_text/l.json": ({"id as text"}, True),
    "iscrowd_forms/c.json": (set(), True),
    "missing_as_minus_one/l.json": ({"sentinel"}, True),
    "outline_of_four_numbers/l.json": ({"outline"}, False),
    "picture_listed_twice/l.json": ({"picture twice"}, True),
}


@pytest.mark.parametrize("name", REPORTS)
def test_the_reports_of_other_tools_users(shared, tmp_path, name):
    file = Path(os.path.join(shared, "cases", "reports", name))
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    expected, clean = REPORTS[name]
    document = load_document(file)
    assert set(kinds(document, file.parent)) == expected
    fixed = mend(document, file.parent)
    assert (kinds(fixed.document, file.parent) == []) == clean
    assert take_back(fixed.document, fixed.changes, "the table") == document
