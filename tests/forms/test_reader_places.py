"""Forms that know where their pictures are, MP-100's words, and several data sets as one."""

import json
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms import mp100
from anykeypoint.forms.carfusion import TWICE
from anykeypoint.forms.dataset import NO_IMAGE, UNLABELLED
from anykeypoint.forms.registry import fingerprint, load, parse, pictures_of, read, read_categories
from anykeypoint.library.lookup import category


def picture(path, size=(60, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def document(kinds, count=2, folder=""):
    """A COCO document with `count` objects of each category (id: name, group), one in a picture of 60 x 40 pixels."""
    data = {"images": [], "annotations": [], "categories": []}
    for key, (name, group) in kinds.items():
        points = len(category(f"mp100/{key}")) if key > 9 else 2
        names = [f"p{i}" for i in range(points)]
        data["categories"].append({"id": key, "name": name, "supercategory": group, "keypoints": names})
        for _ in range(count):
            number = len(data["images"])
            data["images"].append({"id": number, "file_name": f"{folder}{number}.png", "width": 60, "height": 40})
            data["annotations"].append({"id": 70 + number, "image_id": number, "category_id": key, "iscrowd": 0})
            data["annotations"][-1] |= {"bbox": [5, 5, 30, 30], "area": 400, "keypoints": [10, 12, 2] * points}
            data["annotations"][-1] |= {"num_keypoints": points}
    return data


def put(file, data, folder=None):
    """Write a document, and its pictures into a folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data))
    for entry in data["images"] if folder is not None else ():
        picture(folder / entry["file_name"])
    return file


def refuse(message, spec, *arguments, **options):
    with pytest.raises(InputError, match=message) as error:
        read(spec, *arguments, strict=True, **options)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize("form", ["coco", "dlc", "labelstudio", "mp100"])
def test_a_form_that_does_not_know_its_pictures_asks_for_their_folder(tmp_path, form):
    file = put(tmp_path / "labels.json", document({1: ("lamp", "")}))
    refuse(r"where the pictures of .* are; give their folder too \(--images FOLDER\)", f"{form}:{file}")


@pytest.mark.parametrize("stated", ["photos", "absolute"])
def test_a_coco_file_that_states_its_folder_of_pictures_needs_no_other(tmp_path, stated):
    info = {"pictures": str(tmp_path / "photos") if stated == "absolute" else stated}
    file = put(tmp_path / "labels.json", {"info": info, **document({1: ("lamp", "")})}, tmp_path / "photos")
    assert read(f"coco:{file}", strict=True).objects[1].image == tmp_path / "photos" / "1.png"


@pytest.mark.parametrize("pictures", ["gone", "", 3, None])
def test_a_coco_file_that_states_no_folder_that_is_there_asks_for_one(tmp_path, pictures):
    file = put(tmp_path / "labels.json", {"info": {"pictures": pictures}, **document({1: ("lamp", "")})})
    refuse(r"give their folder too \(--images FOLDER\)", f"coco:{file}")


def test_roboflows_coco_files_lie_among_their_pictures(tmp_path):
    file = put(tmp_path / "_annotations.coco.json", document({1: ("lamp", "")}), tmp_path)
    assert read(f"coco:{file}", strict=True).objects[0].image == tmp_path / "0.png"


def test_categories_are_read_without_pictures_where_the_place_of_the_file_does_not_tell(tmp_path):
    file = put(tmp_path / "labels.json", document({1: ("lamp", "")}))
    assert [kind.name for kind in read_categories(f"coco:{file}")] == ["lamp"]


# --- MP-100 --------------------------------------------------------------------------------------------------------

KINDS = {72: ("person", "person"), 18: ("face", "animal_face"), 40: ("face", "human_face"), 45: ("chair", "furniture")}


@pytest.fixture(params=["annotations/mp100_split1_test.json", "cross_category_annotations/furniture_test.json"])
def split(request, tmp_path):
    """A split file in its place; half of its pictures in ROOT/images, half in ROOT."""
    data = document(KINDS, folder="some/")
    file = put(tmp_path / "mp100" / request.param, data)
    for entry in data["images"]:
        picture(tmp_path / "mp100" / ("images" if entry["id"] % 2 else "") / entry["file_name"])
    return file


def test_mp100s_files_know_their_root_and_are_read_by_the_released_rules(split):
    root = split.parents[1]
    found, direct = read(f"mp100:{split}"), mp100.read_mp100(split, root)
    assert [item.image for item in found.objects] == [item.image for item in direct.objects]
    assert [item.box for item in found.objects] == [(5, 5, 29, 29)] * 8
    assert found.categories == direct.categories and found.categories[18] == category("mp100/18")
    assert [item.image for item in read(f"mp100:{split}", root).objects] == [item.image for item in direct.objects]


def test_the_word_chooses_rules_and_categories_in_any_order(split):
    data = json.loads(split.read_text())
    data["annotations"][0]["num_keypoints"] = data["annotations"][2]["num_keypoints"] = 0
    split.write_text(json.dumps(data))
    kept = {
        "pairs": 6,
        "capellm": 8,
        "person": 1,
        "capellm,person": 2,
        "Person, capellm": 2,
        "furniture": 2,
        "face": 3,
        "18": 1,
        "human_face": 2,
        "amur tiger body,chair": 3,
    }
    assert {word: len(read(f"mp100/{word}:{split}").objects) for word in kept} == kept
    assert {item.category_id for item in read(f"mp100/human_face:{split}").objects} == {40}
    assert list(read(f"mp100/human_body:{split}").categories) == [72]
    refuse("no category or group 'kettle'", f"mp100/kettle:{split}")
    refuse("one set of rules", f"mp100/pairs,capellm:{split}")


def test_the_official_reading_is_asked_for_by_name(split):
    data = json.loads(split.read_text())
    data["annotations"][0]["bbox"] = [5, 5, -4, 30]
    split.write_text(json.dumps(data))
    refuse("negative side", f"mp100:{split}")
    assert read(f"mp100:{split}", official=True).skipped == {mp100.EMPTY_BOX: 1}


def test_a_missing_picture_of_mp100_keeps_its_name_and_the_labels_can_be_examined(split):
    root = split.parents[1]
    (root / "images" / "some" / "1.png").unlink()
    refuse(r"\(some/1\.png\)", f"mp100:{split}")
    found = read(f"mp100:{split}", allow_missing=True)
    assert found.missing == ("some/1.png",) and found.skipped == {NO_IMAGE: 1}
    names = [entry["file_name"] for entry in load(f"mp100:{split}").images]
    assert names[:4] == ["some/0.png", "some/1.png", "some/2.png", "images/some/3.png"]
    assert pictures_of(f"mp100:{split}") == root


def test_the_golden_split_is_read_as_before(shared, tmp_path):
    file = tmp_path / "annotations" / "mp100_synth_a.json"
    file.parent.mkdir()
    shutil.copy(shared / "golden" / "mp100_synth_a.json", file)
    for rules in ("pairs", "capellm"):
        ours = mp100.read_mp100(file, tmp_path, rules=rules, official=True, allow_missing=True)
        assert read(f"mp100/{rules}:{file}", allow_missing=True, official=True).skipped == ours.skipped


# --- the field data ------------------------------------------------------------------------------------------------


def test_the_field_data_are_found_by_folder_or_environment(tmp_path, monkeypatch):
    for number, part in enumerate(("train", "val", "test"), start=1):
        put(tmp_path / f"field_{part}.json", document({number: (part, "")}, count=number), tmp_path / "images")
    sizes = {f"field:{tmp_path}": 3, f"field/train:{tmp_path}": 1, f"field/val:{tmp_path}": 2}
    assert {spec: len(read(spec).objects) for spec in sizes} == sizes
    monkeypatch.setenv("ANYKEYPOINT_FIELD", str(tmp_path))
    assert len(read("field").objects) == 3 and len(read("field/val").objects) == 2
    assert parse("field/val") == ("field", "val", tmp_path)
    assert fingerprint("field/val") == fingerprint(f"coco:{tmp_path / 'field_val.json'}")
    monkeypatch.setenv("ANYKEYPOINT_FIELD", "")
    refuse("write field:FOLDER, or set ANYKEYPOINT_FIELD", "field")
    refuse("parts test, train, val, but got field/all", f"field/all:{tmp_path}")
    (tmp_path / "images" / "0.png").unlink()
    refuse(r"field_test\.json needs", f"field:{tmp_path}")


def test_the_real_field_data_are_read(shared, monkeypatch):
    monkeypatch.setenv("ANYKEYPOINT_FIELD", str(shared / "data"))
    assert len(read("field").objects) == 256 and len(read("field/val").objects) == 206


# --- CarFusion and OneHand10K --------------------------------------------------------------------------------------

GT = "335.11,609.53,1,0,1\n254.76,604.49,2,0,2\n\n10,20.5,14,7,3\n11,21,3,7,0\n1930,5,4,7,1\n"


@pytest.fixture
def street(tmp_path):
    for sequence, folder in (("car_craig1", "images_jpg"), ("car_penn1", "images")):
        picture(tmp_path / sequence / folder / "01_0004.jpg", (1920, 1080))
        (tmp_path / sequence / "gt").mkdir()
        (tmp_path / sequence / "gt" / "01_0004.txt").write_text(GT)
        (tmp_path / sequence / "bb").mkdir()
    (tmp_path / "car_penn1" / "gt" / "01_0005.txt").write_text("")
    return tmp_path


def test_carfusions_lines_are_points_of_cars_with_their_visibility(street):
    found = read(f"carfusion:{street}")
    assert [item.group for item in found.objects] == ["car_craig1"] * 2 + ["car_penn1"] * 2
    first, second = found.objects[2:]
    assert first.image == street / "car_penn1" / "images" / "01_0004.jpg"
    assert first.category == category("field_05_car") or first.category.names == category("field_05_car").names
    np.testing.assert_array_equal(first.points[:2], [[335.11, 609.53], [254.76, 604.49]])
    assert first.visibility.tolist() == [2, 1, *[0] * 12]
    assert np.flatnonzero(second.visibility).tolist() == [13]  # 3 is visible; 0 and outside are not labelled
    assert first.box[0] < 254.76 and first.box[0] + first.box[2] > 335.11


def test_hidden_files_are_no_labels_of_carfusion(street, hide):
    before = read(f"carfusion:{street}")
    hide(street)
    after = read(f"carfusion:{street}")
    assert len(after.objects) == len(before.objects) and after.faults == before.faults


def test_sequences_of_carfusion_are_chosen_and_only_their_labels_are_the_fingerprint(street):
    assert {item.group for item in read(f"carfusion/car_penn1:{street}").objects} == {"car_penn1"}
    refuse("no sequence 'car butler9'; there are car craig1, car penn1", f"carfusion/car_butler9:{street}")
    before = fingerprint(f"carfusion/car_penn1:{street}")
    picture(street / "car_penn1" / "images" / "01_0006.jpg")
    (street / "car_craig1" / "gt" / "01_0004.txt").write_text("1,2,3,0,1\n")
    assert fingerprint(f"carfusion/car_penn1:{street}") == before
    (street / "car_penn1" / "gt" / "01_0004.txt").write_text("1,2,3,0,1\n")
    assert fingerprint(f"carfusion/car_penn1:{street}") != before


def test_of_a_point_that_is_given_twice_the_later_counts_and_it_is_told(street):
    (street / "car_craig1" / "gt" / "01_0004.txt").write_text("1,2,3,0,1\n5,6,3,0,2\n")
    found = read(f"carfusion/car_craig1:{street}")
    assert found.objects[0].points[2].tolist() == [5, 6] and found.skipped == {TWICE: 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3,0", "line 1 must be 'x,y,point,car,visibility'"),
        ("1,2,15,0,1", "line 1 must have a point from 1 to 14"),
        ("1,2,3,0,4", "visibility from 0 to 3"),
        ("1,2,3,0.5,1", "whole number for the car"),
        ("nan,2,3,0,1", "line 1, key 'x', must be a finite number"),
        ("1,2,3,1e999,1", "line 1, key 'car', must be a finite number"),
    ],
)
def test_a_broken_line_of_carfusion_is_refused(street, line, message):
    (street / "car_craig1" / "gt" / "01_0004.txt").write_text(line)
    refuse(rf"01_0004\.txt: {message}|01_0004\.txt: line 1 .*{message}", f"carfusion:{street}")


def test_a_folder_without_carfusions_labels_is_refused(tmp_path):
    refuse("has no folder gt", f"carfusion:{tmp_path}")


def hands(*lines):
    return "".join(f"{line}\n" for line in lines)


def test_onehand10ks_lines_are_hands_and_what_is_not_seen_is_absent(tmp_path):
    picture(tmp_path / "Train" / "source" / "7.jpg", (300, 200))
    picture(tmp_path / "Train" / "source" / "8.jpg", (300, 200))
    seen = ",".join(f"{10 + i},{20 + i}" for i in range(20))
    file = tmp_path / "Train" / "label_joint.txt"
    file.write_text(hands(f"7.jpg,300,200,1,{seen},-1,-1", "8.jpg,300,200,1" + ",-1,-1" * 21))
    found = read(f"onehand10k:{file}")
    (item,) = found.objects
    assert item.image == tmp_path / "Train" / "source" / "7.jpg" and found.skipped == {UNLABELLED: 1}
    assert item.category.names == category("human_hand").names
    assert item.points[19].tolist() == [29, 39] and np.isnan(item.points[20]).all()
    file.write_text(hands("7.jpg,300,200,1,5,6"))
    refuse("line 1 must be a picture, .*21 points, but has 6 values", f"onehand10k:{file}")
    file.write_text(hands("7.jpg,300,200,1" + ",a,1" * 21))
    refuse("line 1, key 'point', must be a finite number", f"onehand10k:{file}")


# --- several as one ------------------------------------------------------------------------------------------------


@pytest.fixture
def joint(tmp_path):
    """Writes the YAML file and gives the specification; beside it are lamps (2 objects), and cats (3) of groups."""
    lamps, cats = document({1: ("lamp", "")}, 2), document({1: ("cat", ""), 2: ("dog", "")}, 3)
    for entry in cats["images"]:
        entry["group"] = "film"
    cats["annotations"][0]["keypoints"] = [0] * 6
    put(tmp_path / "lamps" / "labels.json", lamps, tmp_path / "lamps" / "in")
    put(tmp_path / "cats" / "labels.json", cats, tmp_path / "cats")

    def joint(*entries):
        (tmp_path / "all.yaml").write_text(yaml.safe_dump(list(entries)) if entries else "")
        return f"joint:{tmp_path / 'all.yaml'}"

    return joint


LAMPS = {"data": "coco:lamps/labels.json", "images": "lamps/in", "name": "lamps"}
CATS = {"data": "coco/cat:cats/labels.json", "images": "cats"}


def test_several_data_sets_are_one_in_which_nothing_collides(joint, tmp_path):
    found = read(joint(LAMPS, CATS))
    assert [item.id for item in found.objects] == [1, 2, 3, 4]
    assert [item.source for item in found.objects] == ["lamps", "lamps", "coco/cat", "coco/cat"]
    assert {key: kind.name for key, kind in found.categories.items()} == {1: "lamp", 2: "cat"}
    assert [item.category_id for item in found.objects] == [1, 1, 2, 2]
    assert all(item.category == found.categories[item.category_id] for item in found.objects)
    assert [item.group for item in found.objects] == [None, None, "coco/cat/film", "coco/cat/film"]
    assert found.objects[0].image == tmp_path / "lamps" / "in" / "0.png" and found.skipped == {UNLABELLED: 1}
    assert found.weights == {"lamps": 0.5, "coco/cat": 0.5}


def test_weights_are_shares_of_the_draws_in_any_unit(joint):
    assert read(joint(LAMPS | {"weight": 6}, CATS | {"weight": 2})).weights == {"lamps": 0.75, "coco/cat": 0.25}
    assert read(joint(LAMPS, CATS | {"data": "coco:cats/labels.json"})).weights == {"lamps": 2 / 7, "coco": 5 / 7}


def test_missing_pictures_are_added_up_and_members_know_their_own_places(joint, tmp_path):
    (tmp_path / "lamps" / "in" / "0.png").unlink()
    (tmp_path / "cats" / "1.png").unlink()
    refuse("needs are not in", joint(LAMPS, CATS))
    found = read(joint(LAMPS, CATS), allow_missing=True)
    assert found.missing == ("0.png", "1.png") and found.skipped == {UNLABELLED: 1, NO_IMAGE: 2}
    data = document(KINDS)
    data["annotations"][0]["bbox"] = [5, 5, -4, 30]
    put(tmp_path / "mp100" / "annotations" / "a.json", data, tmp_path / "mp100" / "images")
    spec = joint(CATS, {"data": "mp100/person:mp100/annotations/a.json"})
    refuse("negative side", spec, allow_missing=True)
    assert [item.source for item in read(spec, allow_missing=True, official=True).objects][-1] == "mp100/person"


def test_the_fingerprint_is_of_the_list_and_of_every_member(joint, tmp_path):
    prints = [fingerprint(joint(LAMPS, CATS)), fingerprint(joint(CATS, LAMPS)), fingerprint(joint(LAMPS, CATS))]
    assert prints[0] == prints[2] != prints[1]
    put(tmp_path / "cats" / "labels.json", document({1: ("cat", "")}, 3))
    assert fingerprint(joint(LAMPS, CATS)) != prints[0]


# --- tested elsewhere ----------------------------------------------------------------------------------------------


def halves(tmp_path, *tested):
    """CATS whose pictures `tested` are those of a second label file, which is named as its test."""
    data = document({1: ("cat", "")}, 3)
    data["images"] = [entry for entry in data["images"] if entry["file_name"] in tested]
    (tmp_path / "cats" / "test.json").write_text(json.dumps(data | {"annotations": []}))
    return CATS | {"test": "coco/cat:cats/test.json"}


def test_training_labels_with_a_picture_that_is_tested_are_refused(joint, tmp_path):
    refuse(
        r"'coco/cat' trains on pictures that 'coco/cat' is tested on \(coco/cat:.*test.json\), 2 in all, such as 1.png",
        joint(LAMPS, halves(tmp_path, "1.png", "2.png")),
    )
    assert len(read(joint(LAMPS, halves(tmp_path))).objects) == 4


def test_another_data_sets_test_is_no_training_either(joint, tmp_path):
    entry = {"data": "coco:lamps/labels.json", "images": "lamps/in", "name": "lamps"}
    cats = halves(tmp_path, "1.png")
    refuse("'lamps' trains on pictures that 'coco/cat' is tested on", joint(entry, cats | {"test_images": "lamps/in"}))
    assert len(read(joint(entry, cats | {"test_images": "elsewhere"})).objects) == 4  # the same name, another picture


def test_a_tested_picture_need_not_be_there_but_its_labels_must(joint, tmp_path):
    cats = halves(tmp_path, "1.png")
    (tmp_path / "cats" / "1.png").unlink()
    refuse("needs are not in", joint(LAMPS, cats))
    assert len(read(joint(LAMPS, cats), allow_missing=True).objects) == 3
    (tmp_path / "cats" / "test.json").unlink()
    refuse("key 'test' of 'coco/cat': .*test.json", joint(LAMPS, cats), allow_missing=True)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((), "must be a list of data sets"),
        ((LAMPS | {"test": 3},), "entry 1, key 'test', must be a text, but got '3'"),
        ((LAMPS | {"test": "joint:all.yaml"},), r"entry 1 is a list of data sets itself \(joint:all\.yaml\)"),
        ((LAMPS | {"test_images": "lamps"},), "entry 1 has the key 'test_images' without 'test'"),
        (("coco:a.json",), "entry 1 must have the keys"),
        (
            (LAMPS | {"shares": 1},),
            "entry 1 has the key 'shares'; known are data, images, weight, name, test, test_images",
        ),
        (({"images": "x"},), "entry 1, key 'data', must be a text, but got 'None'"),
        ((LAMPS | {"images": None},), "entry 1, key 'images', must be a text"),
        ((LAMPS, CATS | {"weight": 0}), "entry 2, key 'weight', must be a number above 0, but got '0'"),
        ((LAMPS | {"weight": float("nan")},), "key 'weight', must be a number above 0"),
        ((LAMPS | {"weight": True},), "key 'weight', must be a number above 0"),
        ((LAMPS | {"weight": 1}, CATS), "to all, or to none"),
        ((LAMPS, LAMPS), "two data sets called 'lamps'"),
        ((LAMPS, {"data": "joint:all.yaml"}), r"entry 2 is a list of data sets itself \(joint:all\.yaml\)"),
        (({"data": "coco:lamps/labels.json"},), "where the pictures of"),
        (({"data": "labelbox:lamps"},), "known are coco"),
        ((CATS | {"data": "coco/dog:empty.json"},), "'coco/dog' .* has no usable object"),
    ],
)
def test_a_list_that_is_not_as_said_is_refused(joint, tmp_path, entries, message):
    data = document({1: ("cat", ""), 2: ("dog", "")})
    data["annotations"] = data["annotations"][:2]
    put(tmp_path / "empty.json", data)
    refuse(message, joint(*entries))


def test_what_is_no_yaml_and_what_is_done_with_one_document_is_refused(joint, tmp_path):
    spec = joint(LAMPS, CATS)
    refuse("says itself where the pictures are", spec, tmp_path)
    with pytest.raises(InputError, match="looked after one by one"):
        load(spec)
    for text in ("[", "!!python/object/apply:os.getcwd []", "- {data: 'a', data"):
        (tmp_path / "all.yaml").write_text(text)
        refuse("is not valid YAML", spec)
