"""Pictures found by the end of their path: a bare name alone is told, and not taken where it may be another."""

import json
import os

import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.faults.doctor import examine
from anykeypoint.forms.faults.repair import mend
from anykeypoint.forms.registry import load, read

BARE = "were found by their bare names alone"


def pictures(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20)).save(folder / name)


def labels(folder, form, name):
    """A label file of one picture with one point, beside no picture of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    value = {"x": 5, "y": 5, "keypointlabels": ["nose"]}
    region = {"id": "a", "type": "keypointlabels", "original_width": 20, "original_height": 20, "value": value}
    point = {"shape_attributes": {"name": "point", "cx": 1, "cy": 1}, "region_attributes": {"part": "nose"}}
    shape = {"label": "nose", "points": [[1, 1]], "shape_type": "point"}
    image, category = {"id": 1, "file_name": name}, {"id": 1, "name": "cat", "keypoints": ["nose"], "skeleton": []}
    thing = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [5, 5, 2], "bbox": [1, 1, 9, 9]}
    texts = {
        "coco": json.dumps({"images": [image], "annotations": [thing], "categories": [category]}),
        "dlc": f"scorer,me,me\nbodyparts,nose,nose\ncoords,x,y\n{name},1,1\n",
        "tps": f"LM=1\n1 1\nIMAGE={name}\nID=0\n",
        "imglab": f"<dataset><images><image file='{name}'><box top='1' left='1' width='9' height='9'>"
        "<part name='nose' x='1' y='1'/></box></image></images></dataset>",
        "cvat": f'<annotations><image id="0" name="{name}"><points label="nose" points="1,1"/></image></annotations>',
        "via": json.dumps({"k": {"filename": name, "size": 1, "regions": [point]}}),
        "labelme": json.dumps({"shapes": [shape], "imagePath": name}),
        "labelstudio": json.dumps([{"id": 1, "data": {"image": name}, "annotations": [{"result": [region]}]}]),
    }
    file = folder / ("labels.xml" if form in ("imglab", "cvat") else "labels.json")
    file.write_text(texts[form])
    return f"{form}:{file}"


TAILS = pytest.mark.parametrize("form", ["dlc", "tps", "imglab", "cvat", "via", "labelstudio"])


@pytest.mark.parametrize("form", ["dlc", "tps", "imglab", "cvat", "via", "labelstudio", "labelme"])
@pytest.mark.parametrize("name", ["cat/1.png", "C:\\data\\1.png", "/home/me/data/1.png"])
def test_a_picture_that_is_found_by_its_bare_name_alone_is_told(tmp_path, form, name):
    pictures(tmp_path / "mine", "1.png")
    data = read(labels(tmp_path / "mine", form, name), tmp_path / "mine")
    assert [item.image.name for item in data.objects] == ["1.png"]
    (note,) = [note for note in data.notes if BARE in note]
    assert note.startswith("1 pictures") and "1.png for " in note


@TAILS
@pytest.mark.parametrize("name", ["1.png", "video/1.png", "C:\\data\\video\\1.png"])
def test_nothing_is_told_where_the_folder_agrees(tmp_path, form, name):
    pictures(tmp_path, "video/1.png")
    data = read(labels(tmp_path, form, name), tmp_path / "video")
    assert len(data.objects) == 1 and not [note for note in data.notes if BARE in note]


@TAILS
def test_a_bare_name_is_not_taken_where_the_named_picture_is_in_another_folder(tmp_path, form):
    pictures(tmp_path, "labeled-data/v/1.png", "labeled-data/w/1.png")
    spec = labels(tmp_path, form, "labeled-data/v/1.png")
    with pytest.raises(InputError, match=r"labeled-data/v/1\.png"):
        read(spec, tmp_path / "labeled-data" / "w")
    document = load(spec, tmp_path / "labeled-data" / "w").document()
    faults = [fault for fault in examine(document, tmp_path / "labeled-data" / "w").faults if "picture" in fault.kind]
    assert [fault.kind for fault in faults] == ["picture missing"] and "is not in the pictures' folder" in faults[
        0
    ].text
    fixed = mend(document, tmp_path / "labeled-data" / "w").document
    assert fixed["images"][0]["file_name"] == "labeled-data/v/1.png"
    for good in ("labeled-data/v", "labeled-data", "."):
        assert read(spec, tmp_path / good).objects[0].image.resolve() == tmp_path / "labeled-data" / "v" / "1.png"


@TAILS
def test_a_path_of_another_machine_whose_picture_is_not_there_is_missing_by_its_name(tmp_path, form):
    pictures(tmp_path / "mine", "2.png")
    with pytest.raises(InputError, match=r"1 of the pictures .* are not in .*1\.png"):
        read(labels(tmp_path, form, "D:\\data\\1.png"), tmp_path / "mine")


@TAILS
def test_a_bare_name_is_not_taken_where_several_files_have_it(tmp_path, form):
    pictures(tmp_path / "mine", "1.png", "dog/1.png")
    with pytest.raises(InputError, match=r"cat/1\.png"):
        read(labels(tmp_path, form, "cat/1.png"), tmp_path / "mine")
    absolute = read(labels(tmp_path, form, "C:\\cat\\1.png"), tmp_path / "mine")
    assert absolute.objects[0].image == tmp_path / "mine" / "1.png"


EVERY = ["coco", "dlc", "tps", "imglab", "cvat", "via", "labelme", "labelstudio"]


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("file", ["my pic.png", "a dir/pic%C3%A4.png"])
def test_a_name_that_is_quoted_as_in_an_address_is_the_picture(tmp_path, form, file):
    pictures(tmp_path, file.replace("%C3%A4", "\u00e4"))
    quoted = file.replace(" ", "%20")
    data = read(labels(tmp_path, form, quoted), tmp_path, strict=True)
    assert [item.image for item in data.objects] == [tmp_path / file.replace("%C3%A4", "\u00e4")] and not data.notes
    document = load(labels(tmp_path, form, quoted), tmp_path).document()
    assert not [fault for fault in examine(document, tmp_path).faults if "picture" in fault.kind]


@pytest.mark.parametrize("form", EVERY)
def test_a_picture_with_the_quoted_name_itself_comes_first_and_no_quoting_leaves_the_folder(tmp_path, form):
    pictures(tmp_path / "mine", "my pic.png", "my%20pic.png", "../1.png")
    found = read(labels(tmp_path, form, "my%20pic.png"), tmp_path / "mine").objects[0].image
    assert found == tmp_path / "mine" / "my%20pic.png"
    with pytest.raises(InputError):
        read(labels(tmp_path, form, "..%2F1.png"), tmp_path / "mine")


@pytest.mark.skipif(os.sep != "/", reason="a backslash parts folders here")
@pytest.mark.parametrize("form", EVERY)
def test_a_file_whose_name_holds_a_backslash_is_the_picture(tmp_path, form):
    """Archives that were made on Windows are unpacked to such names elsewhere."""
    pictures(tmp_path / "mine", "cat\\1.png")
    spec = labels(tmp_path, form, "cat\\1.png")
    data = read(spec, tmp_path / "mine", strict=True)
    assert [item.image for item in data.objects] == [tmp_path / "mine" / "cat\\1.png"]
    document = load(spec, tmp_path / "mine").document()
    assert not [fault for fault in examine(document, tmp_path / "mine").faults if "picture" in fault.kind]


def entries(*names):
    return {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names, 1)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "keypoints": [5, 5, 2], "bbox": [1, 1, 9, 9]}
            for i in range(1, len(names) + 1)
        ],
        "categories": [{"id": 1, "name": "cat", "keypoints": ["nose"], "skeleton": []}],
    }


def test_two_spellings_of_one_file_are_one_picture_to_the_reader_and_to_check(tmp_path):
    pictures(tmp_path, "my pic.png")
    document = entries("my pic.png", "my%20pic.png")
    (fault,) = examine(document, tmp_path).faults
    assert fault.kind == "picture twice" and "is the picture of image 1" in fault.text
    (tmp_path / "l.json").write_text(json.dumps(document))
    assert len({item.image for item in read(f"coco:{tmp_path / 'l.json'}", tmp_path).objects}) == 1
    pictures(tmp_path, "my%20pic.png")
    assert not examine(document, tmp_path).faults
    assert len({item.image for item in read(f"coco:{tmp_path / 'l.json'}", tmp_path).objects}) == 2


@pytest.mark.parametrize("name", ["up/my%20pic.png", "C:\\d\\my%20pic.png"])
def test_a_quoted_name_is_found_elsewhere_too(tmp_path, name):
    pictures(tmp_path, "x/my pic.png")
    fixed = mend(entries(name), tmp_path)
    assert fixed.document["images"][0]["file_name"] == "x/my pic.png" and len(fixed.document["annotations"]) == 1


def test_paths_of_another_machine_stay_where_no_file_has_their_name(tmp_path):
    document = entries("/home/u/a.png", "D:\\u\\b.png", "../c.png")
    fixed = mend(document, tmp_path)
    assert fixed.document == document and fixed.left == {"broken entry": 3, "no object": 1}
    found = [fault.text for fault in examine(document, tmp_path).faults if fault.kind == "broken entry"]
    assert all("no file here has its name" in text for text in found)
