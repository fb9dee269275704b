"""Baselines that do not read the picture: a model must beat them on the same objects.

`ImageCentre` predicts the box's centre for every point. `MeanPosition` predicts where points of similar names lay in
training data. `CopyExample` predicts the example's points, carried to the query's box. All have a model's `predict`.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ...category import Category
from ...errors import InputError
from ...example import Example
from ...geometry import Box, square_crop
from .base import CROP_SCALE, BaselinePrediction, check_examples, transfer_points
from .name_statistics import shipped_positions
from .name_words import content_words, readable_name

MIN_SIMILARITY = 0.2  # a name less similar to every known name takes the mean of all; chosen on the validation part
TEMPERATURE = 0.01  # temperature of the softmax over cosines between names; chosen on the validation part


class ImageCentre:
    """The centre of the box for every point."""

    name = "image_centre"

    def predict(self, image: Any, category: Category, box: Box, **_: Any) -> BaselinePrediction:
        x, y, w, h = box
        return BaselinePrediction(np.tile([x + w / 2, y + h / 2], (len(category), 1)), np.ones(len(category)))


class PhraseEncoder(Protocol):
    """Embeds texts so that similar meanings have similar vectors, as a `TextEncoder` of `models.towers` does."""

    def phrases(self, phrases: Sequence[str]) -> Any:
        """P texts -> unit vectors (P, D), as an array or a tensor on the CPU."""


class MeanPosition:
    """The mean position of the keypoint's name, or of similar known names, in the crop of CROP_SCALE boxes.

    positions: name -> (x, y) as fractions of the crop.
    min_similarity: names that are less similar than this to every known name take the mean over all names.
    text_encoder: embeds the names as readable text; the known positions are then weighted by the softmax of their
        names' cosines, divided by TEMPERATURE. Without it, the similarity is the cosine between bags of words that are
        weighted by their rarity, and the positions of the most similar names are averaged.
    """

    BY_WORDS, BY_MEANING = "mean_position", "mean_position_by_meaning"

    def __init__(
        self,
        positions: Mapping[str, tuple[float, float]],
        min_similarity: float = MIN_SIMILARITY,
        text_encoder: PhraseEncoder | None = None,
    ):
        if not positions:
            raise InputError("The mean-position baseline needs one or more named positions, but got none.")
        self.name = self.BY_WORDS if text_encoder is None else self.BY_MEANING
        self.names = sorted(positions)
        self.table = np.array([positions[name] for name in self.names], dtype=np.float64)
        self.min_similarity = min_similarity
        self.text_encoder = text_encoder
        self._cached: dict[str, np.ndarray] = {}  # name -> its position
        self._bags = [frozenset(content_words(name)) for name in self.names]
        counts: dict[str, int] = {}
        for bag in self._bags:
            for word in bag:
                counts[word] = counts.get(word, 0) + 1
        # Inverse document frequency: a word of many names says little about the place.
        self._weights = {word: math.log(1 + len(self.names) / count) for word, count in counts.items()}
        self._unknown_weight = math.log(1 + len(self.names))
        self._norms = np.array([self._norm(bag) for bag in self._bags])

    @classmethod
    def shipped(cls, text_encoder: PhraseEncoder | None = None) -> "MeanPosition":
        """The baseline with the statistics that come with the library."""
        return cls(shipped_positions(), text_encoder=text_encoder)

    @classmethod
    def by_meaning(cls) -> "MeanPosition":
        """`shipped` with MiniLM as the text encoder, whose weights are fetched if they are not in the cache."""
        from ...models.towers.text import TextConfig, build_text_encoder

        return cls.shipped(build_text_encoder(TextConfig("minilm-l6")))

    def position(self, name: str) -> np.ndarray:
        """The mean position (2,) of points called `name`, as a fraction of the crop."""
        if name not in self._cached:
            by_words = self.text_encoder is None
            self._cached[name] = self._by_words(name) if by_words else self._by_meaning(readable_name(name))
        return self._cached[name]

    def predict(self, image: Any, category: Category, box: Box, **_: Any) -> BaselinePrediction:
        positions = np.stack([self.position(name) for name in category.names])
        return BaselinePrediction(square_crop(box, CROP_SCALE).to_image(positions), np.ones(len(category)))

    def _by_words(self, name: str) -> np.ndarray:
        words = frozenset(content_words(name))
        # Words are added in order: the rounding of the sum must not depend on the hash seed of sets.
        shared = np.array([sum(self._weights[word] ** 2 for word in sorted(words & bag)) for bag in self._bags])
        similarity = shared / np.maximum(self._norms * self._norm(words), 1e-12)
        best = float(similarity.max())
        if best < self.min_similarity:
            return self.table.mean(axis=0)
        return self.table[similarity >= best - 1e-9].mean(axis=0)

    def _by_meaning(self, text: str) -> np.ndarray:
        if not text:
            return self.table.mean(axis=0)
        cosines = self._vectors @ np.asarray(self.text_encoder.phrases([text]), dtype=np.float64)[0]
        weights = np.exp((cosines - cosines.max()) / TEMPERATURE)
        return weights @ self.table / weights.sum()

    @cached_property
    def _vectors(self) -> np.ndarray:
        texts = [readable_name(name) or name for name in self.names]
        return np.asarray(self.text_encoder.phrases(texts), dtype=np.float64)

    def _norm(self, words: frozenset[str]) -> float:
        return math.sqrt(sum(self._weights.get(word, self._unknown_weight) ** 2 for word in sorted(words)))


class CopyExample:
    """The example's points, carried to the query's box as fractions of the box's width and height.

    With several examples the mean over those in which the point is labelled; NaN where none has it.
    """

    name = "copy_example"

    def predict(
        self, image: Any, category: Category, *, box: Box, example: Sequence[Example], **_: Any
    ) -> BaselinePrediction:
        points = np.stack([transfer_points(one, box) for one in check_examples(example, category)])  # S K 2
        labelled = ~np.isnan(points).any(axis=2)
        count = labelled.sum(axis=0)
        total = np.where(labelled[..., None], points, 0.0).sum(axis=0)
        mean = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)
        return BaselinePrediction(mean, np.where(count > 0, 1.0, np.nan))
