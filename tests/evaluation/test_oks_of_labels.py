"""OKS and PCK of labels as people have them: ids from 0, fillers as areas, flat boxes; and what is refused early."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from anykeypoint import cli
from anykeypoint.evaluation import run, scoring
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.forms.coco import read_coco

POINTS = np.array([[40.0, 40], [80, 60], [120, 100]])


@pytest.fixture
def labels(tmp_path):
    """Writes a COCO file of objects of three points in pictures of their own, and reads it: keys of each object in."""
    (tmp_path / "i").mkdir()

    def write(*entries, points=POINTS):
        for number in range(len(entries)):
            Image.new("RGB", (200, 160)).save(tmp_path / "i" / f"{number}.png")
        common = {"category_id": 1, "bbox": [30, 30, 100, 80], "num_keypoints": 3, "iscrowd": 0}
        common["keypoints"] = np.column_stack([points, [2, 2, 2]]).ravel().tolist()
        document = {
            "images": [{"id": i, "file_name": f"{i}.png", "width": 200, "height": 160} for i in range(len(entries))],
            "annotations": [{"id": i + 1, "image_id": i, **common, **entry} for i, entry in enumerate(entries)],
            "categories": [{"id": 1, "name": "thing", "keypoints": ["a", "b", "c"], "skeleton": []}],
        }
        (tmp_path / "l.json").write_text(json.dumps(document))
        (tmp_path / "s.json").write_text("[0.05, 0.05, 0.05]")
        return read_coco(tmp_path / "l.json", tmp_path / "i")

    return write


def statistics(data, tmp_path, off=0.0):
    """OKS of answers that are the labels, moved to the right by `off` pixels."""
    points = [np.add(item.points, (off, 0)) for item in data.objects]
    return scoring.oks(str(tmp_path / "s.json"), data.objects, points, [np.ones(3)] * len(points))[0]


def test_ids_from_zero_give_the_figures_of_ids_from_one(labels, tmp_path):
    first = statistics(labels({"id": 1, "area": 5000}, {"id": 2, "area": 5000}), tmp_path)
    assert first["AP"] == first["AR"] == pytest.approx(100)
    for ids in ((0, 1), (1, 0), (-1, 0), (5, 0)):
        other = statistics(labels(*({"id": identity, "area": 5000} for identity in ids)), tmp_path)
        assert other == first, ids


@pytest.mark.parametrize("areas", [(0, 1), (1, 1), (0, 0), (None, None), (0.5, 0)])
def test_areas_that_are_fillers_give_way_to_the_boxs(labels, tmp_path, areas):
    right = statistics(labels(*[{"area": 8000}] * 2), tmp_path, 1.0)
    found = statistics(labels(*({"area": area} for area in areas)), tmp_path, 1.0)
    assert found["AP"] == right["AP"] == pytest.approx(100)
    assert found["areas"] == {"stated": 0, "box": 2} and right["areas"] == {"stated": 2, "box": 0}
    assert "all objects is width x height of the box" in scoring.describe_areas(found["areas"])
    assert "as the file states" in scoring.describe_areas(right["areas"])


def test_one_area_for_boxes_that_differ_is_a_filler_and_a_few_objects_without_are_counted(labels, tmp_path):
    boxes = [[30, 30, 100, 80], [20, 20, 150, 130], [35, 35, 90, 70]]
    data = labels(*({"area": 50, "bbox": box} for box in boxes))
    assert statistics(data, tmp_path)["areas"] == {"stated": 0, "box": 3}
    mixed = statistics(labels({"area": 7000}, {"area": 0}), tmp_path)["areas"]
    assert scoring.describe_areas(mixed).startswith("the area of 1 of 2 objects")


def test_a_flat_box_is_measured_by_its_longer_side(labels, tmp_path):
    upright = np.array([[50.0, 30], [50, 60], [50, 110]])
    data = labels({"bbox": [50, 30, 1, 80], "area": 0}, points=upright)
    flat = dataclasses.replace(data, objects=[dataclasses.replace(data.objects[0], box=(50.0, 30.0, 0.0, 80.0))])
    square = labels({"bbox": [10, 30, 80, 80], "area": 6400}, points=upright)
    assert {**statistics(flat, tmp_path, 3.0), "areas": 0} == {**statistics(square, tmp_path, 3.0), "areas": 0}
    pair = [scoring.Pair((), 0)]
    targets = scoring.ScoringTargets.from_pairs(flat, pair, ["thing"], official=False)
    for off, found in ((7.9, 1), (8.1, 0)):
        assert targets.score([np.add(upright, (off, 0))]).pck[0, 1] == found  # a tenth of 80 pixels


def test_examples_that_share_no_point_are_refused_before_a_model_is_loaded(labels, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("anykeypoint.load", lambda *_, **__: pytest.fail("a model was loaded"))
    halves = [np.column_stack([POINTS, seen]).ravel().tolist() for seen in ([2, 0, 0], [0, 2, 2])]
    labels(*({"keypoints": half} for half in halves))
    for protocol in ("1-shot", "both"):
        with pytest.raises(SystemExit) as ended:
            arguments = ["--data", f"coco:{tmp_path / 'l.json'}", "--images", str(tmp_path / "i"), "-o", str(tmp_path)]
            cli.main(["evaluate", "fast", *arguments, "--protocol", protocol])
        told = capsys.readouterr().err
        assert ended.value.code != 0 and "share a labelled point" in told and told.count("\n") == 1


def test_one_object_is_measured_by_words_and_needs_a_second_for_an_example(labels, tmp_path):
    data = labels({"area": 8000, "id": 0})
    run.check_labels(data, EvaluationConfig(oks=str(tmp_path / "s.json")))
    assert statistics(data, tmp_path)["AP"] == pytest.approx(100)
    with pytest.raises(Exception, match="'1-shot': it needs 2 objects of a category"):
        run.check_labels(data, EvaluationConfig(protocol="1-shot"))
    with pytest.raises(Exception, match="no object to measure on"):
        run.check_labels(dataclasses.replace(data, objects=[]), EvaluationConfig(oks=str(tmp_path / "s.json")))


def test_the_shared_cases_have_the_right_figures(shared, tmp_path):
    folder = shared / "cases" / "reports"
    found = []
    for name in ("first0", "first1"):
        data = read_coco(folder / "oks_ids_from_zero" / f"{name}.json", folder / "oks_ids_from_zero")
        points = [item.points for item in data.objects]
        found.append(scoring.oks("coco", data.objects, points, [np.ones(17)] * len(points))[0])
    assert found[0] == found[1] and found[0]["AP"] == found[0]["AR"] == pytest.approx(100)
    data = read_coco(folder / "area_zero_or_one" / "l.json", folder / "area_zero_or_one")
    (tmp_path / "s.json").write_text("[0.05, 0.05, 0.05]")
    assert statistics(data, tmp_path, 1.0)["AP"] == pytest.approx(100)
