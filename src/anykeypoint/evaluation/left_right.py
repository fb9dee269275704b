"""Left and right in an evaluation: how often a pair is exchanged, and whether a mirrored picture gets the same answer.

A pair of points is exchanged where each of its answers lies nearer to the label of the other than to its own. A model
that knows left from right answers for a mirrored picture with mirrored places, those of a pair exchanged: what was the
left ear is the right ear of the mirrored object.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..geometry import CONFIDENCE_RADIUS, Box
from ..images import read_picture
from .queries import EvaluatedModel, PredictedPoints, Prediction

AGREES_WITHIN = CONFIDENCE_RADIUS  # fraction of the box's longer side within which two answers agree


class MirroredPictures:
    """A model that gets every picture mirrored and whose answers are mirrored back, for the names as they were.

    model: must answer for places (`predict`); examples are given to it as they are.
    """

    def __init__(self, model: EvaluatedModel) -> None:
        self.model = model
        self.prompts = getattr(model, "prompts", ("text",))

    def predict(self, image: Path, category: Category, *, box: Box, **options: Any) -> PredictedPoints:
        """The model's answer for the mirrored picture, in pixels of the picture as it is; points of a pair exchanged.

        Points with a side and no partner are absent: their mirror image has a name that the category lacks.
        """
        picture = read_picture(image)
        width = picture.size[0]
        x, y, w, h = box
        answer = self.model.predict(picture.mirrored(), category, box=(width - x - w, y, w, h), **options)
        xy, confidence = np.asarray(answer.xy, dtype=np.float64), np.asarray(answer.confidence, dtype=np.float64)
        order, known = category.mirrored(), np.ones(len(category), dtype=bool)
        known[list(category.unpaired)] = False
        xy = np.where(known[:, None], xy[order] * (-1, 1) + (width, 0), np.nan)
        return Prediction(xy, np.where(known, confidence[order], np.nan))


def exchanged_pairs(xy: np.ndarray, labels: np.ndarray, pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The number of exchanged pairs, and of pairs that could be: both points labelled and answered.

    xy: [K, 2] answers, NaN where there is none.
    labels: [K, 2] in the same unit, NaN where not labelled or not to be scored.
    pairs: of indices of left and right points.
    """
    exchanged = counted = 0
    for a, b in pairs:
        places = np.array([xy[a], xy[b]])
        own, other = (np.linalg.norm(places - labels[rows], axis=1) for rows in ([a, b], [b, a]))
        if np.isfinite(own).all():
            counted += 1
            exchanged += bool((other < own).all())
    return exchanged, counted


def agreeing_points(xy: np.ndarray, mirrored: np.ndarray, side: float, counts: np.ndarray) -> tuple[int, int]:
    """The number of points on which two answers agree, and of points that both give.

    xy, mirrored: [K, 2] in image pixels, NaN where there is none.
    side: longer side of the object's box in pixels.
    counts: [K] bool, the points that are counted at all.
    """
    away = np.linalg.norm(xy - mirrored, axis=1)[counts] / side
    away = away[np.isfinite(away)]
    return int((away < AGREES_WITHIN).sum()), len(away)


def left_right(
    categories: Sequence[Category],
    labels: Sequence[str],
    targets: np.ndarray,
    mask: np.ndarray,
    sides: np.ndarray,
    points: Sequence[np.ndarray],
    mirrored: Sequence[np.ndarray] | None,
) -> dict[str, Any] | None:
    """What results.json holds of left and right; None where no pair of points is labelled and answered.

    categories, labels: of each of M queries; queries whose category has no pairs are left out.
    targets: [M, K, 2] labelled points in pixels. mask: [M, K] bool, those that count.
    sides: [M] longer side of each box in pixels.
    points: M answers [K_i, 2]. mirrored: those for the mirrored pictures, mirrored back; None where not requested.
    """
    counts: dict[str, dict[str, int]] = {}
    for row, (category, label) in enumerate(zip(categories, labels, strict=True)):
        if not category.pairs:
            continue
        entry = counts.setdefault(label, {"exchanged": 0, "pairs": 0, "agreeing": 0, "points": 0})
        xy, used = points[row], mask[row, : len(category)]
        placed = np.where(used[:, None], targets[row, : len(category)], np.nan)
        for key, number in zip(("exchanged", "pairs"), exchanged_pairs(xy, placed, category.pairs), strict=True):
            entry[key] += number
        if mirrored is not None:
            agreement = agreeing_points(xy, mirrored[row], sides[row], used)
            for key, number in zip(("agreeing", "points"), agreement, strict=True):
                entry[key] += number
    if not any(entry["pairs"] for entry in counts.values()):
        return None
    table: dict[str, Any] = {"exchanged": _shares(counts, "exchanged", "pairs")}
    table["agreement"] = None if mirrored is None else _shares(counts, "agreeing", "points")
    table["within"] = AGREES_WITHIN
    return table


def _shares(counts: dict[str, dict[str, int]], part: str, of: str) -> dict[str, Any]:
    """Percentages over all and in each category, and the mean over categories."""
    each = {label: 100 * entry[part] / entry[of] for label, entry in counts.items() if entry[of]}
    total = sum(entry[of] for entry in counts.values())
    return {
        "category_mean": sum(each.values()) / len(each) if each else None,
        "mean": 100 * sum(entry[part] for entry in counts.values()) / total if total else None,
        "count": total,
        "per_category": {label: {"percent": share, "count": counts[label][of]} for label, share in each.items()},
    }
