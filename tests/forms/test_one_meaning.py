"""What has one meaning is mended, and what only looks so is left to a person with all that may tell what was meant."""

import copy

import numpy as np
import pytest
from fault_labels import POINTS, entry, good_labels, kinds, mended, spread, triples
from PIL import Image

from anykeypoint.forms.faults.doctor import examine
from anykeypoint.forms.faults.repair import mend


@pytest.fixture
def good(tmp_path):
    return good_labels(tmp_path)


# --- names in place of ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["i/p.0.png", "./i/p.0.png", "i\\p.0.png", "i/p.0", "p.0.png", "p.0"])
def test_the_file_name_of_one_picture_as_image_id_means_that_picture(good, tmp_path, name):
    moved(tmp_path, "i/p.0.png")
    good["images"][0]["file_name"] = "i/p.0.png"
    data = copy.deepcopy(good)
    for item in data["annotations"]:
        if item["image_id"] == 1:
            item["image_id"] = name
    assert kinds(data, tmp_path) == ["id as text"] and mended(data, tmp_path) == good
    listed = {**data["images"][0], "id": 9}
    assert mended({**data, "images": [*data["images"], listed]}, tmp_path) == good  # still one picture
    for other in ("j/p.0.png", "i/p.0.jpg"):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        Image.new("RGB", (200, 160)).save(tmp_path / other)
        more = {**data, "images": [*data["images"], {**listed, "file_name": other}]}
        full = name.removeprefix("./").replace("\\", "/")
        clear = full == "i/p.0.png" or full == ("i/p.0" if other[0] == "j" else "p.0.png")
        assert ("unknown picture" in kinds(more, tmp_path)) != clear


@pytest.mark.parametrize("name", ["j/p.0.png", "i/P.0.png", "p", "0.png", "x/i/p.0.png", ""])
def test_another_name_as_image_id_means_no_picture(good, tmp_path, name):
    moved(tmp_path, "i/p.0.png")
    good["images"][0]["file_name"] = "i/p.0.png"
    good["annotations"][1]["image_id"] = name
    assert kinds(good, tmp_path) == ["unknown picture"]


def test_digits_that_are_no_id_but_the_name_of_a_file_mean_that_file(good, tmp_path):
    moved(tmp_path, "0001.png")
    good["images"][0] |= {"file_name": "0001.png", "id": 7}
    for item in good["annotations"]:
        item["image_id"] = "2" if item["image_id"] == 2 else "0001"
    assert {item["image_id"] for item in mended(good, tmp_path)["annotations"]} == {2, 7}


def test_a_text_with_leading_zeros_is_the_name_of_a_file_before_it_is_the_id_of_another(good, tmp_path):
    numbered(good, tmp_path, "000002.png", "000001.png")
    data = copy.deepcopy(good)
    for item in data["annotations"]:
        item["image_id"] = {1: "000002", 2: "000001"}[item["image_id"]]
    assert mended(data, tmp_path) == good
    for item in data["annotations"]:
        item["image_id"] = item["image_id"].replace("00000", "0000")  # no file has that name, so it is the id
    assert [item["image_id"] for item in mended(data, tmp_path)["annotations"]] == [1, 2, 1, 2, 1]


def test_a_text_that_is_an_id_and_the_name_of_several_pictures_is_left_to_a_person(good, tmp_path):
    numbered(good, tmp_path, "i/01.png", "j/01.png")
    good["annotations"][1]["image_id"] = "01"
    (fault,) = examine(good, tmp_path).faults
    assert (fault.kind, fault.where, fault.sure) == ("id as text", "annotation 2", False)
    assert mended(good, tmp_path) == good


def test_a_number_as_a_text_is_the_id_whatever_another_picture_is_called(good, tmp_path):
    numbered(good, tmp_path, "2.png", "1.png")
    data = copy.deepcopy(good)
    for item in data["annotations"]:
        item["image_id"] = str(item["image_id"])
    assert mended(data, tmp_path) == good


def test_a_text_that_is_the_very_id_of_a_picture_is_no_name_of_another(good, tmp_path):
    numbered(good, tmp_path, "02.png", "01.png")
    data = copy.deepcopy(good)
    for item, key in [(one, "id") for one in data["images"]] + [(one, "image_id") for one in data["annotations"]]:
        item[key] = f"0{item[key]}"
    assert mended(data, tmp_path) == good


def test_the_name_of_one_category_as_category_id_means_that_category(good, tmp_path):
    data = copy.deepcopy(good)
    for item in data["annotations"]:
        item["category_id"] = "thing"
    assert kinds(data, tmp_path) == ["id as text"] and mended(data, tmp_path) == good
    data["categories"].append({**data["categories"][0], "id": 2})
    assert "unknown category" in kinds(data, tmp_path)


