"""Examples from files: the forms that are read, and the points that they are for."""

import json

import numpy as np
import pytest
from PIL import Image

from anykeypoint.category import Category
from anykeypoint.errors import InputError
from anykeypoint.example import marked_category, read_marked, to_example
from anykeypoint.forms.poses import write_coco, write_csv
from anykeypoint.pose import Pose

CAT = Category.from_text("nose; left ear; tail tip")
NAN = float("nan")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30)).save("a.png")
    Image.new("RGB", (40, 30)).save("b.png")
    return tmp_path


def pose(image: str = "a.png", names=("nose", "wheel", "wheel"), **options) -> Pose:
    present = np.array([True, False, True])
    xy = np.where(present[:, None], [[1.5, 2], [3, 4], [5, 6.25]], np.nan)
    options = {"box": (1.0, 2.0, 20.0, 10.0), "skeleton": ((0, 1), (0, 2)), "category": "cart", **options}
    return Pose(names=list(names), xy=xy, confidence=np.where(present, 0.5, np.nan), present=present,
                image_size=(40, 30), image=image, **options)  # fmt: skip


def points(content) -> str:
    with open("points.json", "w") as file:
        json.dump(content, file)
    return "a.png:points.json"


def test_names_and_places_are_read_whatever_the_order_and_case(folder):
    marked = read_marked(points({"tail_tip": [5, 6], "Nose": [1.5, 2], "left ear": None}))
    example = to_example(marked, CAT)
    assert np.array_equal(example.points, [[1.5, 2], [NAN, NAN], [5, 6]], equal_nan=True)
    assert example.category == CAT and example.box is None and str(example.image) == "a.png"
    assert np.isnan(to_example(read_marked(points({"nose": [1, 2]})), CAT).points[1:]).all()


def test_a_place_that_tools_write_for_points_that_are_not_labelled_is_not_marked_and_that_is_told(folder):
    thing = {"id": 1, "name": "cat", "keypoints": ["nose", "left ear"]}
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [-1, -1, 2, 5, 6, 2]}
    coco = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [entry], "categories": [thing]}
    for content in ({"nose": [-1, -1], "left ear": [5, 6]}, coco):
        marked = read_marked(points(content))
        assert np.array_equal(to_example(marked, CAT).points, [[NAN, NAN], [5, 6], [NAN, NAN]], equal_nan=True)
        assert "points.json has nose at (-1, -1), which is how tools say 'not labelled'" in marked.note
    assert not read_marked(points({"nose": [0, 0], "left ear": [-1, 6]})).note  # 0, 0 may be a place


def test_points_that_windows_saved_as_utf_16_are_read(folder):
    (folder / "points.json").write_bytes('{"nose": [1, 2]}'.encode("utf-16"))
    assert read_marked("a.png:points.json").places == {"nose": (1, 2)}
    (folder / "points.json").write_bytes(b'{"n\xe4se": [1, 2]}')
    with pytest.raises(InputError, match=r"points\.json is not UTF-8 text \(byte 3\); save it as UTF-8"):
        read_marked("a.png:points.json")


@pytest.mark.parametrize(("write", "name"), [(write_coco, "poses.json"), (write_csv, "poses.csv")])
def test_what_predict_writes_is_read_back(folder, write, name):
    write([pose("photos/b.png", category="other"), pose("photos/a.png")], name)
    marked = read_marked(f"a.png:{name}")
    assert marked.names == ["nose", "wheel", "wheel"] and list(marked.places) == ["nose", "wheel", "wheel (2)"]
    kind = Category.from_dict(
        {"name": "cart", "keypoints": ["nose", {"name": "wheel", "description": "a"}, {"name": "wheel"}]}
    )
    example = to_example(marked, kind)
    assert np.array_equal(example.points, pose().xy, equal_nan=True)
    if write is write_coco:
        assert marked.box == (1, 2, 20, 10) and marked.skeleton == ((0, 1), (0, 2)) and marked.category == "cart"


