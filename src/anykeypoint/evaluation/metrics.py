"""PCK as in Pose-for-Everything and CapeLLM: the share of labelled points found within a fraction of the box.

A point counts as found when its distance to the label, divided by the longer side of the object's box (both in pixels
of the original picture), is strictly below the threshold. A point without a prediction (NaN) counts as not found.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..geometry import Box, check_box

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25)
KEYS = (*(f"pck@{threshold:g}" for threshold in THRESHOLDS), "mpck")


def normalised_distances(predicted: np.ndarray, labelled: np.ndarray, box: Box) -> np.ndarray:
    """Distances (M,) of one object's M labelled points, as fractions of the box's longer side.

    predicted, labelled: (K, 2) image pixels; a NaN label is left out, a NaN prediction is infinitely far.
    """
    predicted, labelled = np.asarray(predicted, dtype=np.float64), np.asarray(labelled, dtype=np.float64)
    if predicted.shape != labelled.shape or predicted.ndim != 2 or predicted.shape[1] != 2:
        raise InputError(
            f"Predicted and labelled points must both be (K, 2), but got {predicted.shape} and {labelled.shape}."
        )
    _, _, width, height = check_box(box)
    asked = ~np.isnan(labelled).any(axis=1)
    distances = np.linalg.norm(predicted[asked] - labelled[asked], axis=1) / max(width, height)
    return np.where(np.isnan(distances), np.inf, distances)


def pck(distances_normalised: np.ndarray, thresholds: Sequence[float] = THRESHOLDS) -> np.ndarray:
    """PCK (T,) of one object in [0, 1] from the distances (M,) of its labelled points; NaN distances are misses.

    Raises InputError for an object without labelled points, which has no PCK.
    """
    distances = np.asarray(distances_normalised, dtype=np.float64)
    if distances.ndim != 1 or distances.size == 0:
        raise InputError(f"PCK needs the distances of one or more labelled points, but got shape {distances.shape}.")
    return (distances[None, :] < np.asarray(thresholds, dtype=np.float64)[:, None]).mean(axis=1)


def object_mean(scores: np.ndarray) -> dict[str, float]:
    """Mean over objects, in percent, from the scores (N, T) of `pck`; keys as in KEYS. Every object weighs the same."""
    return _report(_check(scores).mean(axis=0))


def category_mean(scores: np.ndarray, categories: Sequence) -> dict[str, float]:
    """Mean over categories of the mean over their objects, in percent; every category weighs the same.

    scores: (N, T) of `pck`; categories: N labels.
    """
    scores = _check(scores)
    members = _members(categories, len(scores))
    return _report(np.mean([scores[rows].mean(axis=0) for rows in members.values()], axis=0))


def per_category(scores: np.ndarray, categories: Sequence) -> dict:
    """`object_mean` of each category, in the order of first appearance."""
    scores = _check(scores)
    members = _members(categories, len(scores))
    return {label: object_mean(scores[rows]) for label, rows in members.items()}


def bootstrap_interval(
    scores: np.ndarray, categories: Sequence, seed: int = 0, rounds: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval, in percent, of the category mean of ONE score (N,), e.g. PCK at 0.2 per object.

    Objects are drawn with replacement within their category; the categories stay, so the interval says nothing of
    other categories. A category with one object adds no spread.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not scores.size:
        raise InputError(
            f"The bootstrap needs one score for each of one or more objects, but got shape {scores.shape}."
        )
    rng = np.random.default_rng(seed)
    means = []
    # Sorted inside each category, and categories by label, so that the order of the objects does not matter.
    for _, rows in sorted(_members(categories, len(scores)).items(), key=lambda item: str(item[0])):
        values = np.sort(scores[rows])
        means.append(values[rng.integers(len(values), size=(rounds, len(values)))].mean(axis=1))
    low, high = np.quantile(np.mean(means, axis=0), [(1 - level) / 2, (1 + level) / 2])
    return float(100 * low), float(100 * high)


def _check(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] != len(THRESHOLDS) or not len(scores):
        raise InputError(f"Scores must be (N, {len(THRESHOLDS)}) with N above 0, but got {scores.shape}.")
    return scores


def _members(categories: Sequence, count: int) -> dict:
    if len(categories) != count:
        raise InputError(f"There must be one category label per object, but got {len(categories)} for {count} objects.")
    members: dict = {}
    for row, label in enumerate(categories):
        members.setdefault(label, []).append(row)
    return members


def _report(means: np.ndarray) -> dict[str, float]:
    return dict(zip(KEYS, (100 * np.append(means, means.mean())).tolist(), strict=True))
