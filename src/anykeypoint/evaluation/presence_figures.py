"""Results about presence: whether it tells visible points from hidden and absent ones, and from those of another kind.

The area under the ROC curve (AUROC) is the chance that a visible point has a higher presence than one that is not, 0.5
where it says nothing. What is not labelled counts as absent, so that the figures say little of labels that leave out
points at random.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..density.presence import PRESENT_FROM
from ..forms.dataset import LabelledObject
from .queries import Prediction, Query

PARTS = ("visible", "hidden", "absent")


def measure_presence(
    objects: Sequence[LabelledObject],
    labels: Sequence[str],
    predictions: Sequence[Prediction],
    foreign: Sequence[tuple[Query, Prediction]],
) -> dict[str, Any] | None:
    """The figures of presence; None where the model does not say it of any point.

    objects, labels: the object of each pair and the label of its category. predictions: of each pair.
    foreign: questions about other kinds of objects with their answers.

    Shares are in percent of the points that were asked for; None stands for a figure that does not exist.
    """
    known: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    by_category: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for item, label, prediction in zip(objects, labels, predictions, strict=True):
        if prediction.presence is None:
            continue
        said = np.isfinite(prediction.presence)
        for part, visibility in zip(PARTS, (2, 1, 0), strict=True):
            known[part].append(prediction.presence[said & (item.visibility == visibility)])
        visible = item.visibility == 2
        pair = prediction.presence[said & visible], prediction.presence[said & ~visible]
        by_category.setdefault(label, []).append(pair)
    values = {part: np.concatenate(rows) if rows else np.zeros(0) for part, rows in known.items()}
    if not sum(map(len, values.values())):
        return None
    others = [answer.presence[np.isfinite(answer.presence)] for _, answer in foreign if answer.presence is not None]
    values["foreign"] = np.concatenate(others) if others else np.zeros(0)
    areas = [_area(*(np.concatenate(part) for part in zip(*pairs, strict=True))) for pairs in by_category.values()]
    known_areas = [area for area in areas if area is not None]
    visible = values["visible"]
    return {
        "from": PRESENT_FROM,
        "auroc": _area(visible, np.concatenate([values["hidden"], values["absent"]])),
        "auroc_hidden": _area(visible, values["hidden"]),
        "auroc_absent": _area(visible, values["absent"]),
        "auroc_foreign": _area(visible, values["foreign"]),
        "category_mean": sum(known_areas) / len(known_areas) if known_areas else None,
        "categories": len(known_areas),
        **{part: _share(rows) for part, rows in values.items()},
        "foreign_objects": len(others),
    }


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float:
    """The chance that a positive value is above a negative one, equal ones counting half; both [N] and not empty."""
    values = np.concatenate([positive, negative])
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # the mean rank of equal values, from 1
    above = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))


def _area(positive: np.ndarray, negative: np.ndarray) -> float | None:
    return area_under_curve(positive, negative) if len(positive) and len(negative) else None


def _share(values: np.ndarray) -> dict[str, Any]:
    """How many points there are, and the percent of them that are present."""
    return {"points": len(values), "present": float(100 * (values >= PRESENT_FROM).mean()) if len(values) else None}
