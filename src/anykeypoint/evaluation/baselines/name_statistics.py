"""Where keypoints of a name lie on average, and how often each name is labelled, in a set of training labels.

The library ships the statistics of one such set (`mean_positions.json`, written by `tools/mean_positions.py`).
"""

import json
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from ...forms.dataset import LabelledObject
from ...geometry import square_crop
from .base import CROP_SCALE

NUMBERED = r"point \d+$"  # names such as "face point 3", which say nothing of a place


def mean_positions(objects: Iterable[LabelledObject], skip: str = NUMBERED) -> dict[str, tuple[float, float]]:
    """The mean position of each name; every category weighs the same in the mean of a name.

    The names are the data's own labels, so that the statistics do not depend on the library's wording.
    skip: regular expression of the names to leave out.
    Returns name -> (x, y), fractions of the square crop of CROP_SCALE boxes.
    """
    means = {}
    for name, by_category in _points_by_name(objects, skip).items():
        x, y = np.mean([np.mean(points, axis=0) for points in by_category.values()], axis=0)
        means[name] = (round(float(x), 3), round(float(y), 3))
    return means


def name_counts(objects: Iterable[LabelledObject], skip: str = NUMBERED) -> dict[str, int]:
    """Name -> number of objects on which a keypoint of this name is labelled; names as in `mean_positions`."""
    return {name: sum(map(len, by_category.values())) for name, by_category in _points_by_name(objects, skip).items()}


def _points_by_name(objects: Iterable[LabelledObject], skip: str) -> dict[str, dict[int, list[np.ndarray]]]:
    """Name -> category id -> the labelled points, each (2,) as fractions of its object's crop; names in order."""
    points: dict[str, dict[int, list[np.ndarray]]] = {}
    for item in objects:
        in_crop = square_crop(item.box, CROP_SCALE).normalise(item.points)
        for keypoint, point in zip(item.category.keypoints, in_crop, strict=True):
            name = keypoint.label or keypoint.name
            if not np.isnan(point).any() and not re.search(skip, name):
                points.setdefault(name, {}).setdefault(item.category_id, []).append(point)
    return dict(sorted(points.items()))


def shipped_positions() -> dict[str, tuple[float, float]]:
    """The shipped mean position of each name, as `mean_positions` gives them."""
    return {name: (x, y) for name, (x, y) in _shipped()["positions"].items()}


def shipped_counts() -> dict[str, int]:
    """How often each name is labelled in the data behind the shipped statistics, as `name_counts` gives it."""
    return dict(_shipped()["counts"])


@cache
def _shipped() -> dict[str, Any]:
    text = (resources.files("anykeypoint.evaluation.baselines") / "mean_positions.json").read_text(encoding="utf-8")
    return json.loads(text)
