"""PCK: checked against a plain loop, and for what must not matter: order, batches, units."""

import math
import tracemalloc

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
    """PCK at the thresholds of one object by itself."""
    predicted, labelled = np.array([predicted], float), np.array([labelled], float)
    mask = ~np.isnan(labelled).any(axis=2)
    return metrics.score_pairs(predicted, labelled, mask, np.array([max(box[2:])], float)).pck[0]


def means(hits, labels):
    """Both means of objects with one score at all thresholds each."""
    hits = np.asarray(hits, float)
    rest = np.zeros(len(hits))
    columns = np.repeat(hits[:, None], 5, axis=1) if hits.ndim == 1 else hits
    return metrics.pair_means(
        metrics.PairScores(columns, rest, rest, rest, rest.astype(int) + 1, rest.astype(int)), labels
    )


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
    assert np.isnan(scored([[1, 1]], [[float("nan")] * 2])).all()


def test_predictions_and_labels_of_different_length_are_refused():
    with pytest.raises(InputError, match=r"\(1, 1, 2\) and \(1, 2, 2\)"):
        scored([[1, 1]], [[1, 1], [2, 2]])


def test_a_large_category_weighs_as_much_as_a_small_one():
    found = means([1] * 9 + [0], ["many"] * 9 + ["one"])
    assert found["category_mean"]["pck@0.2"] == 50
    assert found["object_mean"]["pck@0.2"] == pytest.approx(90)


def test_mpck_is_the_mean_over_the_five_thresholds():
    report = means([[0, 0.25, 0.5, 0.75, 1]], ["a"])["object_mean"]
    assert {key: report[key] for key in metrics.KEYS} == {
        "pck@0.05": 0,
        "pck@0.1": 25,
        "pck@0.15": 50,
        "pck@0.2": 75,
        "pck@0.25": 100,
        "mpck": 50,
    }


scores_and_labels = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 8)), min_size=1, max_size=20)


@given(scores_and_labels, st.randoms())
def test_the_order_of_the_objects_does_not_matter(rows, random):
    def report(rows):
        scores = np.array([hits / 8 for _, hits in rows])
        labels = [label for label, _ in rows]
        found = means(scores, labels)
        interval = metrics.bootstrap_interval(scores, labels, rounds=20)
        return [*found["category_mean"].values(), *found["object_mean"].values(), *interval]

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


def plain_bootstrap(values, categories, rounds):
    """All rounds of a category drawn at once."""
    rng, total = np.random.default_rng(0), np.zeros((rounds, values.shape[1]))
    for label in sorted(set(categories)):
        own = values[[row for row, other in enumerate(categories) if other == label]]
        own = own[np.lexsort((*np.ones_like(own).T, *own.T))]
        drawn = rng.integers(len(own), size=(rounds, len(own)))
        total += np.stack([column[drawn].sum(axis=1) for column in own.T], axis=1) / len(own)
    return total / len(set(categories))


@pytest.mark.parametrize("cells", [1, 300, 1000, metrics.CELLS])
def test_rounds_that_are_drawn_in_parts_are_those_that_are_drawn_at_once(cells, monkeypatch):
    rng = np.random.default_rng(0)
    values, labels = rng.random((400, 2)), ["a"] + ["b"] * 20 + ["c"] * 379
    monkeypatch.setattr(metrics, "CELLS", cells)
    found = metrics.bootstrap_means(values, labels, rounds=50)
    np.testing.assert_array_equal(found, plain_bootstrap(values, labels, 50))


def test_the_bootstrap_of_many_objects_holds_a_part_of_the_rounds_at_a_time():
    scores = np.zeros(40_000)
    tracemalloc.start()
    metrics.bootstrap_interval(scores, ["a"] * len(scores), rounds=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 1000 * len(scores) / 2


def test_scores_and_labels_of_different_length_are_refused():
    with pytest.raises(InputError, match="1 for 2 objects"):
        means([0, 0], ["a"])


def test_all_scores_of_an_object_are_drawn_together():
    """Two objects, one of them asked about three times: only three means can come out."""
    scores, objects = np.array([1.0, 0.0, 0.5, 0.0]), np.array([7, 7, 7, 3])
    draws = {metrics.bootstrap_interval(scores, ["a"] * 4, seed, 1, 0.95, objects)[0] for seed in range(40)}
    assert {round(value, 6) for value in draws} == {0.0, 37.5, 50.0}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7)), min_size=1, max_size=12), st.randoms())
def test_the_order_of_an_objects_scores_does_not_matter(rows, random):
    def low(rows):
        scores, objects = np.array([hits / 7 for _, hits in rows]), np.array([key for key, _ in rows])
        return metrics.bootstrap_interval(scores, ["a"] * len(rows), 0, 20, 0.95, objects)

    shuffled = list(rows)
    random.shuffle(shuffled)
    assert low(rows) == low(shuffled)
