"""PCK, AUC, NME and EPE as in Pose-for-Everything: how near predicted points are to their labels.

A point counts as correct when its distance to the label, divided by the longer side of the object's box (both in pixels
of the original picture), is strictly below the threshold. A point without a prediction (NaN) counts as wrong. PCK is
the share of a pair's points that are correct. A pair is a query and its examples, or a query alone.
Letters: M pairs, K points (padded), T thresholds.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25)
KEYS = (*(f"pck@{threshold:g}" for threshold in THRESHOLDS), "mpck")
AUC_STEPS = 20  # number of thresholds under the curve: 0, 0.05 ... 0.95
PAIR_KEYS = (*KEYS, "auc", "nme", "epe")
CELLS = 4_000_000  # number of objects that a bootstrap draws at once, which bounds the memory
_FLAT_SIDE = 1e6  # side in pixels that the released code takes for a box without an area


def bootstrap_interval(
    scores: np.ndarray,
    categories: Sequence,
    seed: int = 0,
    rounds: int = 2000,
    level: float = 0.95,
    objects: np.ndarray | None = None,
) -> tuple[float, float]:
    """Percentile interval, in percent, of the category mean of one score, such as PCK at 0.2 of each pair.

    scores: (N,) in [0, 1]. categories: N labels.
    rounds: number of bootstrap rounds. level: probability that the interval covers, in (0, 1).
    objects: (N,) the object behind each score; scores of one object are drawn together. None where every score has
        another object.
    Objects are drawn with replacement within their category and the categories stay, so the interval says nothing of
    other categories. A category with one object adds no spread.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not scores.size:
        raise InputError(
            f"The bootstrap needs one score for each of one or more objects, but got shape {scores.shape}."
        )
    means = bootstrap_means(scores[:, None], categories, seed, rounds, objects)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(100 * low), float(100 * high)


