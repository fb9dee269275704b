"""Poses written to files and read back with plain readers."""

import csv
import json
import math
import os
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anykeypoint.errors import InputError
from anykeypoint.forms.poses import csv_text, write_coco, write_csv, write_json
from anykeypoint.geometry import Crop
from anykeypoint.io import write_bytes
from anykeypoint.pose import Density, Pose
from anykeypoint.poses import read_json

NAN = float("nan")
ODD_NAMES = [
    'a, "b".jpg',
    "Köln 猫 🐈.png",
    "it's\\here.jpg",
    "line\nbreak.jpg",
    "=1+1.jpg",
    "sub/dir/x.jpg",
    "\udcff.jpg",
]


def pose(image="a.jpg", **changes) -> Pose:
    fields = {
        "names": ["nose", "left ear, tip", 'the "end"'],
        "xy": [[30.1, 1 / 3], [NAN, NAN], [70.0, -4.5]],
        "confidence": [0.9, NAN, 0.3],
        "present": [True, False, True],
        "image_size": (100, 80),
        "box": (10, 5, 60, 50),
        "skeleton": [(0, 1), (1, 2)],
        "category": "face",
        "image": image,
    }
    return Pose(**{**fields, **changes})


coordinates = st.floats(-1e5, 1e5, allow_nan=False)


@st.composite
def poses(draw) -> Pose:
    count = draw(st.integers(1, 5))
    present = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    names = draw(st.lists(st.text(min_size=1).filter(str.strip), min_size=count, max_size=count))
    xy = [[draw(coordinates), draw(coordinates)] if there else [NAN, NAN] for there in present]
    confidence = [draw(st.floats(0, 1)) if there else NAN for there in present]
    image = draw(st.text(min_size=1))
    return Pose(names=names, xy=xy, confidence=confidence, present=present, image_size=(64, 48), image=image)


# --- COCO ----------------------------------------------------------------------------------------------------------


def test_a_coco_annotation_says_absent_as_coco_does():
    found = pose().to_coco(image_id=7, annotation_id=9, category_id=3)
    assert (found["id"], found["image_id"], found["category_id"]) == (9, 7, 3)
    assert found["keypoints"] == [30.1, 1 / 3, 2, 0, 0, 0, 70.0, -4.5, 2]
    assert found["keypoints_all"] == found["keypoints"], "a point without a place has none there either"
    assert found["keypoint_confidence"] == [0.9, None, 0.3] and found["keypoint_presence"] == [None] * 3
    assert found["num_keypoints"] == 2 and found["score"] == pytest.approx(0.6)
    assert found["bbox"] == [10, 5, 60, 50] and found["area"] == 3000 and found["iscrowd"] == 0
    assert pose(box=(10, 5, 60, 0)).to_coco()["area"] == 3600, "a flat box is seen as the square of its side"


def doubted() -> Pose:
    """A pose whose second point has a place, but is not present."""
    places = {"xy": [[30.1, 1 / 3], [60.0, 12.5], [70.0, -4.5]], "confidence": [0.9, 0.4, 0.3]}
    return pose(**places, presence=[0.95, 0.2, 0.75])


def test_a_coco_annotation_keeps_the_place_of_a_point_that_is_not_present_apart():
    found = doubted().to_coco()
    assert found["keypoints"] == [30.1, 1 / 3, 2, 0, 0, 0, 70.0, -4.5, 2]
    assert found["keypoints_all"] == [30.1, 1 / 3, 2, 60.0, 12.5, 1, 70.0, -4.5, 2]
    assert found["keypoint_presence"] == [0.95, 0.2, 0.75] and found["keypoint_confidence"] == [0.9, 0.4, 0.3]
    assert found["num_keypoints"] == 2 and found["score"] == pytest.approx(0.6), "of the present points alone"


def test_without_a_box_the_bbox_is_the_whole_picture():
    assert pose(box=None).to_coco()["bbox"] == [0, 0, 100, 80]


def test_nothing_present_scores_zero():
    empty = pose(xy=np.full((3, 2), NAN), confidence=[NAN] * 3, present=[False] * 3)
    assert empty.to_coco()["score"] == 0 and empty.to_coco()["num_keypoints"] == 0


