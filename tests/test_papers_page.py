"""docs/papers.md: its data name code and tests that exist, every row has a test or a reason, and the page is theirs."""

import ast
import importlib
from functools import cache
from pathlib import Path

import pytest
from dotted import resolve

ROOT = Path(__file__).resolve().parents[1]
ROWS_AT_LEAST = 170

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "tools")
    papers_page = importlib.import_module("papers_page")

ROWS = papers_page.read_rows()


@cache
def functions(path: Path) -> frozenset[str]:
    """The names of the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_the_papers_are_walked_whole():
    assert len(ROWS) >= ROWS_AT_LEAST
    assert len({(row.paper, row.place, row.says) for row in ROWS}) == len(ROWS)
    assert len({row.paper for row in ROWS}) == 4


def test_the_code_of_every_row_exists():
    for row in ROWS:
        assert papers_page.source(row.code).is_file()
        assert "/" in row.code or resolve(row.code) is not None, row.code


def test_the_tests_of_every_row_exist():
    for row in ROWS:
        for test in row.test:
            path, name = test.split("::")
            assert path.startswith("tests/") and name.startswith("test_"), test
            assert name in functions(ROOT / path), test


def test_a_row_has_a_test_or_a_reason_and_nothing_is_as_published_without_a_test():
    for row in ROWS:
        assert row.says and row.place and row.kind in (papers_page.PUBLISHED, *papers_page.REASONS.values())
        assert row.test or row.kind not in (papers_page.PUBLISHED, "ours"), row


def test_the_page_is_what_the_tool_writes_of_the_data(capsys):
    assert papers_page.main(["--check"]) == 0, "run python tools/papers_page.py"


# --- the tool itself -----------------------------------------------------------------------------------------------


def test_a_page_that_is_out_of_date_is_told(tmp_path, monkeypatch, capsys):
    page = tmp_path / "docs" / "papers.md"
    page.parent.mkdir()
    monkeypatch.setattr(papers_page, "PAGE", page)
    assert papers_page.main(["--check"]) == 1 and "run python tools/papers_page.py" in capsys.readouterr().out
    assert papers_page.main([]) == 0 and papers_page.main(["--check"]) == 0
    page.write_text(page.read_text(encoding="utf-8").replace("as published", "as printed", 1), encoding="utf-8")
    assert papers_page.main(["--check"]) == 1


@pytest.mark.parametrize("status", ["published", "", "ours", "ours, because ", "missing", "As published"])
def test_another_status_is_refused(status):
    with pytest.raises(ValueError, match="is none of"):
        _ = papers_page.Row("A paper", "Sec. 1", "something", "pose.Pose", (), status).kind


@pytest.mark.parametrize("entry", [{"place": "Sec. 1"}, {**dict.fromkeys(papers_page.KEYS, "x"), "note": "x"}])
def test_a_row_with_other_keys_is_refused(tmp_path, entry):
    file = tmp_path / "papers.yaml"
    file.write_text(papers_page.yaml.safe_dump({"A paper": [entry]}), encoding="utf-8")
    with pytest.raises(ValueError, match="a row needs the keys"):
        papers_page.read_rows(file)


def test_code_that_does_not_exist_is_found_out():
    with pytest.raises(FileNotFoundError):
        papers_page.source("posture.Posture")
    with pytest.raises(FileNotFoundError):
        papers_page.source("experiments/none.yaml")
    with pytest.raises(AttributeError):
        resolve("pose.Posture")
