"""Calibration: against plain definitions, at the ends, and whatever the order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.errors import InputError
from anykeypoint.evaluation.calibration import reliability, sparsification

shares = st.floats(0, 1)
outcomes = st.lists(st.tuples(st.one_of(shares, st.sampled_from([0, 0.1, 0.5, 1])), st.booleans()), min_size=1)
errors = st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.5, 0.9]), st.floats(0, 9)), min_size=1, max_size=12)


@given(outcomes, st.integers(1, 12))
def test_bins_agree_with_the_plain_definition(points, bins):
    found = reliability(*zip(*points, strict=True), bins=bins)
    error = 0.0
    for i in range(bins):
        inside = [(c, ok) for c, ok in points if (i / bins < c or (i == 0 and c == 0)) and c <= (i + 1) / bins]
        assert found.count[i] == len(inside)
        if inside:
            mean, right = np.mean([c for c, _ in inside]), np.mean([ok for _, ok in inside])
            np.testing.assert_allclose((found.confidence[i], found.correct[i]), (mean, right), atol=1e-12)
            error += abs(mean - right) * len(inside) / len(points)
        else:
            assert np.isnan(found.confidence[i]) and np.isnan(found.correct[i])
    assert found.error == pytest.approx(error, abs=1e-12)


def test_certain_and_right_has_no_error_and_certain_and_wrong_all_of_it():
    assert reliability([1, 1, 0], [True, True, False]).error == 0
    assert reliability([1, 1], [False, False]).error == 1
    assert reliability([0.75] * 4, [True, True, True, False]).error == 0


@given(errors, st.randoms())
def test_the_order_of_points_changes_nothing(points, random):
    mixed = list(points)
    random.shuffle(mixed)
    columns, other = ([np.array(column) for column in zip(*rows, strict=True)] for rows in (points, mixed))
    if columns[1].any():
        assert sparsification(*columns).area == sparsification(*other).area
    assert reliability(columns[0], columns[1] > 4).error == reliability(other[0], other[1] > 4).error


@given(st.lists(st.floats(0.01, 9), min_size=2, max_size=12, unique=True))
def test_a_confidence_that_falls_with_the_error_leaves_no_area_and_the_reverse_the_most(values):
    values = np.array(values)
    assert sparsification(-values, values).area == pytest.approx(0, abs=1e-12)
    worst = sparsification(values, values).area
    assert worst > 0
    mixed = np.random.default_rng(0).permutation(values)
    assert sparsification(mixed, values).area <= worst + 1e-12


def test_curves_agree_with_taking_points_away_by_hand():
    found = sparsification([0.9, 0.2, 0.5], [1.0, 2.0, 6.0])
    np.testing.assert_allclose(found.left, [1, 2 / 3, 1 / 3])
    np.testing.assert_allclose(found.by_confidence, [1, 3.5 / 3, 1 / 3])
    np.testing.assert_allclose(found.oracle, [1, 1.5 / 3, 1 / 3])
    assert found.area == pytest.approx((3.5 - 1.5) / 3 / 3)


def test_a_confidence_that_is_the_same_for_all_is_no_order():
    found = sparsification([0.5] * 3, [0.0, 3.0, 6.0])
    np.testing.assert_allclose(found.by_confidence, [1, 1, 1])


@pytest.mark.parametrize(
    "function, arguments, message",
    [
        (reliability, ([0.5, np.nan], [True, False]), "1 of 2 points have a confidence that is no number"),
        (reliability, ([1.5], [True]), r"\[0, 1\].*1\.5"),
        (reliability, ([0.5], [0.3]), "true or false"),
        (reliability, ([], []), "M above 0"),
        (reliability, ([0.5], [True, False]), r"\(1,\) and \(2,\)"),
        (reliability, ([0.5], [True], 0), "number of bins .* from 1"),
        (sparsification, ([0.5], [np.inf]), "1 of 1 points have a error|an error"),
        (sparsification, ([0.5], [-1]), "0 or more"),
        (sparsification, ([0.5, 0.4], [0, 0]), "one above 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(function, arguments, message):
    with pytest.raises(InputError, match=message):
        function(*arguments)
