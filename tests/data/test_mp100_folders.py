"""MP-100's folders from the sources: every picture found by its rule or named with the reason that it is missing."""

import json
import os

import pytest
from PIL import Image

from anykeypoint.category import mp100_categories
from anykeypoint.data import mp100_folders
from anykeypoint.data.mp100_folders import SOURCES, build, plan, source_of
from anykeypoint.data.registry import known_datasets
from anykeypoint.errors import InputError


def picture(path, size=(20, 10), colour=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour, 0, 0)).save(path)


def needs(sources, *names, objects=(), size=(20, 10)):
    images = [{"id": i, "file_name": name, "width": size[0], "height": size[1]} for i, name in enumerate(names)]
    document = {"images": images, "annotations": list(objects), "categories": []}
    (sources / "labels").mkdir(parents=True, exist_ok=True)
    (sources / "labels" / "mp100_split1_train.json").write_text(json.dumps(document))


def outcome(sources):
    """Name -> the path found below the sources, or why it is missing."""
    told = {}
    for folder in plan(sources):
        told |= {name: path.relative_to(sources).as_posix() for name, path in folder.found.items()}
        told |= folder.missing
    return told


def test_every_category_of_mp100_has_a_source_that_is_known():
    names = {entry["name"] for entry in mp100_categories().values()} - {"face"}
    found = {source_of(name) for name in names} | {source_of("human_face"), source_of("amur_tiger_body")}
    assert found == set(SOURCES) and set(SOURCES) <= set(known_datasets())
    assert source_of("teapot") == ""


def test_pictures_are_found_by_name_among_their_own_source(tmp_path):
    picture(tmp_path / "my_coco" / "train2017" / "000000000009.jpg")
    picture(tmp_path / "ap-10k" / "data" / "000000000009.jpg")
    picture(tmp_path / "AnimalWeb" / "deep" / "camel_92.jpg")
    picture(tmp_path / "OneHand10K" / "Train" / "source" / "21.jpg")
    picture(tmp_path / "OneHand10K" / "Test" / "source" / "21.jpg")
    names = ["human_body/000000000009.jpg", "dog_body/000000000009.jpg", "camel_face/camel_92.jpg", "fly/7.jpg"]
    needs(tmp_path, *names, "human_hand/Train/source/21.jpg")
    told = outcome(tmp_path)
    assert told["human_body/000000000009.jpg"] == "my_coco/train2017/000000000009.jpg"
    assert told["dog_body/000000000009.jpg"] == "ap-10k/data/000000000009.jpg"
    assert told["camel_face/camel_92.jpg"] == "AnimalWeb/deep/camel_92.jpg"
    assert told["human_hand/Train/source/21.jpg"] == "OneHand10K/Train/source/21.jpg"
    assert told["fly/7.jpg"] == mp100_folders.NOWHERE


def test_of_doubled_names_the_one_with_the_size_of_the_labels_is_taken(tmp_path):
    for part, size in (("train", (30, 10)), ("validation", (20, 10)), ("test", (40, 10))):
        picture(tmp_path / "DeepFashion2" / part / "image" / "000264.jpg", size)
    needs(tmp_path, "skirt/000264.jpg")
    assert outcome(tmp_path) == {"skirt/000264.jpg": "DeepFashion2/validation/image/000264.jpg"}
    picture(tmp_path / "DeepFashion2" / "test" / "image" / "000264.jpg", (20, 10), colour=200)
    assert outcome(tmp_path) == {"skirt/000264.jpg": mp100_folders.SEVERAL}


def car(box, points, image):
    return {"id": image, "image_id": image, "category_id": 1, "bbox": box, "keypoints": points}


def test_carfusions_pictures_are_found_by_box_and_points(tmp_path):
    needs(tmp_path, "car/1500801201.jpg", objects=[car([1, 2, 3, 4], [5, 6, 2], 0)])
    assert outcome(tmp_path) == {"car/1500801201.jpg": mp100_folders.NO_LABELS}
    images = [{"id": i, "file_name": f"street/{i}.jpg"} for i in range(3)]
    annotations = [car([1, 2, 3, 4], [5, 7, 2], 0), car([1, 2, 3, 4], [5, 6.01, 2], 1)]
    (tmp_path / "CarFusion").mkdir()
    (tmp_path / "CarFusion" / "train.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": []})
    )
    picture(tmp_path / "CarFusion" / "train" / "street" / "1.jpg")
    picture(tmp_path / "CarFusion" / "train" / "street" / "0.jpg")
    assert outcome(tmp_path) == {"car/1500801201.jpg": "CarFusion/train/street/1.jpg"}
    needs(tmp_path, "car/1500801201.jpg", objects=[car([9, 9, 9, 9], [5, 6, 2], 0)])
    assert outcome(tmp_path) == {"car/1500801201.jpg": mp100_folders.UNMATCHED}


@pytest.mark.parametrize("copy", [False, True])
def test_folders_are_linked_or_copied_and_a_second_run_does_nothing(tmp_path, copy):
    sources, out = tmp_path / "sources", tmp_path / "out"
    picture(sources / "coco" / "9.jpg", colour=99)
    needs(sources, "human_body/9.jpg", "human_body/10.jpg")
    before = sorted(sources.rglob("*"))
    folders = plan(sources)
    assert build(folders, out, copy) == 1
    target = out / "human_body" / "9.jpg"
    assert target.is_symlink() != copy and target.read_bytes() == (sources / "coco" / "9.jpg").read_bytes()
    assert build(folders, out, copy) == 0
    assert sorted(sources.rglob("*")) == before


def test_links_among_the_sources_are_followed_and_may_go_in_circles(tmp_path):
    picture(tmp_path / "elsewhere" / "9.jpg")
    sources = tmp_path / "sources"
    needs(sources, "human_body/9.jpg")
    os.symlink(tmp_path / "elsewhere", sources / "coco")
    os.symlink(sources, tmp_path / "elsewhere" / "back")
    assert outcome(sources) == {"human_body/9.jpg": "coco/9.jpg"}
    assert len(mp100_folders._index(sources)[0]["9.jpg"]) == 1


def test_without_label_files_it_is_said_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"no mp100_\*\.json"):
        plan(tmp_path)
