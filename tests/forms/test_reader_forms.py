"""Specifications of data, and public data sets' own dialects of COCO, on small real files of theirs."""

import json

import numpy as np
import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms import macaque
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.deepfashion2 import GARMENTS
from anykeypoint.forms.registry import FORMS, fingerprint, parse, read
from anykeypoint.library.lookup import category


def test_a_specification_is_a_form_a_word_and_a_file():
    assert parse("coco:a/b.json")[:2] == ("coco", "") and str(parse("coco:a/b.json")[2]) == "a/b.json"
    assert parse("dlc/house mouse:C:\\x.csv")[:2] == ("dlc", "house mouse")  # only the first colon parts
    with pytest.raises(InputError, match=r"as in coco:C:"):
        parse("C:\\labels.json")


@pytest.mark.parametrize("spec", ["labels.json", "coco:", ":x.json", "labelbox:x.txt", "300w/word:x.json"])
def test_another_specification_is_refused_with_the_known_forms(spec):
    with pytest.raises(InputError) as error:
        parse(spec)
    assert "300w:FILE" in str(error.value) if "word" in spec else all(form in str(error.value) for form in FORMS)


def test_coco_is_read_as_before(shared):
    file = shared / "data" / "samples" / "coco" / "test_coco.json"
    new, old = read(f"coco:{file}", file.parent), read_coco(file, file.parent)
    assert new.skipped == old.skipped and new.categories == old.categories
    for a, b in zip(new.objects, old.objects, strict=True):
        np.testing.assert_array_equal(a.points, b.points)
        assert (a.id, a.image, a.box) == (b.id, b.image, b.box)


