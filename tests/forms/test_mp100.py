"""MP-100's split files: what counts, where pictures are, which pairs are scored; and what is refused."""

import copy
import json
import shutil

import numpy as np
import pytest

from anykeypoint.errors import InputError
from anykeypoint.forms import dataset, mp100, registry
from anykeypoint.library.lookup import category

POINTS = [2, 3, 2, 5, 5, 1, 0, 0, 0]
GOOD = {
    "images": [
        {"id": 7, "file_name": "b/two.png", "width": 40, "height": 30},
        {"id": 1, "file_name": "a/one.png", "width": 40, "height": 30},
    ],
    "annotations": [
        {"id": 10, "image_id": 1, "category_id": 5, "bbox": [1, 2, 11, 6], "area": 9, "keypoints": POINTS},
        {"id": 11, "image_id": 7, "category_id": 5, "bbox": [3, 2, 11, 6], "area": 9, "keypoints": POINTS},
        {"id": 12, "image_id": 1, "category_id": 3, "bbox": [3, 2, 11, 6], "area": 9, "keypoints": POINTS},
    ],
    "categories": [
        {"id": 5, "name": "gadget", "keypoints": ["top", "left", "right"], "skeleton": [[0, 1]]},
        {"id": 3, "name": "gadget", "keypoints": ["top", "left", "right"]},
    ],
}


def changed(**edits):
    """GOOD with `list__index__key=value`."""
    data = copy.deepcopy(GOOD)
    for path, value in edits.items():
        target, (*steps, last) = data, path.split("__")
        for step in steps:
            target = target[int(step) if step.isdigit() else step]
        target[last] = value
    return data


@pytest.fixture
def read(tmp_path):
    def read(data, **options):
        file = tmp_path / "split.json"
        file.write_text(data if isinstance(data, str) else json.dumps(data))
        return mp100.read_mp100(file, **options)

    return read


def many(counts: dict[int, int]) -> dict:
    """A file with so many objects of each category."""
    data = {"images": [], "annotations": [], "categories": []}
    for key, count in counts.items():
        data["categories"].append({"id": key, "name": f"kind {key}", "keypoints": ["a", "b", "c"]})
        for _ in range(count):
            number = len(data["images"])
            data["images"].append({"id": number, "file_name": f"{number}.png", "width": 40, "height": 30})
            data["annotations"].append({**GOOD["annotations"][0], "id": number, "image_id": number, "category_id": key})
    return data


# --- which objects -------------------------------------------------------------------------------------------------


def test_objects_come_in_the_order_of_the_pictures_then_of_the_annotations(read):
    assert [item.id for item in read(GOOD).objects] == [11, 10, 12]


def test_categories_are_keyed_by_id_where_two_share_a_name(read):
    data = read(GOOD)
    assert list(data.categories) == [5, 3] and {item.category_id for item in data.objects} == {5, 3}


@pytest.mark.parametrize(
    "edit, reason",
    [
        ({"iscrowd": 1}, dataset.CROWD),
        ({"bbox": None}, mp100.NO_BOX),
        ({"keypoints": None}, dataset.UNLABELLED),
        ({"keypoints": [0] * 9}, dataset.UNLABELLED),
        ({"area": 0}, mp100.NO_AREA),
        ({"num_keypoints": 0}, mp100.NONE_COUNTED),
        ({"bbox": [50, 2, 11, 6]}, mp100.EMPTY_BOX),
        ({"bbox": [1, 2, 1, 6]}, mp100.EMPTY_BOX),
    ],
)
def test_what_does_not_count_is_counted_with_its_reason(read, edit, reason):
    data = copy.deepcopy(GOOD)
    data["annotations"][0].update(edit)
    found = read(data)
    assert [item.id for item in found.objects] == [11, 12] and found.skipped == {reason: 1}


def test_what_is_not_stated_does_not_speak_against_an_object(read):
    data = copy.deepcopy(GOOD)
    del data["annotations"][0]["area"]
    assert len(read(data).objects) == 3


def test_an_object_keeps_its_area_and_its_outline(read):
    data = changed(annotations__1__segmentation=[[1, 2, 3, 4, 5, 6]])
    first, second, _ = read(data).objects
    assert first.area == 9 and first.segmentation == [[1, 2, 3, 4, 5, 6]] and second.segmentation is None


def test_capellms_rules_keep_empty_boxes_and_uncounted_points(read):
    data = changed(annotations__0__num_keypoints=0, annotations__1__bbox=[1, 2, 1, 1], annotations__2__area=0)
    assert [item.id for item in read(data, rules=mp100.CAPELLM).objects] == [11, 10]
    assert read(data).objects == []


