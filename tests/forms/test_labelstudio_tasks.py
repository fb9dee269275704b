"""Tasks for Label Studio: predictions, pictures that load, the labelling setup, and names that uploads change."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from anykeypoint import cli
from anykeypoint.errors import InputError
from anykeypoint.forms.labelstudio_pictures import picture_address, picture_file, upload_name
from anykeypoint.forms.labelstudio_tasks import setup_text
from anykeypoint.forms.picture_search import PictureSearch
from anykeypoint.forms.registry import convert, form_of, read

NAN = float("nan")


@pytest.fixture
def made(tmp_path):
    """Two objects in a picture with a blank in its name and one in another; the folder and the data set."""
    images = tmp_path / "pics"
    images.mkdir()
    for name in ("my cow (1).jpg", "b.png"):
        Image.new("RGB", (200, 100)).save(images / name)
    names = ["nose", 'left "ear" <tip>', "tail"]
    entries = [
        {"id": 3, "image_id": 1, "category_id": 5, "keypoints": [20, 30, 2, 50, 60, 1, 0, 0, 0]},
        {"id": 4, "image_id": 1, "category_id": 5, "keypoints": [120, 30, 2, 0, 0, 0, 0, 0, 0]},
        {"id": 9, "image_id": 2, "category_id": 6, "keypoints": [50, 50, 2]},
    ]
    for entry, box in zip(entries, ([10, 20, 60, 50], [110, 20, 40, 50], [40, 40, 20, 20]), strict=True):
        entry["bbox"] = box
    document = {
        "images": [{"id": 1, "file_name": "my cow (1).jpg"}, {"id": 2, "file_name": "b.png"}],
        "annotations": entries,
        "categories": [{"id": 5, "name": "cow", "keypoints": names}, {"id": 6, "name": "bell", "keypoints": ["nose"]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(document))
    return images, read(f"coco:{tmp_path / 'labels.json'}", images)


def answered(data):
    """The data set as a model's answers."""
    sure = [np.array([0.9, 0.5, NAN]), np.array([0.25, NAN, NAN]), np.array([NAN])]
    objects = [replace(item, confidence=known) for item, known in zip(data.objects, sure, strict=True)]
    return replace(data, objects=objects)


def test_labels_are_annotations_and_a_models_answers_are_predictions(made):
    images, data = made
    tasks = json.loads(convert(data, images, "labelstudio")[0])
    assert [len(task["annotations"]) for task in tasks] == [1, 1] and not any("predictions" in task for task in tasks)
    first, second = json.loads(convert(answered(data), images, "labelstudio")[0])
    assert first["annotations"] == second["annotations"] == []
    (prediction,) = first["predictions"]
    assert prediction["model_version"] == "anykeypoint" and prediction["score"] == pytest.approx((0.7 + 0.25) / 2)
    scores = {region["id"]: region.get("score") for region in prediction["result"]}
    assert scores == {"object3": None, "object3_0": 0.9, "object3_1": 0.5, "object4": None, "object4_0": 0.25}
    assert second["predictions"][0]["score"] == 0, "unknown confidences are no certainty"
    assert "NaN" not in convert(answered(data), images, "labelstudio")[0]


def test_predictions_are_read_where_nobody_has_annotated_and_that_is_said(made, tmp_path):
    images, data = made
    (tmp_path / "t.json").write_text(convert(answered(data), images, "labelstudio")[0])
    again = read(f"labelstudio:{tmp_path / 't.json'}", images)
    assert again.notes == ("2 tasks have no annotation, and their predictions were taken.",)
    for old, new in zip(data.objects, again.objects, strict=True):
        np.testing.assert_allclose(new.points, old.points, atol=1e-9)
        assert new.visibility.tolist() == old.visibility.tolist() and new.image == old.image
    first, second, last = again.objects
    np.testing.assert_array_equal(first.confidence, [0.9, 0.5, NAN])
    np.testing.assert_array_equal(second.confidence, [0.25, NAN, NAN])
    assert last.confidence is None and first.score is None and again.model == "anykeypoint"


def test_predictions_show_under_the_name_of_the_model_that_predict_wrote(made, tmp_path):
    images, data = made
    document = json.loads(convert(answered(data), images, "coco")[0])
    document["info"]["model"] = "fast"
    (tmp_path / "p.json").write_text(json.dumps(document))
    again = read(f"coco:{tmp_path / 'p.json'}", images)
    tasks = json.loads(convert(again, images, "labelstudio")[0])
    assert {task["predictions"][0]["model_version"] for task in tasks} == {"fast"}
    assert json.loads(convert(again, images, "coco")[0])["info"] == {"model": "fast", "skeleton_base": 1}


def test_scores_of_objects_come_back_and_those_of_finished_annotations_are_no_answers(made, tmp_path):
    images, data = made
    scored = replace(data, objects=[replace(item, score=0.25 * item.id) for item in data.objects])
    tasks = json.loads(convert(scored, images, "labelstudio")[0])
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    again = read(f"labelstudio:{tmp_path / 't.json'}", images)
    assert [item.score for item in again.objects] == [0.75, 1.0, 2.25]
    for task in tasks:
        task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    again = read(f"labelstudio:{tmp_path / 't.json'}", images)
    assert [(item.score, item.confidence) for item in again.objects] == [(None, None)] * 3


