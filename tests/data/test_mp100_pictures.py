"""MP-100's folders from the sources: every picture found by its rule or named with the reason that it is missing."""

import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from anykeypoint.data import mp100_pictures
from anykeypoint.data.mp100_pictures import SOURCES, SourceFiles, build, plan, source_of
from anykeypoint.data.registry import known_datasets
from anykeypoint.errors import InputError
from anykeypoint.library.lookup import mp100_categories


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
    assert told["fly/7.jpg"] == mp100_pictures.NOWHERE


def test_of_doubled_names_the_one_with_the_size_of_the_labels_is_taken(tmp_path):
    for part, size in (("train", (30, 10)), ("validation", (20, 10)), ("test", (40, 10))):
        picture(tmp_path / "DeepFashion2" / part / "image" / "000264.jpg", size)
    needs(tmp_path, "skirt/000264.jpg")
    assert outcome(tmp_path) == {"skirt/000264.jpg": "DeepFashion2/validation/image/000264.jpg"}
    picture(tmp_path / "DeepFashion2" / "test" / "image" / "000264.jpg", (20, 10), colour=200)
    assert outcome(tmp_path) == {"skirt/000264.jpg": mp100_pictures.SEVERAL}


def labelled(points, image):
    return {"id": image, "image_id": image, "category_id": 1, "keypoints": points}


def test_carfusions_pictures_are_found_by_their_points(tmp_path):
    """Of 14 points MP-100 has 13; a picture is the one that all its cars are on."""
    car = [5, 6, 2, *[0] * 36]
    needs(tmp_path, "car/1500801201.jpg", objects=[labelled(car, 0), labelled([8, 9, 1, *[0] * 36], 0)])
    assert outcome(tmp_path) == {"car/1500801201.jpg": mp100_pictures.NO_LABELS}
    images = [{"id": i, "file_name": f"street/{i}.jpg"} for i in range(3)]
    annotations = [labelled([5, 7, 2, *[0] * 39], 0), labelled([*car, 1, 1, 2], 1), labelled([*car, 0, 0, 0], 2)]
    annotations += [labelled([8, 9, 1, *[0] * 39], i) for i in (0, 1)]
    (tmp_path / "CarFusion").mkdir()
    (tmp_path / "CarFusion" / "train.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": []})
    )
    picture(tmp_path / "CarFusion" / "train" / "street" / "1.jpg")
    picture(tmp_path / "CarFusion" / "train" / "street" / "0.jpg")
    assert outcome(tmp_path) == {"car/1500801201.jpg": "CarFusion/train/street/1.jpg"}
    for other in ([9, 9, 2, *[0] * 36], [0] * 39, [8, 9, 1, *[0] * 36]):  # no car, no point, on two pictures
        needs(tmp_path, "car/1500801201.jpg", objects=[labelled(other, 0)])
        assert outcome(tmp_path) == {"car/1500801201.jpg": mp100_pictures.UNMATCHED}


def test_carfusions_own_labels_find_its_pictures_too(tmp_path):
    sequence = tmp_path / "carfusion" / "train" / "car_fifth1"
    for frame, line in (("01_0004", "5.9,6.2,1,0,1"), ("01_0005", "5.9,7.2,1,0,1")):
        picture(sequence / "images_jpg" / f"{frame}.jpg")
        (sequence / "gt").mkdir(exist_ok=True)
        (sequence / "gt" / f"{frame}.txt").write_text(line + "\n8.1,9,14,0,1\n")
    needs(tmp_path, "suv/9.jpg", objects=[labelled([5, 7, 2, *[0] * 36], 0)])
    assert outcome(tmp_path) == {"suv/9.jpg": "carfusion/train/car_fifth1/images_jpg/01_0005.jpg"}


@pytest.fixture
def flies(tmp_path):
    """Sources with three grey pictures of two points in an .h5 file, and labels that name them in another order."""
    h5py = pytest.importorskip("h5py", reason="pictures inside an .h5 file need the package h5py")
    points = np.array([[[1, 2], [3, 4]], [[10, 12], [13, 14]], [[11, 12], [13, 14]]], dtype=np.float32)
    pixels = np.arange(3, dtype=np.uint8)[:, None, None, None] * 60 + np.zeros((3, 16, 20, 1), dtype=np.uint8)
    sources = tmp_path / "sources"
    (sources / "deepposekit" / "fly").mkdir(parents=True)
    with h5py.File(sources / "deepposekit" / "fly" / "annotation_data_release.h5", "w") as file:
        file["images"], file["annotations"] = pixels, points
        file["annotated"], file["skeleton"] = np.ones((3, 2), dtype=bool), np.zeros((2, 2), dtype=np.int32)
    places = [2, 0, 1]
    objects = [labelled([*points[p, 0].tolist(), 2, *points[p, 1].tolist(), 2], i) for i, p in enumerate(places)]
    needs(sources, *(f"fly/{i}.jpg" for i in range(3)), objects=objects)
    return sources, places


def test_pictures_in_a_deepposekit_file_are_found_by_their_points_and_written_out(flies, tmp_path):
    sources, places = flies
    folders = plan(sources)
    assert build(folders, tmp_path / "out", copy=False) == 3
    for number, place in enumerate(places):
        with Image.open(tmp_path / "out" / "fly" / f"{number}.jpg") as image:
            assert image.mode == "L" and image.size == (20, 16) and abs(image.getpixel((5, 5)) - 60 * place) <= 2
    assert build(folders, tmp_path / "out", copy=False) == 0


def test_a_fly_that_is_on_no_picture_or_on_two_is_not_guessed(flies):
    sources, _ = flies
    for points in ([90, 2, 2, 3, 4, 2], [0, 0, 0, 13, 14, 2], [0, 0, 0, 0, 0, 0], [1, 2, 2]):
        needs(sources, "fly/0.jpg", objects=[labelled(points, 0)])
        assert outcome(sources) == {"fly/0.jpg": mp100_pictures.UNMATCHED}


def test_a_picture_that_is_there_by_name_is_taken_before_one_in_a_file(flies):
    sources, _ = flies
    picture(sources / "fly" / "0.jpg")
    assert plan(sources)[0].found["fly/0.jpg"] == sources / "fly" / "0.jpg"


def test_without_the_package_it_is_said_what_to_install(flies, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert set(outcome(flies[0]).values()) == {mp100_pictures.NO_H5PY} and "extra 'h5'" in mp100_pictures.NO_H5PY


def test_files_of_another_kind_are_passed_by_and_broken_ones_refused(flies):
    h5py = pytest.importorskip("h5py")
    sources, _ = flies
    other = sources / "deepposekit" / "other.h5"
    with h5py.File(other, "w") as file:
        file["df_with_missing"] = np.zeros(3)
    assert len(plan(sources)[0].found) == 3
    with h5py.File(other, "w") as file:
        file["images"], file["annotations"] = np.zeros((2, 4, 4, 1)), np.zeros((2, 3, 2))
    with pytest.raises(InputError, match=r"other\.h5 must hold images .*float64"):
        plan(sources)
    other.write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"other\.h5 cannot be read as an HDF5 file"):
        plan(sources)


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
    assert len(SourceFiles.below(sources).pictures["9.jpg"]) == 1


def test_without_label_files_it_is_said_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"no mp100_\*\.json"):
        plan(tmp_path)
