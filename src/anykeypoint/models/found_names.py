"""The name of a touched point, out of a category's names: Bayes' rule on where a model finds each of them.

A model that reads words has for each name a distribution over the places of the crop. With equal priors, the name of a
point at x is

    P(name | x) = p(x | name) / sum over all names of p(x | name)
    p(x | name) = sum over places c of w(c) p(c | name)

w is a Gaussian around x, since a touch is not exact and a distribution has cells: its standard deviation is `TOUCH` of
the crop. Several keypoints of one name have the mean of their distributions.

Letters: K keypoints, V values of a coordinate.
"""

from collections.abc import Sequence

import numpy as np

from ..pose import Identified

TOUCH = 0.04  # standard deviation of w, a fraction of the crop; chosen on validation kinds, see docs/decisions.md


def likeliest(logs: np.ndarray, names: Sequence[str]) -> Identified:
    """The likeliest name of a point, and the probability of each name.

    logs: log p(point | keypoint) of K keypoints [K], but for a number that all share; or of names as answers.
    names: of the K keypoints; one that occurs several times is one name.
    """
    scores = {name: _log_mean(logs[[one == name for one in names]]) for name in dict.fromkeys(names)}
    values = np.array(list(scores.values()))
    shares = np.exp(values - log_sum(values)).tolist()
    best = max(range(len(shares)), key=shares.__getitem__)
    return Identified(list(scores)[best], shares[best], dict(zip(scores, shares, strict=True)))


def log_touched(probabilities: np.ndarray, at: float) -> np.ndarray:
    """log of the sum of w p over the values of one coordinate, of K distributions [K, V]; w is 1 at its middle.

    probabilities: the values tile the crop, but for the last one, which is its end (as `DecodedPoints.x`).
    at: the touched coordinate, a fraction of the crop.
    """
    middles = np.minimum((np.arange(probabilities.shape[1]) + 0.5) / (probabilities.shape[1] - 1), 1)
    with np.errstate(divide="ignore"):  # a value without probability
        logs = np.log(np.asarray(probabilities, dtype=np.float64))
    return np.array([log_sum(row) for row in logs - (middles - at) ** 2 / (2 * TOUCH**2)])


def log_sum(logs: np.ndarray) -> float:
    """log of the sum of exponentials, without overflow or underflow."""
    highest = logs.max()
    return float(highest + np.log(np.exp(logs - highest).sum()))


def _log_mean(logs: np.ndarray) -> float:
    return log_sum(logs) - float(np.log(len(logs)))