def test_an_unknown_confidence_is_null_and_leaves_no_score():
    """CVAT's reader refuses a score that is null, and an object without outlines."""
    found = pose(confidence=[NAN, NAN, 0.3]).to_coco()
    assert found["keypoint_confidence"] == [None, None, 0.3] and "score" not in found
    assert found["segmentation"] == []
    assert found["num_keypoints"] == 2 and found["keypoints"][2] == 2


def test_images_and_categories_appear_once_with_whole_number_ids(tmp_path):
    hand = {
        "names": ["thumb"],
        "xy": [[1, 2]],
        "confidence": [1],
        "present": [True],
        "skeleton": (),
        "category": "hand",
    }
    write_coco([pose("a.jpg"), pose("b.jpg"), pose("a.jpg"), pose("b.jpg", **hand)], tmp_path / "p.json")
    data = json.loads((tmp_path / "p.json").read_text())
    assert data["images"][1] == {"id": 2, "file_name": "b.jpg", "width": 100, "height": 80}
    assert [image["id"] for image in data["images"]] == [1, 2]
    assert [item["id"] for item in data["annotations"]] == [1, 2, 3, 4]
    assert [item["image_id"] for item in data["annotations"]] == [1, 2, 1, 2]
    assert [item["category_id"] for item in data["annotations"]] == [1, 1, 1, 2]
    assert data["categories"][0]["skeleton"] == [[1, 2], [2, 3]]  # 1-based
    assert data["categories"][1]["keypoints"] == ["thumb"]


