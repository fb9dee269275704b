"""OKS statistics: a case by hand, the order of detections, what is refused, and spellings of ids, areas and flags."""

import copy
import math

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from anykeypoint.category import Category, Keypoint
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


@pytest.mark.parametrize("stated", [0, None, 2, -1])
def test_a_number_of_points_that_a_converter_filled_in_has_no_effect(stated):
    labels = copy.deepcopy(LABELS)
    for entry in labels["annotations"]:
        entry["num_keypoints"] = stated
    wrong = [GOOD[0], found(2, [30, 20, 1, 45, 45, 1], 0.8)]
    for detections in (GOOD, wrong):
        theirs, ours = (oks_statistics(one, detections, SIGMAS) for one in (LABELS, labels))
        assert ours == pytest.approx(theirs, nan_ok=True)


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
    assert sigmas(str(file), Category.from_text("nose; left ear")).tolist() == [0.2, 0.3]


def test_sigmas_are_found_by_what_the_data_call_a_point_too(tmp_path):
    """The library's words take the place of a file's, which a user never saw."""
    file = tmp_path / "mine.json"
    file.write_text('{"L_EarBase": 0.3, "nose": 0.2}')
    points = (Keypoint("nose"), Keypoint("base of the left ear", label="L_EarBase"))
    assert sigmas(str(file), Category("animal", points)).tolist() == [0.2, 0.3]
    file.write_text('{"nose": 0.2}')
    with pytest.raises(InputError, match="no sigma of the point 'L_EarBase'"):
        sigmas(str(file), Category("animal", points))


@pytest.mark.parametrize(
    ("content", "category", "words"),
    [
        ("[0.1, 0]", None, "numbers above 0"),
        ("[0.1, true]", None, "numbers above 0"),
        ("[]", None, "numbers above 0"),
        ("3", None, "numbers above 0"),
        ('{"nose": "a"}', Category.from_text("nose;"), "numbers above 0"),
        ('{"nose": 0.1}', Category.from_text("nose; tail"), "no sigma of the point 'tail'"),
        ('{"nose": 0.1}', None, "names of the points are not known"),
        ("{", None, "Cannot read the sigmas"),
    ],
)
def test_a_file_that_gives_no_sigmas_is_refused(tmp_path, content, category, words):
    file = tmp_path / "mine.json"
    file.write_text(content)
    with pytest.raises(InputError, match=words):
        sigmas(str(file), category)


def test_a_name_that_is_unknown_lists_the_known_ones_and_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"'bus'; known are coco, .*carfusion, or give a \.json file"):
        sigmas("bus")
    with pytest.raises(InputError, match=r"none\.json"):
        sigmas(str(tmp_path / "none.json"))


# --- spelling ------------------------------------------------------------------------------------------------------


def pycocotools_statistics(labels, detections, values):
    """What pycocotools gives when it is called as its documentation says, on labels that are clean."""
    truth = COCO()
    truth.dataset = copy.deepcopy(labels)
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(detections)), "keypoints")
    evaluation.params.kpt_oks_sigmas = np.array(values)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return [math.nan if value < 0 else value for value in evaluation.stats]


