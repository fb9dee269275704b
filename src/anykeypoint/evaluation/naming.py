"""Results of the protocols that identify: the share of marked points whose name is right (KptLLM++, Table 1)."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ..data.pairs import Pair
from ..forms.dataset import Dataset, LabelledObject, picture_names
from .evaluation_config import EvaluationConfig
from .queries import Prediction
from .run_folder import Progress
from .scoring import Measurement
from .semantics import NAMING_KEYS, excluded_names, is_excluded, normalised

Outcome = tuple[bool, bool]  # whether a predicted name is the point's name, and whether it is but for spelling


def measure_names(
    dataset: Dataset,
    pairs: Sequence[Pair],
    labels: Sequence[str],
    predictions: Sequence[Prediction],
    baselines: dict[str, list[Prediction]],
    config: EvaluationConfig,
    known_names: Collection[str] | None,
    progress: Progress,
) -> Measurement:
    """The results of a model's names, with a row for each object and no pictures.

    The arguments are those of `points.measure_points`; the last three have no effect on names.
    Shares are in percent of the labelled points whose name is not on the list of excluded names, over all points and as
    the mean over categories; None where no point is left.
    """
    queries = [dataset.objects[pair.query] for pair in pairs]
    query_labels = [labels[pair.query] for pair in pairs]
    excluded = excluded_names()
    outcomes = _outcomes(queries, predictions, excluded)
    per_category = {}
    for label in dict.fromkeys(query_labels):
        members = [table for table, other in zip(outcomes, query_labels, strict=True) if other == label]
        per_category[label] = {**_shares(members), "objects": len(members), "points": sum(map(len, members))}
    measured = sum(map(len, outcomes))
    results = {
        **dict.fromkeys(("category_mean", "object_mean", "interval", "curve", "groups", "names", "calibration", "oks")),
        "left_right": None,
        "baselines": {},
        "empty": sum(not table for table in outcomes),
        "unanswered": 0,
        "semantics": {
            **_shares_and_means(outcomes, query_labels),
            "points": measured,
            "excluded": sum(int((item.visibility > 0).sum()) for item in queries) - measured,
            "baselines": {
                name: _shares_and_means(_outcomes(queries, of_baseline, excluded), query_labels)
                for name, of_baseline in baselines.items()
            },
        },
        "per_category": per_category,
        "points": measured,
        "categories": len(per_category),
    }
    rows = [
        _row(number, item, name, label, table, predictions[number].confidence)
        for number, (item, name, label, table) in enumerate(
            zip(queries, picture_names(queries), query_labels, outcomes, strict=True)
        )
    ]
    return Measurement(results, rows)


def _row(
    number: int, item: LabelledObject, name: str, label: str, outcomes: list[Outcome], confidence: np.ndarray
) -> dict[str, Any]:
    """A row of per_object.csv."""
    known = confidence[np.isfinite(confidence)]
    return {
        "pair": number,
        "id": item.id,
        "examples": "",
        "category": label,
        "group": "",
        "image": name,
        "points": len(outcomes),
        **_shares([outcomes]),
        "confidence": float(known.mean()) if len(known) else math.nan,
    }


def _outcomes(
    queries: Sequence[LabelledObject], predictions: Sequence[Prediction], excluded: Sequence[str]
) -> list[list[Outcome]]:
    """The outcomes of each object's points. Points without a name, whose label lies outside the picture, are left out.

    excluded: patterns of names that are not measured.
    """
    tables = []
    for item, prediction in zip(queries, predictions, strict=True):
        names = item.category.names
        predicted = prediction.names or ()
        used = [k for k, name in enumerate(predicted) if name is not None and not is_excluded(names[k], excluded)]
        pairs = [(predicted[k], names[k]) for k in used]
        tables.append([(ours.strip() == name.strip(), normalised(ours) == normalised(name)) for ours, name in pairs])
    return tables


def _shares(tables: Sequence[list[Outcome]]) -> dict[str, float | None]:
    """Both shares over all points, in percent."""
    points = [row for table in tables for row in table]
    return {
        key: 100 * sum(row[i] for row in points) / len(points) if points else None for i, key in enumerate(NAMING_KEYS)
    }


def _shares_and_means(tables: Sequence[list[Outcome]], labels: Sequence[str]) -> dict[str, Any]:
    """Both shares over all points, and under "category_mean" the means of the categories' shares."""
    members: dict[str, list] = {}
    for table, label in zip(tables, labels, strict=True):
        members.setdefault(label, []).append(table)
    shares = [_shares(of_category) for of_category in members.values()]
    means = {}
    for key in NAMING_KEYS:
        values = [share[key] for share in shares if share[key] is not None]
        means[key] = math.fsum(values) / len(values) if values else None
    return {**_shares(tables), "category_mean": means}
