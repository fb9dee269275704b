"""The two tables of docs/forms.md from the code: every form with its word, and what each written one holds.

python tools/forms_page.py            writes them into the page
python tools/forms_page.py --check    exits 1 where the page has others
"""

import re
import sys
from pathlib import Path

from written_page import write_or_check

from anykeypoint.forms.losses import DETAILS
from anykeypoint.forms.registry import FORMS, form_of, writable_forms

PAGE = Path(__file__).resolve().parents[1] / "docs" / "forms.md"


def forms_table() -> str:
    """A row for each form: what it is, what its word means, and whether it is written."""
    rows = ["| form | what it is | its word, as in FORM/WORD:FILE | written |", "|---|---|---|---|"]
    for name in FORMS:
        form = form_of(name)
        rows.append(f"| `{name}` | {form.what} | {form.word} | {'yes' if form.write is not None else ''} |")
    return "\n".join(rows) + "\n"


def holds_table() -> str:
    """A row for each of `losses.DETAILS`, a column for each written form."""
    names = writable_forms()
    rows = [f"| | {' | '.join(f'`{name}`' for name in names)} |", f"|---|{'---|' * len(names)}"]
    for detail in DETAILS:
        rows.append(f"| {detail} | {' | '.join('yes' if detail in form_of(n).holds else '' for n in names)} |")
    return "\n".join(rows) + "\n"


def page(text: str) -> str:
    """The page's text with the tables of the code in place of its own."""
    for head, table in ((r"\| form \|", forms_table()), (r"\| \| `", holds_table())):
        text, found = re.subn(
            rf"^{head}[^\n]*\n(?:\|[^\n]*\n)+", lambda _, table=table: table, text, flags=re.MULTILINE
        )
        assert found == 1, f"docs/forms.md has no table that begins with {head}"
    return text


def main(arguments: list[str]) -> int:
    said = "docs/forms.md is not that of the code; run python tools/forms_page.py."
    return write_or_check(arguments, PAGE, page(PAGE.read_text(encoding="utf-8")), said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
