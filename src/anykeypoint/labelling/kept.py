"""A matcher whose features and scores are kept between answers, within a number of bytes, and who learns on the way."""

import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..category import Category
from ..example import Example
from ..models.bounded_cache import BoundedCache
from ..models.cache import pixels_key
from ..models.matching.heads.base import HeadOutput, Prompt
from ..models.matching.inputs import EncodedExample
from ..models.matching.model import MatchingModel
from ..models.matching.second_look import ExamplePatches

LEAST = 1e-6  # probability below which a cell of the matcher's map counts as impossible


def file_state(path: str | os.PathLike[str]) -> tuple[int, ...] | None:
    """What changes when a file does; None where there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@dataclass(frozen=True, eq=False)
class LearntOutput:
    """The points [1, K, 2] and probabilities [1, K, h, w] after what was learnt on the way; a `HeadOutput`.

    plain: the head's output before. Presence is read from its probabilities and scores, for which the curve of the
        model was fitted: what was learnt narrows every distribution, also those of points that are not there.
    """

    points: Tensor
    probabilities: Tensor
    plain: Any

    @property
    def scores(self) -> Any:
        """Those of the head itself."""
        return self.plain.scores

    @property
    def example_share(self) -> Any:
        """That of the head itself."""
        return self.plain.example_share


class KeptMatcher:
    """What a view of a picture asks (`matcher_view.Asked`), with what was computed before from a cache.

    model: the matcher itself. kept: the cache, which others may use too.
    asked: of the picture that is asked next, a key for each of its examples, so that the scores of a picture and an
        example are computed once; None keeps none.
    learnt: gives for a picture's features and the head's output the output after what was learnt on the way; None
        leaves the output as it is.
    """

    def __init__(self, model: MatchingModel, kept: BoundedCache[Any]) -> None:
        self.model, self.kept = model, kept
        self.config, self.head, self.encoder = model.config, model.head, model.encoder
        self.asked: Sequence[Hashable] | None = None
        self.learnt: Callable[[Tensor, HeadOutput], HeadOutput] | None = None
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
    def features(self, pixels: np.ndarray, examples: bool = False) -> Tensor:
        """The feature map [1, C, h, w] of a crop [S, S, 3] uint8, of a query or of an example."""
        own = examples and self.model.example_encoder is not None
        return self.kept.get(
            ("crop", own, pixels_key(pixels)),
            lambda: self.model.encode_pixels(pixels[None], examples=own),
            lambda features: features.nbytes,
        )

    def example_features(self, example: EncodedExample) -> Tensor:
        """As of the matcher."""
        return self.features(example.pixels, examples=True)

    @torch.inference_mode()
    def example_patches(self, example: Example, encoded: EncodedExample) -> ExamplePatches:
        """As of the matcher."""
        return self.kept.get(
            ("patches", encoded.key, example.points.tobytes()),
            lambda: self.model.example_patches(example, encoded),
            lambda patches: patches.features.nbytes,
        )

    def encode_pixels(self, pixels: np.ndarray, examples: bool = False, details: bool = False) -> Tensor:
        """As of the matcher."""
        return self.model.encode_pixels(pixels, examples, details)

    def match(self, query: Tensor, valid: Tensor, prompt: Prompt) -> HeadOutput:
        """As of the matcher, and after what was learnt."""
        known = self.asked is not None and prompt.example_features is not None and hasattr(self.head, "joined")
        output = self._joined(query, valid, prompt) if known else self.model.match(query, valid, prompt)
        return output if self.learnt is None else self.learnt(query, output)

    def _joined(self, query: Tensor, valid: Tensor, prompt: Prompt) -> HeadOutput:
        """The output from those for each example, of which the ones that are not kept are computed together."""
        keys = [("scores", key) for key in self.asked or ()]
        parts = [self.kept.find(key) for key in keys]
        missing = [number for number, part in enumerate(parts) if part is None]
        if missing:
            output: Any = self.model.match(query, valid, _of_examples(prompt, missing))
            for place, number in enumerate(missing):
                parts[number] = output.of_example(place)
                self.kept.put(keys[number], parts[number], parts[number].scores[-1].nbytes)
        head: Any = self.head
        return head.joined(parts, valid, prompt.example_visible)


def _of_examples(prompt: Prompt, numbers: Sequence[int]) -> Prompt:
    """The prompt with some of its examples."""
    kept = {
        name: None if (value := getattr(prompt, name)) is None else value[:, list(numbers)]
        for name in ("example_features", "heatmaps", "example_points", "example_visible")
    }
    return replace(prompt, **kept)
