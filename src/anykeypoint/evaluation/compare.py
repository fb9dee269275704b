"""Two evaluations on the same labels side by side: the difference of each metric, and how certain it is.

Only pairs that both evaluations have are compared. The interval is a paired bootstrap: objects are drawn with
replacement within their category, the same ones for both, so that objects which are hard for both add no spread.
Letters: M rows, F metrics (METRICS).
"""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..configs.checks import check_whole
from ..errors import InputError
from ..io import write_bytes
from . import page
from .matched_rows import MeasuredRows, group_sums, match, ratio, read_rows
from .metrics import CELLS
from .page import INKS, UNKNOWN, number, paragraph, section
from .report import TITLES, setting_text, sort_key
from .run_folder import Progress, check_entry, finite_or_none, no_progress

RESULTS, ROWS = "results.json", "per_object.csv"
METRICS = ("pck@0.05", "pck@0.1", "pck@0.2", "mpck", "auc", "nme")
SCALE = np.array([100.0] * 5 + [1.0])  # from shares to percent; NME stays a fraction of the box's longer side
SIGN = np.array([1.0] * 5 + [-1.0])  # sign of a difference in which B is better: a lower NME is better
LEVEL = 0.95  # probability that the interval covers
MAIN = "pck@0.2"  # metric by which categories are ranked
_OBJECT, _EXAMPLES = "object", "object and examples"


def compare(
    a: str | Path, b: str | Path, seed: int = 0, rounds: int = 2000, progress: Progress = no_progress
) -> dict[str, Any]:
    """What the report folder B has more than A, on the pairs that both have.

    a, b: folders that `evaluate` wrote. seed: decides the bootstrap samples. rounds: number of bootstrap rounds.
    progress: shows a bar over the categories while they are resampled.

    Rows are matched by object and examples where both evaluations had examples, else by object, with the mean of its
    rows in each folder. A metric is computed from the rows for which both have it. "metrics" has for each metric the
    category means "a" and "b" in percent (NME: a fraction of the box's longer side), "difference" B - A, its percentile
    "interval", "b_better" (the share of rounds in which B is better; a tie counts half) and "rows"; "per_category" has
    a, b and difference by label. "only_a" and "only_b" are numbers of rows that the other lacks, "other_points" the
    number of rows that were scored on another number of points. What is unknown is None. The order of the files' rows
    has no effect.
    Raises InputError for a folder that is no report or of a newer schema, for reports on other labels, and for reports
    that share no row with a metric.
    """
    check_whole(rounds, "The number of rounds")
    check_whole(seed, "A seed", 0)
    (first, of_first), (second, of_second), mine, theirs = _matched(a, b)
    labels = sorted(set(mine.labels))
    index = {label: i for i, label in enumerate(labels)}
    category = np.array([index[label] for label in mine.labels])
    objects = np.unique(mine.objects, return_inverse=True)[1]
    both = np.isfinite(mine.values) & np.isfinite(theirs.values)
    means = [_category_means(values, both, category, len(labels)) for values in (mine.values, theirs.values)]
    resampled = _resampled(theirs.values - mine.values, both, category, objects, seed, rounds, progress)
    return {
        "a": _source(a, first),
        "b": _source(b, second),
        "matched_by": _EXAMPLES if mine.with_examples else _OBJECT,
        "objects": int(objects.max()) + 1,
        "rows": len(mine.keys),
        "categories": len(labels),
        "only_a": len(of_first.keys) - len(mine.keys),
        "only_b": len(of_second.keys) - len(mine.keys),
        "other_points": int((mine.points != theirs.points).sum()),
        "metrics": {
            key: {
                **_difference(*(_mean(values[:, i]) * SCALE[i] for values in means)),
                **_spread(resampled[:, i], i),
                "rows": int(both[:, i].sum()),
            }
            for i, key in enumerate(METRICS)
        },
        "per_category": {
            label: {
                "rows": int((category == c).sum()),
                **{key: _difference(*(values[c, i] * SCALE[i] for values in means)) for i, key in enumerate(METRICS)},
            }
            for c, label in enumerate(labels)
        },
        "settings": _differing(first["settings"], second["settings"]),
        "versions": _differing(first["versions"], second["versions"]),
        "data_sha256": first["data_sha256"],
        "level": LEVEL,
        "rounds": rounds,
        "seed": seed,
    }


# --- reading ---------------------------------------------------------------------------------------------------------

Report = tuple[Mapping[str, Any], MeasuredRows]  # content of results.json, and the rows with their METRICS


