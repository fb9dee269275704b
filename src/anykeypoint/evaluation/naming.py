"""Figures of the protocols that ask for names: the share of marked points that get their own (KptLLM++, Table 1)."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ..data.pairs import Pair
from ..forms.dataset import Dataset, LabelledObject
from .asking import Answered
from .semantics import NAMING_KEYS, excluded_names, is_excluded, normalised


def figures(
    dataset: Dataset,
    pairs: Sequence[Pair],
    labels: Sequence[str],
    mine: Sequence[Answered],
    theirs: dict[str, list[Answered]],
    settings: Any,
    known_names: Collection[str] | None,
) -> tuple[dict[str, Any], list[dict[str, Any]], tuple[list, list]]:
    """The results, a row for each object, and no pictures. Percent of the labelled points whose name is not on the
    excluded list, over all points and as the mean over categories; None where nothing is left."""
    queries = [dataset.objects[pair.query] for pair in pairs]
    kinds = [labels[pair.query] for pair in pairs]
    excluded = excluded_names()
    right = _right(queries, mine, excluded)
    per_category = {}
    for kind in dict.fromkeys(kinds):
        members = [table for table, other in zip(right, kinds, strict=True) if other == kind]
        per_category[kind] = {**_share(members), "objects": len(members), "points": sum(map(len, members))}
    rows = []
    for number, (item, kind, table) in enumerate(zip(queries, kinds, right, strict=True)):
        known = mine[number].confidence[np.isfinite(mine[number].confidence)]
        rows.append(
            {
                "pair": number,
                "id": item.id,
                "examples": "",
                "category": kind,
                "group": "",
                "image": item.image.name,
                "points": len(table),
                **_share([table]),
                "confidence": float(known.mean()) if len(known) else math.nan,
            }
        )
    asked = sum(map(len, right))
    results = {
        **dict.fromkeys(("category_mean", "object_mean", "interval", "curve", "groups", "names", "calibration", "oks")),
        "baselines": {},
        "empty": sum(not table for table in right),
        "unanswered": 0,
        "semantics": {
            **_both(right, kinds),
            "points": asked,
            "excluded": sum(int((item.visibility > 0).sum()) for item in queries) - asked,
            "baselines": {name: _both(_right(queries, answers, excluded), kinds) for name, answers in theirs.items()},
        },
        "per_category": per_category,
        "points": asked,
        "categories": len(per_category),
    }
    return results, rows, ([], [])


def _right(
    queries: Sequence[LabelledObject], answers: Sequence[Answered], excluded: Sequence[str]
) -> list[list[tuple[bool, bool]]]:
    """For each object and point that counts: is the answer the name, and is it but for spelling?

    What was not asked, as its label lies outside the picture, does not count.
    """
    found = []
    for item, answer in zip(queries, answers, strict=True):
        names = item.category.names
        said = answer.names or ()
        asked = [k for k, name in enumerate(said) if name is not None and not is_excluded(names[k], excluded)]
        pairs = [(said[k], names[k]) for k in asked]
        found.append([(said.strip() == name.strip(), normalised(said) == normalised(name)) for said, name in pairs])
    return found


def _share(tables: Sequence[list[tuple[bool, bool]]]) -> dict[str, float | None]:
    points = [row for table in tables for row in table]
    return {
        key: 100 * sum(row[i] for row in points) / len(points) if points else None for i, key in enumerate(NAMING_KEYS)
    }


def _both(tables: Sequence[list[tuple[bool, bool]]], kinds: Sequence[str]) -> dict[str, Any]:
    """Both shares over all points, and under "category_mean" the means of the categories' shares."""
    members: dict[str, list] = {}
    for table, kind in zip(tables, kinds, strict=True):
        members.setdefault(kind, []).append(table)
    shares = [_share(found) for found in members.values()]
    means = {}
    for key in NAMING_KEYS:
        values = [share[key] for share in shares if share[key] is not None]
        means[key] = math.fsum(values) / len(values) if values else None
    return {**_share(tables), "category_mean": means}