def bootstrap_means(
    values: np.ndarray,
    categories: Sequence,
    seed: int = 0,
    rounds: int = 2000,
    objects: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """The category means (rounds, F) of F figures in each round of `bootstrap_interval`, all of the same objects.

    values: (N, F), finite. categories, objects: of each row, as there.
    weights: (N, F) above 0, what each value weighs in the mean of its category, such as the number of points that it
        is a share of; None where all weigh the same.
    """
    rng = np.random.default_rng(seed)
    weights = np.ones(values.shape) if weights is None else weights
    total = np.zeros((rounds, values.shape[1]))
    # Objects are sorted within each category, and categories by label: the order of the rows has no effect.
    members = sorted(_members(categories, len(values)).items(), key=lambda item: str(item[0]))
    for _, rows in members:
        own = np.arange(len(rows)) if objects is None else np.unique(objects[rows], return_inverse=True)[1]
        ranked = np.lexsort((*values[rows].T, own))
        counts, sums = (
            np.stack([np.bincount(own[ranked], column[rows][ranked]) for column in columns.T], axis=1)
            for columns in (weights, weights * values)
        )
        order = np.lexsort((*counts.T, *sums.T))
        step = max(1, CELLS // len(order))
        for first in range(0, rounds, step):
            drawn = order[rng.integers(len(order), size=(min(step, rounds - first), len(order)))]
            for figure in range(values.shape[1]):
                share = sums[drawn, figure].sum(axis=1) / counts[drawn, figure].sum(axis=1)
                total[first : first + len(drawn), figure] += share
    return total / len(members)


# --- pairs ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairScores:
    """The metrics of M pairs, each pair by itself.

    pck: (M, T) in [0, 1]. auc: (M,) in [0, 1].
    nme: (M,) mean distance as a fraction of the longer side of the box, over the points with a prediction.
    epe: (M,) the same distance in pixels of the picture.
    points: (M,) number of points that the pair is scored on.
    unanswered: (M,) number of these that have no prediction.
    A pair without a point to score on has NaN in all metrics (0 under the official rule).
    """

    pck: np.ndarray
    auc: np.ndarray
    nme: np.ndarray
    epe: np.ndarray
    points: np.ndarray
    unanswered: np.ndarray

    @classmethod
    def join(cls, parts: Iterable["PairScores"]) -> "PairScores":
        """The scores of several parts as one, in their order."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


def common_points(visible: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Points that are labelled in the query and in all of its examples, which the protocol scores on: (M, K) bool.

    visible: (N, K) bool of all objects.
    pairs: (M, S + 1) indices of each pair's S examples and its query, in any order.
    """
    return np.asarray(visible, dtype=bool)[np.asarray(pairs)].all(axis=1)


def score_pairs(
    predicted: np.ndarray,
    labelled: np.ndarray,
    mask: np.ndarray,
    sides: np.ndarray,
    thresholds: Sequence[float] = THRESHOLDS,
    official: bool = False,
) -> PairScores:
    """The metrics of M pairs from their points.

    predicted: (M, K, 2) pixels of the picture. A NaN is wrong in PCK and AUC and is left out of NME and EPE.
    labelled: (M, K, 2) pixels of the picture, padded with anything.
    mask: (M, K) bool, the points to score on.
    sides: (M,) longer side in pixels of each query's box, for MP-100 of its cleaned box.
    thresholds: T fractions of the longer side.
    official: score as the released code does. A pair without a point scores 0 in all metrics, which is perfect in NME
        and EPE; distances are compared in single precision; a box without an area scores 0 at the first threshold and 1
        at the others, as its side becomes a million pixels after the first.
    Raises InputError for shapes that do not fit, a label to score on that is not finite, and a side that is not above 0
    (of 0, under the official rule).
    """
    predicted, labelled = np.asarray(predicted, dtype=np.float64), np.asarray(labelled, dtype=np.float64)
    mask, sides = np.asarray(mask, dtype=bool), np.asarray(sides, dtype=np.float64)
    _check_pairs(predicted, labelled, mask, sides, official)
    flat = sides == 0

    x, y = np.moveaxis(predicted - labelled, -1, 0)
    pixels = np.where(mask, np.sqrt(x * x + y * y), 0.0)
    relative = pixels / np.where(flat, _FLAT_SIDE, sides)[:, None]
    answered = mask & ~np.isnan(pixels)
    precision = np.float32 if official else np.float64
    rounded = relative.astype(precision)
    points, count = mask.sum(axis=1), answered.sum(axis=1)
    without_points = 0.0 if official else np.nan

    def share(hits: np.ndarray, of: np.ndarray) -> np.ndarray:
        return np.where(points > 0, hits / np.maximum(of, 1), without_points)

    def hits(threshold: float) -> np.ndarray:
        return (answered & (rounded < precision(threshold))).sum(axis=1)

    def mean(distances: np.ndarray) -> np.ndarray:
        total = np.zeros(len(distances))
        for k in range(distances.shape[1]):  # added point by point: padding and batches cannot change the rounding
            total += np.where(answered[:, k], distances[:, k], 0.0)
        return np.where((points > 0) & (count == 0), np.nan, share(total, count))

    auc = share(sum(hits(step / AUC_STEPS) for step in range(AUC_STEPS)), AUC_STEPS * points)
    pck = np.stack([share(hits(threshold), points) for threshold in thresholds], axis=1)
    pck[flat, :1] = 0
    return PairScores(pck, auc, mean(relative), mean(pixels), points, points - count)


def _check_pairs(
    predicted: np.ndarray, labelled: np.ndarray, mask: np.ndarray, sides: np.ndarray, official: bool
) -> None:
    if predicted.ndim != 3 or predicted.shape[2] != 2 or predicted.shape != labelled.shape:
        raise InputError(
            f"Predicted and labelled points must both be (M, K, 2), but got {predicted.shape} and {labelled.shape}."
        )
    if mask.shape != predicted.shape[:2] or sides.shape != predicted.shape[:1]:
        raise InputError(
            f"For points {predicted.shape} the mask must be {predicted.shape[:2]} and the sides {predicted.shape[:1]}, "
            f"but got {mask.shape} and {sides.shape}."
        )
    if not np.isfinite(labelled[mask]).all():
        raise InputError("A point to score on has a label that is no place (NaN or infinite); take it out of the mask.")
    odd = ~np.isfinite(sides) | (sides < 0) | ((sides == 0) & (not official))
    if odd.any():
        raise InputError(f"The sides of boxes must be above 0 and finite, but got {sides[odd][0]:g}.")


def pair_means(scores: PairScores, categories: Sequence) -> dict:
    """Means over pairs, over categories and over points: "object_mean", "category_mean" and "point_mean".

    "category_mean" is that of the means over each category's pairs. "point_mean" is the share of all points that are
    correct, whatever pair they are of; benchmarks of correspondence report it as PCK per point, and "object_mean" as
    PCK per image.

    scores: of M pairs, at the thresholds of THRESHOLDS.
    categories: M labels; ids rather than names, as two categories may share a name. The order of pairs has no effect.
    The first two hold PAIR_KEYS, the last KEYS: PCK, mPCK and AUC in percent, NME as a fraction of the box, EPE in
    pixels. A NaN is left out of a mean. "pairs", "empty" (pairs without a point to score on), "points" and "unanswered"
    are numbers of what there was, "categories" is the number of categories that had a score.
    Raises InputError where no pair has a point to score on.
    """
    if scores.pck.shape[1:] != (len(THRESHOLDS),):
        raise InputError(f"Means need the scores at the {len(THRESHOLDS)} thresholds, but got {scores.pck.shape}.")
    columns = np.column_stack([scores.pck, scores.pck.mean(axis=1), scores.auc, scores.nme, scores.epe])
    if not len(columns) or np.isnan(columns[:, 0]).all():
        raise InputError("No pair has a point that both its example and its query show; there is nothing to average.")
    by_category = [_exact_mean(columns[rows]) for rows in _members(categories, len(columns)).values()]
    scored = [means for means in by_category if not np.isnan(means[0])]
    percent = np.array([100.0] * (len(KEYS) + 1) + [1.0, 1.0])
    return {
        "object_mean": dict(zip(PAIR_KEYS, (_exact_mean(columns) * percent).tolist(), strict=True)),
        "category_mean": dict(zip(PAIR_KEYS, (_exact_mean(np.array(scored)) * percent).tolist(), strict=True)),
        "point_mean": _point_mean(scores),
        "pairs": len(columns),
        "empty": int((scores.points == 0).sum()),
        "points": int(scores.points.sum()),
        "unanswered": int(scores.unanswered.sum()),
        "categories": len(scored),
    }


def _point_mean(scores: PairScores) -> dict[str, float]:
    """PCK over all points in percent, and its mean over the thresholds; whole numbers, so that no order matters."""
    used = scores.points > 0
    correct = np.rint(scores.pck[used] * scores.points[used, None]).sum(axis=0)
    pck = 100 * correct / max(int(scores.points.sum()), 1)
    return dict(zip(KEYS, [*pck.tolist(), float(pck.mean())], strict=True))


def _exact_mean(columns: np.ndarray) -> np.ndarray:
    """The mean (columns,) of each column's numbers without NaN; exact sums, so that the order of rows has no effect."""
    means = []
    for column in columns.T:
        known = column[~np.isnan(column)]
        means.append(math.fsum(known) / len(known) if len(known) else math.nan)
    return np.array(means)


def _members(categories: Sequence, count: int) -> dict:
    if len(categories) != count:
        raise InputError(f"There must be one category label per object, but got {len(categories)} for {count} objects.")
    members: dict = {}  # label -> its rows
    for row, label in enumerate(categories):
        members.setdefault(label, []).append(row)
    return members
