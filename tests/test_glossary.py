"""docs/glossary.md: every name in its third column exists, and no term has two rows."""

import re
from pathlib import Path

import pytest
from dotted import resolve

PAGE = Path(__file__).resolve().parents[1] / "docs" / "glossary.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| term ")
]


def test_terms_are_unique_and_about_forty():
    terms = [row[0] for row in ROWS]
    assert len(set(terms)) == len(terms) >= 40
    assert all(len(row) == 4 and row[1] for row in ROWS)


@pytest.mark.parametrize("dotted", [row[2].strip("`") for row in ROWS])
def test_the_code_has_what_the_glossary_names(dotted):
    assert re.fullmatch(r"[A-Za-z_.]+", dotted)
    assert resolve(dotted) is not None


def test_a_name_that_does_not_exist_is_found_out():
    with pytest.raises((ModuleNotFoundError, AttributeError)):
        resolve("category.Catgory")
