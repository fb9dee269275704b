"""docs/papers.md from docs/papers.yaml: what the papers say, where it lives, and the test that holds it.

    python tools/papers_page.py            writes the page
    python tools/papers_page.py --check    exits 1 where the page is not what it would write

The data file maps the title of each paper to its rows. A row has the keys

    place    section, equation, table or figure
    says     what the paper says there, in a few words of our own
    code     where it lives: a dotted name below `anykeypoint`; or a file of the package or repository, with a slash
    test     the test that holds it, path::function, or a list of them; may be left out where the status has a reason
    status   "as published", or one of REASONS with its reason
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from written_page import write_or_check

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "anykeypoint"
DATA, PAGE = ROOT / "docs" / "papers.yaml", ROOT / "docs" / "papers.md"
PUBLISHED = "as published"
REASONS = {"ours, because ": "ours", "different: ": "different", "missing, because ": "missing"}
KEYS = {"place", "says", "code", "test", "status"}

HEAD = """# What the papers say

Each statement of the papers that the library follows, in the papers' order: where it lives and the test that holds it.
"As published" is what the paper says, held by that test. "Ours" says why the library does otherwise; the decision is in
[decisions.md](decisions.md). "Different" and "missing" are not yet as the paper has them.

The page is written by `tools/papers_page.py` from [papers.yaml](papers.yaml). `tests/test_papers_page.py` fails when a
name or a test does not exist, when a row has neither a test nor a reason, and when the page is not that of the data.

"""


@dataclass(frozen=True)
class Row:
    """One statement of a paper; the fields are the keys of a row."""

    paper: str
    place: str
    says: str
    code: str
    test: tuple[str, ...]
    status: str

    @property
    def kind(self) -> str:
        """PUBLISHED, "ours", "different" or "missing"; ValueError for a status that is none of these."""
        for start, kind in REASONS.items():
            if self.status.startswith(start) and len(self.status) > len(start):
                return kind
        if self.status == PUBLISHED:
            return PUBLISHED
        raise ValueError(f"{self.paper}, {self.place}: the status {self.status!r} is none of {PUBLISHED}, {REASONS}.")


def read_rows(path: Path = DATA) -> list[Row]:
    """The rows of a data file; ValueError for a row with other keys."""
    rows = []
    for paper, entries in yaml.safe_load(path.read_text(encoding="utf-8")).items():
        for entry in entries:
            if KEYS - {"test"} > set(entry) or set(entry) > KEYS:
                raise ValueError(f"{paper}: a row needs the keys {sorted(KEYS)}, but got {entry}.")
            tests = entry.get("test", ())
            tests = (tests,) if isinstance(tests, str) else tuple(tests)
            texts = (entry[key] for key in ("place", "says", "code"))
            rows.append(Row(paper, *texts, tests, entry["status"]))
    return rows


def source(code: str) -> Path:
    """The file of a row's code; FileNotFoundError where there is none."""
    if "/" in code:
        candidates = [ROOT / code, PACKAGE / code]
    else:
        parts = code.split(".")
        starts = [PACKAGE.joinpath(*parts[:cut]) for cut in range(len(parts), 0, -1)]
        candidates = [path for start in starts for path in (start.with_name(f"{start.name}.py"), start / "__init__.py")]
    for path in candidates:
        if path.is_file():
            return path
    raise FileNotFoundError(code)


def page(rows: list[Row]) -> str:
    """The text of the page."""
    papers = list(dict.fromkeys(row.paper for row in rows))
    kinds = (PUBLISHED, *REASONS.values())
    lines = [f"| paper | rows | {' | '.join(kinds)} |", f"|{'---|' * (len(kinds) + 2)}"]
    for paper in (*papers, "all"):
        own = [row.kind for row in rows if paper in (row.paper, "all")]
        lines.append(f"| {paper} | {len(own)} | {' | '.join(str(own.count(kind)) for kind in kinds)} |")
    for paper in papers:
        lines += ["", f"## {paper}", "", "| place | what it says | where | test | status |", "|---|---|---|---|---|"]
        for row in rows:
            if row.paper == paper:
                tests = ", ".join(_link(test.split("::")[1], ROOT / test.split("::")[0]) for test in row.test)
                cells = (row.place, row.says, _link(_short(row.code), source(row.code)), tests, row.status)
                lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return HEAD + "\n".join(lines) + "\n"


def _short(code: str) -> str:
    """A file's name, or a dotted name from its module on."""
    file = source(code)
    if "/" in code:
        return file.name
    module = file.parent if file.name == "__init__.py" else file.with_suffix("")
    return ".".join(code.split(".")[len(module.relative_to(PACKAGE).parts) - 1 :])


def _link(text: str, file: Path) -> str:
    return f"[`{text}`]({Path(os.path.relpath(file, PAGE.parent)).as_posix()})"


def main(arguments: list[str]) -> int:
    said = "docs/papers.md is not that of docs/papers.yaml; run python tools/papers_page.py."
    return write_or_check(arguments, PAGE, page(read_rows()), said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
