"""Scores of pairs: checked against a plain loop, and for what must not matter: padding, batches, parts, order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.errors import InputError
from anykeypoint.evaluation import metrics

NAN = float("nan")


def slow(predicted, labelled, mask, side):
    """The definition, one point at a time: PCK, AUC, NME, EPE; None without a point."""
    points = [(p, q) for p, q, m in zip(predicted, labelled, mask, strict=True) if m]
    pixels = [None if math.isnan(p[0]) else math.dist(p, q) for p, q in points]
    if not pixels:
        return None
    known = [distance for distance in pixels if distance is not None]

    def share(threshold):
        return sum(distance / side < threshold for distance in known) / len(pixels)

    mean = sum(known) / len(known) if known else NAN
    pck = [share(threshold) for threshold in metrics.THRESHOLDS]
    return pck, sum(share(step / 20) for step in range(20)) / 20, mean / side, mean


coordinate = st.floats(-50, 50)
place = st.tuples(coordinate, coordinate)


@st.composite
def batches(draw, most=6):
    count, width = draw(st.integers(1, most)), draw(st.integers(1, 5))

    def table(values):
        return draw(st.lists(st.lists(values, min_size=width, max_size=width), min_size=count, max_size=count))

    predicted = np.array(table(st.one_of(place, st.just((NAN, NAN)))))
    labelled, mask = np.array(table(place)), np.array(table(st.booleans()))
    sides = np.array(draw(st.lists(st.floats(1, 80), min_size=count, max_size=count)))
    return predicted, labelled, mask, sides


def same(found, expected):
    for key, values in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, key), values, err_msg=key)


@given(batches())
def test_scores_agree_with_the_plain_definition(batch):
    found = metrics.score_pairs(*batch)
    for i, row in enumerate(zip(*batch, strict=True)):
        expected = slow(*row)
        if expected is None:
            assert found.points[i] == 0 and np.isnan([*found.pck[i], found.auc[i], found.nme[i], found.epe[i]]).all()
            continue
        np.testing.assert_allclose(found.pck[i], expected[0])
        least = 1e-150  # pixels: the square of less is 0 in float64
        np.testing.assert_allclose([found.auc[i], found.nme[i], found.epe[i]], expected[1:], rtol=1e-9, atol=least)
        assert found.unanswered[i] == np.isnan(batch[0][i][batch[2][i]]).any(axis=-1).sum()


@given(batches(), st.integers(1, 6), st.integers(0, 9), st.booleans())
def test_batches_and_padding_change_no_figure(batch, size, pad, official):
    whole = metrics.score_pairs(*batch, official=official)
    predicted, labelled, mask, sides = batch
    wide = [np.pad(points, ((0, 0), (0, pad), (0, 0)), constant_values=3) for points in (predicted, labelled)]
    wide = [*wide, np.pad(mask, ((0, 0), (0, pad))), sides]
    parts = [[part[i : i + size] for part in wide] for i in range(0, len(sides), size)]
    same(metrics.PairScores.join(metrics.score_pairs(*part, official=official) for part in parts), whole)


def test_padding_changes_no_mean_of_many_points_by_a_single_bit():
    rng = np.random.default_rng(0)
    points, mask = rng.normal(size=(2, 30, 21, 2)), rng.random((30, 21)) < 0.7
    whole = metrics.score_pairs(*points, mask, np.ones(30))
    wide = np.pad(points, ((0, 0), (0, 0), (0, 40), (0, 0)))
    same(metrics.score_pairs(*wide, np.pad(mask, ((0, 0), (0, 40))), np.ones(30)), whole)


@given(batches(12), st.randoms())
def test_the_order_of_pairs_changes_no_mean_by_a_single_bit(batch, random):
    labels = [random.choice([3, 8, 9]) for _ in batch[3]]
    if not batch[2].any():
        return
    order = list(range(len(labels)))
    random.shuffle(order)
    found = metrics.pair_means(metrics.score_pairs(*batch), labels)
    other = metrics.pair_means(metrics.score_pairs(*(part[order] for part in batch)), [labels[i] for i in order])
    assert str(found) == str(other)  # NaN is itself here


def scored(predicted, labelled, side=10, mask=None, **options):
    count = len(predicted)
    mask = np.ones(count) if mask is None else mask
    points = [np.array([points], dtype=float) for points in (predicted, labelled)]
    return metrics.score_pairs(*points, np.array([mask]), [side], **options)


def test_a_distance_exactly_at_a_threshold_is_no_hit_in_either_precision():
    for official in (False, True):
        found = scored([[2, 0], [0, 1]], [[0, 0], [0, 0]], official=official)
        assert found.pck.tolist() == [[0, 0, 0.5, 0.5, 1]]
    assert scored([[math.nextafter(2, 0), 0]], [[0, 0]]).pck[0, 3] == 1
    assert scored([[math.nextafter(2, 0), 0]], [[0, 0]], official=True).pck[0, 3] == 0  # single precision


def test_a_pair_without_a_common_point_is_left_out_and_under_the_official_rule_scores_nothing():
    points, mask = np.zeros((2, 1, 2)), np.array([[1], [0]])
    for official, share in ((False, 100), (True, 50)):
        found = metrics.pair_means(metrics.score_pairs(points, points, mask, [4, 4], official=official), [1, 1])
        assert found["object_mean"]["pck@0.2"] == share and found["object_mean"]["nme"] == 0
        assert (found["pairs"], found["empty"], found["points"]) == (2, 1, 1)


def test_a_box_without_an_area_is_refused_and_under_the_official_rule_wrong_at_the_first_threshold_only():
    with pytest.raises(InputError, match="above 0 and finite, but got 0"):
        scored([[0, 0]], [[9, 9]], side=0)
    assert scored([[0, 0]], [[9, 9]], side=0, official=True).pck.tolist() == [[0, 1, 1, 1, 1]]
    for side in (-1, NAN, math.inf):
        with pytest.raises(InputError, match="above 0 and finite"):
            scored([[0, 0]], [[9, 9]], side=side, official=True)


def test_an_unanswered_point_is_a_miss_and_has_no_distance():
    found = scored([[NAN, NAN], [1, 0]], [[0, 0], [0, 0]])
    assert found.pck[0, 4] == 0.5 and found.epe[0] == 1 and found.nme[0] == 0.1 and found.unanswered[0] == 1
    alone = scored([[NAN, NAN]], [[0, 0]])
    assert alone.pck[0].tolist() == [0] * 5 and alone.auc[0] == 0 and np.isnan([alone.epe[0], alone.nme[0]]).all()
    means = metrics.pair_means(metrics.PairScores.join([found, alone]), [1, 1])
    assert means["object_mean"]["epe"] == 1 and means["unanswered"] == 2


def test_a_large_category_weighs_as_much_as_a_small_one():
    predicted = np.array([[[0, 0]]] * 3 + [[[9, 0]]], dtype=float)
    found = metrics.score_pairs(predicted, np.zeros((4, 1, 2)), np.ones((4, 1)), [10] * 4)
    means = metrics.pair_means(found, [1, 1, 1, 2])
    assert means["object_mean"]["pck@0.2"] == 75 and means["category_mean"]["pck@0.2"] == 50
    assert means["object_mean"]["epe"] == 2.25 and means["category_mean"]["epe"] == 4.5
    assert means["categories"] == 2 and tuple(means["object_mean"]) == metrics.PAIR_KEYS


def test_a_category_without_a_figure_is_no_zero():
    found = metrics.score_pairs(np.zeros((2, 1, 2)), np.zeros((2, 1, 2)), np.array([[1], [0]]), [10, 10])
    means = metrics.pair_means(found, [1, 2])
    assert means["category_mean"]["pck@0.2"] == 100 and means["categories"] == 1


def test_common_points_are_those_that_the_query_and_all_examples_show():
    visible = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]])
    assert metrics.common_points(visible, [[0, 1], [2, 0]]).tolist() == [[True, False, False], [True, True, False]]
    assert metrics.common_points(visible, [[0, 1, 2]]).tolist() == [[True, False, False]]
    assert metrics.common_points(visible, [[1]]).tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    "shapes, message",
    [
        (((2, 3, 2), (2, 4, 2), (2, 3), (2,)), r"\(2, 3, 2\) and \(2, 4, 2\)"),
        (((3, 2), (3, 2), (3,), ()), r"\(M, K, 2\)"),
        (((2, 3, 2), (2, 3, 2), (2, 4), (2,)), r"\(2, 4\) and \(2,\)"),
        (((2, 3, 2), (2, 3, 2), (2, 3), (3,)), r"\(2, 3\) and \(3,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(shapes, message):
    with pytest.raises(InputError, match=message):
        metrics.score_pairs(*(np.ones(shape) for shape in shapes))


def test_a_label_that_is_no_place_is_refused_unless_it_is_masked():
    with pytest.raises(InputError, match="no place"):
        scored([[0, 0]], [[NAN, 0]])
    assert scored([[0, 0], [0, 0]], [[NAN, 0], [0, 0]], mask=[0, 1]).pck[0, 0] == 1


def test_means_of_nothing_are_refused():
    empty = scored([[0, 0]], [[0, 0]], mask=[0])
    with pytest.raises(InputError, match="nothing to average"):
        metrics.pair_means(empty, [1])
    with pytest.raises(InputError, match="2 for 1 objects"):
        metrics.pair_means(scored([[0, 0]], [[0, 0]]), [1, 2])