def test_an_object_whose_points_are_all_unlabelled_is_kept_if_it_counts_as_having_some(read):
    data = changed(annotations__0__keypoints=[2, 3, 0] * 3, annotations__0__num_keypoints=3)
    first = read(data).objects[1]
    assert first.id == 10 and np.isnan(first.points).all() and not first.visibility.any()


@pytest.mark.parametrize(
    "box, clean",
    [
        ([1, 2, 11, 6], (1, 2, 10, 5)),
        ([-4, 2, 11, 6], (0, 2, 10, 5)),  # moved, not cut
        ([35, 2, 11, 6], (35, 2, 4, 5)),
        ([1, 25.5, 11, 6], (1, 25.5, 10, 3.5)),
    ],
)
def test_a_clean_box_is_moved_into_the_picture_shortened_by_a_pixel_and_cut_at_the_far_edges(box, clean):
    assert mp100.clean_box(box, 40, 30) == clean


def test_a_negative_side_is_refused_and_under_the_official_rule_empty(read):
    data = changed(annotations__0__bbox=[1, 2, -5, 6])
    with pytest.raises(InputError, match=r"annotation 10.*'bbox'.*negative side"):
        read(data, strict=True)
    assert read(data, official=True).skipped == {mp100.EMPTY_BOX: 1}
    assert len(read(data, official=True, rules=mp100.CAPELLM).objects) == 3


# --- categories ----------------------------------------------------------------------------------------------------


def as_face(identity: int, points: int, **edits) -> dict:
    data = changed(categories__0__id=identity, categories__0__name="face", annotations__2__category_id=identity)
    data["categories"] = data["categories"][:1]
    data["categories"][0].update({"keypoints": [f"p{i}" for i in range(points)], "skeleton": []}, **edits)
    for entry in data["annotations"]:
        entry.update(category_id=identity, keypoints=[2, 3, 2] * points)
    return data


def test_hands_can_be_left_out_and_are_counted_and_their_pictures_not_missed(tmp_path):
    data = changed(categories__0__name="hand")
    picture = tmp_path / "images" / "a" / "one.png"
    picture.parent.mkdir(parents=True)
    picture.touch()
    file = tmp_path / "annotations" / "mp100_split1_train.json"
    file.parent.mkdir()
    file.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"two\.png"):
        registry.read(f"mp100:{file}")
    found = registry.read(f"mp100/without-hand:{file}")
    assert [item.id for item in found.objects] == [12] and list(found.categories) == [3]
    assert found.skipped == {mp100.UNFITTING: 2}
    file.write_text(json.dumps(GOOD))
    with pytest.raises(InputError, match=r"two\.png"):
        registry.read(f"mp100/without-hand,capellm:{file}")


@pytest.mark.parametrize("identity, points", [(18, 19), (40, 68)])
def test_a_category_of_mp_100_has_the_librarys_words_and_skeleton_by_its_id(read, identity, points):
    ours = read(as_face(identity, points)).categories[identity]
    assert ours == category(f"mp100/{identity}") and len(ours) == points
    assert read(as_face(identity, points, keypoints=[])).categories[identity] == ours


def test_the_files_own_skeleton_comes_first(read):
    assert read(as_face(18, 19, skeleton=[[0, 1], [1, 18]])).categories[18].skeleton == ((0, 1), (1, 18))


def test_another_name_or_number_of_points_is_another_category(read):
    assert read(as_face(18, 18)).categories[18].names[0] == "p0"
    assert read(as_face(18, 19, name="kettle")).categories[18].names[0] == "p0"


def test_a_skeleton_counts_from_zero(read):
    assert read(changed(categories__0__skeleton=[[1, 2]])).categories[5].skeleton == ((1, 2),)
    with pytest.raises(InputError, match=r"category 5: .*skeleton.*indices from 0 to 2"):
        read(changed(categories__0__skeleton=[[1, 3]]), strict=True)


# --- files ---------------------------------------------------------------------------------------------------------


def test_the_files_of_splits_and_of_held_out_supercategories_are_known_by_name(tmp_path):
    assert mp100.annotation_file(tmp_path, 3, "val") == tmp_path / "annotations" / "mp100_split3_val.json"
    cross = tmp_path / "cross_category_annotations" / "human_face_test.json"
    assert mp100.annotation_file(tmp_path, "human_face", "test") == cross
    for split, role in ((6, "test"), (1, "all"), ("furniture", "val"), ("bird", "test")):
        with pytest.raises(InputError, match="splits 1 to 5"):
            mp100.annotation_file(tmp_path, split, role)


