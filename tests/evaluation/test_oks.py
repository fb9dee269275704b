"""OKS statistics: a plain case by hand, the order of detections, and what is refused."""

import copy
import math

import numpy as np
import pytest

from anykeypoint.errors import InputError
from anykeypoint.evaluation.oks import STATISTICS, oks_matrices, oks_statistics, sigmas

SIGMAS = [0.05, 0.1]
LABELS = {
    "images": [{"id": 1}, {"id": 2}],
    "categories": [{"id": 1, "name": "thing"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "area": 2500, "iscrowd": 0}
        | {"keypoints": [10, 10, 2, 40, 40, 1], "num_keypoints": 2},
        {"id": 2, "image_id": 2, "category_id": 1, "bbox": [0, 0, 50, 50], "area": 2500, "iscrowd": 0}
        | {"keypoints": [20, 20, 2, 0, 0, 0], "num_keypoints": 1},
    ],
}


def found(image, keypoints, score):
    return {"image_id": image, "category_id": 1, "keypoints": keypoints, "score": score}


PRISTINE = copy.deepcopy(LABELS)
GOOD = [found(1, [10, 10, 1, 40, 40, 1], 0.9), found(2, [20, 20, 1, 45, 45, 1], 0.8)]


def test_perfect_detections_have_all_of_it_and_sizes_without_an_object_are_nan():
    ours = oks_statistics(LABELS, GOOD, SIGMAS)
    assert tuple(ours) == STATISTICS
    for key, value in ours.items():
        assert math.isnan(value) if key.endswith("large") else value == pytest.approx(1), key


def test_oks_is_the_papers_formula():
    ours = oks_matrices(LABELS, [found(1, [13, 10, 1, 40, 44, 1], 1.0)], SIGMAS)
    terms = [math.exp(-(d**2) / (8 * s**2 * 2500)) for d, s in zip((3, 4), SIGMAS, strict=True)]
    assert ours[1, 1] == pytest.approx(np.array([[sum(terms) / 2]]))


def test_no_detection_finds_nothing():
    ours = oks_statistics(LABELS, [], SIGMAS)
    assert ours["AP"] == ours["AR"] == 0 and math.isnan(ours["AP_large"])


def test_the_order_of_detections_has_no_part_even_among_equal_scores():
    rng = np.random.default_rng(0)
    many = []
    for image in (1, 2):
        for _ in range(8):
            many.append(found(image, [*rng.uniform(8, 22, 2), 1, *rng.uniform(35, 45, 2), 1], rng.choice([0.3, 0.6])))
    first = oks_statistics(LABELS, many, SIGMAS)
    for _ in range(4):
        rng.shuffle(many)
        assert str(oks_statistics(LABELS, many, SIGMAS)) == str(first)


def test_labels_and_detections_are_not_changed_and_nothing_is_printed(capsys):
    labels, detections = copy.deepcopy(PRISTINE), copy.deepcopy(GOOD)
    oks_statistics(labels, detections, SIGMAS)
    assert (labels, detections) == (PRISTINE, GOOD) and capsys.readouterr().out == ""


@pytest.mark.parametrize("name, count", [("coco", 17), ("human_art", 17), ("ap10k", 17), ("animalpose", 20)])
def test_each_data_set_has_its_own_sigmas(name, count):
    values = sigmas(name)
    assert len(values) == count and (values > 0.02).all() and (values < 0.11).all()


def test_sigmas_of_an_unknown_data_set_are_refused_with_what_is_known():
    with pytest.raises(InputError, match=r"'birds'.*coco, human_art"):
        sigmas("birds")


@pytest.mark.parametrize(
    "detections, values, message",
    [
        (GOOD, [0.1], "1 sigmas need 3"),
        (GOOD, [0.1, 0], "above 0"),
        ([found(9, [1] * 6, 1.0)], SIGMAS, "Detection 0 has image_id 9"),
        ([{**GOOD[0], "category_id": 2}], SIGMAS, "category_id 2"),
        ([found(1, [1] * 5, 1.0)], SIGMAS, "Detection 0 must have 6"),
        ([found(1, [math.nan] * 6, 1.0)], SIGMAS, "finite 'keypoints'"),
        ([found(1, [1] * 6, math.nan)], SIGMAS, "finite 'score'"),
    ],
)
def test_what_does_not_fit_is_refused(detections, values, message):
    with pytest.raises(InputError, match=message):
        oks_statistics(LABELS, detections, values)


def test_labels_that_are_no_coco_file_are_refused():
    with pytest.raises(InputError, match="'categories'"):
        oks_statistics({"images": [], "annotations": []}, [], SIGMAS)


# --- sigmas of a file ----------------------------------------------------------------------------------------------


def test_sigmas_come_from_a_list_or_by_the_names_of_points(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text("[0.05, 0.1]")
    assert sigmas(str(file)).tolist() == [0.05, 0.1]
    file.write_text('{"left_ear": 0.3, "Nose": 0.2, "tail": 1}')
    assert sigmas(str(file), ["nose", "left ear"]).tolist() == [0.2, 0.3]


@pytest.mark.parametrize(
    ("content", "names", "words"),
    [
        ("[0.1, 0]", None, "numbers above 0"),
        ("[0.1, true]", None, "numbers above 0"),
        ("[]", None, "numbers above 0"),
        ("3", None, "numbers above 0"),
        ('{"nose": "a"}', ["nose"], "numbers above 0"),
        ('{"nose": 0.1}', ["nose", "tail"], "no sigma of the point 'tail'"),
        ('{"nose": 0.1}', None, "names of the points are not known"),
        ("{", None, "Cannot read the sigmas"),
    ],
)
def test_a_file_that_gives_no_sigmas_is_refused(tmp_path, content, names, words):
    file = tmp_path / "mine.json"
    file.write_text(content)
    with pytest.raises(InputError, match=words):
        sigmas(str(file), names)


def test_a_name_that_is_unknown_lists_the_known_ones_and_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"'bus'; known are coco, .*carfusion, or give a \.json file"):
        sigmas("bus")
    with pytest.raises(InputError, match=r"none\.json"):
        sigmas(str(tmp_path / "none.json"))
