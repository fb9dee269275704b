"""Small files of other tools, as people have them: what each of them says, point by point."""

import json

import numpy as np
import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.registry import read

NAN = np.nan


def points_of(item):
    return item.points.round(9).tolist()


@pytest.fixture
def cases(shared):
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip("../shared has no cases")
    return folder


def test_yolo_pose_with_names_and_visibility(cases):
    for word in ("", "/train", "/train,val"):  # train and val are one folder, whose pictures count once
        data = read(f"yolo{word}:{cases / 'yolo_pose' / 'data.yaml'}")
        first, second = data.objects
        assert first.category.name == "beast" and first.category.names == ["left ear", "right ear", "nose"]
        assert first.category.pairs == ((0, 1),) and not data.notes
        np.testing.assert_allclose(first.box, (19.2, 9.6, 57.6, 76.8))
        assert points_of(first) == [[24, 24], [72, 24], [48, 48]] and first.visibility.tolist() == [2, 1, 2]
        np.testing.assert_allclose(second.points, [[NAN, NAN], [24, 14.4], [19.2, 19.2]])
        assert [path.name for path in data.empty] == ["b.jpg"] and not data.faults and not data.skipped
    with pytest.raises(InputError, match=r"has no split 'test'; it has train, val"):
        read(f"yolo/test:{cases / 'yolo_pose' / 'data.yaml'}")


def test_yolo_pose_without_names_and_visibility(cases):
    data = read(f"yolo:{cases / 'yolo_pose_2d' / 'data.yaml'}")
    assert points_of(data.objects[0]) == [[24, 24], [72, 48]] and data.objects[0].visibility.tolist() == [2, 2]
    assert data.objects[0].category.names == ["keypoint 1", "keypoint 2"]
    assert len(data.notes) == 1 and "does not name the keypoints of 'needle'" in data.notes[0]


def test_labelme(cases):
    item = read(f"labelme:{cases / 'labelme'}").objects[0]
    assert item.category.name == "beast" and item.box == (10, 12, 70, 78)
    assert dict(zip(item.category.names, points_of(item), strict=True)) == {"nose": [20.5, 30], "tail": [70, 60.25]}


def test_tps_counts_from_the_bottom(cases):
    item = read(f"tps/wing:{cases / 'tps' / 'wings.tps'}").objects[0]
    assert points_of(item) == [[10, 10], [20.5, 20], [90, 90]] and item.scale == 0.01 and item.id == 0
    assert item.category.name == "wing" and item.category.names == ["landmark 1", "landmark 2", "landmark 3"]


def test_imglab_sorts_parts_by_name(cases):
    item = read(f"imglab:{cases / 'imglab' / 'training.xml'}").objects[0]
    assert item.category.names == ["00", "01", "02"] and points_of(item) == [[15, 20], [30, 40], [50, 60]]
    assert item.category.name == "wing" and item.box == (12, 10, 60, 70)


def test_via_finds_what_its_attributes_mean(cases):
    item = read(f"via/beast:{cases / 'via' / 'via.json'}").objects[0]
    assert item.category.name == "beast" and item.box == (10, 12, 70, 78)
    assert dict(zip(item.category.names, points_of(item), strict=True)) == {"nose": [20, 30], "tail": [70, 60]}


def test_a_box_without_a_width_is_legal_where_its_height_makes_the_square(cases):
    folder = cases / "zero_width_box"
    item = read(f"coco:{folder / 'labels.json'}", folder).objects[0]
    assert item.box == (50, 10, 0, 200) and item.visibility.tolist() == [2, 2, 1]
    assert len(read(f"mp100/capellm:{folder / 'labels.json'}", folder).objects) == 1
    dropped = read(f"mp100/pairs:{folder / 'labels.json'}", folder)
    assert not dropped.objects and dropped.skipped == {"nothing of the box in the picture": 1}