def _matched(a: str | Path, b: str | Path) -> tuple[Report, Report, MeasuredRows, MeasuredRows]:
    """Both reports with one row for each key, and the rows of each report whose keys both have, in the same order."""
    (first, of_first), (second, of_second) = _read(Path(a)), _read(Path(b))
    hashes = [results["data_sha256"] for results in (first, second)]
    if hashes[0] != hashes[1]:
        raise InputError(
            f"{a} was measured on labels with the sha256 {hashes[0] or 'unknown'} and {b} on {hashes[1] or 'unknown'}; "
            "compare two reports of the same data."
        )
    what = _EXAMPLES if of_first.with_examples and of_second.with_examples else _OBJECT
    of_first, of_second, mine, theirs = match(of_first, of_second)
    if not mine.keys:
        raise InputError(f"{a} and {b} share no {what}; compare two evaluations with the same objects and seed.")
    for key, label, other in zip(mine.keys, mine.labels, theirs.labels, strict=True):
        if label != other:
            raise InputError(f"Object {key[0]} is of category {label!r} in {a} but {other!r} in {b}; evaluate again.")
    if not (np.isfinite(mine.values) & np.isfinite(theirs.values)).any():
        raise InputError(f"{a} and {b} share no {what} with a figure in both; compare evaluations that score points.")
    return (first, of_first), (second, of_second), mine, theirs


def _read(folder: Path) -> Report:
    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        check_entry(results, str(folder / RESULTS))
        if results.get("semantics") is not None:
            raise InputError(f"{folder} measured names of points, and places alone are compared; give another report.")
        rows = read_rows(folder / ROWS, METRICS)
        for key, kind in (("data_sha256", str), ("settings", dict), ("versions", dict)):
            if not isinstance(results[key], kind):
                raise ValueError(f"{key!r} in {RESULTS} is of another kind")
        return results, rows
    except InputError:
        raise  # a newer schema or names, which the other errors must not hide
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error, RecursionError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{folder} is no report of `anykeypoint evaluate` ({why}); give a folder that it wrote."
        ) from error


# --- metrics ---------------------------------------------------------------------------------------------------------


def _category_means(values: np.ndarray, both: np.ndarray, category: np.ndarray, count: int) -> np.ndarray:
    """Means (C, F) of each category over the rows for which both reports have the metric; NaN where there is none.

    values: (M, F). both: (M, F) bool, where both reports have a value. category: (M,) index of each row's category.
    """
    return ratio(*group_sums(np.where(both, values, np.nan), category, count))


def _resampled(
    differences: np.ndarray,
    both: np.ndarray,
    category: np.ndarray,
    objects: np.ndarray,
    seed: int,
    rounds: int,
    progress: Progress,
) -> np.ndarray:
    """Category means of the differences, (rounds, F), each round with other objects of every category.

    differences: (M, F). both: (M, F) bool, where both reports have a value.
    category, objects: (M,) indices of each row's category and object; all rows of an object are drawn together.
    A category without a value in a round is left out of its mean.
    """
    rng = np.random.default_rng(seed)
    total, count_of = np.zeros((2, rounds, len(METRICS)))
    for index in progress(range(int(category.max()) + 1), "resampling"):
        rows = np.flatnonzero((category == index) & both.any(axis=1))
        if not len(rows):
            continue
        group = np.unique(objects[rows], return_inverse=True)[1]
        count = int(group.max()) + 1
        columns = np.hstack(group_sums(np.where(both, differences, np.nan)[rows], group, count))
        step = max(1, CELLS // count)
        for first in range(0, rounds, step):
            size = min(step, rounds - first)
            drawn = rng.integers(count, size=(size, count)) + count * np.arange(size)[:, None]
            times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)
            means = ratio(*np.split(times @ columns, 2, axis=1))
            total[first : first + size] += np.nan_to_num(means)
            count_of[first : first + size] += np.isfinite(means)
    return np.round(ratio(total, count_of), 12)  # rounded, so that values which differ by rounding alone are ties


def _spread(differences: np.ndarray, metric: int) -> dict[str, Any]:
    """The interval of a metric's differences (rounds,), and the share of rounds in which B is better."""
    known = differences[np.isfinite(differences)]
    if not len(known):
        return {"interval": [None, None], "b_better": None}
    ends = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) * SCALE[metric]
    return {"interval": ends.tolist(), "b_better": float((np.sign(known) * SIGN[metric] + 1).mean() / 2)}


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return math.fsum(known) / len(known) if len(known) else math.nan


def _difference(a: float, b: float) -> dict[str, float | None]:
    return {"a": finite_or_none(a), "b": finite_or_none(b), "difference": finite_or_none(b - a)}


def _source(folder: str | Path, results: Mapping[str, Any]) -> dict[str, str]:
    command = results.get("command") or ""
    return {"folder": str(folder), "model": results["settings"].get("model") or "", "command": command}


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {key: [a.get(key), b.get(key)] for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)}


# --- table and page --------------------------------------------------------------------------------------------------

_HEADER = ("", "A", "B", "B - A", f"{100 * LEVEL:g} % interval", "B better in")


