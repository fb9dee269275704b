"""Baselines of `identify`: they name marked points from the box, the names and training statistics, not the picture.

All have a model's `identify`: points (P, 2) in pixels of the picture give one `BaselineName` each. A category lists the
names to choose from; without one these are all names of the training statistics, as a person would say them.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...category import Category
from ...errors import InputError
from ...geometry import Box, square_crop
from .base import CROP_SCALE
from .name_statistics import shipped_counts
from .name_words import content_words, readable_name
from .positions import MeanPosition


@dataclass(frozen=True)
class BaselineName:
    """The name of one point. confidence: always 1, as these baselines have no confidence of their own."""

    name: str
    confidence: float = 1.0


def shipped_name_baselines() -> list[Any]:
    """The three baselines below, with the statistics that come with the library."""
    counts = shipped_counts()
    return [NearestMeanPosition(MeanPosition.shipped()), MostFrequentName(counts), RandomName(counts)]


class NearestMeanPosition:
    """The name whose mean position in training data lies nearest; the first of several names at one position."""

    name = "nearest_mean_position"

    def __init__(self, positions: MeanPosition):
        self.positions = positions

    def identify(
        self, image: Any, points: np.ndarray, *, box: Box, category: Category | None = None
    ) -> list[BaselineName]:
        names = category.names if category else self.positions.names
        means = np.stack([self.positions.position(name) for name in names])
        in_crop = square_crop(box, CROP_SCALE).normalise(_check_points(points))
        nearest = np.linalg.norm(means - in_crop[:, None], axis=2).argmin(axis=1)
        return [BaselineName(names[i] if category else readable_name(names[i])) for i in nearest]


class MostFrequentName:
    """The name that is labelled most often in training data, in any spelling; the first of equally frequent names."""

    name = "most_frequent_name"

    def __init__(self, counts: Mapping[str, int]):
        self.names = [readable_name(name) for name in counts]
        self.counts: dict[frozenset[str], int] = {}
        for name, count in counts.items():
            key = frozenset(content_words(name))
            self.counts[key] = self.counts.get(key, 0) + count

    def identify(
        self, image: Any, points: np.ndarray, *, box: Box, category: Category | None = None
    ) -> list[BaselineName]:
        names = category.names if category else self.names
        most_frequent = max(names, key=lambda name: self.counts.get(frozenset(content_words(name)), 0))
        return [BaselineName(most_frequent)] * len(_check_points(points))


class RandomName:
    """Any of the names, drawn from the seed and the point, so that one point always has one name."""

    name = "random_name"

    def __init__(self, names: Sequence[str] | Mapping[str, Any], seed: int = 0):
        self.names = [readable_name(name) for name in names]
        self.seed = seed

    def identify(
        self, image: Any, points: np.ndarray, *, box: Box, category: Category | None = None
    ) -> list[BaselineName]:
        names = category.names if category else self.names
        rows = _check_points(points).tolist()
        return [BaselineName(random.Random(f"{self.seed}:{x}:{y}").choice(names)) for x, y in rows]


def _check_points(points: np.ndarray) -> np.ndarray:
    try:
        rows = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        rows = np.array(np.nan)
    if rows.ndim != 2 or rows.shape[1] != 2 or not np.isfinite(rows).all():
        raise InputError(f"Points to name must be finite and (P, 2) in pixels, but got {points!r}.")
    return rows
