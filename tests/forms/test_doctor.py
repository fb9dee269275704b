"""The doctor: what it finds in labels that were broken on purpose, what it counts, and what its copy mends."""

import copy
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.forms import pictures
from anykeypoint.forms.coco import from_document, read_coco
from anykeypoint.forms.dataset import NO_IMAGE
from anykeypoint.forms.document import load_document
from anykeypoint.forms.faults.doctor import examine
from anykeypoint.forms.faults.fault import KINDS
from anykeypoint.forms.faults.repair import count_from_one, mend
from anykeypoint.forms.pictures import picture_size
from anykeypoint.library.lookup import category

NAMES = ["nose", "left eye", "right eye", "left ear", "right ear", "left paw", "right paw"]
FACING = [50, 30, 60, 20, 40, 20, 70, 25, 30, 25, 75, 60, 25, 60]  # its left on the picture's right


def labelled(flat):
    return [value for i in range(0, len(flat), 2) for value in (flat[i], flat[i + 1], 2)]


@pytest.fixture
def good(tmp_path):
    """Labels without a fault, and their pictures of 100 x 80 pixels."""
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (100, 80)).save(tmp_path / name)
    images = [{"id": i, "file_name": f"{n}.png", "width": 100, "height": 80} for i, n in enumerate("abc", start=1)]
    annotations = []
    for i in (1, 2, 3):
        points = labelled([x + i for x in FACING])
        annotations.append({"id": 10 * i, "image_id": i, "category_id": 1, "keypoints": points})
        annotations[-1] |= {"bbox": [10, 10, 80, 60], "num_keypoints": 7, "iscrowd": 0, "area": 4800}
    categories = [{"id": 1, "name": "cat", "keypoints": list(NAMES), "skeleton": [[1, 2], [6, 7]]}]
    return {"images": images, "annotations": annotations, "categories": categories}


def faults(document, folder):
    return examine(document, folder).faults


def broken(good, section, index, **edits):
    data = copy.deepcopy(good)
    data[section][index] |= edits
    return data


def points(change):
    """The first object's points with some numbers changed, as the fixture has them."""
    values = labelled([x + 1 for x in FACING])
    for place, value in change.items():
        values[place] = value
    return values


def test_nothing_is_found_in_good_labels_and_everything_is_counted(good, tmp_path):
    report = examine(good, tmp_path)
    assert report.faults == []
    sums = report.counts[1]
    assert (len(sums.images), len(sums.missing), sums.objects, sums.visible, sums.outside) == (3, 0, 3, 21, 0)


def exchange(values, a, b):
    values = list(values)
    values[3 * a : 3 * a + 3], values[3 * b : 3 * b + 3] = values[3 * b : 3 * b + 3], values[3 * a : 3 * a + 3]
    return values


