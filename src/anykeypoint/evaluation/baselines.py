"""What can be had without looking at the picture: the floor that a model must beat on the same objects.

`ImageCentre` answers the box's centre for every point. `MeanPosition` answers where points of the most similar name
lay in training data, in the square of 1.25 times the box. Both have the model's `predict` interface.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..errors import InputError
from ..geometry import Box, square_crop

CROP_SCALE = 1.25
NO_MATCH = 0.2  # names less similar than this to every known one take the overall mean; chosen on the validation part

# Words that name the same place on different things.
_SAME = (
    ("foot", "paw", "hoof", "feet", "ankle", "fetlock"),
    ("hind", "rear"),
    ("front", "fore", "foremost"),
    ("nose", "snout", "muzzle", "bill", "beak"),
    ("tip", "end"),
    ("top", "upper", "upmost"),
    ("bottom", "lower", "lowest"),
    ("base", "root"),
    ("centre", "center", "middle", "mid"),
    ("hand", "wrist"),
    ("hem", "cuff"),
    ("corner", "edge", "vertex"),
    ("chin", "jaw"),
    ("left", "l", "leftmost"),
    ("right", "r", "rightmost"),
)
_LIMB = "paw|foot|hoof|leg|knee|elbow|ankle|wheel"  # before these "back" means hind, elsewhere a part of the body
_CANON = {word: group[0] for group in _SAME for word in group}
_EMPTY = frozenset(["a", "an", "and", "at", "by", "from", "in", "near", "of", "on", "or", "the", "to", "with"])


@dataclass(frozen=True)
class Prediction:
    """xy: (K, 2) image pixels. confidence: (K,) all 1, as a baseline knows no doubt."""

    xy: np.ndarray
    confidence: np.ndarray


class ImageCentre:
    """The centre of the box for every point."""

    name = "image_centre"

    def predict(self, image: Any, category: Category, box: Box, **_: Any) -> Prediction:
        x, y, w, h = box
        return Prediction(np.tile([x + w / 2, y + h / 2], (len(category), 1)), np.ones(len(category)))


class MeanPosition:
    """The mean position of the keypoint's name, or of the most similar known name, in the crop of 1.25 boxes.

    positions: name -> (x, y) as fractions of the crop. Similarity is the cosine of the names' words weighted by their
    rarity; equally similar names are averaged, and a name like none takes the mean over all names.
    """

    name = "mean_position"

    def __init__(self, positions: Mapping[str, tuple[float, float]], no_match: float = NO_MATCH):
        if not positions:
            raise InputError("The mean-position baseline needs one or more named positions, but got none.")
        self.names = sorted(positions)
        self.table = np.array([positions[name] for name in self.names], dtype=np.float64)
        self.no_match = no_match
        self._words = [frozenset(words(name)) for name in self.names]
        counts: dict[str, int] = {}
        for found in self._words:
            for word in found:
                counts[word] = counts.get(word, 0) + 1
        self._weight = {word: math.log(1 + len(self.names) / count) for word, count in counts.items()}
        self._unseen = math.log(1 + len(self.names))
        self._norms = np.array([self._norm(found) for found in self._words])

    @classmethod
    def shipped(cls) -> "MeanPosition":
        """From the statistics that come with the library."""
        return cls(_shipped_positions())

    def position(self, name: str) -> np.ndarray:
        """(2,) where points called `name` lie on average, as a fraction of the crop."""
        asked = frozenset(words(name))
        shared = np.array([sum(self._weight[word] ** 2 for word in sorted(asked & found)) for found in self._words])
        similarity = shared / np.maximum(self._norms * self._norm(asked), 1e-12)
        best = float(similarity.max())
        if best < self.no_match:
            return self.table.mean(axis=0)
        return self.table[similarity >= best - 1e-9].mean(axis=0)

    def predict(self, image: Any, category: Category, box: Box, **_: Any) -> Prediction:
        positions = np.stack([self.position(name) for name in category.names])
        return Prediction(square_crop(box, CROP_SCALE).to_image(positions), np.ones(len(category)))

    def _norm(self, found: frozenset[str]) -> float:
        return math.sqrt(sum(self._weight.get(word, self._unseen) ** 2 for word in sorted(found)))


def words(name: str) -> list[str]:
    """The telling words of a keypoint's name: `"Tips of the L_EarBase"` -> tip, left, ear, base.

    "image left" becomes one word, as it is the opposite of the own left of whoever faces the viewer.
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name.replace("_", " ")).casefold()
    text = re.sub(r"\bimage (left|right)\b", r"image\1", text)
    text = re.sub(rf"\bback(?= ({_LIMB})\b)", "hind", text)
    found = []
    for word in re.findall(r"[a-z]+|[0-9]+", text):
        if word in _EMPTY:
            continue
        word = _CANON.get(word, word)
        if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
            word = word[:-1]
        found.append(_CANON.get(word, word))
    return found


def mean_positions(objects: list, skip: str = r"point \d+$") -> dict[str, tuple[float, float]]:
    """name -> mean (x, y) in the crop of 1.25 boxes, from `LabelledObject`s; every category weighs the same in a name.

    The names are the data's own labels, so that the statistics do not hang on the library's wording.
    skip: names that match this pattern say nothing of a place and are left out.
    """
    sums: dict[str, dict[int, list[np.ndarray]]] = {}
    for item in objects:
        placed = square_crop(item.box, CROP_SCALE).normalise(item.points)
        for keypoint, point in zip(item.category.keypoints, placed, strict=True):
            name = keypoint.label or keypoint.name
            if not np.isnan(point).any() and not re.search(skip, name):
                sums.setdefault(name, {}).setdefault(item.category_id, []).append(point)
    means = {}
    for name, by_category in sorted(sums.items()):
        x, y = np.mean([np.mean(points, axis=0) for points in by_category.values()], axis=0)
        means[name] = (round(float(x), 3), round(float(y), 3))
    return means


def read_positions(path: str | Path) -> dict[str, tuple[float, float]]:
    """Read a file that `tools/mean_positions.py` wrote."""
    try:
        return _positions(Path(path).read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise InputError(f"Cannot read the mean positions {path}: {error.strerror or error}.") from error


def _positions(text: str, origin: str) -> dict[str, tuple[float, float]]:
    try:
        table = json.loads(text)["positions"]
        return {str(name): (float(x), float(y)) for name, (x, y) in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{origin} does not hold names with two numbers each under 'positions'.") from error


@cache
def _shipped_positions() -> dict[str, tuple[float, float]]:
    file = resources.files("anykeypoint.evaluation") / "mean_positions.json"
    return _positions(file.read_text(encoding="utf-8"), "mean_positions.json")


def baselines(prompt: str) -> tuple[list, dict[str, str]]:
    return [ImageCentre(), MeanPosition.shipped()], {}