# --- points in the corner ------------------------------------------------------------------------------------------


def in_pictures(good, tmp_path, *rows, count=6):
    """An object in each of some pictures of its own: rows of numbers x, y, of which those that are no zero move."""
    for i in range(count):
        Image.new("RGB", (200, 160)).save(tmp_path / f"{i}.png")
    good["images"] = [{"id": i, "file_name": f"{i}.png", "width": 200, "height": 160} for i in range(count)]
    good["categories"][0]["keypoints"] = list("abcd"[: len(rows)])
    more = {"num_keypoints": len(rows), "bbox": [0, 0, 199, 159], "area": 199 * 159}
    good["annotations"] = [
        entry(i, image_id=i, keypoints=triples([x and x + i for row in rows for x in row]), **more)
        for i in range(count)
    ]
    return good


CORNERS = {"one other point": [(47, 43), (0, 0)], "beside a side": [(5, 61), (30, 101), (101, 120), (0, 0)]}


@pytest.mark.parametrize("rows", CORNERS.values(), ids=CORNERS)
@pytest.mark.parametrize("sized", [True, False])
def test_a_point_that_is_in_the_corner_in_one_picture_after_another_is_not_labelled(good, tmp_path, rows, sized):
    data = in_pictures(good, tmp_path, *rows)
    for picture in data["images"] if not sized else ():
        picture |= {"file_name": f"gone/x{picture['id']}.png", "width": None, "height": None}
    found = [fault for fault in examine(data, tmp_path).faults if fault.kind == "sentinel"]
    assert len(found) == 1 and "6 labelled points at (0, 0)" in found[0].text
    assert all(item["keypoints"][-3:] == [0, 0, 0] for item in mended(data, tmp_path)["annotations"])


def test_corners_of_one_picture_or_of_two_or_of_a_scene_that_stands_still_may_be_true(good, tmp_path):
    for row in CORNERS.values():
        assert "sentinel" not in kinds(in_pictures(good, tmp_path, *row, count=2), tmp_path)
        data = in_pictures(good, tmp_path, *row)
        for item in data["annotations"]:
            item["image_id"] = item["id"] % 2
        assert "sentinel" not in kinds(data, tmp_path)
        data = in_pictures(good, tmp_path, *row)
        for item in data["annotations"]:
            item["keypoints"] = data["annotations"][0]["keypoints"]
        assert "sentinel" not in kinds(data, tmp_path)


def test_corners_of_sheets_and_of_parts_that_the_picture_cuts_off_are_no_fault(good, tmp_path):
    assert kinds(in_pictures(good, tmp_path, (0, 0), (188, 2), (3, 150)), tmp_path) == []
    data = in_pictures(good, tmp_path, (47, 43), (0, 0))
    for item in data["annotations"][:3]:
        item["keypoints"][3 + item["id"] % 2] = 20
    assert kinds(data, tmp_path) == []


# --- boxes and points ----------------------------------------------------------------------------------------------


BOXES = [
    [[51, 41, 90, 70]],
    [["51", "41", "90", "70"]],
    {"x1": 51, "y1": 41, "x2": 141, "y2": 111},
    {"xmin": "51", "ymin": 41, "xmax": 141, "ymax": 111},
    {"left": 51, "top": 41, "right": 141, "bottom": 111},
    {"left": 51, "top": 41, "w": 90, "h": 70},
    {"x1": 141, "y1": 111, "x2": 51, "y2": 41},
    {"xmin": 51, "ymin": 111, "xmax": 141, "ymax": 41},
]


@pytest.mark.parametrize("box", BOXES)
def test_a_box_in_a_list_or_by_the_names_of_its_corners_is_put_in_a_row(good, tmp_path, box):
    data = copy.deepcopy(good)
    data["annotations"][0]["bbox"] = box
    assert mended(data, tmp_path) == good and "shape of values" in kinds(data, tmp_path)


def test_boxes_of_two_corners_are_turned_beside_some_that_name_their_corners(good, tmp_path):
    true = spread(good)["annotations"]
    data = copy.deepcopy(good)
    for i, item in enumerate(data["annotations"]):
        x, y, w, h = item["bbox"]
        corners = [x, y, x + w, y + h]
        item["bbox"] = dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)) if i < 2 else corners
    assert mended(data, tmp_path)["annotations"] == true