BROKEN = {  # kind -> section, index and what is changed
    "broken entry": ("images", 0, {"file_name": ""}),
    "id twice": ("annotations", 1, {"id": 10}),
    "unknown picture": ("annotations", 0, {"image_id": 99}),
    "unknown category": ("annotations", 0, {"category_id": "dog"}),
    "picture missing": ("images", 0, {"file_name": "gone.png"}),
    "picture elsewhere": ("images", 0, {"file_name": "in/A.PNG"}),
    "picture's size": ("images", 0, {"width": 0, "height": None}),
    "names of points": ("categories", 0, {"keypoints": ["nose", "eye", "Eye", "left ear", "right ear", "x", "y"]}),
    "number of points": ("annotations", 0, {"keypoints": [1, 2, 2]}),
    "coordinates": ("annotations", 0, {"keypoints": points({0: float("nan")}), "num_keypoints": 6}),
    "visibility": ("annotations", 0, {"keypoints": points({2: 3}), "num_keypoints": 6}),
    "num_keypoints": ("annotations", 0, {"num_keypoints": 3}),
    "area": ("annotations", 0, {"area": "large"}),
    "box": ("annotations", 0, {"bbox": [10, 10, -5, 60]}),
    "box outside": ("annotations", 0, {"bbox": [10, 10, 100, 60]}),
    "points outside the picture": ("annotations", 0, {"keypoints": points({0: 150}), "bbox": [0, 0, 100, 80]}),
    "points outside the box": ("annotations", 0, {"keypoints": points({0: 5})}),
    "skeleton": ("categories", 0, {"skeleton": [[1, 2], [3, 3], [6, 7]]}),
    "side without a partner": ("categories", 0, {"keypoints": ["nose", "leftEye", "left ear", "right ear", *"abc"]}),
    "left and right": ("annotations", 0, {"keypoints": exchange(points({}), 1, 2)}),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_each_kind_of_fault_is_found_with_its_place(good, tmp_path, kind):
    section, index, edits = BROKEN[kind]
    found = [fault for fault in faults(broken(good, section, index, **edits), tmp_path) if fault.kind == kind]
    assert len(found) == 1
    assert found[0].where and found[0].text and not found[0].text.endswith(".")


def test_two_objects_with_the_same_points_and_two_categories_of_one_name_are_found(good, tmp_path):
    good["annotations"].append({**good["annotations"][0], "id": 77})
    good["categories"].append({"id": 2, "name": "cat", "keypoints": ["nose"]})
    assert [fault.kind for fault in faults(good, tmp_path)] == ["same category name", "same object"]


def test_sides_without_a_partner_are_named_unless_the_file_says_which_they_are(good, tmp_path):
    names = ["nose", "leftEye", "rightEar", "L_paw", "R_paw", "L_hip", "tail"]
    lone = "has 'leftEye', 'rightEar', 'L_hip' without a partner on the other side; training with flips stops there"
    for more, text in (({}, lone), ({"alone": [1, 2, 5]}, ""), ({"pairs": [[1, 2], [3, 4], [5, 6]]}, "")):
        found = faults(broken(good, "categories", 0, keypoints=names, **more), tmp_path)
        assert [fault.text for fault in found] == ([text] if text else [])
        assert all(fault.kind == "side without a partner" and fault.where == "category 1" for fault in found)
    library = category("field2_159_tiger_walking")  # it lends its names, and what is alone, to such labels
    labels = [point.label or point.name for point in library.keypoints]
    tigers = {**good, "annotations": [], "categories": [{"id": 1, "name": "tiger", "keypoints": labels}]}
    assert [fault.kind for fault in faults(tigers, tmp_path)] == ["no object"]


@pytest.mark.parametrize("sides", [{"pairs": [[0, 9]]}, {"pairs": "all"}, {"pairs": [[1, 1]]}, {"alone": [1.0]}])
def test_pairs_that_cannot_be_used_are_a_fault_of_the_category(good, tmp_path, sides):
    found = faults(broken(good, "categories", 0, **sides), tmp_path)
    assert [(fault.kind, fault.where) for fault in found][:1] == [("broken category", "category 1")]


def test_a_pair_that_is_exchanged_in_most_objects_is_a_matter_of_its_names(good, tmp_path):
    for entry in good["annotations"]:
        entry["keypoints"] = exchange(entry["keypoints"], 3, 4)
    (fault,) = faults(good, tmp_path)
    assert fault.kind == "left and right" and fault.where == "category 1"
    assert "in 3 of 3 objects, 'left ear' and 'right ear' against" in fault.text


def test_two_sets_of_names_against_each_other_are_told_together_and_an_odd_object_beside_them(good, tmp_path):
    (category,) = good["categories"]
    category["keypoints"] = [*NAMES, "left hip", "right hip", "left knee", "right knee"]
    for entry in good["annotations"]:
        entry["keypoints"] += labelled([68, 40, 32, 41, 69, 50, 31, 50])
        entry["keypoints"] = exchange(exchange(entry["keypoints"], 1, 2), 3, 4)
        entry["num_keypoints"] = 11
    good["annotations"][2]["keypoints"] = exchange(good["annotations"][2]["keypoints"], 5, 6)
    sets, odd = faults(good, tmp_path)
    assert "'left eye' and 'right eye'; 'left ear' and 'right ear' against 'left paw'" in sets.text
    assert odd.where == "annotation 30" and "'left paw'" in odd.text


def test_a_bees_legs_are_against_its_head_and_wings_in_their_source(shared):
    """As the pictures show, taken from above, the legs are wrong; the library's words follow the bee."""
    document = json.loads((shared / "data" / "field_test.json").read_text())
    (fault,) = [f for f in examine(document, shared / "data" / "images").faults if f.category == "honey bee"]
    assert fault.kind == "left and right" and "head'; 'left wing tip'" in fault.text and "leg" in fault.text
    bee = read_coco(shared / "data" / "field_test.json", shared / "data" / "images").categories[10]
    table = {point.label or point.name: point.name for point in bee.keypoints}
    assert table["left wing tip"] == "left wing tip"
    for label, name in table.items():
        if "leg" in label.split():
            assert name == label.replace("left", "?").replace("right", "left").replace("?", "right")


def test_each_picture_is_looked_at_once_however_often_the_labels_are_examined(good, tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr(pictures, "picture_size", lambda path: looked.append(path.name) or picture_size(path))
    once = pictures.Pictures(tmp_path)
    data = broken(good, "images", 0, file_name="in/A.PNG")
    first = examine(data, once)
    assert examine(data, once) == first == examine(data, tmp_path)
    assert sorted(looked[:3]) == ["a.png", "b.png", "c.png"] and len(looked) == 6  # three for each folder's facts


def test_an_animal_seen_from_the_side_has_no_wrong_sides(good, tmp_path):
    flat = [value for i in range(7) for value in (30 + i % 2, 20 + 5 * i)]
    good["annotations"][0]["keypoints"] = labelled(flat)
    assert faults(good, tmp_path) == []


def test_limbs_that_cross_while_most_pairs_say_nothing_are_no_fault(good, tmp_path):
    (category,) = good["categories"]
    category["keypoints"] = [*NAMES, "left hip", "right hip", "left knee", "right knee"]
    for entry in good["annotations"]:  # walking past: ears, paws and knees are apart, eyes and hips are not
        entry["keypoints"] = labelled(
            [50, 30, 50, 25, 51, 25, 70, 20, 30, 20, 70, 60, 30, 60, 50, 40, 51, 40, 30, 50, 70, 50]
        )
        entry |= {"num_keypoints": 11}
        entry["keypoints"][0] += entry["id"] / 10
    good["annotations"][0]["keypoints"] = exchange(good["annotations"][0]["keypoints"], 3, 4)
    good["annotations"][1]["keypoints"] = exchange(good["annotations"][1]["keypoints"], 5, 6)
    assert faults(good, tmp_path) == []


def test_a_picture_elsewhere_must_have_the_size_of_the_labels(good, tmp_path):
    (tmp_path / "other").mkdir()
    Image.new("RGB", (50, 50)).save(tmp_path / "other" / "d.png")
    data = broken(good, "images", 0, file_name="d.png")
    assert [fault.kind for fault in faults(data, tmp_path)] == ["picture missing"]
    Image.new("RGB", (100, 80)).save(tmp_path / "other" / "d.png")
    assert [fault.value for fault in faults(data, tmp_path)] == ["other/d.png"]


def test_a_picture_lying_on_its_side_is_measured_upright(good, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 100)).save(tmp_path / "a.png", exif=exif)
    assert picture_size(tmp_path / "a.png") == (100, 80)
    assert faults(good, tmp_path) == []


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if KINDS[kind]])
def test_what_can_be_mended_is_mended_in_a_copy_that_can_be_read(good, tmp_path, kind):
    section, index, edits = BROKEN[kind]
    data = broken(good, section, index, **edits)
    before = copy.deepcopy(data)
    mended = mend(data, tmp_path)
    written, _ = count_from_one(mended.document)
    assert repr(data) == repr(before)  # nan is not itself
    assert kind in mended.mended and kind not in {fault.kind for fault in faults(written, tmp_path)}
    dataset = from_document(json.loads(json.dumps(written, allow_nan=False)), tmp_path / "copy.json", tmp_path)
    assert len(dataset.objects) >= 2
    assert dataset.categories[1].skeleton == ((0, 1), (5, 6))  # still the same points, wherever it counted from