def test_coco_without_boxes_has_those_of_the_points_and_says_so_once(cases):
    folder = cases / "coco_without_box"
    data = read(f"coco:{folder / 'labels.json'}", folder)
    assert data.objects[0].box == (15, 25, 60, 60)
    assert len(data.supplied) == 1 and "1 object has no 'bbox'" in data.supplied[0] and "10 %" in data.supplied[0]
    with pytest.raises(InputError, match="1 object has no 'bbox'"):
        read(f"coco:{folder / 'labels.json'}", folder, strict=True)


@pytest.mark.parametrize(
    ("keypoints", "box"),
    [
        ([20, 20, 2, 50, 50, 2, 70, 70, 1], (15, 15, 60, 60)),
        ([2, 30, 2, 50, 60, 2, 98, 78, 1], (0, 20.4, 100, 59.6)),  # cut at the picture of 100 x 80
        ([-3, 30, 2, 0, 0, 0, 57, 78, 1], (-3, 24, 66, 56)),  # but never so that a point is cut off
        ([20, 30, 2, 0, 0, 0, 0, 0, 0], (16, 26, 8, 8)),  # one point
        ([20, 30, 2, 20, 60, 2, 0, 0, 0], (17, 27, 6, 36)),
    ],
)
@pytest.mark.parametrize("bbox", [{}, {"bbox": None}, {"bbox": []}])
def test_a_box_that_is_missing_is_that_of_the_points(tmp_path, keypoints, box, bbox):
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    labels = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": keypoints, **bbox}],
        "categories": [{"id": 1, "name": "thing", "keypoints": ["nose", "tail", "ear"]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    data = read(f"coco:{tmp_path / 'labels.json'}", tmp_path)
    np.testing.assert_allclose(data.objects[0].box, box)
    assert len(data.supplied) == 1


def test_boxes_that_readers_make_do_not_leave_the_picture(tmp_path):
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    (tmp_path / "c.csv").write_text("scorer,me,me,me,me\nbodyparts,a,a,b,b\ncoords,x,y,x,y\na.png,1,2,99,50\n")
    assert read(f"dlc:{tmp_path / 'c.csv'}", tmp_path).objects[0].box == (0, 0, 100, 59.8)


def test_pictures_of_categories_that_were_not_chosen_are_not_pictures_without_objects(tmp_path):
    for name in "abc":
        Image.new("RGB", (100, 80)).save(tmp_path / f"{name}.png")
    objects = [{"id": i, "image_id": i, "category_id": i, "bbox": [1, 1, 9, 9], "keypoints": [2, 3, 2]} for i in (1, 2)]
    labels = {
        "images": [{"id": i, "file_name": f"{name}.png"} for i, name in enumerate("abc", start=1)],
        "annotations": objects,
        "categories": [{"id": i, "name": name, "keypoints": ["tip"]} for i, name in ((1, "cat"), (2, "dog"))],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    assert [path.name for path in read(f"coco/cat:{tmp_path / 'labels.json'}", tmp_path).empty] == ["c.png"]
    assert [path.name for path in read(f"coco:{tmp_path / 'labels.json'}", tmp_path).empty] == ["c.png"]


@pytest.mark.parametrize("more", [{"score": "high"}, {"keypoint_confidence": [1, 2]}, {"box_score": [1]}])
def test_a_models_answers_are_checked_like_labels(tmp_path, more):
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    good = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "keypoints": [2, 3, 2]}
    labels = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"id": 1, **good, "score": None, "keypoint_confidence": [None]}, {"id": 2, **good, **more}],
        "categories": [{"id": 1, "name": "thing", "keypoints": ["tip"]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    data = read(f"coco:{tmp_path / 'labels.json'}", tmp_path)
    assert [item.id for item in data.objects] == [1] and len(data.faults) == 1 and "annotation 2" in data.faults[0]


def test_backslashes_of_windows_are_found(cases):
    folder = cases / "coco_backslash"
    assert read(f"coco:{folder / 'labels.json'}", folder).objects[0].image == folder / "sub" / "A.JPG"
