"""The figures of a measurement: a value with its interval, and what changes from another row on the same objects.

Intervals are of draws of what was measured, with replacement: of objects, within their category for a mean over
categories, and of pictures for COCO's statistics, as objects of one picture are matched together.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..evaluation.attention import ATTENTION_KEYS
from ..evaluation.density_comparison import LINES
from ..evaluation.density_comparison import RESULTS as DENSITY_RESULTS
from ..evaluation.gaussians import METRICS, lines_with
from ..evaluation.matched_rows import MeasuredRows, match, read_rows
from ..evaluation.metrics import KEYS, PAIR_KEYS, bootstrap_means
from ..evaluation.oks import STATISTICS
from ..evaluation.oks_matches import FILE as MATCHES
from ..evaluation.oks_matches import drawn_pictures, drawn_statistic, read_match_lines
from ..evaluation.run import PER_OBJECT, RESULTS
from ..evaluation.semantics import NAMING_KEYS

LEVEL = 0.95  # probability that an interval covers
_ROUNDS = 1000  # number of draws of pictures
_DIGITS = 10  # that draws are rounded to, so that those which differ by rounding alone have no spread
_PERCENT = {*KEYS, "auc"}  # columns of per_object.csv that are shares


@dataclass(frozen=True)
class Figure:
    """A figure of a table.

    value: the figure; None where it does not exist.
    low, high: the ends of its 95 % interval; None where none is known.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def figure(folder: Path, results: Mapping[str, Any], metric: str, mean: str) -> Figure:
    """A figure of a measurement with its bootstrap interval.

    folder: of the measurement. results: its results.
    metric: a key of the means (pck@0.2, mpck, auc, nme, epe), of COCO's statistics (AP, AR50), of naming (exact,
        normalised), of attention (attention@0.1), or METHOD/METRIC of a comparison of densities.
    mean: which mean, one of `settings.MEANS`.
    Raises InputError for a metric that the results do not have.
    """
    value = _value(results, metric, mean)
    if value is None:
        return Figure(None)
    if metric in STATISTICS:
        lines = read_match_lines(folder / MATCHES)
        pictures = sorted({line["image"] for line in lines})
        if not lines:
            return Figure(value)
        return Figure(value, *_ends(drawn_statistic(lines, metric, pictures, drawn_pictures(len(pictures), _ROUNDS))))
    rows = _object_rows(folder, metric, mean)
    if rows is None or not rows.keys:
        return Figure(value)
    return Figure(value, *_ends(_drawn_means([rows])[:, 0]))


def change(first: Path, second: Path, metric: str, mean: str) -> Figure | None:
    """How much more the second measurement has than the first, on the objects that both were asked about.

    first, second: their folders.
    Measurements that drew other examples are matched by object, each with the mean of its pairs.
    The interval is that of a paired bootstrap. None where the metric has no values of single objects, the labels
    differ, or no object is in both.
    """
    if _labels_of(first, metric) != _labels_of(second, metric):
        return None
    if metric in STATISTICS:
        return _change_of_pictures(first, second, metric)
    rows = [_object_rows(folder, metric, mean) for folder in (first, second)]
    if rows[0] is None or rows[1] is None:
        return None
    _, _, mine, theirs = match(rows[0], rows[1])
    if not mine.keys:  # as of 1-shot and 5-shot
        _, _, mine, theirs = match(*(one.merged(with_examples=False) for one in rows))
    if not mine.keys:
        return None
    means = [_mean(one) for one in (mine, theirs)]
    drawn = _drawn_means([mine, theirs])
    return Figure(round(means[1] - means[0], _DIGITS), *_ends(drawn[:, 1] - drawn[:, 0]))


def _value(results: Mapping[str, Any], metric: str, mean: str) -> float | None:
    if "/" in metric:
        method, _, name = metric.partition("/")
        table = results.get(mean) or {}
        if name not in (table.get(method) or {}):
            raise InputError(f"The results have no {metric!r}; known methods are {', '.join(table)}.")
        return table[method][name]
    if metric in NAMING_KEYS:
        naming = results.get("semantics") or {}
        return (naming.get("category_mean") if mean == "category_mean" else naming).get(metric)
    if metric in ATTENTION_KEYS:
        return ((results.get("attention") or {}).get(mean) or {}).get(metric)
    if metric in PAIR_KEYS:
        return (results.get(mean) or {}).get(metric)
    oks = results.get("oks") or {}
    if metric not in oks:
        raise InputError(f"The results have no {metric!r}; a column must be one of their metrics.")
    return oks[metric]


