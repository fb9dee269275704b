"""docs/faults.md from the table of kinds of faults: what each means, an example, what --fix does, what is left to do.

    python tools/faults_page.py            writes the page
    python tools/faults_page.py --check    exits 1 where the page is not what it would write

The data are src/anykeypoint/forms/faults/kinds.yaml, which also feeds the code.
"""

import sys
from pathlib import Path

from written_page import write_or_check

from anykeypoint.forms.faults.fault import FaultKind, fault_kinds

PAGE = Path(__file__).resolve().parents[1] / "docs" / "faults.md"

HEAD = """# Faults in labels

`anykeypoint data check FORM:FILE` lists every fault of labels with its place, and ends with exit code 1 if it finds
one. `--fix OUT.json` writes a copy in COCO's form in which all is mended that has one meaning; the labels stay
as they are. Where only a person can know what is right, the copy keeps what the file has. No entry without a fault is
changed. `--changes OUT.csv` lists each changed value, and `--undo` goes back from a mended copy and that table.

The page is written by `tools/faults_page.py` from [kinds.yaml](../src/anykeypoint/forms/faults/kinds.yaml), which the
code reads too.

"""


def page(kinds: list[FaultKind]) -> str:
    """The text of the page."""
    lines = ["| kind | what is wrong | example | `--fix` | what only a person can do |", "|---|---|---|---|---|"]
    for entry in kinds:
        fix = entry.fix or "changes nothing"
        cells = (entry.kind, entry.means, entry.example, fix, entry.person)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return HEAD + "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    said = "docs/faults.md is not that of kinds.yaml; run python tools/faults_page.py."
    return write_or_check(arguments, PAGE, page(fault_kinds()), said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
