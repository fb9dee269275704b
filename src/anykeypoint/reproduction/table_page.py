"""A reproduced table as Markdown, HTML and JSON: the paper's figures beside ours."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, duration
from ..evaluation import page as html
from ..evaluation.gaussians import METHODS, SAMPLED
from ..evaluation.oks import STATISTICS
from ..evaluation.page import number
from ..io import write_bytes
from .figures import Figure
from .table_run import (
    COMPARED,
    FAILED,
    MEASURED,
    NOT_RUN,
    NOT_YET,
    PUBLISHED,
    ReproductionConfig,
    RowResult,
    TableResult,
)
from .tables import Table

SCHEMA_VERSION = 1  # of the JSON file of a table
_HEADER = ("row", "figure", "paper", "ours", "difference", "95 %", "change in the paper", "change in ours", "95 % ")
_REST = "Rows that are not run yet are run by"


def page_file(table: Table, config: ReproductionConfig, ending: str) -> Path:
    """The file of a table's page: `OUT/TABLE.md`, or `OUT/TABLE-items-500-seed-1.md` where trainings are changed so."""
    changed = [f"-{name}-{value}" for name, value in vars(config.length).items() if value is not None]
    return config.out / f"{table.id}{''.join(changed)}.{ending}"


def check_pages(tables: Sequence[Table], config: ReproductionConfig) -> None:
    """InputError where the page of a table is there at another scale, which a page of this one would replace."""
    for table in tables:
        path = page_file(table, config, "json")
        before = json.loads(path.read_text(encoding="utf-8"))["scale"] if path.is_file() else config.scale
        if before != config.scale:
            raise InputError(
                f"{path} is this table at {before} scale, and {config.scale} scale would replace it; give another "
                "output folder."
            )


def write_pages(result: TableResult) -> list[Path]:
    """Write the table as Markdown, HTML and JSON; gives their paths."""
    result.config.out.mkdir(parents=True, exist_ok=True)
    files = {"md": markdown(result).encode(), "html": _html(result), "json": _json(result)}
    paths = [page_file(result.table, result.config, ending) for ending in files]
    for path, content in zip(paths, files.values(), strict=True):
        write_bytes(path, content)
    return paths


