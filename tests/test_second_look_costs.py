"""benchmarks/second_look.py, on a tiny matcher: whom it asks, and that its figures are ratios to the plain answer."""

import importlib
from pathlib import Path

import pytest
from tiny_matchers import SIDE, matcher

from anykeypoint.models.matching.look_config import SecondLook


def test_costs_are_ratios_to_the_plain_answer_within_a_round(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
    costs = importlib.import_module("second_look")
    assert costs.PHOTO.is_file()
    model = matcher("evidence", tmp_path, look=SecondLook(size=SIDE))
    ticks = iter(range(1000))
    monkeypatch.setattr(costs.time, "perf_counter", lambda: float(next(ticks)))  # every run takes one second
    found = costs.costs(model, 3, repeats=2)
    assert found == pytest.approx(
        {"plain ms": 1000, "fine of plain": 1, "mirror of plain": 1, "fine, new example of plain": 1}
    )
