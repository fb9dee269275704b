"""Learning rates over a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.training.rates import cosine_rate, step_rate

PAPER = {"warmup": 1000, "warmup_from": 0.001, "drops": (0.8, 0.9)}


def test_the_papers_schedule_to_the_digit():
    """200 epochs of 137 steps: tenths from epochs 160 and 180 on, after 1000 steps of warm-up."""
    steps = 200 * 137
    assert step_rate(0, steps, **PAPER) == pytest.approx(0.001, rel=1e-12)
    assert step_rate(500, steps, **PAPER) == pytest.approx(0.5005, rel=1e-12)
    assert step_rate(999, steps, **PAPER) == pytest.approx(0.999001, rel=1e-12)
    assert step_rate(1000, steps, **PAPER) == 1.0
    assert step_rate(160 * 137 - 1, steps, **PAPER) == 1.0
    assert step_rate(160 * 137, steps, **PAPER) == pytest.approx(0.1, rel=1e-12)
    assert step_rate(180 * 137 - 1, steps, **PAPER) == pytest.approx(0.1, rel=1e-12)
    assert step_rate(180 * 137, steps, **PAPER) == pytest.approx(0.01, rel=1e-12)
    assert step_rate(steps - 1, steps, **PAPER) == pytest.approx(0.01, rel=1e-12)


def test_drops_within_the_warm_up_lower_what_it_rises_to():
    assert step_rate(50, 200, 100, 0.0, (0.1,)) == pytest.approx(0.05, rel=1e-12)


@given(st.integers(1, 300), st.integers(1, 40))
def test_epochs_drop_where_they_begin(per_epoch, tens):
    epochs = 10 * tens
    for share, value in ((0.8, 0.1), (0.9, 0.01)):
        first = round(share * epochs) * per_epoch
        assert step_rate(first, epochs * per_epoch, 0, 1.0, (0.8, 0.9)) == pytest.approx(value)
        assert step_rate(first - 1, epochs * per_epoch, 0, 1.0, (0.8, 0.9)) == pytest.approx(10 * value)


def test_without_warm_up_and_drops_it_stays():
    assert {step_rate(step, 50, 0, 0.5, ()) for step in range(50)} == {1.0}


def test_a_cosine_rises_for_three_percent_and_falls_to_nothing():
    rates = [cosine_rate(step, 1000, 0.03) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 30) and rates[29] == 1.0
    assert rates[30] == 1.0 and rates[515] == pytest.approx(0.5, abs=1e-3) and rates[-1] < 1e-5
