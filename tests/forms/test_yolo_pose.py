"""Ultralytics' pose data: every layout of its pictures, names and numbers that people have, and what we write."""

from unicodedata import normalize

import numpy as np
import pytest
import yaml
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.faults.doctor import examine
from anykeypoint.forms.registry import convert, fingerprint, load, pictures_of, read
from anykeypoint.forms.writing import save

LINE = "0 0.5 0.5 0.5 0.5 0.25 0.25 2 0.75 0.75 1\n"


@pytest.fixture
def put(tmp_path):
    """A function that writes pictures, label files and a data.yaml, and returns the specification."""

    def written(files, word="", **config):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            if name.lower().endswith((".png", ".jpg")):
                Image.new("RGB", (80, 40)).save(tmp_path / name)
            else:
                (tmp_path / name).write_text(text)
        data = {"train": "images/train", "val": "images/val", "kpt_shape": [2, 3], "names": ["beast"]} | config
        (tmp_path / "data.yaml").write_text(yaml.safe_dump({key: v for key, v in data.items() if v is not None}))
        return f"yolo{word}:{tmp_path / 'data.yaml'}"

    return written


PAIR = {"images/train/a.png": "", "labels/train/a.txt": LINE, "images/val/b.JPG": "", "labels/val/b.txt": LINE}


def test_splits_are_chosen_and_lie_beside_their_labels(put):
    assert [item.image.name for item in read(put(PAIR)).objects] == ["a.png", "b.JPG"]
    assert [item.image.name for item in read(put(PAIR, "/val")).objects] == ["b.JPG"]
    item = read(put(PAIR)).objects[0]
    assert item.points.tolist() == [[20, 10], [60, 30]] and item.box == (20, 10, 40, 20)
    assert item.visibility.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("files", "config"),
    [
        ({"train/images/a.png": "", "train/labels/a.txt": LINE}, {"train": "../train/images", "val": None}),
        ({"set/images/a.png": "", "set/labels/a.txt": LINE}, {"path": "set", "train": "images", "val": None}),
        ({"images/a.png": "", "labels/a.txt": LINE}, {"path": "/nowhere/of/mine", "train": "images", "val": "images"}),
        ({"images/in/a.png": "", "labels/in/a.txt": LINE}, {"train": ["images/in"], "val": None}),
        ({"images/a.png": "", "labels/a.txt": LINE, "l.txt": "./images/a.png\n"}, {"train": "l.txt", "val": None}),
        ({"flat/a.png": "", "flat/a.txt": LINE}, {"train": "flat", "val": None}),
    ],
)
def test_every_layout_that_ultralytics_takes_is_read(put, files, config):
    data = read(put(files, **config))
    assert [item.image.name for item in data.objects] == ["a.png"] and not data.skipped


@pytest.mark.parametrize("home", ["/home/me/set", "C:\\me\\set"])
def test_paths_of_another_machine_mean_what_is_below_the_data_set(put, home):
    sign = "\\" if "\\" in home else "/"
    folders = {split: sign.join([home, "images", split]) for split in ("train", "val")}
    assert len(read(put(PAIR, path=home, **folders)).objects) == 2
    line = sign.join([home, "images", "train", "a.png"])
    data = read(put({**PAIR, "l.txt": f"{line}\n"}, path=home, train="l.txt", val=None))
    assert [item.image.name for item in data.objects] == ["a.png"] and not data.skipped


@pytest.mark.parametrize("before", ["datasets/mine/", "data/", "../mine/", "~/mine/", "./data/"])
def test_paths_from_where_the_training_was_started_mean_what_is_below_the_data_set(put, before):
    data = read(put({**PAIR, "l.txt": f"{before}images/train/a.png\nimages/val/b.JPG\n"}, train="l.txt", val=None))
    assert [item.image.name for item in data.objects] == ["a.png", "b.JPG"] and not data.skipped and not data.faults
    folders = {split: f"{before}images/{split}" for split in ("train", "val")}
    data = read(put(PAIR, **folders))
    assert [item.image.name for item in data.objects] == ["a.png", "b.JPG"] and not data.skipped and not data.faults


def test_lines_from_two_places_that_lead_to_one_picture_are_not_taken(put):
    here = {"images/a.png": "", "labels/a.txt": LINE, "l.txt": "1/images/a.png\n2/images/a.png\n"}
    with pytest.raises(InputError, match="would all be images"):
        read(put(here, train="l.txt", val=None))
    same = {**here, "l.txt": "images/a.png\n./images/a.png\n"}
    assert len(read(put(same, train="l.txt", val="l.txt")).objects) == 1


