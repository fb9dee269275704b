"""What can be had without looking at the picture: the floor that a model must beat on the same objects.

`ImageCentre` answers the box's centre for every point. `MeanPosition` answers where points of similar names lay in
training data, in the square of 1.25 times the box. `CopyExample` answers where the example has its points. All have the
model's `predict` interface. (`neighbours` has what can be had with a picture, but without training.)
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...category import Category
from ...errors import InputError
from ...example import Example
from ...geometry import Box, square_crop
from ...images import read_image

CROP_SCALE = 1.25
NO_MATCH = 0.2  # names less similar than this to every known one take the overall mean; chosen on the validation part
WARMTH = 0.01  # of the softmax over cosines of names; chosen on the validation part

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


class Phrases(Protocol):
    """What knows how alike two texts are: `models.text.TextEncoder` on the CPU, for one."""

    def phrases(self, phrases: Sequence[str]) -> Any:
        """(P, D) unit vectors as an array or tensor."""


class MeanPosition:
    """The mean position of the keypoint's name, or of similar known names, in the crop of 1.25 boxes.

    positions: name -> (x, y) as fractions of the crop.
    similarity: embeds the names as readable text; the known positions are then weighted by the softmax of their names'
    cosines (divided by WARMTH). Without it, similarity is the cosine of the names' words weighted by their rarity; the
    most similar names are averaged, and a name like none takes the mean over all names.
    """

    BY_WORDS, BY_MEANING = "mean_position", "mean_position_by_meaning"

    def __init__(
        self,
        positions: Mapping[str, tuple[float, float]],
        no_match: float = NO_MATCH,
        similarity: Phrases | None = None,
    ):
        if not positions:
            raise InputError("The mean-position baseline needs one or more named positions, but got none.")
        self.name = self.BY_WORDS if similarity is None else self.BY_MEANING
        self.names = sorted(positions)
        self.table = np.array([positions[name] for name in self.names], dtype=np.float64)
        self.no_match = no_match
        self.similarity = similarity
        self._known: dict[str, np.ndarray] = {}
        self._words = [frozenset(words(name)) for name in self.names]
        counts: dict[str, int] = {}
        for found in self._words:
            for word in found:
                counts[word] = counts.get(word, 0) + 1
        self._weight = {word: math.log(1 + len(self.names) / count) for word, count in counts.items()}
        self._unseen = math.log(1 + len(self.names))
        self._norms = np.array([self._norm(found) for found in self._words])

    @classmethod
    def shipped(cls, similarity: Phrases | None = None) -> "MeanPosition":
        """From the statistics that come with the library."""
        return cls(_shipped_positions(), similarity=similarity)

    @classmethod
    def by_meaning(cls) -> "MeanPosition":
        """`shipped`, with MiniLM to say which names are alike; its weights are fetched if they are not there yet."""
        from ...models.towers.text import TextConfig, build_text_encoder

        return cls.shipped(build_text_encoder(TextConfig("minilm-l6")))

    def position(self, name: str) -> np.ndarray:
        """(2,) where points called `name` lie on average, as a fraction of the crop."""
        if name not in self._known:
            self._known[name] = self._by_words(name) if self.similarity is None else self._by_meaning(readable(name))
        return self._known[name]

    def predict(self, image: Any, category: Category, box: Box, **_: Any) -> Prediction:
        positions = np.stack([self.position(name) for name in category.names])
        return Prediction(square_crop(box, CROP_SCALE).to_image(positions), np.ones(len(category)))

    def _by_words(self, name: str) -> np.ndarray:
        asked = frozenset(words(name))
        shared = np.array([sum(self._weight[word] ** 2 for word in sorted(asked & found)) for found in self._words])
        similarity = shared / np.maximum(self._norms * self._norm(asked), 1e-12)
        best = float(similarity.max())
        if best < self.no_match:
            return self.table.mean(axis=0)
        return self.table[similarity >= best - 1e-9].mean(axis=0)

    def _by_meaning(self, text: str) -> np.ndarray:
        if not text:
            return self.table.mean(axis=0)
        cosines = self._vectors @ np.asarray(self.similarity.phrases([text]), dtype=np.float64)[0]
        weights = np.exp((cosines - cosines.max()) / WARMTH)
        return weights @ self.table / weights.sum()

    @cached_property
    def _vectors(self) -> np.ndarray:
        return np.asarray(self.similarity.phrases([readable(name) or name for name in self.names]), dtype=np.float64)

    def _norm(self, found: frozenset[str]) -> float:
        return math.sqrt(sum(self._weight.get(word, self._unseen) ** 2 for word in sorted(found)))


class CopyExample:
    """The example's points, carried from its box to the asked one as fractions of the box's width and height.

    Of several examples the mean over those that show the point; NaN where none does.
    """

    name = "copy_example"

    def predict(self, image: Any, category: Category, *, box: Box, example: Sequence[Example], **_: Any) -> Prediction:
        copied = np.stack([carried(shown, box) for shown in check_examples(example, category)])
        return Prediction(*_mean_of_shown(copied))


def check_examples(examples: Sequence[Example], category: Category) -> Sequence[Example]:
    """The examples; InputError unless there is one or more, each with the category's number of points."""
    if isinstance(examples, Example) or not len(examples):
        raise InputError(f"This baseline needs a list of one or more examples, but got {examples!r}.")
    for shown in examples:
        if len(shown) != len(category):
            raise InputError(
                f"The example has {len(shown)} points, but {category.name!r} has {len(category)}; give one for each."
            )
    return examples


