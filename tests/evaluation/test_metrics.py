"""PCK: checked against a plain loop, and for what must not matter: order, batches, units."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.errors import InputError
from anykeypoint.evaluation import metrics


def slow_pck(predicted, labelled, box, threshold):
    """The definition, one point at a time."""
    right = count = 0
    for (px, py), (x, y) in zip(predicted, labelled, strict=True):
        if math.isnan(x):
            continue
        count += 1
        if not math.isnan(px) and math.hypot(px - x, py - y) / max(box[2], box[3]) < threshold:
            right += 1
    return right / count


def scored(predicted, labelled, box=(0, 0, 10, 4)):
    return metrics.pck(metrics.normalised_distances(np.array(predicted, float), np.array(labelled, float), box))


coordinate = st.floats(-50, 50)
point = st.tuples(coordinate, coordinate)


@st.composite
def objects(draw):
    count = draw(st.integers(1, 6))
    labelled = draw(st.lists(point, min_size=count, max_size=count))
    predicted = [draw(st.one_of(point, st.just((math.nan, math.nan)))) for _ in labelled]
    hidden = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    labelled = [
        (math.nan, math.nan) if hide and i else p for i, (p, hide) in enumerate(zip(labelled, hidden, strict=True))
    ]
    return predicted, labelled, (0.0, 0.0, draw(st.floats(1, 80)), draw(st.floats(1, 80)))


@given(objects())
def test_pck_agrees_with_the_plain_definition(item):
    expected = [slow_pck(*item, threshold) for threshold in metrics.THRESHOLDS]
    np.testing.assert_allclose(scored(*item), expected)


def test_a_point_exactly_at_the_threshold_is_wrong():
    assert scored([[2, 0]], [[0, 0]]).tolist() == [0, 0, 0, 0, 1]
    assert scored([[np.nextafter(2, 0), 0]], [[0, 0]]).tolist() == [0, 0, 0, 1, 1]


def test_the_longer_side_of_the_box_is_the_unit():
    assert scored([[1.9, 0]], [[0, 0]], (0, 0, 4, 10))[3] == 1
    assert scored([[1.9, 0]], [[0, 0]], (0, 0, 4, 4))[3] == 0


def test_an_absent_prediction_is_wrong_and_an_unlabelled_point_does_not_count():
    nan = float("nan")
    assert scored([[nan, nan], [0, 0]], [[0, 0], [0, 0]]).tolist() == [0.5] * 5
    assert scored([[5, 5], [0, 0]], [[nan, nan], [0, 0]]).tolist() == [1] * 5


def test_an_object_without_labels_has_no_score():
    with pytest.raises(InputError, match="one or more labelled points"):
        scored([[1, 1]], [[float("nan")] * 2])


def test_predictions_and_labels_of_different_length_are_refused():
    with pytest.raises(InputError, match=r"\(1, 2\) and \(2, 2\)"):
        scored([[1, 1]], [[1, 1], [2, 2]])


def test_a_large_category_weighs_as_much_as_a_small_one():
    scores = np.array([[1.0] * 5] * 9 + [[0.0] * 5])
    labels = ["many"] * 9 + ["one"]
    assert metrics.category_mean(scores, labels)["pck@0.2"] == 50
    assert metrics.object_mean(scores)["pck@0.2"] == pytest.approx(90)
    assert metrics.per_category(scores, labels)["one"]["mpck"] == 0


def test_mpck_is_the_mean_over_the_five_thresholds():
    report = metrics.object_mean(np.array([[0, 0.25, 0.5, 0.75, 1]]))
    assert report == {"pck@0.05": 0, "pck@0.1": 25, "pck@0.15": 50, "pck@0.2": 75, "pck@0.25": 100, "mpck": 50}


scores_and_labels = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 8)), min_size=1, max_size=20)


@given(scores_and_labels, st.randoms())
def test_the_order_of_the_objects_does_not_matter(rows, random):
    def report(rows):
        scores = np.array([[hits / 8] * 5 for _, hits in rows])
        labels = [label for label, _ in rows]
        interval = metrics.bootstrap_interval(scores[:, 3], labels, rounds=20)
        return [*metrics.category_mean(scores, labels).values(), *metrics.object_mean(scores).values(), *interval]

    shuffled = list(rows)
    random.shuffle(shuffled)
    np.testing.assert_allclose(report(rows), report(shuffled))


@given(st.lists(objects(), min_size=1, max_size=6), st.integers(1, 6))
def test_scoring_in_batches_gives_the_same(items, size):
    """Scores are per object: concatenating batches equals scoring all at once, and padding points adds nothing."""
    pad = [(math.nan, math.nan)] * 3
    padded = [(predicted + [(0, 0)] * 3, labelled + pad, box) for predicted, labelled, box in items]
    batches = [np.stack([scored(*item) for item in padded[i : i + size]]) for i in range(0, len(padded), size)]
    np.testing.assert_array_equal(np.concatenate(batches), np.stack([scored(*item) for item in items]))


def test_the_bootstrap_interval_is_seeded_and_holds_the_mean():
    rng = np.random.default_rng(0)
    scores, labels = rng.random(200), ["a", "b", "c", "d"] * 50
    low, high = metrics.bootstrap_interval(scores, labels, seed=3)
    assert (low, high) == metrics.bootstrap_interval(scores, labels, seed=3)
    assert (low, high) != metrics.bootstrap_interval(scores, labels, seed=4)
    assert low < 100 * scores.mean() < high
    # The standard error of the mean of 200 uniform numbers is 2.04 %; 95 % is 3.92 of them wide.
    assert high - low == pytest.approx(3.92 * 2.04, rel=0.2)


def test_without_spread_the_interval_is_the_mean():
    assert metrics.bootstrap_interval(np.array([0.25, 0.25, 0.75]), ["a", "a", "b"]) == (50, 50)


def test_scores_and_labels_of_different_length_are_refused():
    with pytest.raises(InputError, match="1 for 2 objects"):
        metrics.category_mean(np.zeros((2, 5)), ["a"])