def test_paths_of_another_machine_that_lead_to_one_place_are_not_taken(put):
    here = {"images/a.png": "", "labels/a.txt": LINE, "l.txt": "/of/1/images/a.png\n/of/2/images/a.png\n"}
    with pytest.raises(InputError, match="has no picture in its splits"):
        read(put(here, train="/of/mine/images", val="/of/mine/other/images"))
    with pytest.raises(InputError, match="would all be images"):
        read(put(here, train="l.txt", val=None))


BARE = "were found by their bare names alone"


@pytest.mark.parametrize("line", ["cam1/a.png", "/home/me/cam1/a.png", "C:\\set\\cam1\\a.png"])
def test_a_line_whose_picture_is_found_by_its_bare_name_alone_is_told(put, line):
    files = {"a.png": "", "a.txt": LINE, "images/b.png": "", "labels/b.txt": LINE}
    data = read(put({**files, "l.txt": f"{line}\nimages/b.png\n"}, train="l.txt", val=None))
    assert [item.image.name for item in data.objects] == ["a.png", "b.png"]
    (note,) = [note for note in data.notes if BARE in note]
    assert note.startswith("1 pictures") and f"a.png for {line}" in note
    same = {**files, "l.txt": "x/images/b.png\n/home/me/images/b.png\na.png\n./images/b.png\n"}
    labels = load(put(same, train="l.txt", val=None))
    assert not [note for note in labels.all_notes() if BARE in note]


def test_a_line_is_not_the_picture_of_a_bare_name_that_several_files_have(put):
    files = {"a.png": "", "a.txt": LINE, "cam2/a.png": "", "cam2/a.txt": LINE, "images/b.png": "", "labels/b.txt": LINE}
    spec = put({**files, "l.txt": "cam1/a.png\nimages/b.png\n"}, train="l.txt", val=None)
    assert [item.image.name for item in read(spec, allow_missing=True).objects] == ["b.png"]
    (fault,) = [fault for fault in examine(load(spec).document(), pictures_of(spec)).faults if "picture" in fault.kind]
    assert fault.kind == "picture missing" and "cam1/a.png" in fault.text


def test_the_split_for_validation_has_the_names_that_tools_give_it(put):
    for key in ("validation", "valid"):
        assert len(read(put(PAIR, "/val", val=None, **{key: "images/val"})).objects) == 1


def test_labels_whose_pictures_are_elsewhere_take_the_folder_given(put, tmp_path):
    spec = put({"labels/train/in/a.txt": LINE, "pics/in/a.png": ""}, val=None)
    assert [item.image for item in read(spec, tmp_path / "pics").objects] == [tmp_path / "pics" / "in" / "a.png"]


def test_a_picture_with_an_empty_label_file_or_none_has_no_object(put):
    data = read(put({**PAIR, "images/train/c.png": "", "labels/train/c.txt": "\n", "images/train/d.png": ""}))
    assert [path.name for path in data.empty] == ["c.png", "d.png"] and len(data.objects) == 2