def _labels_of(folder: Path, metric: str) -> str:
    """The hash of the labels that a measurement is of."""
    path = folder / (DENSITY_RESULTS if "/" in metric else RESULTS)
    return json.loads(path.read_text(encoding="utf-8"))["data_sha256"]


def _ends(drawn: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """The ends of the interval of draws; NaN are draws without a figure."""
    known = drawn[np.isfinite(drawn)]
    if not len(known):
        return None, None
    low, high = np.quantile(np.round(known, _DIGITS), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


# --- objects ---------------------------------------------------------------------------------------------------------


def _object_rows(folder: Path, metric: str, mean: str) -> MeasuredRows | None:
    """The rows of a measurement that have the metric, in its unit; None where it keeps no values of single objects.

    Their points are the weights of the mean, and their labels what is averaged first: one for all but a mean over
    categories.
    """
    if "/" in metric:
        rows = _density_rows(folder, *metric.split("/"), mean)
    elif metric in (*NAMING_KEYS, *(KEYS if mean == "point_mean" else PAIR_KEYS)):
        rows = read_rows(folder / PER_OBJECT, [metric])
        rows = replace(rows, values=rows.values * (100.0 if metric in _PERCENT else 1.0))
    else:
        return None
    if rows is None:
        return None
    rows = rows.take(np.flatnonzero(np.isfinite(rows.values[:, 0])))
    if metric in NAMING_KEYS or mean == "point_mean":  # shares of all points
        rows = rows.take(np.flatnonzero(rows.points > 0))
    else:
        rows = replace(rows, points=np.ones(len(rows.keys)))
    return rows if mean == "category_mean" else replace(rows, labels=[""] * len(rows.keys))


def _density_rows(folder: Path, method: str, metric: str, mean: str) -> MeasuredRows | None:
    """The mean of each object's keypoints; None for a figure that is no mean of them, and for lines of older versions,
    which do not say their category."""
    lines = [json.loads(line) for line in (folder / LINES).read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if "left_out" not in line]
    if metric not in METRICS or (mean == "category_mean" and not all("category" in line for line in lines)):
        return None
    lines = lines_with(lines, method, metric)
    rows = MeasuredRows(
        [(line["id"], "") for line in lines],
        [line.get("category", "") for line in lines],
        np.ones(len(lines)),
        np.array([[line[method][metric]] for line in lines], dtype=np.float64).reshape(-1, 1),
    )
    return rows.merged(with_examples=False)


def _mean(rows: MeasuredRows) -> float:
    """The mean over the labels of the means of their rows."""
    labels = np.array(rows.labels)
    parts = [labels == label for label in dict.fromkeys(rows.labels)]
    return float(np.mean([np.average(rows.values[part, 0], weights=rows.points[part]) for part in parts]))


def _drawn_means(tables: list[MeasuredRows]) -> np.ndarray:
    """The mean of each of N tables of the same objects in each draw of these: (rounds, N)."""
    values = np.column_stack([table.values for table in tables])
    weights = np.column_stack([table.points for table in tables])
    return bootstrap_means(values, tables[0].labels, objects=tables[0].objects, weights=weights)


# --- pictures --------------------------------------------------------------------------------------------------------


def _change_of_pictures(first: Path, second: Path, metric: str) -> Figure | None:
    """The change of one of COCO's statistics, on the pictures of which both measured the same objects."""
    lines = [read_match_lines(folder / MATCHES) for folder in (first, second)]
    asked = [_objects_by_picture(one) for one in lines]
    shared = sorted(picture for picture, objects in asked[0].items() if asked[1].get(picture) == objects)
    if not shared:
        return None
    known = set(shared)
    kept = [[line for line in one if line["image"] in known] for one in lines]
    whole = np.ones((1, len(shared)), dtype=int)
    values = [drawn_statistic(one, metric, shared, whole)[0] for one in kept]
    if not np.isfinite(values).all():
        return None
    times = drawn_pictures(len(shared), _ROUNDS)
    before, after = (drawn_statistic(one, metric, shared, times) for one in kept)
    return Figure(round(float(values[1] - values[0]), _DIGITS), *_ends(after - before))


def _objects_by_picture(lines: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Picture -> the ids of its objects that were measured."""
    found: dict[str, list[int]] = {}
    for line in lines:
        found[line["image"]] = sorted([*found.get(line["image"], []), *line["objects"]])
    return found