def test_what_only_a_person_can_tell_is_left_and_counted(good, tmp_path):
    data = broken(good, "annotations", 0, keypoints=points({0: 5}))
    mended = mend(data, tmp_path)
    assert mended.document["annotations"] == data["annotations"]
    assert not mended.mended and mended.left == {"points outside the box": 1}


def test_mending_a_box_keeps_the_points_in_it(good, tmp_path):
    data = broken(good, "annotations", 0, bbox=None)
    mended = mend(data, tmp_path).document["annotations"][0]
    x, y, w, h = mended["bbox"]
    places = np.array(mended["keypoints"]).reshape(-1, 3)[:, :2]
    assert (places >= (x, y)).all() and (places <= (x + w, y + h)).all()


values = st.one_of(
    st.none(),
    st.integers(-5, 200),
    st.floats(),
    st.text(max_size=3),
    st.booleans(),
    st.lists(st.integers(-2, 9), max_size=4),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 99), values), min_size=1, max_size=4))
def test_no_broken_value_stops_the_doctor_and_its_copy_can_always_be_read(good, tmp_path, edits):
    data = copy.deepcopy(good)
    for number, value in edits:
        section = list(data)[number % 3]
        entry = data[section][number % len(data[section])]
        if isinstance(entry, dict):
            key = sorted(entry)[number % len(entry)]
            if key == "keypoints" and isinstance(entry[key], list) and number % 2:
                entry[key][number % len(entry[key])] = value
            else:
                entry[key] = value
        if number == 50:
            data[section][0] = value
    data = mend(data, tmp_path).document
    assert not mend(data, tmp_path).mended, "what --fix writes has nothing more to mend"
    file = tmp_path / "mended.json"
    file.write_text(json.dumps(data, allow_nan=False))
    dataset = from_document(load_document(file), file, tmp_path, allow_missing=True)
    counted = sum(sums.objects for sums in examine(data, tmp_path).counts.values())
    assert counted == len(dataset.objects) + dataset.skipped.get(NO_IMAGE, 0)