def example_box(example: Example) -> Box:
    """The example's box, the whole picture where it has none."""
    return example.box or (0.0, 0.0, *map(float, read_image(example.image).size))


def carried(example: Example, box: Box) -> np.ndarray:
    """(K, 2) the example's points at the same fractions of `box`, in pixels of the asked picture; NaN stays NaN."""
    x, y, width, height = example_box(example)
    return (example.points - (x, y)) / (width, height) * box[2:] + box[:2]


def _mean_of_shown(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S, K, 2) -> (K, 2), the mean over those that are not NaN, and (K,) 1 where there is one, else NaN."""
    shown = ~np.isnan(points).any(axis=2)
    count = shown.sum(axis=0)
    total = np.where(shown[..., None], points, 0.0).sum(axis=0)
    mean = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)
    return mean, np.where(count > 0, 1.0, np.nan)


def words(name: str) -> list[str]:
    """The telling words of a keypoint's name: `"Tips of the L_EarBase"` -> tip, left, ear, base.

    "image left" becomes one word, as it is the opposite of the own left of whoever faces the viewer.
    """
    text = _spaced(name).casefold()
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


def readable(name: str) -> str:
    """A data set's label as one would say it: `"L_EarBase"` -> left ear base; empty where nothing can be read."""
    text = _spaced(name).lower()
    text = re.sub(r"\br\b", "right", re.sub(r"\bl\b", "left", text))
    return " ".join(text.split())


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name.replace("_", " "))


def mean_positions(objects: list, skip: str = r"point \d+$") -> dict[str, tuple[float, float]]:
    """name -> mean (x, y) in the crop of 1.25 boxes, from `LabelledObject`s; every category weighs the same in a name.

    The names are the data's own labels, so that the statistics do not hang on the library's wording.
    skip: names that match this pattern say nothing of a place and are left out.
    """
    means = {}
    for name, by_category in _places(objects, skip).items():
        x, y = np.mean([np.mean(points, axis=0) for points in by_category.values()], axis=0)
        means[name] = (round(float(x), 3), round(float(y), 3))
    return means


def name_counts(objects: list, skip: str = r"point \d+$") -> dict[str, int]:
    """name -> how many objects have it labelled; names as in `mean_positions`."""
    return {name: sum(map(len, found.values())) for name, found in _places(objects, skip).items()}


def _places(objects: list, skip: str) -> dict[str, dict[int, list[np.ndarray]]]:
    """name -> category id -> its points in the crop, names in order."""
    found: dict[str, dict[int, list[np.ndarray]]] = {}
    for item in objects:
        placed = square_crop(item.box, CROP_SCALE).normalise(item.points)
        for keypoint, point in zip(item.category.keypoints, placed, strict=True):
            name = keypoint.label or keypoint.name
            if not np.isnan(point).any() and not re.search(skip, name):
                found.setdefault(name, {}).setdefault(item.category_id, []).append(point)
    return dict(sorted(found.items()))


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


def shipped_counts() -> dict[str, int]:
    """How often each name is labelled in the data that the shipped statistics are from."""
    return json.loads(_shipped())["counts"]


@cache
def _shipped_positions() -> dict[str, tuple[float, float]]:
    return _positions(_shipped(), "mean_positions.json")


@cache
def _shipped() -> str:
    return (resources.files("anykeypoint.evaluation.baselines") / "mean_positions.json").read_text(encoding="utf-8")


# --- all of them ---------------------------------------------------------------------------------------------------


def baselines(prompt: str) -> tuple[list[Any], dict[str, str]]:
    """Those that answer to "text", "example", "both" or "identify", and by name why others cannot be had now.

    Nothing is fetched for them: an evaluation works offline, and says what it went without.
    """
    from ...models.sources.packages import fetched

    found: list[Any] = []
    missing: dict[str, str] = {}

    def add(weights: str, names: Sequence[str], build: Callable[[], list[Any]]) -> None:
        if fetched(weights):
            found.extend(build())
        else:
            missing.update(dict.fromkeys(names, f"its weights are not here; `anykeypoint weights {weights}` gets them"))

    if prompt == "identify":
        from . import names

        return names.shipped(), {}
    found.append(ImageCentre())
    if prompt in ("text", "both"):
        found.append(MeanPosition.shipped())
        add("minilm-l6", [MeanPosition.BY_MEANING], lambda: [MeanPosition.by_meaning()])
    if prompt in ("example", "both"):
        found.append(CopyExample())
        add("efficientnet-lite2", ["nearest_neighbour", "nearest_neighbour_without_prior"], _neighbours)
    return found, missing


def _neighbours() -> list[Any]:
    from .neighbours import NearestNeighbour

    return NearestNeighbour.with_and_without_prior()