def lay(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_pictures_are_found_in_both_released_layouts(read, tmp_path):
    root = tmp_path / "mp100"
    lay(root, "images/a/one.png", "b/two.png")
    found = [item.image for item in read(GOOD, root=root).objects]
    assert found == [root / "b/two.png", *[root / "images/a/one.png"] * 2]


def test_a_missing_picture_is_named_and_its_objects_are_counted(read, tmp_path):
    root = tmp_path / "mp100"
    lay(root, "images/b/two.png")
    with pytest.raises(InputError, match=r"1 of the pictures .*\(a/one\.png\)"):
        read(GOOD, root=root)
    data = read(GOOD, root=root, allow_missing=True)
    assert data.missing == ("a/one.png",) and data.skipped == {dataset.NO_IMAGE: 2}
    assert [item.id for item in data.objects] == [11]


def test_a_picture_that_no_kept_object_needs_is_not_missed(read, tmp_path):
    lay(tmp_path / "mp100", "images/a/one.png")
    data = read(changed(annotations__1__area=0), root=tmp_path / "mp100")
    assert data.missing == () and len(data.objects) == 2


@pytest.mark.parametrize(
    "edit, message",
    [
        ({"annotations__0__keypoints": [1, 2, 2]}, "annotation 10.*'keypoints'.*3 keypoints.*3 numbers"),
        ({"annotations__0__keypoints": [float("nan"), 1, 2] + [1] * 6}, "annotation 10.*finite.*nan"),
        ({"annotations__0__keypoints": [1, 1, 3] + [1] * 6}, "annotation 10.*visibility 3"),
        ({"annotations__0__bbox": [1, 1, 4]}, "annotation 10.*'bbox'.*four numbers"),
        ({"annotations__0__bbox": [1, float("inf"), 4, 4]}, "annotation 10.*'bbox'.*finite"),
        ({"annotations__0__area": "large"}, "annotation 10.*'area'.*finite"),
        ({"annotations__0__image_id": 9}, "annotation 10.*image_id 9"),
        ({"annotations__0__category_id": 9}, "annotation 10.*category_id 9"),
        ({"annotations__1__id": 10}, "annotation 10 appears twice"),
        ({"images__0__width": None}, "image 7.*'width'"),
        ({"images__0__height": 0}, "image 7.*'height'"),
        ({"categories__0__keypoints": []}, "category 5.*'keypoints'.*empty"),
        ({"categories__0__keypoints": ["a", "a", "b"]}, "category 5.*'a'"),
        ({"categories__0__name": ""}, "category 5.*'name'"),
        ({"categories__1__id": 5}, "category 5 appears twice"),
        ({"categories__0__skeleton": [[0]]}, "category 5.*'skeleton'"),
        ({"categories__0__skeleton": [[1, 1]]}, "category 5.*skeleton"),
        ({"categories__0__skeleton": [[-1, 1]]}, "category 5.*skeleton"),
    ],
)
def test_what_is_malformed_is_named_with_file_key_and_id(read, edit, message):
    with pytest.raises(InputError, match=rf"split\.json: {message}"):
        read(changed(**edit), strict=True)


def test_a_file_that_is_not_json_and_rules_that_are_not_known_are_refused(read):
    with pytest.raises(InputError, match=r"split\.json is not valid JSON"):
        read("{")
    with pytest.raises(InputError, match="'pairs' or 'capellm'"):
        read(GOOD, rules="mine")


# --- the golden file with pictures missing -------------------------------------------------------------------------


def test_an_incomplete_download_loses_the_objects_that_the_released_training_loses(shared, tmp_path):
    golden = shared / "golden"
    train = json.loads((golden / "mp100_protocol.json").read_text())["train"]
    file = shutil.copy(golden / train["file"], tmp_path)
    names = [entry["file_name"] for entry in json.loads((golden / train["file"]).read_text())["images"]]
    lay(tmp_path / "images", *(name for name in names if name not in train["missing_images"]))
    data = mp100.read_mp100(file, tmp_path, official=True, allow_missing=True)
    assert [item.id for item in data.objects] == train["kept_annotation_ids_with_missing_images"]
    assert set(data.missing) <= set(train["missing_images"])
    assert data.skipped[dataset.NO_IMAGE] == train["kept"] - train["kept_with_missing_images"]
