"""Naming marked points without looking at the picture: the floor for "which keypoint is at this place?".

What knows the box, the names and training statistics, but not the picture, gets this far. All have the model's
`identify` interface: points (P, 2) in pixels of the picture, one `Named` for each. A category says which names there
are to choose from; without one it is all names of the training statistics, as one would say them.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...category import Category
from ...errors import InputError
from ...geometry import Box, square_crop
from .positions import CROP_SCALE, MeanPosition, readable, shipped_counts, words


@dataclass(frozen=True)
class Named:
    """confidence: 1, as a baseline knows no doubt."""

    name: str
    confidence: float = 1.0


def shipped() -> list[Any]:
    """All of them, from the statistics that come with the library."""
    counts = shipped_counts()
    return [NearestMeanPosition(MeanPosition.shipped()), MostFrequentName(counts), RandomName(counts)]


class NearestMeanPosition:
    """The name whose mean position in training data lies nearest; of names at one place the first."""

    name = "nearest_mean_position"

    def __init__(self, positions: MeanPosition):
        self.positions = positions

    def identify(self, image: Any, points: np.ndarray, *, box: Box, category: Category | None = None) -> list[Named]:
        names = category.names if category else self.positions.names
        means = np.stack([self.positions.position(name) for name in names])
        places = square_crop(box, CROP_SCALE).normalise(_checked(points))
        nearest = np.linalg.norm(means - places[:, None], axis=2).argmin(axis=1)
        return [Named(names[i] if category else readable(names[i])) for i in nearest]


class MostFrequentName:
    """The name that training data has labelled most often, spelt this or that way; of equally frequent the first."""

    name = "most_frequent_name"

    def __init__(self, counts: Mapping[str, int]):
        self.names = [readable(name) for name in counts]
        self.counts: dict[frozenset[str], int] = {}
        for name, count in counts.items():
            key = frozenset(words(name))
            self.counts[key] = self.counts.get(key, 0) + count

    def identify(self, image: Any, points: np.ndarray, *, box: Box, category: Category | None = None) -> list[Named]:
        names = category.names if category else self.names
        return [Named(max(names, key=lambda name: self.counts.get(frozenset(words(name)), 0)))] * len(_checked(points))


class RandomName:
    """Any of the names, drawn by the seed and the point: the same point is always called the same."""

    name = "random_name"

    def __init__(self, names: Sequence[str] | Mapping[str, Any], seed: int = 0):
        self.names = [readable(name) for name in names]
        self.seed = seed

    def identify(self, image: Any, points: np.ndarray, *, box: Box, category: Category | None = None) -> list[Named]:
        names = category.names if category else self.names
        return [Named(random.Random(f"{self.seed}:{x}:{y}").choice(names)) for x, y in _checked(points).tolist()]


def _checked(points: np.ndarray) -> np.ndarray:
    try:
        places = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        places = np.array(np.nan)
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise InputError(f"Points to name must be finite and (P, 2) in pixels, but got {points!r}.")
    return places
