"""docs/faults.md: one row for each kind of fault, the same in the data, the code and the page."""

import importlib
from pathlib import Path

import pytest

from anykeypoint.forms.faults.fault import KINDS, fault_kinds

ROOT = Path(__file__).resolve().parents[2]

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "tools")
    faults_page = importlib.import_module("faults_page")


def test_the_page_is_that_of_the_data():
    assert faults_page.main(["--check"]) == 0


def test_every_kind_is_described_once_and_says_what_is_left_to_do():
    kinds = fault_kinds()
    assert len({entry.kind for entry in kinds}) == len(kinds) == len(KINDS)
    for entry in kinds:
        assert entry.means.endswith(".") and entry.person.endswith(".") and entry.example
        assert not entry.fix.endswith(".")


def test_every_kind_that_the_code_names_is_in_the_data_and_the_other_way_round():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/anykeypoint/forms/faults").glob("*.py"))
    assert [kind for kind in KINDS if f'"{kind}"' not in code] == []