@pytest.mark.parametrize(
    "others, word",
    [
        ([pose(image="")], "file name"),
        ([pose(), pose(image_size=(9, 9))], "sizes"),
        ([pose(), pose(skeleton=())], "skeletons"),
    ],
)
def test_poses_that_do_not_fit_one_coco_file_are_refused_and_nothing_is_written(tmp_path, others, word):
    with pytest.raises(InputError, match=word):
        write_coco(others, tmp_path / "p.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_file_names_come_back_from_every_format(tmp_path, name):
    for write, file in ((write_coco, "c.json"), (write_csv, "c.csv"), (write_json, "j.json")):
        write([pose(name)], tmp_path / file)
    assert json.loads((tmp_path / "c.json").read_text("utf-8"))["images"][0]["file_name"] == name
    with (tmp_path / "c.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert {row["image"] for row in csv.DictReader(file)} == {name}
    assert read_json(tmp_path / "j.json")[0].image == name


def test_pycocotools_reads_what_is_written(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    write_coco([pose("a.jpg"), pose("b.jpg")], tmp_path / "p.json")
    found = coco.COCO(str(tmp_path / "p.json"))
    assert len(found.getAnnIds(imgIds=[2])) == 1 and found.loadCats(1)[0]["name"] == "face"


@settings(max_examples=50, deadline=None)
@given(poses())
def test_coco_round_trip(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("coco") / "p.json"
    write_coco([made], path)
    data = json.loads(path.read_text("utf-8"))
    triples = np.array(data["annotations"][0]["keypoints"], float).reshape(-1, 3)
    back = np.where(triples[:, 2:] > 0, triples[:, :2], NAN)
    assert np.array_equal(back, made.xy, equal_nan=True)
    assert data["categories"][0]["keypoints"] == made.names and data["images"][0]["file_name"] == made.image


# --- CSV and JSON --------------------------------------------------------------------------------------------------


def test_csv_has_one_line_per_keypoint_and_empty_cells_for_absent():
    lines = csv_text([pose()]).splitlines()
    columns = (
        "image,object,category,keypoint,x,y,confidence,present,box_x,box_y,box_w,box_h,box_score,box_word,presence"
    )
    assert lines[0] == columns
    assert lines[1] == "a.jpg,1,face,nose,30.1,0.3333333333333333,0.9,true,10.0,5.0,60.0,50.0,,,"
    assert lines[2] == 'a.jpg,1,face,"left ear, tip",,,,false,10.0,5.0,60.0,50.0,,,'
    assert pose().to_csv() == csv_text([pose()])


def test_csv_has_the_place_and_the_presence_of_a_point_that_is_not_present():
    lines = csv_text([doubted()]).splitlines()
    assert lines[2] == 'a.jpg,1,face,"left ear, tip",60.0,12.5,0.4,false,10.0,5.0,60.0,50.0,,,0.2'


def test_csv_leaves_the_cell_of_an_unknown_confidence_empty():
    lines = csv_text([pose(confidence=[NAN, NAN, 0.3], box=None)]).splitlines()
    assert lines[1] == "a.jpg,1,face,nose,30.1,0.3333333333333333,,true,,,,,,," and ",,,,false," in lines[2]


def test_csv_numbers_the_objects_of_each_picture(tmp_path):
    write_csv([pose("a.jpg"), pose("b.jpg"), pose("a.jpg")], tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["object"]) for row in rows[::3]] == [("a.jpg", "1"), ("b.jpg", "1"), ("a.jpg", "2")]


@settings(max_examples=50, deadline=None)
@given(st.lists(poses(), max_size=3))
def test_csv_round_trip(made):
    import io

    rows = list(csv.DictReader(io.StringIO(csv_text(made), newline="")))
    flat = [(p, i) for p in made for i in range(len(p))]
    assert len(rows) == len(flat)
    for row, (p, i) in zip(rows, flat, strict=True):
        assert (row["image"], row["keypoint"], row["present"]) == (p.image, p.names[i], str(bool(p.present[i])).lower())
        for key, value in (("x", p.xy[i, 0]), ("y", p.xy[i, 1]), ("confidence", p.confidence[i])):
            assert (math.isnan(value) and row[key] == "") or float(row[key]) == value


@settings(max_examples=50, deadline=None)
@given(st.lists(poses(), max_size=3))
def test_json_round_trip(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("json") / "p.json"
    write_json(made, path)
    assert [p.to_dict() for p in read_json(path)] == [p.to_dict() for p in made]


def test_json_keeps_densities(tmp_path):
    grid = np.array([[0.1, 0.2], [0.3, 0.25]])
    write_json([pose(density={"nose": Density(Crop(1, 2, 3), grid)})], tmp_path / "p.json")
    found = read_json(tmp_path / "p.json")[0].density["nose"]
    assert np.array_equal(found.grid, grid) and found.crop == Crop(1, 2, 3)


@pytest.mark.parametrize("text", ["", "{}", "[3]", "[{}]", "[" * 100_000, "\xff"])
def test_another_json_is_refused(tmp_path, text):
    (tmp_path / "p.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError):
        read_json(tmp_path / "p.json")


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "p.csv"
    path.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match=r"p\.csv: No space left"):
        write_csv([pose()], path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_a_folder_and_a_device_are_refused(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        write_csv([pose()], tmp_path / "none" / "p.csv")
    with pytest.raises(InputError, match="not a file"):
        write_csv([pose()], tmp_path)
    with pytest.raises(InputError, match="not a file"):
        write_bytes("/dev/null", b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_link_is_followed_and_permissions_are_ordinary(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "real" / "p.csv")
    write_bytes(tmp_path / "link.csv", b"x")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "real" / "p.csv").read_bytes() == b"x"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "real" / "p.csv").stat().st_mode) == 0o666 & ~mask


# --- schema versions -----------------------------------------------------------------------------------------------


def test_both_kinds_of_json_state_their_schema_version(tmp_path):
    write_coco([pose()], tmp_path / "c.json")
    write_json([pose(), pose()], tmp_path / "p.json")
    coco, own = (json.loads((tmp_path / name).read_text()) for name in ("c.json", "p.json"))
    assert coco["info"] == {"schema": "anykeypoint.poses", "schema_version": 2, "skeleton_base": 1}
    assert [item["schema_version"] for item in own] == [2, 2]


def test_poses_of_version_0_1_0_which_state_no_schema_are_read(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps([pose().to_dict()]))
    assert read_json(tmp_path / "p.json")[0].to_dict() == pose().to_dict()


def test_poses_of_the_first_schema_which_has_no_presence_are_read(tmp_path):
    data = {"schema_version": 1, **pose().to_dict()}
    del data["presence"]
    (tmp_path / "p.json").write_text(json.dumps([data]))
    assert read_json(tmp_path / "p.json")[0].to_dict() == pose().to_dict()


@pytest.mark.parametrize("version", [3, 0, "1", True, 1.0])
def test_poses_of_another_schema_are_refused_with_what_to_do(tmp_path, version):
    (tmp_path / "p.json").write_text(json.dumps([{"schema_version": version, **pose().to_dict()}]))
    with pytest.raises(InputError, match=r"p\.json has the schema version .* up to 2; update anykeypoint"):
        read_json(tmp_path / "p.json")
