"""Naming a marked point without looking at the picture: the floor for "which keypoint is at this place?".

All have `identify(image, point, *, box, category) -> name`, one of the category's names. point: (x, y) in pixels of the
picture. A method that knows the box, the names and training statistics, but not the picture, gets this far.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..category import Category
from ..errors import InputError
from ..geometry import Box, square_crop
from .baselines import CROP_SCALE, MeanPosition, shipped_counts, words


class NearestMeanPosition:
    """The name whose mean position in training data lies nearest; of names at one place the first."""

    name = "nearest_mean_position"

    def __init__(self, positions: MeanPosition):
        self.positions = positions

    def identify(self, image: Any, point: Sequence[float], *, box: Box, category: Category) -> str:
        place = square_crop(box, CROP_SCALE).normalise(_checked(point))
        means = np.stack([self.positions.position(name) for name in category.names])
        return category.names[int(np.linalg.norm(means - place, axis=1).argmin())]


class MostFrequentName:
    """The name that training data has labelled most often, spelt this or that way; of equally frequent the first."""

    name = "most_frequent_name"

    def __init__(self, counts: Mapping[str, int]):
        self.counts: dict[frozenset[str], int] = {}
        for name, count in counts.items():
            key = frozenset(words(name))
            self.counts[key] = self.counts.get(key, 0) + count

    @classmethod
    def shipped(cls) -> "MostFrequentName":
        """From the statistics that come with the library."""
        return cls(shipped_counts())

    def identify(self, image: Any, point: Sequence[float], *, box: Box, category: Category) -> str:
        _checked(point)
        return max(category.names, key=lambda name: self.counts.get(frozenset(words(name)), 0))


class RandomName:
    """Any of the names, drawn by the seed and the point: the same point is always called the same."""

    name = "random_name"

    def __init__(self, seed: int = 0):
        self.seed = seed

    def identify(self, image: Any, point: Sequence[float], *, box: Box, category: Category) -> str:
        x, y = _checked(point)
        return random.Random(f"{self.seed}:{float(x)}:{float(y)}").choice(category.names)


def _checked(point: Sequence[float]) -> np.ndarray:
    try:
        place = np.asarray(point, dtype=np.float64)
    except (TypeError, ValueError):
        place = np.array([])
    if place.shape != (2,) or not np.isfinite(place).all():
        raise InputError(f"A point to name must be two finite numbers x, y in pixels, but got {point!r}.")
    return place
