"""AP and AR of drawn pictures: the quick ranking against COCO's own, on labels that hold each picture as often."""

import copy
import json
import math

import numpy as np
import pytest

from anykeypoint.errors import InputError
from anykeypoint.evaluation import oks_matches as module
from anykeypoint.evaluation.oks import STATISTICS, oks_statistics, statistics_and_matches
from anykeypoint.evaluation.oks_matches import drawn_pictures, drawn_statistic, read_match_lines

SIGMAS = [0.05, 0.1, 0.07]


def made(seed, pictures=7, crowded=0.1):
    """Labels of up to four objects of two categories and all sizes in each picture, and detections of other scores."""
    rng = np.random.default_rng(seed)
    annotations, detections = [], []
    for image in range(1, pictures + 1):
        for _ in range(rng.integers(0, 5)):
            side = rng.choice([20.0, 60.0, 70.0, 150.0])
            places, seen, kind = rng.uniform(5, 150, (3, 2)), rng.integers(0, 3, 3), int(rng.integers(1, 3))
            entry = {"image_id": image, "category_id": kind, "bbox": [0, 0, side, side], "area": side**2}
            entry |= {"keypoints": np.column_stack([places, seen]).ravel().tolist()}
            entry |= {"id": len(annotations) + 1, "iscrowd": int(rng.random() < crowded)}
            annotations.append(entry)
            for _ in range(rng.integers(0, 3)):
                moved = np.column_stack([places + rng.normal(0, side / 20, (3, 2)), [1, 1, 1]]).ravel().tolist()
                kind = kind if rng.random() < 0.9 else 3 - kind
                detections.append({"image_id": image, "category_id": kind, "keypoints": moved})
    for detection, place in zip(detections, rng.permutation(len(detections)).tolist(), strict=True):
        detection["score"] = (place + 1) / 100
    images = [{"id": number} for number in range(1, pictures + 1)]
    return {"images": images, "categories": [{"id": 1}, {"id": 2}], "annotations": annotations}, detections


def copied(labels, detections, times):
    """Labels and detections in which each picture is there as often as `times` says, under ids of its own."""
    content = {"images": [], "categories": labels["categories"], "annotations": []}
    found = []
    for picture, often in zip(labels["images"], times, strict=True):
        for _ in range(often):
            number = len(content["images"]) + 1
            content["images"].append({"id": number})
            for entries, into in ((labels["annotations"], content["annotations"]), (detections, found)):
                own = [entry for entry in entries if entry["image_id"] == picture["id"]]
                into += [{**copy.deepcopy(entry), "image_id": number} for entry in own]
    return content, found


@pytest.mark.parametrize("seed", range(8))
def test_drawing_pictures_gives_what_coco_says_of_labels_that_hold_them_as_often(seed):
    labels, detections = made(seed)
    lines = statistics_and_matches(labels, detections, SIGMAS)[1]
    pictures = [picture["id"] for picture in labels["images"]]
    times = np.concatenate([np.ones((1, len(pictures)), int), drawn_pictures(len(pictures), 11, seed)])
    assert times.sum(axis=1).tolist() == [len(pictures)] * 12 and times.max() > 2
    slow = [oks_statistics(*copied(labels, detections, row), SIGMAS) for row in times]
    for name in STATISTICS:
        quick = drawn_statistic(lines, name, pictures, times)
        np.testing.assert_allclose(quick, [100 * one[name] for one in slow], atol=1e-9, err_msg=name)


def test_a_draw_without_an_object_of_a_size_has_no_figure_and_without_a_detection_nothing_is_found():
    labels, _ = made(0)
    lines = statistics_and_matches(labels, [], SIGMAS)[1]
    pictures = [picture["id"] for picture in labels["images"]]
    times = np.array([[1] * len(pictures), [0] * len(pictures)])
    for name in ("AP", "AR75"):
        found = drawn_statistic(lines, name, pictures, times)
        assert found[0] == 0 and math.isnan(found[1])


@pytest.mark.parametrize("cells", [1, 25])
def test_how_many_are_ranked_at_once_changes_nothing(monkeypatch, cells):
    labels, detections = made(3)
    lines = statistics_and_matches(labels, detections, SIGMAS)[1]
    pictures = [picture["id"] for picture in labels["images"]]
    times = drawn_pictures(len(pictures), 30)
    whole = [drawn_statistic(lines, name, pictures, times) for name in ("AP", "AR_medium")]
    monkeypatch.setattr(module, "_CELLS", cells)
    parts = [drawn_statistic(lines, name, pictures, times) for name in ("AP", "AR_medium")]
    np.testing.assert_allclose(parts, whole, rtol=1e-12)


def test_lines_come_back_from_their_file_and_newer_ones_are_refused(tmp_path):
    lines = statistics_and_matches(*made(1), SIGMAS)[1]
    path = tmp_path / module.FILE
    assert read_match_lines(path) == []
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_match_lines(path) == lines and len(lines) > 5
    path.write_text(json.dumps({**lines[0], "schema_version": 99}) + "\n")
    with pytest.raises(InputError, match="line 1, has the schema version 99"):
        read_match_lines(path)
