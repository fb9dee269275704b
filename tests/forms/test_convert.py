"""Labels written in another form and read again are the same labels, but for what the writer says is lost."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.registry import convert, read, writable_forms
from anykeypoint.forms.writing import save

KEPT = {  # form -> what survives it beside pictures, categories and points
    "coco": {"id", "box", "visibility", "group", "skeleton"},
    "labelstudio": {"box", "visibility", "group"},
    "cvat": {"box", "visibility", "skeleton"},
    "yolo": {"box", "visibility"},
    "labelme": {"box", "visibility", "group"},
    "tps": {"id"},
    "imglab": {"box"},
    "dlc": set(),
    "csv": {"box"},
}


@pytest.fixture
def source(tmp_path):
    """Two kinds of object in three pictures, one with two of a kind, points hidden and absent, and a group."""
    images = tmp_path / "images"
    for name in ("a b.png", "in/é.png", "c.png"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (123, 77)).save(images / name)
    names = ["nose", "left_ear", "right_ear"]
    labels = {
        "images": [
            {"id": 1, "file_name": "a b.png", "group": "film"},
            {"id": 2, "file_name": "in/é.png"},
            {"id": 3, "file_name": "c.png"},
        ],
        "annotations": [
            {
                "id": 7,
                "image_id": 1,
                "category_id": 4,
                "bbox": [1, 2, 30.5, 40],
                "keypoints": [3.25, 4, 2, 0, 0, 0, 9, 9, 1],
            },
            {
                "id": 5,
                "image_id": 1,
                "category_id": 4,
                "bbox": [50, 2, 30, 40],
                "keypoints": [60, 4, 2, 70, 7, 2, 0, 0, 0],
            },
            {
                "id": 9,
                "image_id": 3,
                "category_id": 4,
                "bbox": [0, 0, 90, 70],
                "keypoints": [1, 1, 2, 2, 2, 2, 80, 3.1, 2],
            },
            {"id": 8, "image_id": 2, "category_id": 6, "bbox": [0, 0, 9, 9], "keypoints": [1 / 3, 7, 2]},
        ],
        "categories": [
            {"id": 4, "name": "odd_cat", "keypoints": names, "skeleton": [[0, 1], [0, 2]]},
            {"id": 6, "name": "hook", "keypoints": ["tip"]},
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    return tmp_path / "labels.json", images


def test_a_coco_file_keeps_pairs_that_its_names_do_not_give(source, tmp_path):
    labels, images = source
    data = json.loads(labels.read_text())
    data["categories"][0] |= {"pairs": [[0, 2]], "alone": [1]}
    labels.write_text(json.dumps(data))
    text, _ = convert(read(f"coco:{labels}", images), images, "coco")
    assert [entry.get("pairs") for entry in json.loads(text)["categories"]] == [[[0, 2]], None]
    (tmp_path / "again.json").write_text(text)
    again = read(f"coco:{tmp_path / 'again.json'}", images).categories[4]
    assert again.pairs == ((0, 2),) and again.alone == (1,)
    lost = convert(read(f"coco:{labels}", images), images, "csv").lost
    assert "pairs of left and right that the names do not tell" in lost
    assert "that 1 points have no other side on purpose" in lost


def test_a_coco_file_keeps_descriptions_of_its_own(source, tmp_path):
    labels, images = source
    data = json.loads(labels.read_text())
    texts = [f"the place number {i}" for i, _ in enumerate(data["categories"][0]["keypoints"])]
    data["categories"][0] |= {"descriptions": texts}
    labels.write_text(json.dumps(data))
    assert [point.description for point in read(f"coco:{labels}", images).categories[4].keypoints] == texts
    text, _ = convert(read(f"coco:{labels}", images), images, "coco")
    assert [entry.get("descriptions") for entry in json.loads(text)["categories"]] == [texts, None]
    lost = convert(read(f"coco:{labels}", images), images, "csv").lost
    assert f"the descriptions of {len(texts)} points" in lost


def places(before, new):
    """Where an object that was read again was before; forms of a file for each picture sort these."""
    return [
        place
        for place, old in enumerate(before.objects)
        if old.image == new.image and np.allclose(old.points, new.points, atol=1e-3, equal_nan=True)
    ]


@pytest.mark.parametrize("form", writable_forms())
def test_labels_come_back_from_every_form(source, form, tmp_path):
    labels, images = source
    one_kind = form in ("dlc", "tps")
    before = read(f"coco/odd_cat:{labels}" if one_kind else f"coco:{labels}", images)
    content, lost = convert(before, images, form)
    file = tmp_path / f"out.{form}"
    save(content, file)
    file = file / "data.yaml" if form == "yolo" else file
    after = read(f"{form}/odd_cat:{file}" if one_kind else f"{form}:{file}", images)
    assert len(after.objects) == len(before.objects) and not after.skipped and not after.faults
    for old, new in zip(before.objects, sorted(after.objects, key=lambda new: places(before, new)), strict=True):
        assert new.image == old.image and new.category.name == old.category.name
        assert new.category.names == old.category.names or form == "tps"
        np.testing.assert_allclose(new.points, old.points, rtol=0, atol=1e-9)
        assert ((new.visibility > 0) == (old.visibility > 0)).all()
        for key in KEPT[form] - {"skeleton", "box"}:
            np.testing.assert_array_equal(getattr(new, key), getattr(old, key))
        if "box" in KEPT[form]:
            np.testing.assert_allclose(new.box, old.box, atol=1e-9)
        if "skeleton" in KEPT[form]:
            assert new.category.skeleton == old.category.skeleton
    told = " ".join(lost)
    assert ("boxes" in told) == ("box" not in KEPT[form])
    assert ("hidden" in told) == ("visibility" not in KEPT[form])


@pytest.mark.parametrize("kind", ["odd_cat", "odd_cat "])
@pytest.mark.parametrize("form", writable_forms())
def test_names_with_blanks_round_them_come_back_in_their_order(source, form, kind, tmp_path):
    labels, images = source
    data = json.loads(labels.read_text())
    data["categories"][0] |= {"name": kind, "keypoints": ["tail ", " nose", "left ear "]}
    labels.write_text(json.dumps(data))
    save(convert(read(f"coco/odd cat:{labels}", images), images, form).content, tmp_path / "out")
    after = read(f"{form}:{tmp_path / 'out' / 'data.yaml' if form == 'yolo' else tmp_path / 'out'}", images)
    assert len(after.objects) == 3 and not after.faults
    names = [[point.label or point.name for point in item.category.keypoints] for item in after.objects]
    if form != "tps":
        assert [[name.strip() for name in one] for one in names] == [["tail", "nose", "left ear"]] * 3


@pytest.mark.parametrize("form", writable_forms())
def test_writing_is_the_same_every_time(source, form):
    labels, images = source
    dataset = read(f"coco/odd_cat:{labels}", images)
    assert convert(dataset, images, form) == convert(dataset, images, form)


def test_coco_keeps_the_objects_own_area_and_else_has_the_boxs(source):
    labels, images = source
    document = json.loads(labels.read_text())
    document["annotations"][0]["area"] = 12.5
    labels.write_text(json.dumps(document))
    written = json.loads(convert(read(f"coco:{labels}", images), images, "coco")[0])["annotations"]
    assert [entry["area"] for entry in written] == [12.5, 1200, 6300, 81]


def test_what_a_form_cannot_hold_at_all_is_refused(source):
    labels, images = source
    dataset = read(f"coco:{labels}", images)
    with pytest.raises(InputError, match="one kind of object, but the data have 2"):
        convert(dataset, images, "dlc")
    with pytest.raises(
        InputError, match="written as coco, labelstudio, cvat, dlc, csv, yolo, labelme, tps, imglab, but got 'via'"
    ):
        convert(dataset, images, "via")


def test_cvat_is_given_what_its_import_reads(source):
    """Its labels with their types and drawing, and a skeleton of `<points>` in two states for each object."""
    labels, images = source
    text = convert(read(f"coco/odd_cat:{labels}", images), images, "cvat").content
    root = ElementTree.fromstring(text)
    assert root.tag == "annotations" and root.findtext("version") == "1.1"
    kinds = [(label.findtext("name"), label.findtext("type"), label.findtext("parent")) for label in root.iter("label")]
    assert kinds[0] == ("odd_cat", "skeleton", None) and ("left_ear", "points", "odd_cat") in kinds
    drawing = root.find("meta/task/labels/label/svg").text
    assert drawing.count("<circle") == 3 and 'data-node-from="1"' in drawing and 'data-node-to="3"' in drawing
    first = root.find("image[@name='a b.png']/skeleton")
    assert (root.find("image").get("width"), first.get("label"), first.get("z_order")) == ("123", "odd_cat", "0")
    states = {one.get("label"): (one.get("outside"), one.get("occluded")) for one in first}
    assert states == {"nose": ("0", "0"), "left_ear": ("1", "0"), "right_ear": ("0", "1")}
    assert first.find("points").get("points") == "3.25,4.0"


def test_two_kinds_of_one_name_are_not_mixed_up_in_forms_that_go_by_names(source):
    labels, images = source
    document = json.loads(labels.read_text())
    document["categories"][1]["name"] = "odd_cat"
    labels.write_text(json.dumps(document))
    dataset = read(f"coco:{labels}", images)
    for form in ("cvat", "labelstudio", "csv"):
        with pytest.raises(InputError, match="two categories with other points are called 'odd_cat'"):
            convert(dataset, images, form)


def test_real_labels_come_back_from_label_studio(shared, tmp_path):
    folder = shared / "data" / "samples" / "ap10k"
    before = read(f"ap10k:{folder / 'test_ap10k.json'}", folder)
    (tmp_path / "x.json").write_text(convert(before, folder, "labelstudio")[0])
    after = read(f"labelstudio:{tmp_path / 'x.json'}", folder)
    for old, new in zip(before.objects, after.objects, strict=True):
        np.testing.assert_allclose(new.points, old.points, atol=1e-9)
        assert new.category.keypoints == old.category.keypoints  # the library's words are found again


@pytest.mark.parametrize("form", ["yolo", "labelme"])
@pytest.mark.parametrize("name", [".hidden.png", ".folder/a.png"])
def test_a_hidden_picture_is_not_written_where_nobody_would_read_it_again(tmp_path, form, name):
    folder = tmp_path / "more"
    (folder / name).parent.mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(folder / name)
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20], "keypoints": [5, 6, 2]}
    pictures, kinds = [{"id": 1, "file_name": name}], [{"id": 1, "name": "cat", "keypoints": ["nose"]}]
    labels = {"images": pictures, "annotations": [entry], "categories": kinds}
    (folder / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(InputError, match=rf"without hidden files and folders, but {name} is one; rename it"):
        convert(read(f"coco:{folder / 'labels.json'}", folder), folder, form)
