"""Quality of confidences: reliability, expected calibration error, and the area under the sparsification error.

All take one confidence per point and its outcome (correct or not, or its error); the order of the points has no effect.
Letters: M points, B bins.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..configs.checks import check_whole
from ..errors import InputError

BINS = 10  # number of bins of a reliability curve


@dataclass(frozen=True)
class Reliability:
    """Points by confidence, in bins of equal width.

    edges: (B + 1,) borders of the bins.
    count: (B,) number of points in each bin.
    confidence: (B,) mean confidence in each bin, NaN where it is empty.
    correct: (B,) share of the bin's points that are correct, NaN where it is empty.
    """

    edges: np.ndarray
    count: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (ECE): mean of |confidence - share correct|, weighted by the bins' points."""
        full = self.count > 0
        gaps = np.abs(self.confidence[full] - self.correct[full])
        return math.fsum(gaps * self.count[full]) / int(self.count.sum())


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> Reliability:
    """The reliability curve of M points.

    confidence: (M,) in [0, 1]. correct: (M,) bool. bins: number of bins.
    A bin holds the confidences above its lower edge up to its upper edge; the first also holds 0.
    Raises InputError for confidences that are NaN or outside [0, 1].
    """
    confidence, correct = _points(confidence, correct, "correct")
    if not np.isin(correct, (0, 1)).all():
        raise InputError("What is correct must be true or false for each point; compare distances with a threshold.")
    if (confidence < 0).any() or (confidence > 1).any():
        odd = confidence[(confidence < 0) | (confidence > 1)][0]
        raise InputError(f"Confidences must lie in [0, 1] to be compared with shares, but got {odd:g}.")
    check_whole(bins, "The number of bins of a reliability curve")
    edges = np.arange(bins + 1) / bins
    bin_of = np.maximum(np.searchsorted(edges, confidence, side="left") - 1, 0)
    inside = [bin_of == i for i in range(bins)]
    return Reliability(
        edges,
        np.array([rows.sum() for rows in inside]),
        np.array([_mean(confidence[rows]) for rows in inside]),
        np.array([_mean(correct[rows]) for rows in inside]),
    )


@dataclass(frozen=True)
class Sparsification:
    """Mean error of the points that are left when points are removed one after the other.

    left: (M,) share of points left, falling from 1.
    by_confidence: (M,) mean error when the least confident points are removed first, relative to the mean of all.
    oracle: (M,) the same when the points of the largest error are removed first, which is the best order.
    """

    left: np.ndarray
    by_confidence: np.ndarray
    oracle: np.ndarray

    @property
    def area(self) -> float:
        """Area under the sparsification error (AUSE), which is between the two curves; 0 is a perfect order."""
        return math.fsum(self.by_confidence - self.oracle) / len(self.left)


def sparsification(confidence: np.ndarray, error: np.ndarray) -> Sparsification:
    """Sparsification curves of M points.

    confidence: (M,) any finite numbers, larger for more confident points. error: (M,), 0 or more.
    Points of equal confidence all count with their mean error, as if removed in all orders.
    Raises InputError for NaN, negative errors, and errors that are all 0, which no order can improve.
    """
    confidence, error = _points(confidence, error, "error")
    if (error < 0).any() or not (error > 0).any():
        raise InputError("Errors must be 0 or more, and one above 0, to ask whether the confidence orders them.")
    order = np.lexsort((error, confidence))[::-1]  # the most confident points first
    _, first, tied = np.unique(confidence[order][::-1], return_index=True, return_counts=True)
    ordered = error[order][::-1].copy()
    for start, number in zip(first, tied, strict=True):
        ordered[start : start + number] = _mean(ordered[start : start + number])
    size = np.arange(1, len(error) + 1)
    curves = [(np.cumsum(errors) / size)[::-1] for errors in (ordered[::-1], np.sort(error))]
    mean = _mean(error)
    return Sparsification(size[::-1] / len(size), curves[0] / mean, curves[1] / mean)


def _points(confidence: np.ndarray, other: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    confidence, other = np.asarray(confidence, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if confidence.ndim != 1 or confidence.shape != other.shape or not confidence.size:
        raise InputError(
            f"Confidence and {name} must both be (M,) with M above 0, but got {confidence.shape} and {other.shape}."
        )
    for values, what in ((confidence, "confidence"), (other, name)):
        if odd := int((~np.isfinite(values)).sum()):
            raise InputError(f"{odd} of {len(values)} points have a {what} that is no number; leave these points out.")
    return confidence, other


def _mean(values: np.ndarray) -> float:
    return math.fsum(values) / len(values) if len(values) else math.nan
