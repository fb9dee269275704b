"""The name of a touched point, out of a category's names: Bayes' rule on the distributions that a matcher gives.

A matcher that reads words has for each name a distribution over the places of the crop. With equal priors, the name of
a point at x is

    P(name | x) = p(x | name) / sum over all names of p(x | name),    p(x | name) = sum over cells c of w(c) p(c | name)

w is a Gaussian around x, since a touch is not exact and a distribution has cells: its standard deviation is `TOUCH` of
the crop, and it sums to 1 over the cells. Several keypoints of one name have the mean of their distributions.

Each point is named by itself, in float64: the other points of a call change no bit of its answer.

Letters: K keypoints, h x w cells of a distribution.
"""

from collections.abc import Sequence

import numpy as np

from ...category import Category
from ...errors import InputError
from ...library.lookup import as_category
from ...pose import Identified
from ..arguments import CategoryLike
from .matcher_config import MatcherConfig

TOUCH = 0.04  # standard deviation of w, a fraction of the crop; chosen on validation kinds, see docs/decisions.md


def names_to_choose(config: MatcherConfig, category: CategoryLike | None, called: str | None) -> Category:
    """The category whose names a matcher chooses from.

    called: what the user calls the point, which a matcher cannot be told.
    Raises InputError for a matcher that reads no words, without a category, and for `called`.
    """
    if not config.takes_text:
        raise InputError(f"{config.name} reads no words and cannot name points; take a model that reads them.")
    if called is not None:
        raise InputError("A matcher cannot be told what a point is called; leave called out.")
    if category is None:
        raise InputError("A matcher has no words of its own for a point; give a category, or take a KptLLM.")
    return as_category(category)


def named(probabilities: np.ndarray, names: Sequence[str], point: np.ndarray) -> Identified:
    """The likeliest name of a point, and the probability of each name.

    probabilities: [K, h, w] from 0 up, over cells that tile the crop; rows = y.
    names: of the K keypoints; one that occurs several times is one name.
    point: x and y as fractions of the crop. Outside of the crop the cells next to it count.
    """
    logs = log_likelihoods(probabilities, point)
    scores = {name: _log_mean(logs[[one == name for one in names]]) for name in dict.fromkeys(names)}
    values = np.array(list(scores.values()))
    shares = np.exp(values - _log_sum(values)).tolist()
    best = max(range(len(shares)), key=shares.__getitem__)
    return Identified(list(scores)[best], shares[best], dict(zip(scores, shares, strict=True)))


def log_likelihoods(probabilities: np.ndarray, point: np.ndarray) -> np.ndarray:
    """log p(point | keypoint) of K keypoints [K]; see `named` for the arguments."""
    grids = np.asarray(probabilities, dtype=np.float64)
    grids = grids.reshape(len(grids), -1) / grids.sum(axis=(1, 2))[:, None]
    height, width = probabilities.shape[1:]
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height)[:, None] + 0.5) / height
    window = -((x - point[0]) ** 2 + (y - point[1]) ** 2).ravel() / (2 * TOUCH**2)
    with np.errstate(divide="ignore"):  # a cell without probability
        logs = np.log(grids)
    return np.array([_log_sum(row) for row in logs + window]) - _log_sum(window)


def _log_sum(logs: np.ndarray) -> float:
    """log of the sum of exponentials, without overflow or underflow."""
    highest = logs.max()
    return float(highest + np.log(np.exp(logs - highest).sum()))


def _log_mean(logs: np.ndarray) -> float:
    return _log_sum(logs) - float(np.log(len(logs)))
