"""A picture is known by its full path, however it is spelled; one that is listed twice is one."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anykeypoint.data.pairs import one_each
from anykeypoint.data.splits import split
from anykeypoint.errors import InputError
from anykeypoint.example import read_marked
from anykeypoint.forms.dataset import LISTED_TWICE, picture_names
from anykeypoint.forms.reading import picture_key
from anykeypoint.forms.registry import load, read

CATEGORY = {"id": 1, "name": "lamp", "keypoints": ["base", "head"], "skeleton": []}


def labels(folder: Path, names: list[str], shift: float = 0.0) -> Path:
    """A COCO file with one object a picture, at the same place unless `shift` is given."""
    annotations = []
    for i in range(1, len(names) + 1):
        points = [1 + i * shift, 2, 2, 3, 4, 2]
        values = {"keypoints": points, "num_keypoints": 2, "bbox": [0, 0, 6, 6]}
        annotations.append({"id": i, "image_id": i, "category_id": 1, **values})
    images = [{"id": i, "file_name": name} for i, name in enumerate(names, start=1)]
    file = folder / "labels.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [CATEGORY]}))
    return file


def pictures(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)


@pytest.mark.parametrize("spelling", ["i/a.png", "./i/a.png", "i\\a.png", "i//a.png", "i/./a.png"])
def test_spellings_of_one_path_are_one_picture(spelling):
    assert picture_key(spelling) == "i/a.png"
    assert picture_key("i/A.png") != "i/a.png" and picture_key("a.png") != "i/a.png"


def test_a_picture_that_is_listed_twice_is_one_and_its_object_is_never_its_own_example(tmp_path):
    pictures(tmp_path, "i/1.png", "i/2.png", "i/3.png")
    file = labels(tmp_path, ["i/1.png", "i/1.png", "i/2.png", "i/3.png", "./i/1.png", "i\\1.png"])
    data = read(f"coco:{file}", tmp_path)
    assert [item.id for item in data.objects] == [1, 3, 4] and data.skipped == {LISTED_TWICE: 3}
    for pair in one_each(data, 1, seed=0):
        (example,) = pair.examples
        assert data.objects[example].image != data.objects[pair.query].image


def test_other_objects_of_a_picture_that_is_listed_twice_are_objects_of_one_picture(tmp_path):
    pictures(tmp_path, "i/1.png")
    data = read(f"coco:{labels(tmp_path, ['i/1.png', 'i/1.png'], shift=1)}", tmp_path)
    assert len(data.objects) == 2 and data.skipped == {}
    assert len({item.image for item in data.objects}) == 1


def test_a_picture_that_is_listed_twice_is_in_one_part_of_a_split(tmp_path):
    names = [f"i/{i}.png" for i in range(10)] + [f".\\i\\{i}.png" for i in range(10)]
    pictures(tmp_path, *names[:10])
    document = json.loads(labels(tmp_path, names, shift=0.1).read_text())
    parts = split(document, "group", [0.4, 0.3, 0.3], seed=0)
    found = [{picture_key(entry["file_name"]) for entry in part["images"]} for part in parts]
    assert all(found) and sum(map(len, found)) == 10 and not found[0] & found[1] and not found[1] & found[2]


@pytest.mark.parametrize(("stored", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_both_normal_forms_of_a_name_are_the_picture(tmp_path, stored, written):
    pictures(tmp_path, unicodedata.normalize(stored, "ré/fée.png"))
    file = labels(tmp_path, [unicodedata.normalize(written, "ré/fée.png")])
    (item,) = read(f"coco:{file}", tmp_path).objects
    assert item.image.is_file()


def test_names_written_on_windows_are_pictures_in_folders(tmp_path):
    pictures(tmp_path, "sub/A.JPG")
    (item,) = read(f"coco:{labels(tmp_path, ['sub' + chr(92) + 'A.JPG'])}", tmp_path).objects
    assert item.image == tmp_path / "sub" / "A.JPG"


def test_readers_list_a_picture_once_however_it_is_spelled(tmp_path):
    pictures(tmp_path, "video/1.png")
    table = tmp_path / "labels.csv"
    head = "image,object,category,keypoint,x,y,confidence,present\n"
    table.write_text(head + "video/1.png,1,cat,nose,1,2,,true\n.\\video\\1.png,2,cat,nose,3,4,,true\n")
    assert len(load(f"csv:{table}", tmp_path).images) == 1


def test_reports_name_pictures_of_one_base_name_apart(tmp_path):
    pictures(tmp_path, "a/1.png", "b/1.png")
    data = read(f"coco:{labels(tmp_path, ['a/1.png', 'b/1.png'])}", tmp_path)
    assert picture_names(data.objects) == ["a/1.png", "b/1.png"]
    assert picture_names(data.objects[:1]) == ["1.png"]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_an_example_is_the_object_of_its_own_picture_among_those_of_one_base_name(tmp_path, form):
    pictures(tmp_path, "a/1.png", "b/1.png")
    file = labels(tmp_path, ["a/1.png", "b/1.png"], shift=1)
    if form == "csv":
        file = tmp_path / "labels.csv"
        head = "image,object,category,keypoint,x,y,confidence,present\n"
        file.write_text(head + "a/1.png,1,cat,nose,2,2,,true\nb/1.png,1,cat,nose,3,2,,true\n")
    marked = read_marked(f"{tmp_path / 'b' / '1.png'}:{file}")
    assert next(iter(marked.places.values()))[0] == 3


def test_an_example_that_two_pictures_may_mean_is_refused(tmp_path):
    pictures(tmp_path, "1.png", "a/1.png", "b/1.png")
    file = labels(tmp_path, ["a/1.png", "b/1.png"], shift=1)
    with pytest.raises(InputError, match=r"one object of 1\.png, but has 2"):
        read_marked(f"{tmp_path / '1.png'}:{file}")


def test_an_object_is_kept_where_only_its_points_are_those_of_another_picture(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    data = read(f"coco:{labels(tmp_path, ['a.png', 'b.png'])}", tmp_path)
    assert len(data.objects) == 2 and np.array_equal(data.objects[0].points, data.objects[1].points)