def insects(tmp_path, name, count=32):
    (tmp_path / "annotation_data.h5").write_bytes(b"x")
    images = [{"id": 1, "file_name": f"{name}/1.jpg", "width": 192, "height": 192}]
    points = [5, 5, 2] * count
    entry = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": points, "bbox": [0, 0, 9, 9]}
    names = [f"point {i}" for i in range(count)]
    return {"images": images, "annotations": [entry], "categories": [{"id": 1, "name": name, "keypoints": names}]}


@pytest.mark.parametrize(
    ("name", "count", "words"),
    [
        ("fly", 32, "annotation_data.h5"),
        ("car", 13, "CarFusion"),
        ("hand", 21, "OneHand10K: 1 of 1 hands"),
    ],
)
def test_known_faults_are_told_where_the_data_have_them(tmp_path, name, count, words):
    data = insects(tmp_path, name, count)
    if name == "hand":
        data["annotations"][0]["keypoints"][0] = 500
    told = [fault.text for fault in faults(data, tmp_path) if fault.kind == "known fault"]
    assert len(told) == 1 and words in told[0]


def test_the_two_faces_of_mp100_and_doubled_garments_are_told(tmp_path):
    data = insects(tmp_path, "face", 68)
    data["categories"].append({"id": 2, "name": "face", "keypoints": [f"p{i}" for i in range(19)]})
    told = [fault.text for fault in faults(data, tmp_path) if fault.kind == "known fault"]
    assert any("300W" in text for text in told) and any("amur_tiger_body" in text for text in told)
    data = insects(tmp_path, "skirt", 8)
    data["images"].append({"id": 2, "file_name": "other/1.jpg"})
    data["annotations"].append({**data["annotations"][0], "id": 2, "image_id": 2})
    told = [fault.text for fault in faults(data, tmp_path) if fault.kind == "known fault"]
    assert len(told) == 1 and "DeepFashion2" in told[0]


def test_the_field_data_is_nearly_sound(shared):
    for name in ("field_val", "field_test"):
        file = shared / "data" / f"{name}.json"
        report = examine(json.loads(file.read_text()), shared / "data" / "images")
        dataset = read_coco(file, shared / "data" / "images")
        assert sum(sums.objects for sums in report.counts.values()) == len(dataset.objects)
        labelled_points = sum(int((item.visibility > 0).sum()) for item in dataset.objects)
        assert sum(sums.visible for sums in report.counts.values()) == labelled_points
        assert {fault.kind for fault in report.faults} <= {"points outside the box", "left and right"}
