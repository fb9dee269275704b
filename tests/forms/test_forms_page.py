"""docs/forms.md: every form with how it is given, and what the written ones hold, as the code has it."""

import importlib
from pathlib import Path

import pytest

from anykeypoint.forms.registry import FORMS, writable_forms

ROOT = Path(__file__).resolve().parents[2]

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "tools")
    forms_page = importlib.import_module("forms_page")


def test_the_page_is_that_of_the_code():
    assert forms_page.main(["--check"]) == 0


def test_the_tables_have_every_form_and_another_table_would_be_seen():
    assert all(f"| `{name}` |" in forms_page.forms_table() for name in FORMS)
    assert all(f"`{name}`" in forms_page.holds_table().splitlines()[0] for name in writable_forms())
    text = forms_page.PAGE.read_text(encoding="utf-8")
    assert forms_page.page(text.replace("| `tps` |", "| `tpx` |", 1)) == text
