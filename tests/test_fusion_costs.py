"""tools/fusion_costs.py: Table 5 of the fusion paper, from our counter."""

import importlib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def costs():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[1] / "tools")
        yield importlib.import_module("fusion_costs")


@pytest.fixture(scope="module")
def rows(costs):
    return costs.table()


def test_the_parameters_are_the_printed_ones_to_the_digit(rows):
    found = {name: f"{row.parameters / 1e6:.3f}" for name, row in rows.items()}
    assert found == {"graphcape": "58.742", "capex": "195.519", "flf": "195.715", "dlf": "203.742"}


def test_the_products_are_those_of_what_each_model_adds(rows):
    """A look at a picture with Swin-V2-S at 256 pixels is 12.78 G (torch's counter on the published code)."""
    look = 12.78e9
    macs = {name: row.macs for name, row in rows.items()}
    assert macs["flf"] - macs["capex"] == pytest.approx(look, abs=0.01e9)  # the example's picture
    assert 0.8e9 < macs["graphcape"] - 2 * look < 1.2e9  # its head
    assert 0.8e9 < macs["dlf"] - macs["flf"] < 1.2e9  # a second one
    assert macs["capex"] - macs["graphcape"] == pytest.approx(60 * 113.246e6 - look, rel=0.01)  # sixty tokens


def test_the_tool_fails_where_a_count_is_not_the_printed_one(costs, rows, monkeypatch):
    said = []
    monkeypatch.setattr(costs, "table", lambda: rows)
    assert costs.main(said.append, []) == 0 and len(said) == 5 and "203.742" in said[4]
    monkeypatch.setattr(costs, "table", lambda: {**rows, "dlf": costs.Row(1, 1)})
    assert costs.main(said.append, []) == 1