NO_BOXES = [
    ([[50, 40], [90, 70]], "is not four numbers in a row"),
    ([[50, 40, 90, 70, 1]], "is not four numbers in a row"),
    ({"a": 50, "b": 40}, "is not four numbers in a row"),
    ("50 40 90 70", "is not four numbers in a row"),
    ([50, 40, 90, 70, 1], "has 5 numbers, not four"),
    ([50, 40, None, 70], "is not four finite numbers"),
    ([50, 40, -90, 70], "has a width or height below 0"),
    ([50, 40, 0, 0], "has no width or height"),
]


@pytest.mark.parametrize(("box", "text"), NO_BOXES)
def test_what_is_no_box_is_told_for_what_it_is(good, tmp_path, box, text):
    good["annotations"][0]["bbox"] = box
    (fault,) = [fault for fault in examine(good, tmp_path).faults if fault.kind == "box"]
    assert fault.text == f"has the box {box!r}, which {text}"


NO_POINTS = [
    ("40,40,2,80,60,2,120,100,1", "its points as a text, '40,40,2,80,60,2,120,100,1'"),
    ({"x": [1, 2, 2]}, "its points by names that are not its category's, {'x': [1, 2, 2]}"),
    (7, "its points in no list, 7"),
    ([[1, 2, 2], [3, 4, 2]], "2 rows of points"),
    ([[1, 2, 2], [3, 4, 2], [5]], "3 rows of points, not all of them x, y, v"),
    ([1, 2, 2, 3], "4 numbers"),
    ([1, 2, 2] * 4, "4 points"),
    (None, "no points"),
]


@pytest.mark.parametrize(("points", "text"), NO_POINTS)
def test_what_are_no_points_is_told_for_what_it_is(good, tmp_path, points, text):
    good["annotations"][0]["keypoints"] = points
    (fault,) = [fault for fault in examine(good, tmp_path).faults if fault.kind == "number of points"]
    assert fault.text == f"has {text}, but 'thing' names 3"


def test_a_box_of_two_corners_among_others_is_left_to_a_person(good, tmp_path):
    for item in spread(good)["annotations"][:2]:
        item |= {"keypoints": triples([110 + item["id"], 90, 150, 100, 170, 120]), "bbox": [100, 80, 180, 130]}
    for item in good["annotations"]:
        item["area"] = 777
    found = [fault for fault in examine(good, tmp_path).faults if fault.kind == "box outside"]
    assert [fault.where for fault in found] == ["annotation 1", "annotation 2"]
    assert all(
        not fault.sure and "as x1, y1, x2, y2 its numbers [100, 80, 180, 130] fit" in fault.text for fault in found
    )
    assert mended(good, tmp_path)["annotations"][:2] == good["annotations"][:2]


def test_an_object_beside_its_picture_is_left_to_a_person_and_not_said_to_be_mended(good, tmp_path):
    good["annotations"][0] |= {"keypoints": triples([20, -130, 60, -100, 70, -90]), "bbox": [10, -140, 90, 70]}
    result = mend(good, tmp_path)
    assert result.mended == {} and result.left == {"box outside": 1, "points outside the picture": 1}
    assert result.document == good
    good["annotations"][0]["keypoints"] = triples(POINTS)
    assert mend(good, tmp_path).mended == {"box outside": 1, "area": 1}


# --- pictures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [(0, 0), (None, None), (-1, 160), ("?", []), (200, None), (199, 160.6)])
def test_a_size_that_is_none_or_rounded_is_that_of_the_file(good, tmp_path, sides):
    data = copy.deepcopy(good)
    data["images"][0] |= dict(zip(("width", "height"), sides, strict=True))
    assert kinds(data, tmp_path) == ([] if sides == (None, None) else ["picture's size"])
    assert (mended(data, tmp_path) == good) == (sides != (None, None))


@pytest.mark.parametrize("sides", [(160, 200), (100, 80), (400, 320.0), (400, None), (200, 150)])
def test_a_size_that_points_may_have_been_set_in_is_left_to_a_person(good, tmp_path, sides):
    good["images"][0] |= dict(zip(("width", "height"), sides, strict=True))
    (fault,) = examine(good, tmp_path).faults
    assert fault.kind == "picture's size" and not fault.sure
    assert mended(good, tmp_path) == good


def test_points_and_boxes_in_a_frame_that_is_larger_than_the_file_are_left_as_they_are(good, tmp_path):
    good["images"][0] |= {"width": 400, "height": 320}
    for item in good["annotations"]:
        if item["image_id"] == 1:
            item |= {"keypoints": triples([300, 250, 300, 250, 330 + item["id"], 280]), "bbox": [250, 200, 120, 100]}
            item["area"] = 12000
    found = {fault.kind: fault for fault in examine(good, tmp_path).faults}
    assert "sentinel" not in found and found["box outside"].text.endswith("whose size the labels state otherwise")
    assert mended(good, tmp_path) == good