def drawn_objects(rng, pictures=4):
    """Labels with ids from 1 of up to three objects of two categories of one name in each picture, and detections."""
    categories = [{"id": 1, "name": "thing"}, {"id": 2, "name": "thing"}]
    annotations, detections = [], []
    for image in range(1, pictures + 1):
        for _ in range(rng.integers(0, 4)):
            places, side = rng.uniform(5, 150, (2, 2)), rng.uniform(20, 150)
            kind, seen = int(rng.integers(1, 3)), rng.integers(0, 3, 2)
            entry = {"image_id": image, "category_id": kind, "bbox": [0, 0, side, side], "area": float(side**2)}
            entry |= {"keypoints": np.column_stack([places, seen]).ravel().tolist(), "iscrowd": int(rng.random() < 0.1)}
            annotations.append({"id": len(annotations) + 1, "num_keypoints": int((seen > 0).sum()), **entry})
            for _ in range(rng.integers(0, 3)):
                moved = np.column_stack([places + rng.normal(0, 5, (2, 2)), [1, 1]]).ravel().tolist()
                detections.append({**found(image, moved, float(rng.random())), "category_id": kind})
    return {"images": [{"id": i + 1} for i in range(pictures)], "categories": categories, "annotations": annotations}, (
        detections
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_figures_are_those_of_pycocotools_on_clean_ids_whatever_the_ids(seed):
    rng = np.random.default_rng(seed)
    labels, detections = drawn_objects(rng)
    if not detections:
        detections = [found(1, [1.0] * 6, 0.5)]
    right = pytest.approx(pycocotools_statistics(labels, detections, SIGMAS), abs=1e-9, nan_ok=True)
    assert list(oks_statistics(labels, detections, SIGMAS).values()) == right
    count, images = len(labels["annotations"]), len(labels["images"])
    for ids in (range(count), range(-1, count - 1), rng.permutation(count).tolist(), [7] * count):
        places = dict(zip(range(1, images + 1), rng.permutation(images).tolist(), strict=True))
        kinds = {1: 1, 2: 0}
        other = copy.deepcopy(labels)
        for entry, identity in zip(other["annotations"], ids, strict=True):
            entry["id"] = identity
        other["images"] = [{"id": places[entry["id"]]} for entry in other["images"]]
        other["categories"] = [{**entry, "id": kinds[entry["id"]]} for entry in other["categories"]]
        renamed = [
            [{**e, "image_id": places[e["image_id"]], "category_id": kinds[e["category_id"]]} for e in entries]
            for entries in (other["annotations"], detections)
        ]
        other["annotations"] = renamed[0]
        assert list(oks_statistics(other, renamed[1], SIGMAS).values()) == right, list(ids)


def test_labels_without_an_object_have_no_figure_and_one_object_has_its_own():
    for labels in (
        {**LABELS, "annotations": []},
        {"images": [], "annotations": [], "categories": []},
        {**LABELS, "annotations": [{**entry, "iscrowd": 1} for entry in LABELS["annotations"]]},
    ):
        for detections in ([], GOOD if labels["images"] else []):
            assert all(math.isnan(value) for value in oks_statistics(labels, detections, SIGMAS).values())
    one = {**LABELS, "annotations": [{**LABELS["annotations"][0], "id": 0}]}
    assert oks_statistics(one, GOOD[:1], SIGMAS)["AP"] == pytest.approx(1)


def test_a_crowd_flag_of_null_is_none_and_a_text_is_refused():
    for value in (None, False, 0):
        labels = {**LABELS, "annotations": [{**entry, "iscrowd": value} for entry in LABELS["annotations"]]}
        assert oks_statistics(labels, GOOD, SIGMAS) == pytest.approx(oks_statistics(LABELS, GOOD, SIGMAS), nan_ok=True)
    for value in ("0", "false", 2, [1]):
        labels = {**LABELS, "annotations": [{**LABELS["annotations"][0], "iscrowd": value}]}
        with pytest.raises(InputError, match="Annotation 1, key 'iscrowd', must be 0 or 1"):
            oks_statistics(labels, GOOD, SIGMAS)


@pytest.mark.parametrize("area", [0, 1, 1.0, 0.25, None])
def test_a_missing_area_or_a_filler_is_that_of_the_box(area):
    near = [found(1, [12, 10, 1, 40, 41, 1], 0.9)]
    labels = copy.deepcopy(LABELS)
    right = oks_matrices(labels, near, SIGMAS)[1, 1]
    for entry in labels["annotations"]:
        entry["area"] = area
    assert oks_matrices(labels, near, SIGMAS)[1, 1] == pytest.approx(right) and right[0, 0] > 0.5
    for entry in labels["annotations"]:
        del entry["area"]
    assert oks_matrices(labels, near, SIGMAS)[1, 1] == pytest.approx(right)


def test_a_flat_box_without_an_area_has_the_square_of_its_longer_side():
    labels, near = copy.deepcopy(LABELS), [found(1, [12, 10, 1, 40, 41, 1], 0.9)]
    right = oks_matrices(labels, near, SIGMAS)[1, 1]
    for box in ([20, 0, 0, 50], [0, 20, 50, 0]):
        labels["annotations"][0] |= {"bbox": box, "area": 0}
        assert oks_matrices(labels, near, SIGMAS)[1, 1] == pytest.approx(right)


def test_an_object_without_a_box_needs_an_area_and_a_labelled_point():
    labels = copy.deepcopy(LABELS)
    del labels["annotations"][0]["bbox"]
    assert oks_statistics(labels, GOOD, SIGMAS)["AP"] == pytest.approx(1)
    labels["annotations"][0]["area"] = None
    with pytest.raises(InputError, match="Annotation 1 has no 'bbox'"):
        oks_statistics(labels, GOOD, SIGMAS)