SAMPLES = {  # form and file -> objects, points, category
    "ap10k:ap10k/test_ap10k.json": (2, 17, "jaguar"),
    "animalpose:animalpose/test_animalpose.json": (2, 20, "cat"),
    "macaque:macaque/test_macaque.json": (2, 17, "macaque"),
    "humanart:humanart/test_humanart.json": (4, 21, "person"),
    "humanart/17:humanart/test_humanart.json": (4, 17, "person"),
    "animalkingdom:ak/test_animalkingdom.json": (2, 23, "Mammal"),
    "300w:300w/test_300w.json": (2, 68, "face"),
    "aflw:aflw/test_aflw.json": (2, 19, "face"),
    "deepfashion2:deepfasion2/deepfasion2.json": (2, 37, "long_sleeved_dress"),
    "coco:fly/test_fly.json": (2, 32, "fly"),
    "coco:locust/test_locust.json": (2, 35, "locust"),
    "coco:zebra/test_zebra.json": (2, 9, "zebra"),
    "coco:horse10/test_horse10.json": (3, 22, "horse"),
    "coco:atrw/test_atrw.json": (2, 15, "tiger"),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_public_data_sets_are_read_whole_with_their_pictures(shared, sample):
    form, _, path = sample.partition(":")
    file = shared / "data" / "samples" / path
    dataset = read(f"{form}:{file}", file.parent)
    objects, points, name = SAMPLES[sample]
    assert len(dataset.objects) == objects and not dataset.skipped
    first = dataset.objects[0]
    assert len(first.category) == points and first.category.name == name
    raw = json.loads(file.read_text())["annotations"]
    key = "keypoints_21" if form == "humanart" else "keypoints"
    labelled = sum(value > 0 for entry in raw for value in entry[key][2::3])
    assert sum(int((item.visibility > 0).sum()) for item in dataset.objects) == labelled
    if len(set(first.category.names)) > 8:
        assert all(not name.isdigit() for name in first.category.names)


def test_ap10k_is_chosen_by_family_as_clamp_does(shared):
    file = shared / "data" / "samples" / "ap10k" / "test_ap10k.json"
    assert {i.category.name for i in read(f"ap10k/Bovidae:{file}", file.parent).objects} == {"antelope"}
    assert {i.category.name for i in read(f"ap10k/felidae,Canidae:{file}", file.parent).objects} == {"jaguar"}
    dogs = read(f"ap10k/Canidae:{file}", file.parent)
    assert not dogs.objects and {"dog", "fox", "wolf"} <= {category.name for category in dogs.categories.values()}
    with pytest.raises(InputError, match=r"no category or group 'martians'.*bovidae"):
        read(f"ap10k/Martians:{file}", file.parent)


def test_animal_kingdom_is_chosen_by_species_and_grouped_by_clip(shared):
    file = shared / "data" / "samples" / "ak" / "test_animalkingdom.json"
    objects = read(f"animalkingdom/elephant:{file}", file.parent).objects
    assert len(objects) == 2 and {item.group for item in objects} == {"AAOYRUDX"}
    assert {name for item in objects for name in item.category.names if name != name.strip()} == set()


def test_a_garment_keeps_its_own_points_of_deepfashion2(shared):
    file = shared / "data" / "samples" / "deepfasion2" / "deepfasion2.json"
    item = read(f"deepfashion2:{file}", file.parent).objects[0]
    raw = np.array(json.loads(file.read_text())["annotations"][0]["keypoints"]).reshape(-1, 3)
    there = raw[:, 2] > 0
    np.testing.assert_array_equal(item.points[item.visibility > 0], raw[there, :2])
    assert sum(end - first for first, end in GARMENTS.values()) == 294


def picture(folder, name, size=(40, 30)):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def test_apt36k_finds_pictures_by_the_end_of_a_foreign_path_and_groups_by_video(tmp_path):
    picture(tmp_path, "clip_3/frame_1.png")
    labels = {
        "images": [{"id": 1, "file_name": "D:\\work\\clip_3\\frame_1.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [1, 2, 2]}],
        "categories": [{"id": 1, "name": "cat", "keypoints": ["nose"]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    (item,) = read(f"apt36k:{tmp_path / 'labels.json'}", tmp_path).objects
    assert item.image == tmp_path / "clip_3" / "frame_1.png" and item.group.endswith("clip_3")


def test_the_authors_animalpose_has_corners_rows_and_a_map_of_pictures(tmp_path):
    picture(tmp_path, "a.png")
    names = ["left eye", "right eye"]
    labels = {
        "images": {"7": "a.png"},
        "annotations": [{"image_id": 7, "category_id": 1, "bbox": [2, 3, 12, 23], "keypoints": [[4, 5, 1], [0, 0, 0]]}],
        "categories": [{"id": 1, "name": "dog", "keypoints": names, "skeleton": [[0, 1]]}],
    }
    file = tmp_path / "keypoints.json"
    file.write_text(json.dumps(labels))
    (item,) = read(f"animalpose:{file}", tmp_path).objects
    assert item.box == (2, 3, 10, 20) and item.visibility.tolist() == [2, 0]
    labels["annotations"][0]["bbox"][2] = None
    file.write_text(json.dumps(labels))
    with pytest.raises(InputError, match=r"keypoints\.json: annotations\[0\], key 'bbox'"):
        read(f"animalpose:{file}", tmp_path)


def macaques(*cells):
    lines = ['"image file name","keypoints","segmentation"']
    for name, value in cells:
        lines.append(f'"{name}","{json.dumps(value).replace(chr(34), chr(34) * 2)}","[]"')
    return "\n".join(lines) + "\n"


def test_macaquepose_is_split_by_the_names_of_its_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(macaque, "HELD_OUT", 3)
    nose = {"name": "nose", "position": [5, 6]}
    names = [f"{i}.jpg" for i in range(10)]
    for name in names:
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    table, turned = tmp_path / "a.csv", tmp_path / "b.csv"
    table.write_text(macaques(*((name, [[nose], [nose]]) for name in names)))
    turned.write_text(macaques(*((name, [[nose]]) for name in names[::-1])))

    def pictures(form, file=table):
        return {item.image.name for item in read(f"{form}:{file}", tmp_path).objects}

    assert len(pictures("macaque/test")) == 3 and pictures("macaque/test") == pictures("macaque/test", turned)
    assert pictures("macaque/train") == set(names) - pictures("macaque/test") and pictures("macaque") == set(names)
    assert len(read(f"macaque/train:{table}", tmp_path).objects) == 14
    with pytest.raises(InputError, match="train or test, as in macaque/test:FILE, but got 'val'"):
        read(f"macaque/val:{table}", tmp_path)
    monkeypatch.setattr(macaque, "HELD_OUT", 10)
    with pytest.raises(InputError, match="has 10 pictures, too few to hold out 10"):
        read(f"macaque/test:{table}", tmp_path)


def test_macaquepose_holds_out_500_pictures():
    assert macaque.HELD_OUT == 500


def test_macaquepose_has_a_json_cell_of_monkeys_per_picture(tmp_path):
    picture(tmp_path, "images/m.jpg")
    nose, ear = {"name": "nose", "position": [10, 12]}, {"name": "left_ear", "position": None}
    file = tmp_path / "annotations.csv"
    file.write_text(macaques(("m.jpg", [[nose, ear], [nose]])))
    objects = read(f"macaque:{file}", tmp_path).objects
    assert len(objects) == 2 and objects[0].category.names == ["nose", "left ear"]
    np.testing.assert_array_equal(objects[0].points, [[10, 12], [np.nan, np.nan]])
    x, y, w, h = objects[0].box
    assert x < 10 < x + w and y < 12 < y + h
    file.write_text(macaques(("m.jpg", [[{"name": "nose", "position": [1, "a"]}]])))
    with pytest.raises(InputError, match=r"annotations\.csv: row 1 .*'nose'.*finite"):
        read(f"macaque:{file}", tmp_path)


def test_macaquepose_in_any_order_has_the_words_of_the_library(tmp_path):
    picture(tmp_path, "images/m.jpg")
    known = category("macaque_body")
    points = [{"name": point.label or point.name, "position": [i, i]} for i, point in enumerate(known.keypoints)]
    file = tmp_path / "annotations.csv"
    file.write_text(macaques(("m.jpg", [points[::-1]])))
    (item,) = read(f"macaque:{file}", tmp_path).objects
    assert item.category.names == known.names and all(point.description for point in item.category.keypoints)
    np.testing.assert_array_equal(item.points[:, 0], np.arange(len(known)))


def test_a_folder_of_pts_is_faces_named_by_the_library(tmp_path):
    picture(tmp_path, "pictures/camel_3.JPG")
    rows = "\n".join(f"{i + 1}.5 {2 * i + 1}" for i in range(9))
    (tmp_path / "camel_3.pts").write_text(f"version: 1\nn_points: 9\n{{\n{rows}\n}}\n")
    (item,) = read(f"pts:{tmp_path}", tmp_path / "pictures").objects
    assert item.category.name == "camel_face" and len(item.category) == 9
    assert item.points[1].tolist() == [1.5, 2]  # the files count from 1
    (tmp_path / "camel_3.pts").write_text(f"version: 1\nn_points: 8\n{{\n{rows}\n}}\n")
    with pytest.raises(InputError, match=r"camel_3\.pts must hold 8 lines"):
        read(f"pts:{tmp_path}", tmp_path / "pictures")


def test_hidden_files_are_no_pts_files(tmp_path, hide):
    picture(tmp_path, "cat_1.png")
    rows = "\n".join("10 12" for _ in range(9))
    (tmp_path / "cat_1.pts").write_text(f"version: 1\nn_points: 9\n{{\n{rows}\n}}\n")
    hide(tmp_path)
    data = read(f"pts:{tmp_path}", tmp_path)
    assert len(data.objects) == 1 and not data.faults


def test_a_pts_file_in_another_form_of_unicode_is_that_of_its_picture(tmp_path):
    Image.new("RGB", (60, 40)).save(tmp_path / "\u00e9.png")
    rows = "\n".join("10 12" for _ in range(9))
    (tmp_path / "e\u0301.pts").write_text(f"version: 1\nn_points: 9\n{{\n{rows}\n}}\n")
    assert len(read(f"pts:{tmp_path}", tmp_path).objects) == 1


def test_the_fingerprint_is_of_what_is_read_and_how(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("1")
    prints = {fingerprint(f"{spec}:{file}") for spec in ("coco", "coco/cat", "coco/dog", "humanart")}
    assert len(prints) == 4
    (tmp_path / "b.pts").write_text("2")
    before = fingerprint(f"pts:{tmp_path}")
    (tmp_path / "b.pts").write_text("3")
    assert fingerprint(f"pts:{tmp_path}") != before
    with pytest.raises(InputError, match="Cannot read the labels"):
        fingerprint("coco:nothing.json")