@pytest.mark.parametrize(("picture", "text"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("folder", ["", "été/"])
def test_a_label_file_in_another_form_of_unicode_is_that_of_its_picture(put, picture, text, folder):
    names = f"images/{folder}é.png", f"labels/{folder}é.txt"
    files = {normalize(picture, names[0]): "", normalize(text, names[1]): LINE, "l.txt": f"./images/{folder}é.png\n"}
    for train in ("images", "l.txt"):
        data = read(put(files, train=train, val=None))
        assert len(data.objects) == 1 and not data.skipped and not data.faults


def test_a_label_file_in_another_form_of_unicode_than_its_folder_is_found(put):
    files = {f"images/{normalize('NFC', 'été/é')}.png": "", f"labels/{normalize('NFC', 'été')}/e\u0301.txt": LINE}
    assert len(read(put(files, train="images", val=None)).objects) == 1


def test_hidden_files_are_no_pictures_and_no_labels(put, tmp_path, hide):
    spec = put(PAIR)
    hide(tmp_path)
    data = read(spec)
    assert [item.image.name for item in data.objects] == ["a.png", "b.JPG"]
    assert not data.empty and not data.skipped and not data.faults


def test_a_hidden_copy_is_not_where_a_missing_picture_is(put, tmp_path, hide):
    spec = put({**PAIR, "l.txt": "./images/train/a.png\n"}, train="l.txt", val=None)
    hide(tmp_path / "images")
    (tmp_path / "images" / "train" / "a.png").unlink()
    (fault,) = examine(load(spec).document(), tmp_path).faults
    assert fault.text.endswith("a.png is missing")


def test_a_split_of_which_no_picture_has_a_label_file_is_told_and_has_no_pictures_without_objects(put, tmp_path):
    files = {**PAIR, "images/val/c.png": "", "labels/validation/b.txt": LINE}
    del files["labels/val/b.txt"]
    data = read(put(files))
    assert [item.image.name for item in data.objects] == ["a.png"] and not data.empty
    words = f"split val, none of whose 2 pictures has a label file, as {tmp_path / 'labels' / 'val' / 'b.txt'} would be"
    assert len(data.faults) == 1 and words in data.faults[0]
    with pytest.raises(InputError, match="none of whose 2 pictures has a label file"):
        read(put(files), strict=True)
    data = read(put({**files, "labels/val/b.txt": ""}))
    assert [path.name for path in data.empty] == ["b.JPG", "c.png"] and not data.faults


@pytest.mark.parametrize(
    "names",
    [["ear", "tail"], {0: ["ear", "tail"]}, {"0": ["ear", "tail"]}, {"beast": ["ear", "tail"]}, [["ear", "tail"]]],
)
def test_names_of_keypoints_come_as_a_list_or_by_class(put, names):
    data = read(put(PAIR, kpt_names=names, flip_idx=[0, 1]))
    assert data.objects[0].category.names == ["ear", "tail"] and not data.notes
    assert data.objects[0].category.pairs == ()


def test_without_names_a_person_has_cocos_and_others_have_numbers_and_that_is_said(put):
    line = "0 0.5 0.5 0.5 0.5 " + "0.25 0.25 2 " * 17
    person = {"images/train/a.png": "", "labels/train/a.txt": line}
    data = read(put(person, val=None, kpt_shape=[17, 3], names={0: "person"}))
    assert data.objects[0].category.names[:3] == ["nose", "left eye", "right eye"]
    assert len(data.notes) == 1 and "COCO's 17" in data.notes[0]
    assert read(put(PAIR)).objects[0].category.names == ["keypoint 1", "keypoint 2"]
    assert "are numbered" in read(put(PAIR)).notes[0]


def test_without_visibility_a_point_at_0_0_or_below_is_not_labelled(put):
    lines = "0 .5 .5 .5 .5 0 0 .75 .75\n0 .5 .5 .5 .5 -1 -1 .5 .25\n0 .5 .5 .5 .5 0 .5 .5 .25\n"
    data = read(put({"images/train/a.png": "", "labels/train/a.txt": lines}, val=None, kpt_shape=[2, 2]))
    assert [item.visibility.tolist() for item in data.objects] == [[0, 2], [0, 2], [2, 2]]
    assert np.isnan(data.objects[0].points[0]).all()


def test_a_picture_that_cannot_be_read_costs_its_objects_as_their_places_are_shares_of_its_size(put, tmp_path):
    spec = put(PAIR)
    (tmp_path / "images/train/a.png").write_bytes(b"cut off")
    data = read(spec)
    assert [item.image.name for item in data.objects] == ["b.JPG"]
    assert len(data.faults) == 1 and "a.png is no readable picture, and YOLO's places" in data.faults[0]


def test_a_point_at_minus_one_with_a_visibility_is_told_as_one_that_is_not_labelled(put, tmp_path):
    line = LINE.replace("0.75 0.75 1", "-1 -1 2")
    labels = load(put({"images/train/a.png": "", "labels/train/a.txt": line}, val=None))
    (fault,) = examine(labels.document(), tmp_path).faults
    assert fault.kind == "sentinel" and "1 labelled point at (-1, -1)" in fault.text


def test_one_bad_line_costs_one_object_and_is_named(put):
    bad = ["3 .5 .5 .5 .5 .2 .2 2 .7 .7 2", "0 .5 .5 .5 .5 .2 .2 2", "0 .5 .5 .5 .5 .2 .2 7 .7 .7 2", "0 .5 x .5 .5"]
    text = LINE + "\n".join([*bad, "0 .5 .5 .5 .5"])
    data = read(put({"images/train/a.png": "", "labels/train/a.txt": text}, val=None))
    assert len(data.objects) == 1 and data.skipped["boxes without keypoints"] == 2
    wrong = ("of class 3", "has 8 numbers, but 2 keypoints with 3 each make 11", "has the visibility 7")
    assert len(data.faults) == 3 and all(f"a.txt: line {i}" in text for i, text in enumerate(data.faults, start=2))
    assert all(words in sentence for words, sentence in zip(wrong, data.faults, strict=True))
    with pytest.raises(InputError, match="of class 3"):
        read(put({"images/train/a.png": "", "labels/train/a.txt": text}, val=None), strict=True)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"kpt_shape": None}, "'kpt_shape', must be"),
        ({"kpt_shape": [2, 4]}, "'kpt_shape', must be"),
        ({"names": None}, "'names', must list"),
        ({"names": "beast"}, "'names', must list .* but got 'beast'"),
        ({"train": None, "val": None}, "has none of the keys train, val, test"),
        ({"flip_idx": [1]}, "'flip_idx', must say for each of the 2"),
        ({"flip_idx": [1, 1]}, "'flip_idx', must say"),
        ({"train": 3}, "'train', must be a folder"),
        ({"train": "images/train/a.png"}, "has the picture images/train/a.png as a split; give its folder"),
    ],
)
def test_what_a_data_yaml_must_say(put, config, words):
    with pytest.raises(InputError, match=words):
        read(put(PAIR, **config))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"kpt_names": ["a", "b", "c"]}, "'kpt_names', must name up to 2"),
        ({"kpt_names": {1: ["a", "b"]}}, "'kpt_names', must name up to 2"),
    ],
)
def test_a_bad_key_beside_the_labels_is_named_and_costs_no_object(put, config, words):
    data = read(put(PAIR, **config))
    assert len(data.objects) == 2 and len(data.faults) == 1 and words in data.faults[0]
    assert data.objects[0].category.names == ["keypoint 1", "keypoint 2"]
    with pytest.raises(InputError, match=words):
        read(put(PAIR, **config), strict=True)


