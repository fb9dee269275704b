"""docs/forms.md: every form with how it is given, and what the written ones hold, as the code has it."""

from pathlib import Path

from anykeypoint.forms.losses import DETAILS
from anykeypoint.forms.registry import FORMS, form_of, writable_forms

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "forms.md").read_text(encoding="utf-8")


def test_every_form_has_a_row_with_what_it_is_and_its_word():
    for name in FORMS:
        form = form_of(name)
        written = "yes" if form.write is not None else ""
        assert f"| `{name}` | {form.what} | {form.word} | {written} |\n" in PAGE, name


def test_the_table_of_what_written_forms_hold_is_that_of_the_code():
    names = writable_forms()
    lines = [f"| | {' | '.join(f'`{name}`' for name in names)} |", f"|---|{'---|' * len(names)}"]
    for detail in DETAILS:
        cells = ("yes" if detail in form_of(name).holds else "" for name in names)
        lines.append(f"| {detail} | {' | '.join(cells)} |")
    assert "\n".join(lines) in PAGE
