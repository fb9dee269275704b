"""How a matcher names a touched point: by the distributions of a category's names, see `models.found_names`.

w sums to 1 over the cells. Each point is named by itself, in float64: the other points of a call change no bit of its
answer.

Letters: K keypoints, h x w cells of a distribution.
"""

from collections.abc import Sequence

import numpy as np

from ...category import Category
from ...errors import InputError
from ...library.lookup import as_category
from ...pose import Identified
from ..arguments import CategoryLike
from ..found_names import TOUCH, likeliest, log_sum
from .matcher_config import MatcherConfig


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
    return likeliest(log_likelihoods(probabilities, point), names)


def log_likelihoods(probabilities: np.ndarray, point: np.ndarray) -> np.ndarray:
    """log p(point | keypoint) of K keypoints [K]; see `named` for the arguments."""
    grids = np.asarray(probabilities, dtype=np.float64)
    grids = grids.reshape(len(grids), -1) / grids.sum(axis=(1, 2))[:, None]
    height, width = probabilities.shape[1:]
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height)[:, None] + 0.5) / height
    window = -((x - point[0]) ** 2 + (y - point[1]) ** 2).ravel() / (2 * TOUCH**2)
    with np.errstate(divide="ignore"):  # a cell without probability
        logs = np.log(grids)
    return np.array([log_sum(row) for row in logs + window]) - log_sum(window)