def test_an_annotation_counts_before_a_prediction_and_ids_of_predictions_are_passed_over(made, tmp_path):
    """An export lists the ids of predictions alone; a prediction whose annotation was cancelled is not taken."""
    images, data = made
    drawn, answers = (json.loads(convert(one, images, "labelstudio")[0]) for one in (data, answered(data)))
    drawn[0]["predictions"] = answers[0]["predictions"]
    drawn[0]["annotations"][0]["result"][1]["value"]["x"] = 50.0
    drawn[1] |= {"annotations": [{"was_cancelled": True, "result": []}], "predictions": [1]}
    (tmp_path / "t.json").write_text(json.dumps(drawn))
    again = read(f"labelstudio:{tmp_path / 't.json'}", images)
    assert [item.category.name for item in again.objects] == ["cow", "cow"] and not again.notes
    assert again.objects[0].points[0, 0] == 100 and again.skipped == {"cancelled annotations": 1}


def test_a_prefix_makes_addresses_that_are_read_back(made, tmp_path):
    images, data = made
    text, _ = convert(data, images, "labelstudio", "/data/local-files/?d=pics/")
    assert json.loads(text)[0]["data"]["image"] == "/data/local-files/?d=pics/my%20cow%20%281%29.jpg"
    (tmp_path / "t.json").write_text(text)
    again = read(f"labelstudio:{tmp_path / 't.json'}", images)
    assert [item.image for item in again.objects] == [item.image for item in data.objects]
    with pytest.raises(InputError, match="form csv names pictures by their files"):
        convert(data, images, "csv", "x/")


@pytest.mark.parametrize(
    "value",
    [
        "my cow (1).jpg",
        "/data/local-files/?d=pics/my%20cow%20%281%29.jpg",
        "/data/local-files/?d=pics%5Cmy%20cow%20%281%29.jpg",
        "http://localhost:8080/data/local-files/?d=C%3A%5Cdata%5Cpics%5Cmy+cow+(1).jpg",
        "/data/upload/3/5d289c4a-my_cow_1.jpg",
        "http://localhost:8080/data/upload/3/5d289c4a-my_cow_1.jpg",
    ],
)
def test_a_picture_is_found_by_every_address_that_label_studio_gives_it(made, value):
    images, _ = made
    assert picture_file(value, PictureSearch(images), "task 1") == "my cow (1).jpg"


def test_an_upload_that_may_be_of_two_files_is_not_taken_for_either(made):
    images, _ = made
    Image.new("RGB", (9, 9)).save(images / "my cow [1].jpg")
    assert picture_file("/data/upload/3/5d289c4a-my_cow_1.jpg", PictureSearch(images), "task 1") == "my_cow_1.jpg"
    assert upload_name(" Kuh 1 (groß).JPG") == "Kuh_1_groß.JPG"
    assert picture_address("a b.jpg", "") == "a b.jpg"


def test_an_address_that_is_none_costs_its_own_task_alone(made, tmp_path):
    images, data = made
    tasks = json.loads(convert(data, images, "labelstudio")[0])
    tasks[0] |= {"id": 41, "data": {"image": "http://[bad/x.jpg"}}
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    again = read(f"labelstudio:{tmp_path / 't.json'}", images)
    assert [item.category.name for item in again.objects] == ["bell"]
    (fault,) = again.faults
    assert "task 41 has its picture at 'http://[bad/x.jpg', which is no address" in fault


def test_the_setup_has_a_label_for_every_category_and_point_once(made):
    _, data = made
    root = ElementTree.fromstring(setup_text(data))
    labels = {control.get("name"): [one.get("value") for one in control] for control in root}
    assert labels == {"image": [], "bbox": ["cow", "bell"], "kp": ["nose", 'left "ear" <tip>', "tail"]}
    colours = [one.get("background") for one in root.iter("Label")]
    assert len(set(colours[2:])) == 3 and all(len(colour) == 7 for colour in colours)
    assert {control.get("toName") for control in root} == {None, "image"}


def test_convert_writes_the_setup_beside_and_says_what_to_do(made, tmp_path, capsys):
    images, _ = made

    def run(*more):
        with pytest.raises(SystemExit) as ended:
            options = ["--images", str(images), "--to", "labelstudio", "-o", str(tmp_path / "t.json"), *more]
            cli.main(["data", "convert", f"coco:{tmp_path / 'labels.json'}", *options])
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    code, out, _ = run("--dry-run")
    assert code == 0 and not (tmp_path / "t.json").exists() and not (tmp_path / "t.config.xml").exists()
    code, out, err = run("--picture-prefix", "/data/local-files/?d=pics/")
    assert code == 0 and "t.config.xml" in out and "Labeling Interface" in err
    assert (tmp_path / "t.config.xml").read_text() == setup_text(made[1])
    (tmp_path / "t.json").unlink()
    code, _, err = run()
    assert code == 2 and "t.config.xml is there already" in err and not (tmp_path / "t.json").exists()


def test_label_studios_coco_export_is_refused_with_what_to_do(made, tmp_path):
    images, _ = made
    document = json.loads((tmp_path / "labels.json").read_text())
    (tmp_path / "x.json").write_text(json.dumps({**document, "info": {"contributor": "Label Studio"}}))
    with pytest.raises(InputError, match="export as JSON and read it as labelstudio:FILE"):
        read(f"coco:{tmp_path / 'x.json'}", images)


def test_forms_say_what_lies_beside_them(made):
    assert form_of("csv").beside is None and {*form_of("labelstudio").beside(made[1])} == {".config.xml"}
    (text,) = form_of("cvat").beside(made[1]).values()
    cow, bell = json.loads(text)
    assert cow["name"] == "cow" and cow["type"] == "skeleton" and [one["name"] for one in bell["sublabels"]] == ["nose"]
    assert [one["name"] for one in cow["sublabels"]] == ["nose", 'left "ear" <tip>', "tail"]
    root = ElementTree.fromstring(f"<svg>{cow['svg']}</svg>")
    assert [one.get("data-label-name") for one in root.iter("circle")] == ["nose", 'left "ear" <tip>', "tail"]