@pytest.mark.parametrize("first", [{"width": 200, "height": 160}, {}, {"width": None, "height": None}])
def test_a_picture_under_two_ids_in_two_sizes_stays_two(good, tmp_path, first):
    good["images"][0] = {"id": 1, "file_name": "a.png", **first}
    good["images"].append({"id": 9, "file_name": "a.png", "width": 400, "height": 320})
    good["annotations"][1]["image_id"] = 9
    assert sorted(kinds(good, tmp_path)) == ["picture twice", "picture's size"]
    fixed = mended(good, tmp_path)
    assert len(fixed["images"]) == 3 and fixed["annotations"] == good["annotations"]
    assert fixed["images"][2] == good["images"][2]


def numbered(good, folder, *names):
    """Give the pictures with the ids 1 and 2 other files."""
    for image, old, new in zip(good["images"], ("a.png", "b.png"), names, strict=True):
        (folder / new).parent.mkdir(exist_ok=True)
        (folder / old).rename(folder / new)
        image["file_name"] = new


def moved(folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "a.png").rename(folder / name)


@pytest.mark.parametrize("gone", ["cam1/a.png", "../cam1/a.png", "C:\\cam1\\A.PNG"])
@pytest.mark.parametrize("named", ["cam2/a.png", "cam2\\a.png", "gone/a.png"])
def test_a_file_of_another_picture_is_not_taken_for_one_that_is_missing(good, tmp_path, gone, named):
    moved(tmp_path, "cam2/a.png")
    good["images"][0]["file_name"] = gone
    good["images"].append({"id": 9, "file_name": named, "width": 200, "height": 160})
    good["annotations"][1]["image_id"] = 9
    (fault,) = [fault for fault in examine(good, tmp_path).faults if fault.where == "image 1"]
    whose = "may be gone/a.png as well" if named.startswith("gone") else "is another entry's"
    assert f"cam2/a.png, which has its name, {whose}" in fault.text
    assert mended(good, tmp_path) == good


def test_a_file_of_another_suffix_that_is_listed_itself_is_not_taken(good, tmp_path):
    good["images"][0]["file_name"] = "b.jpg"
    assert kinds(good, tmp_path) == ["picture missing"] and mended(good, tmp_path) == good


def test_one_missing_picture_that_is_listed_twice_is_still_found_elsewhere(good, tmp_path):
    moved(tmp_path, "deep/a.png")
    good["images"][0]["file_name"] = "in/a.png"
    good["images"].append({**good["images"][0], "id": 9, "file_name": "./in/a.png"})
    assert mended(good, tmp_path)["images"][0]["file_name"] == "deep/a.png"


@pytest.mark.parametrize("name", ["wrong\\a.png", "WRONG\\A.PNG", ".\\wrong\\a.jpg"])
def test_a_missing_picture_of_windows_is_found_elsewhere(good, tmp_path, name):
    moved(tmp_path, "deep/i/a.png")
    good["images"][0]["file_name"] = name
    assert kinds(good, tmp_path) == ["picture elsewhere"]
    assert mended(good, tmp_path)["images"][0]["file_name"] == "deep/i/a.png"


# --- visibilities --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"), [(3, 2), (0.25, 2), (1.5, 2), (None, 0), (False, 0), (-1, 0), (np.inf, 2)]
)
def test_a_visibility_with_one_meaning_is_written_as_coco_has_it(good, tmp_path, value, written):
    good["annotations"][0]["keypoints"][2] = value
    assert mended(good, tmp_path)["annotations"][0]["keypoints"][2] == written


@pytest.mark.parametrize("value", [120, 4, 3.5, -7, "visible", [2]])
def test_a_visibility_that_may_be_a_coordinate_is_left_to_a_person(good, tmp_path, value):
    good["annotations"][0]["keypoints"][2] = value
    good["annotations"][0]["keypoints"][5] = 3
    good["annotations"][0] |= {"num_keypoints": 7, "bbox": None}
    found = examine(good, tmp_path).faults
    assert [(fault.kind, fault.sure) for fault in found] == [("visibility", False)] * 2
    assert mended(good, tmp_path) == good


def test_all_x_before_all_y_is_left_to_a_person(good, tmp_path):
    for item in good["annotations"]:
        x, y, v = (item["keypoints"][i::3] for i in range(3))
        item["keypoints"] = [*x, *y, *v]
    assert mended(good, tmp_path) == good and mend(good, tmp_path).left["visibility"] == 10
