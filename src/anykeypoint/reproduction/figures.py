"""The figures of a measurement: a value with its interval, and what changes from another row on the same objects."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..evaluation.attention import ATTENTION_KEYS
from ..evaluation.metrics import PAIR_KEYS, bootstrap_interval
from ..evaluation.run import PER_OBJECT, RESULTS
from ..evaluation.semantics import NAMING_KEYS

SCALE = {"nme": 0.01, "epe": 0.01}  # the bootstrap gives percent of what it is given; these two are none


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
    """A figure of a measurement with its bootstrap interval over objects.

    folder: of the measurement. results: its results.
    metric: a key of the means (pck@0.2, mpck, auc, nme, epe), of COCO's statistics (AP, AR50), of naming (exact,
        normalised), of attention (attention@0.1), or METHOD/METRIC of a comparison of densities.
    mean: which mean, one of `settings.MEANS`.
    Raises InputError for a metric that the results do not have.
    """
    if "/" in metric:
        method, _, name = metric.partition("/")
        table = results.get(mean) or {}
        if name not in (table.get(method) or {}):
            raise InputError(f"The results have no {metric!r}; known methods are {', '.join(table)}.")
        return Figure(table[method][name])
    if metric in NAMING_KEYS:
        naming = results.get("semantics") or {}
        return Figure((naming.get("category_mean") if mean == "category_mean" else naming).get(metric))
    if metric in ATTENTION_KEYS:
        return Figure(((results.get("attention") or {}).get(mean) or {}).get(metric))
    if metric in PAIR_KEYS:
        value = (results.get(mean) or {}).get(metric)
        return Figure(value, *_interval(_rows(folder), metric, mean)) if value is not None else Figure(None)
    oks = results.get("oks") or {}
    if metric not in oks:
        raise InputError(f"The results have no {metric!r}; a column must be one of their metrics.")
    return Figure(oks[metric])


def change(first: Path, second: Path, metric: str, mean: str) -> Figure | None:
    """How much more the second measurement has than the first, on the objects that both were asked about.

    first, second: their folders.
    The interval is that of a paired bootstrap. None where the metric has no values of single objects, the labels
    differ, or no object is in both.
    """
    if metric not in PAIR_KEYS or not all((folder / PER_OBJECT).is_file() for folder in (first, second)):
        return None
    data = [json.loads((one / RESULTS).read_text(encoding="utf-8"))["data_sha256"] for one in (first, second)]
    if data[0] != data[1]:
        return None
    tables = [_by_query(_rows(folder), metric) for folder in (first, second)]
    if not any(key[1] for key in tables[0]) or not any(key[1] for key in tables[1]):
        tables = [_without_examples(table) for table in tables]
    shared = sorted(set(tables[0]) & set(tables[1]))
    if not shared:
        return None
    rows = [
        {"id": key[0], "category": tables[0][key][1], metric: tables[1][key][0] - tables[0][key][0]} for key in shared
    ]
    return Figure(_mean(rows, metric, mean), *_interval(rows, metric, mean))


def _rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a measurement's objects."""
    with (folder / PER_OBJECT).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _by_query(rows: Sequence[Mapping[str, Any]], metric: str) -> dict[tuple[str, str], tuple[float, str]]:
    """(object, examples) -> value and category; a query that was asked several times has the mean."""
    values: dict[tuple[str, str], list[float]] = {}
    labels = {}
    for row in rows:
        if row[metric] not in ("", None):
            key = (row["id"], " ".join(row["examples"].split()))
            values.setdefault(key, []).append(float(row[metric]))
            labels[key] = row["category"]
    return {key: (math.fsum(found) / len(found), labels[key]) for key, found in values.items()}


def _without_examples(table: Mapping[tuple[str, str], tuple[float, str]]) -> dict[tuple[str, str], tuple[float, str]]:
    """The table with the mean over the examples of each object."""
    values: dict[str, list[float]] = {}
    labels = {}
    for (identity, _), (value, label) in table.items():
        values.setdefault(identity, []).append(value)
        labels[identity] = label
    return {(key, ""): (math.fsum(found) / len(found), labels[key]) for key, found in values.items()}


def _mean(rows: Sequence[Mapping[str, Any]], metric: str, mean: str) -> float:
    """The mean of a metric in its unit: over the rows, or over the categories' means."""
    by_label: dict[str, list[float]] = {}
    for row in rows:
        by_label.setdefault(row["category"] if mean == "category_mean" else "", []).append(float(row[metric]))
    means = [math.fsum(values) / len(values) for values in by_label.values()]
    return 100 * SCALE.get(metric, 1.0) * math.fsum(means) / len(means)


def _interval(rows: Sequence[Mapping[str, Any]], metric: str, mean: str) -> tuple[float, float] | tuple[None, None]:
    """The interval of a mean, objects drawn within their category for a mean over categories, else among all."""
    known = [row for row in rows if row[metric] not in ("", None) and math.isfinite(float(row[metric]))]
    if not known or mean == "point_mean":
        return None, None
    scores = np.array([float(row[metric]) for row in known])
    labels = [row["category"] if mean == "category_mean" else "" for row in known]
    low, high = bootstrap_interval(scores, labels, objects=np.array([row["id"] for row in known]))
    scale = SCALE.get(metric, 1.0)
    return scale * low, scale * high
