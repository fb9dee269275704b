"""KptLLM and KptLLM++: a language model that names a keypoint, and finds one from text, from examples, or from both.

The network is in `kptllm_network`, what is done with one picture in `kptllm_view`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from ...decoding import Engine
from ...example import Example
from ...geometry import Box
from ...images import ImageSource
from ...library.lookup import as_category
from ...pose import Identified, Pose
from ..arguments import Boxes, CategoryLike, for_each
from ..predicting import one_or_several
from ..sources.llava import LlavaCheckpoint
from ..view import ObjectCrop
from . import storage
from .kptllm_config import KptLLMConfig
from .kptllm_network import KptLLMNetwork
from .kptllm_view import KptLLMView


class KptLLM(KptLLMNetwork):
    """The model (Fig. 2), with pictures."""

    prompts = ("text", "example", "both", "identify")

    @classmethod
    def build(
        cls, config: KptLLMConfig, seed: int = 0, dtype: torch.dtype = torch.float32, *, keep_half: bool = False
    ) -> Self:
        """As every generative model's; one that starts from a LLaVA-1.5 also has its projector (Sec. 4.1.3).

        dtype, keep_half: precision of the language model, see `build_language`.
        """
        model = super().build(config, seed, dtype, keep_half=keep_half)
        if config.llava is not None and (checkpoint := LlavaCheckpoint.at(config.llava)) is not None:
            checkpoint.fill_projector(model.projection)
        return model

    @torch.inference_mode()
    def encode(self, image: ImageSource, box: Box | None = None) -> KptLLMView:
        """Encode one object once; the view can then be asked for any number of categories and names.

        image: what `images.read_picture` takes.
        box: x, y, w, h in image pixels; None takes the whole picture.
        """
        return next(self.views([self.cut(image, box)]))

    def views(self, cuts: Sequence[ObjectCrop]) -> Iterator[KptLLMView]:
        """See `GenerativeModel.views`."""
        engine = Engine(self.language, self.codec)
        for cut, features in zip(cuts, self.encoder(self.normalised(cuts)).split(1), strict=True):
            yield KptLLMView(self, cut, features, engine, engine.read(self.prefix_of(features)))

    @one_or_several
    def predict(
        self,
        image: ImageSource | Sequence[ImageSource],
        category: CategoryLike,
        box: Boxes = None,
        example: Example | Sequence[Example] | None = None,
        words: bool | None = None,
        **options: Any,
    ) -> Pose | list[Any]:
        """Find a category's keypoints: `encode` and `KptLLMView.predict` in one call.

        image, box: of one object; for several boxes or pictures the poses are lists, see `arguments.for_each`.
        """
        known = as_category(category)
        return for_each(image, box, lambda one, at: self.encode(one, at).predict(known, example, words, **options))

    def confidences_at(
        self,
        image: ImageSource,
        category: CategoryLike,
        temperatures: Sequence[float],
        box: Box | None = None,
        **asked: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points and confidences at several temperatures: `encode` and `KptLLMView.confidences_at` in one call."""
        return self.encode(image, box).confidences_at(category, temperatures, **asked)

    def presence_cues(
        self, image: ImageSource, category: CategoryLike, box: Box | None = None, **asked: Any
    ) -> np.ndarray:
        """The cues of presence: `encode` and `KptLLMView.presence_cues` in one call."""
        return self.encode(image, box).presence_cues(category, **asked)

    def identify(
        self,
        image: ImageSource,
        points: np.ndarray,
        *,
        box: Box | None = None,
        category: CategoryLike | None = None,
        called: str | None = None,
    ) -> Identified | list[Identified]:
        """Name the keypoints at these points of one picture: `encode` and `KptLLMView.identify` in one call."""
        known = None if category is None else as_category(category)
        return self.encode(image, box).identify(points, known, called)


def load(folder: str | Path, dtype: torch.dtype = torch.float32, keep_half: bool = False) -> KptLLM:
    """The KptLLM of a folder that this library saved; see `storage.load`."""
    return storage.load(KptLLM, folder, dtype, keep_half)
