"""Finding files and boxes, and predicting one file after the other."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.category import Category
from anykeypoint.errors import InputError
from anykeypoint.images import read_image
from anykeypoint.inference.box_files import Boxes, read_boxes
from anykeypoint.inference.files import find_all_images, find_images, predict_files
from anykeypoint.pose import Pose

CATEGORY = Category.from_text("nose; left ear")


class Centre:
    """A model that finds every point in the middle of its box, and fails where it is told to."""

    def __init__(self, fault: Exception | None = None):
        self.fault, self.asked = fault, []

    def predict(self, image, category, box=None, strategy="greedy", density=False):
        image = read_image(image)
        self.asked.append((image.size, box, strategy, density))
        if self.fault is not None and image.width == 13:
            raise self.fault
        x, y, w, h = box or (0, 0, *image.size)
        count = len(category)
        xy = np.tile([x + w / 2, y + h / 2], (count, 1))
        return Pose(
            names=category.names, xy=xy, confidence=np.ones(count), present=np.ones(count, bool),
            image_size=image.size, box=box, category=category.name,
        )  # fmt: skip


@pytest.fixture
def photos(tmp_path):
    for name, width in (("b.jpg", 20), ("a.PNG", 30), ("c.webp", 40)):
        Image.new("RGB", (width, 10)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "._b.jpg").write_text("x")
    (tmp_path / "inner").mkdir()
    Image.new("RGB", (50, 10)).save(tmp_path / "inner" / "a.jpg")
    return tmp_path


# --- finding -------------------------------------------------------------------------------------------------------


def test_a_folder_gives_its_own_pictures_sorted(photos):
    assert [path.name for path in find_images(str(photos))] == ["a.PNG", "b.jpg", "c.webp"]


def test_a_pattern_gives_what_fits_it(photos):
    assert [path.name for path in find_images(f"{photos}/*.jpg")] == ["b.jpg"]
    assert [path.name for path in find_images(f"{photos}/**/*.jpg")] == ["b.jpg", "a.jpg"]


def test_a_file_is_taken_by_name_even_if_it_looks_like_a_pattern(photos):
    (photos / "d[1].jpg").write_bytes(b"x")
    assert find_images(photos / "d[1].jpg") == [photos / "d[1].jpg"]
    assert find_images(photos / "notes.txt") == [photos / "notes.txt"]


@pytest.mark.parametrize("word", ["none.jpg", "*.gif", "inner/empty", "http://x.org/a.jpg", "a\0b", "x" * 5000, ""])
def test_nothing_found_is_refused_with_one_sentence(photos, word, monkeypatch):
    (photos / "inner" / "empty").mkdir()
    monkeypatch.chdir(photos / "inner" / "empty" if word == "" else photos)
    with pytest.raises(InputError) as caught:
        find_images(word)
    assert "\n" not in str(caught.value)


def test_a_missing_argument_costs_no_other_and_is_named(photos):
    found = find_all_images([photos / "b.jpg", photos / "bb.jpg", photos / "*.tif", photos / "a.PNG", photos / "b.jpg"])
    assert [path.name for path in found.paths] == ["b.jpg", "a.PNG"] and found.passed_over == ()
    assert [str(one.path.name) for one in found.missing] == ["bb.jpg", "*.tif"]
    assert "(near: b.jpg" in found.missing[0].error
    with pytest.raises(InputError, match="no file or folder"):
        find_all_images([photos / "x.jpg", photos / "y.jpg"])


def test_what_a_folder_holds_besides_is_counted_and_subfolders_are_taken_if_asked(photos):
    found = find_all_images([photos])
    assert len(found.paths) == 3 and "1 in subfolders, " in found.passed_over[0]
    assert "1 .txt" in found.passed_over[0] and "--recursive" in found.passed_over[0]
    found = find_all_images([photos], recursive=True)
    assert [path.name for path in found.paths] == ["a.PNG", "b.jpg", "c.webp", "a.jpg"]
    assert "in subfolders" not in found.passed_over[0]
    (photos / "deep" / "er").mkdir(parents=True)
    (photos / "inner").rename(photos / "deep" / "er" / "inner")
    with pytest.raises(InputError, match=r"give --recursive"):
        find_all_images([photos / "deep"])
    assert len(find_all_images([photos / "deep"], recursive=True).paths) == 1


# --- boxes ---------------------------------------------------------------------------------------------------------


def test_drawings_of_a_run_before_are_no_pictures_of_the_next(photos):
    found = find_all_images([photos], recursive=True, outputs=[photos / "inner", photos / "x.csv"])
    assert [path.name for path in found.paths] == ["a.PNG", "b.jpg", "c.webp"]
    assert "1 pictures in the output folder" in found.passed_over[0]
    assert len(find_all_images([photos / "inner"], recursive=True, outputs=[photos / "inner"]).paths) == 1


def test_four_numbers_are_a_box_for_every_file(photos):
    boxes = read_boxes("1, 2.5,30,4e1")
    assert boxes.everywhere == (1, 2.5, 30, 40)
    assert boxes.assign([photos / "a", photos / "b"]) == [[(1, 2.5, 30, 40)]] * 2


def test_json_and_csv_say_the_same(tmp_path):
    (tmp_path / "b.json").write_text(json.dumps({"a, b.jpg": [1, 2, 3, 4], "c.jpg": [[1, 2, 3, 4], [5, 6, 7, 8.5]]}))
    (tmp_path / "b.csv").write_text('image,x,y,w,h\n"a, b.jpg",1,2,3,4\nc.jpg,1,2,3,4\nc.jpg,5,6,7,8.5\n')
    assert read_boxes(tmp_path / "b.json").by_file == read_boxes(str(tmp_path / "b.csv")).by_file
    assert read_boxes(tmp_path / "b.json").by_file["c.jpg"] == [(1, 2, 3, 4), (5, 6, 7, 8.5)]


@pytest.mark.parametrize("sign", [";", "\t"])
def test_a_table_of_spreadsheets_with_semicolons_or_tabs_and_decimal_commas(tmp_path, sign):
    rows = ["image x y w h", "a.jpg 1,5 2 3 4", "a.jpg 5 6 7 8,5"]
    (tmp_path / "b.csv").write_text("\r\n".join(row.replace(" ", sign) for row in rows))
    assert read_boxes(tmp_path / "b.csv").by_file == {"a.jpg": [(1.5, 2, 3, 4), (5, 6, 7, 8.5)]}


def test_a_file_in_utf_16_is_read_and_an_empty_box_is_none(tmp_path):
    entries = [{"id": i, "image_id": 1, "bbox": box} for i, box in enumerate([[1, 2, 3, 4], [], None])]
    text = json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": entries})
    (tmp_path / "b.json").write_bytes(text.encode("utf-16"))
    boxes = read_boxes(tmp_path / "b.json")
    assert boxes.by_file == {"a.jpg": [(1, 2, 3, 4)]} and "objects without a box 2" in boxes.left_out


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3",
        "1,2,3,x",
        "1,2,0,0",
        "1,2,-3,4",
        "nan,1,1,1",
        "inf,1,1,1",
        "boxes.txt",
        "",
        "1,2,3,4,5",
        ".1,.1,.5,.5",
        "0,0,1,1",
    ],
)
def test_a_wrong_box_is_refused_with_one_sentence(text):
    with pytest.raises(InputError) as caught:
        read_boxes(text)
    assert "x,y,w,h" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, text",
    [
        ("b.json", "[[1,2,3,4]]"),
        ("b.json", '{"a": 3}'),
        ("b.json", '{"a": [1,2,3]}'),
        ("b.json", '{"a": [1,2,3,true]}'),
        ("b.json", '{"a": [1,2,3,null]}'),
        ("b.json", '{"a": [1,2,3,NaN]}'),
        ("b.json", '{"a": [[1,2,3,4], 5]}'),
        ("b.json", '{"a": [1,2,3,4], "a": [1,2,3,5]}'),
        ("b.json", '{"a": {"x": 1}}'),
        ("b.json", "{"),
        ("b.json", "[" * 100_000),
        ("b.csv", ""),
        ("b.csv", "image,x,y,w\na,1,2,3\n"),
        ("b.csv", "image,x,y,w,h\na,1,2,3\n"),
        ("b.csv", "image,x,y,w,h\na,1,2,3,4,5\n"),
        ("b.csv", "image,x,y,w,h\n,1,2,3,4\n"),
        ("b.csv", "image,x,y,w,h\na,1,2,0,0\n"),
        ("b.csv", 'image,x,y,w,h\n"a,1,2,3,4\n'),
        ("b.json", "\xff\xfe"),
        ("b.json", '{"a": [[10, 10, 50, 50], [0.1, 0.2, 0.5, 0.5]]}'),
        ("b.csv", "image,x,y,w,h\na,0.1,0.1,0.5,0.5\n"),
    ],
)
def test_a_wrong_box_file_is_refused_with_one_sentence(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(InputError) as caught:
        read_boxes(tmp_path / name)
    assert "b." in str(caught.value) and "\n" not in str(caught.value)


def test_shares_of_the_picture_are_refused_and_told_to_be_pixels():
    with pytest.raises(InputError, match=r"in pixels, but \.1,\.1,\.5,\.5 all lie between 0 and 1 like shares"):
        read_boxes(".1,.1,.5,.5")
    assert read_boxes("0,0,1,1.5").everywhere == (0, 0, 1, 1.5)


def test_a_missing_box_file_is_refused():
    with pytest.raises(InputError, match="none"):
        read_boxes("none.json")


def test_names_fit_by_their_last_parts_and_the_longest_wins(photos):
    near, far = (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 2.0, 2.0)
    boxes = Boxes(by_file={"a.jpg": [near], "inner/a.jpg": [far]})
    assert boxes.assign([photos / "inner" / "a.jpg", photos / "a.jpg", photos / "ba.jpg"]) == [[far], [near], None]


def test_names_that_cannot_be_told_apart_are_refused(photos):
    box = (0.0, 0.0, 1.0, 1.0)
    with pytest.raises(InputError, match="fit both"):
        Boxes(by_file={"a.jpg": [box]}).assign([photos / "a.jpg", photos / "inner" / "a.jpg"])
    with pytest.raises(InputError, match="same file"):
        Boxes(by_file={"a.jpg": [box], "./a.jpg": [box]}).assign([photos / "a.jpg"])
    with pytest.raises(InputError, match="None of"):
        Boxes(by_file={"z.jpg": [box]}).assign([photos / "a.jpg"])


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.lists(st.tuples(*[st.floats(1.5, 1e6)] * 4), max_size=3), max_size=4))
def test_a_json_box_file_round_trips(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("boxes") / "b.json"
    path.write_text(json.dumps(table))
    assert read_boxes(path).by_file == table


def coco(**changes):
    document = {
        "images": [
            {"id": 0, "file_name": "sub\\a.PNG"},
            {"id": 1, "file_name": "b.jpg"},
            {"id": 2, "file_name": "c.webp"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0},
            {"id": 2, "image_id": 1, "bbox": [5, 6, 7, 8.5]},
            {"id": 3, "image_id": 0, "bbox": [0, 0, 9, 9], "iscrowd": 1},
            {"id": 4, "image_id": 0, "bbox": [0, 0, 5, 5]},
            {"id": 5, "image_id": 0},
        ],
        "categories": [],
    }
    return json.dumps({**document, **changes})


def test_a_table_of_predict_gives_the_box_of_each_object_once(tmp_path):
    head = "image,object,category,keypoint,x,y,confidence,present,box_x,box_y,box_w,box_h,box_score,box_word\n"
    lines = [
        "1,cat,nose,9,9,1,true,0,0,5,5,,",
        "1,cat,tail,,,,false,0,0,5,5,,",
        "2,cat,nose,1,1,1,true,1,2,3,4,0.9,cat",
    ]
    path = tmp_path / "poses.csv"
    path.write_text(head + "".join(f"a.jpg,{line}\n" for line in lines) + "b.jpg,1,cat,nose,9,9,1,true,,,,,,\n")
    boxes = read_boxes(path)
    assert boxes.by_file == {"a.jpg": [(0, 0, 5, 5), (1, 2, 3, 4)]}
    assert boxes.left_out == f"Left out of {path}: objects without a box 1."
    path.write_text(path.read_text().replace("false,0,0,5,5", "false,0,0,5,6"))
    with pytest.raises(InputError, match=r"Line 3 of .* gives object 1 of a.jpg another box"):
        read_boxes(path)


def test_cocos_boxes_are_read_with_pictures_that_show_nothing_and_what_is_left_out_is_said(tmp_path):
    (tmp_path / "b.json").write_text(coco())
    for source in (tmp_path / "b.json", f"coco:{tmp_path / 'b.json'}"):
        boxes = read_boxes(source)
        assert boxes.by_file["b.jpg"] == [(1, 2, 3, 4), (5, 6, 7, 8.5)] and boxes.by_file["c.webp"] == []
        assert "crowd regions 1, objects without a box 1" in boxes.left_out
        assert boxes.assign([Path("x/sub/a.PNG"), Path("b.jpg")]) == [[(0, 0, 5, 5)], boxes.by_file["b.jpg"]]


def test_cocos_ids_in_other_spellings_and_a_flag_that_is_null_are_read(tmp_path):
    document = json.loads(coco())
    document["images"][1]["id"] = "1"
    document["annotations"][1]["image_id"] = 1.0
    document["annotations"][0] |= {"image_id": "1", "iscrowd": None}
    (tmp_path / "b.json").write_text(json.dumps(document))
    assert read_boxes(tmp_path / "b.json").by_file["b.jpg"] == [(1, 2, 3, 4), (5, 6, 7, 8.5)]


@pytest.mark.parametrize(
    "changes",
    [
        {"images": [{"id": 1}]},
        {"images": [3]},
        {"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]},
        {"annotations": [{"id": 7, "image_id": 9, "bbox": [1, 2, 3, 4]}]},
        {"annotations": [{"id": 7, "image_id": 1, "bbox": [1, 2, 0, 0]}]},
        {"annotations": [{"id": 7, "image_id": 1, "bbox": "1,2,3,4"}]},
        {"annotations": [{"id": 7, "bbox": [1, 2, 3, 4]}]},
        {"annotations": [{"id": 7, "image_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": "0"}]},
        {"annotations": [None]},
    ],
)
def test_a_broken_entry_of_cocos_is_named(tmp_path, changes):
    (tmp_path / "b.json").write_text(coco(**changes))
    with pytest.raises(InputError, match=r"annotation (0|7) in|Entry 0 of 'images'|one id") as caught:
        read_boxes(tmp_path / "b.json")
    assert "\n" not in str(caught.value)


def test_names_fit_in_every_spelling_of_a_path(photos):
    box = (0.0, 0.0, 1.0, 1.0)
    boxes = Boxes(by_file={"inner\\e\u0301.jpg": [box]})
    assert boxes.assign([photos / "inner" / "\u00e9.jpg"]) == [[box]]


# --- predicting ----------------------------------------------------------------------------------------------------


def test_one_bad_file_does_not_stop_the_rest(photos):
    (photos / "b.jpg").write_bytes(b"not a picture")
    results = list(predict_files(Centre(), find_images(photos), CATEGORY))
    assert [result.error is None for result in results] == [True, False, True]
    assert "b.jpg" in results[1].error and results[1].poses == ()
    assert results[2].poses[0].image == str(photos / "c.webp") and results[2].poses[0].image_size == (40, 10)


@pytest.mark.parametrize(
    "fault", [RuntimeError("CUDA is out of\nmemory"), MemoryError(), InputError("No such strategy.")]
)
def test_any_fault_of_the_model_becomes_a_sentence_that_names_the_file(photos, fault):
    Image.new("RGB", (13, 13)).save(photos / "b.jpg")
    results = list(predict_files(Centre(fault), find_images(photos), CATEGORY))
    assert [result.error is None for result in results] == [True, False, True]
    assert "b.jpg" in results[1].error and "\n" not in results[1].error and results[1].error.endswith(".")


def test_an_interruption_is_not_swallowed(photos):
    Image.new("RGB", (13, 13)).save(photos / "b.jpg")
    results = predict_files(Centre(KeyboardInterrupt()), find_images(photos), CATEGORY)
    assert next(results).error is None
    with pytest.raises(KeyboardInterrupt):
        next(results)


def test_without_boxes_the_whole_picture_is_the_box_and_options_are_passed_on(photos):
    model = Centre()
    list(predict_files(model, [photos / "b.jpg"], CATEGORY, strategy="mean", density=True))
    assert model.asked == [((20, 10), None, "mean", True)]


def test_every_box_gives_a_pose_and_an_empty_list_gives_none(photos):
    boxes = Boxes(by_file={"b.jpg": [(0, 0, 4, 4), (10, 0, 4, 4)], "c.webp": []})
    first, second, third = predict_files(Centre(), find_images(photos), CATEGORY, boxes)
    assert "does not name" in first.error
    assert [pose.xy[0].tolist() for pose in second.poses] == [[2, 2], [12, 2]]
    assert third.poses == () and third.error is None


def test_a_box_outside_the_picture_is_an_error_of_that_file(photos):
    results = list(predict_files(Centre(), find_images(photos), CATEGORY, Boxes(everywhere=(25, 0, 5, 5))))
    assert [result.error is None for result in results] == [True, False, True]
    assert "20 x 10" in results[1].error


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ((10, 2, 18, 9), True),  # in 20 x 10 pixels it would end at 28, 11
        ((2, 1, 16, 8), False),
        ((2, 1, 18.5, 9), False),  # a little beyond the edge, as detectors give them
        ((10, 2, 25, 9), False),  # outside either way
        ((10, 2, 9, 9), False),  # no two corners
        (None, False),
    ],
)
def test_a_box_that_lies_in_its_picture_only_as_two_corners_is_told(photos, box, told):
    boxes = None if box is None else Boxes(everywhere=box)
    (result,) = predict_files(Centre(), [photos / "b.jpg"], CATEGORY, boxes)
    assert result.error is None and len(result.poses) == 1 and (result.note is not None) == told
    if told:
        assert "b.jpg: 1 of 1 boxes (the first is 10,2,18,9) reach out of the picture of 20 x 10" in result.note
        assert result.poses[0].box == box


def test_boxes_that_fit_nothing_are_refused_before_the_first_file(photos):
    with pytest.raises(InputError):
        predict_files(Centre(), find_images(photos), CATEGORY, Boxes(by_file={"z.jpg": []}))


def test_a_file_that_is_given_by_two_paths_is_one_picture(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    found = find_all_images(["a.png", tmp_path, "../" + tmp_path.name + "/a.png"])
    assert found.paths == (Path("a.png"),)