def test_without_a_category_the_points_of_all_examples_are_asked_for(folder):
    write_coco([pose(names=("nose", "left_ear", "tail tip"))], "poses.json")
    marked = [read_marked("a.png:poses.json"), read_marked(points({"nose": [1, 2], "paw": [3, 4]}))]
    kind = marked_category(marked)
    assert kind.names == ["nose", "left ear", "tail tip", "paw"] and kind.skeleton == ((0, 1), (0, 2))
    assert (kind.name, kind.noun) == ("cart", "cart") and marked_category(marked, "dog").noun == "dog"
    with pytest.raises(InputError, match="noun must be 1 to"):
        marked_category(marked, "")
    assert [int(to_example(one, kind).marked.sum()) for one in marked] == [2, 2]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"nose": [1]}, r"'nose' must be \[x, y\]"),
        ({"nose": [1, "2"]}, r"must be \[x, y\]"),
        ({"nose": [True, 2]}, r"must be \[x, y\]"),
        ({"nose": [10**400, 2]}, r"must be \[x, y\]"),
        ({"nose": 3}, r"must be \[x, y\]"),
        ([[1, 2]], "must be a JSON object"),
        ({}, "must be a JSON object"),
        ({"annotations": []}, "images"),
        ({"images": [], "annotations": [], "categories": []}, "one object of a.png, but has none"),
        (
            {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1}], "categories": []},
            "annotation None must have a category_id of one of the categories, but there are none of that id",
        ),
    ],
)
def test_a_file_that_says_no_places_is_refused(folder, content, told):
    with pytest.raises(InputError, match=told) as error:
        read_marked(points(content))
    assert str(error.value).count("\n") == 0


def test_several_objects_of_a_picture_are_refused(folder):
    for write, name in ((write_coco, "poses.json"), (write_csv, "poses.csv")):
        write([pose(), pose()], name)
        with pytest.raises(InputError, match="but has 2"):
            read_marked(f"a.png:{name}")


def test_an_example_is_the_one_object_of_its_picture_whatever_else_the_file_has(folder):
    """Another picture of its name, its own entry twice, a crowd, an object that cannot be read and ids as texts."""
    write_coco([pose(), pose("other/a.png"), pose("b.png")], "poses.json")
    data = json.loads((folder / "poses.json").read_text())
    first, own = data["images"][0], data["annotations"][0]
    data["images"] += [{**first, "id": 77, "file_name": "./a.png"}, {"file_name": "c.png"}, "none"]
    data["annotations"] += [
        {**own, "id": 70, "image_id": 77},
        {**own, "id": 71, "iscrowd": 1, "keypoints": [1, 2, 2] * 3},
    ]
    data["annotations"] += [{**own, "id": 72, "keypoints": [1, 2]}, {**own, "id": 73, "keypoints": [0] * 9}]
    own |= {"image_id": str(own["image_id"]), "category_id": float(own["category_id"])}
    (folder / "poses.json").write_text(json.dumps(data))
    marked = read_marked("a.png:poses.json")
    assert marked.places["nose"] == (1.5, 2) and marked.skeleton == ((0, 1), (0, 2))


def coco(**changes) -> dict:
    """A file with one object of a.png; keys of its annotation and its category are changed."""
    kind = {"id": 1, "name": "cat", "keypoints": ["nose", "left ear"], "skeleton": [[1, 2]]}
    entry = {"id": 8, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [1, 2, 2, 5, 6, 2]}
    for key, value in changes.items():
        where, _, name = key.partition("_")
        (kind if where == "kind" else entry)[name] = value
    return {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [entry], "categories": [kind]}


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"kind_name": None}, "category 1, key 'name', must be a text, but got None"),
        ({"kind_name": 5}, "category 1, key 'name', must be a text, but got 5"),
        ({"kind_keypoints": [1, 2]}, r"category 1 \(cat\), key 'keypoints', must be a list of names"),
        ({"kind_keypoints": ["nose", None]}, "must be a list of names"),
        ({"entry_keypoints": [1, 2, 2]}, "annotation 8, key 'keypoints', must hold 3 numbers for each of the 2"),
        (
            {"entry_keypoints": [1, float("nan"), 2, 5, 6, 2]},
            "must hold finite numbers .*, but has 'nan'",
        ),
        ({"entry_keypoints": [1, 2, 7, 5, 6, 2]}, "has the visibility 7; it must be 0, 1 or 2"),
        ({"entry_bbox": "x"}, "annotation 8, key 'bbox', must be four numbers"),
        ({"entry_bbox": [3, 4, 0, 0]}, "annotation 8: A box must have a width or height above 0"),
        ({"entry_iscrowd": "1"}, "annotation 8, key 'iscrowd', must be 0 or 1, but got '1'"),
        ({"entry_category_id": 3}, "annotation 8 must have a category_id of one of the categories"),
    ],
)
def test_a_value_that_labels_cannot_have_is_refused_with_the_sentence_of_the_labels(folder, changes, told):
    with pytest.raises(InputError, match=told):
        read_marked(points(coco(**changes)))