def markdown(result: TableResult) -> str:
    """The table as Markdown; the first lines say of which scale it is, and where it contradicts the paper."""
    lines = [f"# {_title(result)}", "", *(f"{sentence}\n" for sentence in _sentences(result))]
    lines += ["| " + " | ".join(_HEADER) + " |", "|" + "---|" * len(_HEADER)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in _cells(result)]
    lines += ["", "| row | model | objects | training | measuring |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(cells) + " |" for cells in _times(result)]
    lines += ["", f"`{result.config.command}`", ""]
    if rest := _command_of_rest(result):
        lines += [f"{_REST} `{rest}`", ""]
    return "\n".join(lines)


def _html(result: TableResult) -> bytes:
    parts = [html.paragraph(sentence) for sentence in _sentences(result)]
    parts.append(html.table(result.table.title, _HEADER, _cells(result)))
    times = html.table(
        "Models and times", ("row", "model", "objects", "training", "measuring"), _times(result), words=True
    )
    commands = [html.paragraph(result.config.command)]
    if rest := _command_of_rest(result):
        commands.append(html.paragraph(f"{_REST} {rest}"))
    return html.page(_title(result), *parts, times, *commands)


def _json(result: TableResult) -> bytes:
    def plain(figure: Figure | None) -> dict[str, Any] | None:
        return None if figure is None else {"value": figure.value, "interval": [figure.low, figure.high]}

    rows = [
        {
            "row": one.row.name,
            "status": one.status,
            "why": one.why,
            "figures": {
                column: {
                    "paper": result.paper(one.row, column),
                    "ours": plain(one.figures.get(column)),
                    "change": plain(one.changes.get(column)),
                }
                for column in result.columns
            },
            "models": list(one.trainings),
            "evaluations": list(one.measurements),
            "objects": one.objects,
            "seconds": {"training": one.training_seconds, "measuring": one.measuring_seconds},
        }
        for one in result.rows
    ]
    whole = {
        "schema_version": SCHEMA_VERSION,
        "table": result.table.id,
        "title": result.table.title,
        "paper": result.table.paper,
        "place": result.table.place,
        "scale": result.config.scale,
        "items": list(result.items),
        "seeds": list(result.seeds),
        "command": result.config.command,
        "command_of_rest": _command_of_rest(result),
        "baselines": [vars(one) for one in result.trivial],
        "rows": rows,
    }
    return (json.dumps(whole, indent=1) + "\n").encode()


# --- words -----------------------------------------------------------------------------------------------------------


def _command_of_rest(result: TableResult) -> str:
    """The command line that runs the rows which are not run yet and can be; "" where there is none."""
    rest = [one.row.name for one in result.rows if one.status == NOT_YET and not one.why]
    return result.config.command_of(result.table, rest) if rest else ""


def _title(result: TableResult) -> str:
    return f"{result.table.paper}, {result.table.place}: {result.table.title}"


def _sentences(result: TableResult) -> list[str]:
    """What stands above the table: the scale, contradictions of the paper, and how to read the columns."""
    found = [_scale(result), *_trivial(result), *contradictions(result)]
    if result.table.note:
        found.append(result.table.note)
    first = next((one.row.name for one in result.rows if one.status == MEASURED), None)
    if first is not None:
        found.append(
            "Figures are in percent unless their name says otherwise; difference is ours minus the paper's, and 95 % "
            f"is a bootstrap interval over {_drawn(result)}. Changes are from the row {first!r}, ours on the "
            "objects that both rows were asked about, with a paired interval."
        )
    if without := _without_interval(result):
        found.append(
            f"No interval is known of {', '.join(without)}: a mean over splits, or a measurement that keeps no values "
            "of single objects for it."
        )
    if failed := [one.row.name for one in result.rows if one.status == FAILED]:
        found.append(f"Failed: {', '.join(failed)}; the table says why, and the same command tries again.")
    return found


def _drawn(result: TableResult) -> str:
    """What intervals are over."""
    metrics = set(result.table.metrics)
    if not metrics & set(STATISTICS):
        return "objects"
    return "pictures" if metrics <= set(STATISTICS) else "objects, that of AP and AR over pictures"


def _without_interval(result: TableResult) -> list[str]:
    """The columns in which a figure of ours has no interval."""
    figures = [(column, one.figures.get(column)) for column in result.columns for one in result.rows]
    return list(dict.fromkeys(name for name, ours in figures if ours and ours.value is not None and ours.low is None))


def _scale(result: TableResult) -> str:
    if result.config.scale == "paper":
        changed = {
            key: value for key, value in vars(result.config.length).items() if value is not None and key != "seed"
        }
        but = "".join(f", but with {key} {value}" for key, value in changed.items())
        return f"At the paper's scale: its models, its data and its training{but}."
    items = "no row trains a model of its own"
    if result.items:
        of = f"{result.items[0]} items" if len(result.items) == 1 else f"{result.items[0]} to {result.items[-1]} items"
        items = f"every training has {of}, and seed {' or '.join(map(str, result.seeds))} alone"
    return (
        "At field scale, which is another scale than the paper's: small offline models on the field data, tested on "
        f"kinds of objects that no training saw; {items}. Our figures stand beside the paper's to compare how they "
        "change from row to row, not one by one."
    )


def _trivial(result: TableResult) -> list[str]:
    """The sentence about the trivial baselines on the same objects, where they are known."""
    if not result.trivial:
        return []
    each = [f"{number(one.value, 1)} ({one.protocol}: {one.name.replace('_', ' ')})" for one in result.trivial]
    metric = result.trivial[0].metric
    return [
        f"The best trivial baselines on these objects have {metric} {', '.join(each)}; rows below them compare recipes "
        "where they begin."
    ]


def contradictions(result: TableResult) -> list[str]:
    """A sentence for each row whose change from the first row goes the other way than the paper's, beyond chance."""
    first = next((one for one in result.rows if one.status == MEASURED), None)
    found = []
    for one in result.rows:
        if first is None or one is first:
            continue
        for column, ours in one.changes.items():
            theirs = _paper_change(result, first, one, column)
            if theirs and ours.low is not None and ours.high is not None and _opposed(theirs, ours.low, ours.high):
                found.append(
                    f"Against the paper: {one.row.name!r} changes {column} by {number(ours.value, 1, True)} "
                    f"({number(ours.low, 1, True)} to {number(ours.high, 1, True)}) from {first.row.name!r}, the "
                    f"paper's by {number(theirs, 2, True)}."
                )
                break
    return found


def _opposed(theirs: float, low: float, high: float) -> bool:
    return (theirs > 0 and high < 0) or (theirs < 0 and low > 0)


def _paper_change(result: TableResult, first: RowResult, one: RowResult, column: str) -> float | None:
    before, after = (result.paper(row, column) for row in (first.row, one.row))
    return after - before if isinstance(before, int | float) and isinstance(after, int | float) else None


# --- cells -----------------------------------------------------------------------------------------------------------


def _cells(result: TableResult) -> list[tuple[str, ...]]:
    first = next((one for one in result.rows if one.status == MEASURED), None)
    return [cells for one in result.rows for cells in _row_cells(result, one, first)]


def _row_cells(result: TableResult, one: RowResult, first: RowResult | None) -> list[tuple[str, ...]]:
    lines = []
    said = {PUBLISHED: f" (published: {one.why})", FAILED: f" (failed: {one.why})", NOT_RUN: f" (not run: {one.why})"}
    said[COMPARED] = " (compared with the configurations, not run)"
    said[NOT_YET] = f" (not run yet: {one.why})" if one.why else " (not run yet)"
    for column in result.columns:
        theirs, ours, changed = result.paper(one.row, column), one.figures.get(column), one.changes.get(column)
        if theirs is None and ours is None and lines:
            continue
        fraction = column.rpartition("/")[2] in ("nme", "attention_distance")  # of the box's side
        digits = 3 if fraction or ("/" in column and column.partition("/")[0] in (*METHODS, SAMPLED)) else 1
        name = f"{one.row.name}{said.get(one.status, '')}" if not lines else ""
        known = ours is not None and ours.value is not None and isinstance(theirs, int | float)
        moved = None if first is None or one is first else _paper_change(result, first, one, column)
        lines.append(
            (
                *(name, column, _printed(theirs, one.status)),
                number(ours.value if ours else None, digits),
                number(ours.value - theirs, digits, True) if known else "-",
                _ends(ours, digits),
                number(moved, 2, True),
                number(changed.value if changed else None, digits, True),
                _ends(changed, digits, sign=True),
            )
        )
    return lines


def _printed(theirs: float | str | None, status: str) -> str:
    """A figure of the paper with two digits after the point, or as the paper has it where it has more, is a setting
    (200 epochs) or words."""
    if isinstance(theirs, int | float) and (status == COMPARED or theirs != round(theirs, 2)):
        return f"{theirs:g}"
    return theirs if isinstance(theirs, str) else number(theirs, 2)


def _ends(figure: Figure | None, digits: int, sign: bool = False) -> str:
    if figure is None or figure.low is None:
        return "-"
    return f"{number(figure.low, digits, sign)} to {number(figure.high, digits, sign)}"


def _times(result: TableResult) -> list[tuple[str, ...]]:
    return [
        (
            *(one.row.name, ", ".join(one.trainings), str(one.objects)),
            *(duration(seconds) for seconds in (one.training_seconds, one.measuring_seconds)),
        )
        for one in result.rows
        if one.status == MEASURED
    ]


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in plain text, columns aligned to the left."""
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    return "\n".join(line.rstrip() for line in lines)
