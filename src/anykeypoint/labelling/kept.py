"""A matcher whose features of pictures and examples are kept between answers, within a number of bytes."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..category import Category
from ..example import Example
from ..models.matching.heads.base import HeadOutput, Prompt
from ..models.matching.inputs import EncodedExample
from ..models.matching.model import MatchingModel
from ..models.matching.second_look import ExamplePatches

Value = TypeVar("Value")


class BytesCache:
    """Values by key; where they take more than `most` bytes together, the one that was used longest ago goes.

    most: number of bytes; the last value is kept however large it is.
    """

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0
        self._values: dict[Hashable, tuple[Any, int]] = {}

    def get(self, key: Hashable, make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        """The value of a key; `make` computes it where it is not kept, and `size` says how many bytes it takes."""
        if key in self._values:
            self._values[key] = self._values.pop(key)  # at the end: the most recently used
            return self._values[key][0]
        value = make()
        self.put(key, value, size(value))
        return value

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value, in place of an earlier one of that key."""
        self.drop(key)
        self._values[key] = value, size
        self.held += size
        while self.held > self.most and len(self._values) > 1:
            self.drop(next(iter(self._values)))

    def drop(self, key: Hashable) -> None:
        """Forget a value, if it is kept."""
        self.held -= self._values.pop(key, (None, 0))[1]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)


class KeptMatcher:
    """What a view of a picture asks (`matcher_view.Asked`), with the examples' features from a cache of many.

    model: the matcher itself. kept: the cache, which others may use too.
    """

    def __init__(self, model: MatchingModel, kept: BytesCache) -> None:
        self.model, self.kept = model, kept
        self.config, self.head, self.encoder = model.config, model.head, model.encoder
        self._phrases: tuple[Category, bool, Tensor] | None = None

    @property
    def device(self) -> torch.device:
        return self.model.device

    def check_prompt(self, examples: bool, text: bool) -> None:
        self.model.check_prompt(examples, text)

    def warn_of_language(self, category: Category) -> None:
        self.model.warn_of_language(category)

    def phrases(self, category: Category, described: bool = True) -> Tensor:
        """The phrases of the job's category, read once."""
        if self._phrases is None or self._phrases[:2] != (category, described):
            self._phrases = category, described, self.model.phrases(category, described)
        return self._phrases[2]

    @torch.inference_mode()
    def example_features(self, example: EncodedExample) -> Tensor:
        """As of the matcher."""
        return self.kept.get(
            ("example", example.key),
            lambda: self.model.encode_pixels(example.pixels[None], examples=True),
            lambda features: features.nbytes,
        )

    @torch.inference_mode()
    def example_patches(self, example: Example, encoded: EncodedExample) -> ExamplePatches:
        """As of the matcher."""
        return self.kept.get(
            ("patches", encoded.key, example.points.tobytes()),
            lambda: self.model.example_patches(example, encoded),
            lambda patches: patches.features.nbytes,
        )

    def encode_pixels(self, pixels: np.ndarray, examples: bool = False, details: bool = False) -> Tensor:
        return self.model.encode_pixels(pixels, examples, details)

    def match(self, query: Tensor, valid: Tensor, prompt: Prompt) -> HeadOutput:
        return self.model.match(query, valid, prompt)