def test_what_labels_go_without_costs_no_example(folder):
    """A box that is an empty list, and edges that join no two points, which are told."""
    marked = read_marked(points(coco(entry_bbox=[], kind_skeleton=[[1, 2], [1, 9], [2, 2]])))
    assert marked.box is None and marked.skeleton == ((0, 1),)
    assert "has the edge [1, 9], which joins no two indices" in marked.note and "[2, 2]" in marked.note
    assert marked_category([marked]).skeleton == ((0, 1),)


def test_labels_of_another_tool_are_refused_with_the_way_to_read_them(folder):
    with pytest.raises(InputError, match="of another tool's labels `data convert` makes COCO"):
        read_marked(points({"version": "5.5.0", "shapes": [], "imagePath": "a.png"}))


def test_a_table_that_a_spreadsheet_saved_is_an_example(folder):
    write_csv([pose()], "poses.csv")
    (folder / "poses.csv").write_text(
        (folder / "poses.csv").read_text().replace("true", "TRUE").replace("false", "FALSE")
    )
    assert read_marked("a.png:poses.csv").places["nose"] == (1.5, 2)


@pytest.mark.parametrize("text", ["a.png", "a.png:", ":points.json", "a.png:none.json", "c.png:points.json"])
def test_what_is_no_picture_with_a_file_is_refused(folder, text):
    points({"nose": [1, 2]})
    with pytest.raises(InputError, match=r"There is no file|as in dog.jpg:dog.json"):
        read_marked(text)
    (folder / "bad.json").write_text("{")
    with pytest.raises(InputError, match="Cannot read"):
        read_marked("a.png:bad.json")
    (folder / "bad.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="columns"):
        read_marked("a.png:bad.csv")


def test_a_point_that_the_category_does_not_have_is_refused(folder):
    with pytest.raises(InputError, match=r"'beak', but .* it has nose, left ear, tail tip"):
        to_example(read_marked(points({"nose": [1, 2], "beak": [3, 4]})), CAT)


def test_a_windows_path_on_either_side_is_parted_at_the_colon_between_them(folder):
    for name in ("C:\\a.png", "12:30.png"):
        Image.new("RGB", (40, 30)).save(name)
        with open(name.replace("png", "json"), "w") as file:
            file.write('{"nose": [1, 2]}')
    for text, picture in (("C:\\a.png:C:\\a.json", "C:\\a.png"), ("12:30.png:12:30.json", "12:30.png")):
        marked = read_marked(text)
        assert str(marked.picture) == picture and marked.places == {"nose": (1, 2)}
    with pytest.raises(InputError, match=r"no file D:.a\.png"):
        read_marked("D:\\a.png:D:\\a.json")


def test_a_file_in_front_of_its_picture_is_refused_with_the_right_order(folder):
    points({"nose": [1, 2]})
    with pytest.raises(InputError, match=r"write a\.png:points\.json"):
        read_marked("points.json:a.png")


def test_a_misspelt_point_gets_the_nearest_name(folder):
    with pytest.raises(InputError, match=r"none of that name \(near: left ear\)"):
        to_example(read_marked(points({"nose": [1, 2], "left aer": [3, 4]})), CAT)


def test_two_points_of_a_file_that_are_one_of_the_category_are_refused(folder):
    with pytest.raises(
        InputError, match=r"'left_ear' and 'Left ear', which are both 'left ear' of 'object'; leave one"
    ):
        to_example(read_marked(points({"left_ear": [1, 2], "nose": [5, 6], "Left ear": [3, 4]})), CAT)


def test_names_that_differ_by_an_underscore_alone_keep_their_places(folder):
    category = Category.from_text("left_eye; left eye")
    example = to_example(read_marked(points({"left eye": [1, 2], "left_eye": [3, 4]})), category)
    assert example.points.tolist() == [[3, 4], [1, 2]]