def test_classes_without_names_are_called_as_ultralytics_does_and_another_number_of_them_is_said(put):
    data = read(put(PAIR, names=None, nc=2))
    assert data.objects[0].category.name == "class_0" and "class_0 to class_1" in data.notes[0]
    assert any("5 classes (nc), but names" in note for note in read(put(PAIR, nc=5)).notes)


def test_results_know_when_a_label_file_changes(put, tmp_path):
    spec = put(PAIR)
    before = fingerprint(spec)
    (tmp_path / "labels/train/a.txt").write_text(LINE + LINE)
    assert fingerprint(spec) != before


def test_classes_with_other_numbers_of_keypoints_share_one_folder(put, tmp_path):
    names = {"kpt_names": {0: ["left ear", "right ear"], 1: ["tip"]}, "names": ["beast", "hook"]}
    files = {**PAIR, "labels/val/b.txt": "1 0.5 0.5 0.5 0.5 0.25 0.25 2 0 0 0\n"}
    spec = put(files, **names)
    data = read(spec)
    content, lost = convert(data, pictures_of(spec), "yolo")
    assert lost == ["pairs of left and right, as the classes differ in them and flip_idx is one for all"]
    config = yaml.safe_load(content["data.yaml"])
    assert "flip_idx" not in config and "path" not in config and config["kpt_shape"] == [2, 3]
    save(content, tmp_path / "out")
    again = read(f"yolo:{tmp_path / 'out' / 'data.yaml'}")
    assert [item.category.names for item in again.objects] == [["left ear", "right ear"], ["tip"]]
    assert content["labels/val/b.txt"] == "1 0.5 0.5 0.5 0.5 0.25 0.25 2 0 0 0\n"


def test_a_folder_is_written_that_ultralytics_trains_on(put, tmp_path):
    spec = put(PAIR, kpt_names=["left ear", "right ear"])
    content, lost = convert(read(spec), tmp_path / "images", "yolo")
    assert not lost
    assert sorted(content) == [
        "data.yaml",
        "images/train/train/a.png",
        "images/train/val/b.JPG",
        "labels/train/train/a.txt",
        "labels/train/val/b.txt",
    ]
    assert yaml.safe_load(content["data.yaml"]) == {
        "train": "images/train",
        "val": "images/train",
        "kpt_shape": [2, 3],
        "flip_idx": [1, 0],
        "names": {0: "beast"},
        "kpt_names": {0: ["left ear", "right ear"]},
    }
    assert content["images/train/train/a.png"] == tmp_path / "images" / "train" / "a.png"
    assert content["labels/train/train/a.txt"] == "0 0.5 0.5 0.5 0.5 0.25 0.25 2 0.75 0.75 1\n"


def test_splits_stay_as_they_are(put, tmp_path):
    content, _ = convert(read(put(PAIR)), tmp_path, "yolo")
    config = yaml.safe_load(content["data.yaml"])
    assert (config["train"], config["val"], "test" in config) == ("images/train", "images/val", False)
    assert sorted(content)[1:] == sorted(PAIR)
    save(content, tmp_path / "out")
    assert [item.image.name for item in read(f"yolo/val:{tmp_path / 'out' / 'data.yaml'}").objects] == ["b.JPG"]


def test_two_pictures_of_one_label_file_are_refused(put, tmp_path):
    files = {"images/train/a.png": "", "images/train/a.jpg": "", "labels/train/a.txt": LINE}
    data = read(put(files, val=None))
    with pytest.raises(InputError, match=r"one label file for a\.jpg and a\.png"):
        convert(data, tmp_path / "images" / "train", "yolo")