def table(result: Mapping[str, Any]) -> str:
    """The comparison as a table in plain text, with notes on what was compared below it."""
    rows = [_HEADER, *_rows(result)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADER))]
    lines = [f"{row[0]:<{widths[0]}}" + "".join(f"  {row[i]:>{widths[i]}}" for i in range(1, len(row))) for row in rows]
    changes = [f"{name}: {a} in A, {b} in B" for name, a, b in _changes(result)]
    return "\n".join([*lines, *_names(result), *_notes(result), *changes])


def write_comparison(path: str | Path, result: Mapping[str, Any]) -> None:
    """Write the comparison as one HTML page. Raises InputError if it cannot be written."""
    commands = ("command", *(result[letter]["command"] or UNKNOWN for letter in "ab"))
    changes = page.table("Settings and versions", ("", "A", "B"), [commands, *_changes(result)], words=True)
    metrics = page.table("Mean over categories, on what both were asked", _HEADER, _rows(result))
    alt = "Difference B - A of each figure with its interval, as in the table"
    drawn = page.picture(page.chart(lambda axes: _paint(axes, result), (6.4, 2.8)), "svg+xml", alt, alt)
    columns = [(key, part) for key in (MAIN, "mpck", "nme") for part in ("a", "b", "difference")]
    ranked = sorted(result["per_category"].items(), key=lambda row: (-sort_key(row[1][MAIN]["difference"]), row[0]))
    cells = [
        (label, entry["rows"], *(_cell(entry[key][part], key, part == "difference") for key, part in columns))
        for label, entry in ranked
    ]
    header = [f"{TITLES[key]} {'B - A' if part == 'difference' else part.upper()}" for key, part in columns]
    caption = f"Every category, the largest gain in {TITLES[MAIN]} first"
    parts = [
        *map(paragraph, _names(result)),
        section("Figures", metrics, drawn, *map(paragraph, _notes(result))),
        section("What differs", changes),
        section("Categories", page.table(caption, ("category", "rows", *header), cells)),
    ]
    write_bytes(path, page.page("Two evaluations compared", *parts))


def _rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for key in METRICS:
        entry = result["metrics"][key]
        low, high = (_cell(value, key, sign=True) for value in entry["interval"])
        better = UNKNOWN if entry["b_better"] is None else f"{100 * entry['b_better']:.1f} %"
        cells = (_cell(entry["a"], key), _cell(entry["b"], key), _cell(entry["difference"], key, sign=True))
        rows.append((TITLES[key], *cells, f"{low} to {high}", better))
    return rows


def _cell(value: float | None, key: str, sign: bool = False) -> str:
    return number(value, 3 if key == "nme" else 1, sign)


def _names(result: Mapping[str, Any]) -> list[str]:
    return [f"{letter.upper()}: {result[letter]['folder']}, {result[letter]['model'] or UNKNOWN}" for letter in "ab"]


def _notes(result: Mapping[str, Any]) -> list[str]:
    """Sentences on which rows were compared, and how."""
    notes = [
        f"{result['rows']} rows of {result['objects']} objects in {result['categories']} categories, matched by "
        f"{result['matched_by']}; {result['only_a']} rows only A has, {result['only_b']} only B."
    ]
    if result["other_points"]:
        notes.append(f"{result['other_points']} rows were scored on another number of points in B than in A.")
    for key, entry in result["metrics"].items():
        if entry["rows"] < result["rows"]:
            notes.append(f"{TITLES[key]} is of the {entry['rows']} rows for which both have it.")
    notes.append(
        f"Percent, but NME, of which less is better, a fraction of the box's longer side. The interval is that of the "
        f"difference over {result['rounds']} rounds of resampling objects within category, the same ones for both."
    )
    return notes


def _changes(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows = [(name.replace("_", " "), *map(setting_text, pair)) for name, pair in result["settings"].items()]
    return rows + [(f"version of {name}", *map(setting_text, pair)) for name, pair in result["versions"].items()]


def _paint(axes: Any, result: Mapping[str, Any]) -> None:
    """Draw the differences in percent as dots with their intervals, the first metric on top."""
    keys = [key for key in METRICS if key != "nme" and result["metrics"][key]["difference"] is not None]
    for row, key in enumerate(reversed(keys)):
        entry = result["metrics"][key]
        axes.plot(entry["interval"], [row, row], color=INKS[0], linewidth=3, solid_capstyle="round", alpha=0.45)
        axes.plot([entry["difference"]], [row], "o", color=INKS[0])
    axes.axvline(0, color="#555555", linewidth=1)
    axes.set_yticks(range(len(keys)), [TITLES[key] for key in reversed(keys)])
    axes.set(xlabel="B - A, percent", ylim=(-0.6, len(keys) - 0.4))
