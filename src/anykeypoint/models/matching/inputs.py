"""From examples as a person gives them to the tensors of a `Prompt`, of one object and of a batch.

Letters: M examples, K keypoints, S crop side in pixels, N cells on a side of a heat map.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...category import Category
from ...crops.heatmaps import heat_targets
from ...example import Example
from ...geometry import visible_in
from ...images import ImageSource
from ..cache import pixels_key
from ..examples import check_inside, check_shown
from ..view import ObjectCrop, cut_object
from .heads.base import Prompt
from .matcher_config import MatcherConfig


@dataclass(frozen=True)
class EncodedExample:
    """An example's crop and marks.

    pixels: [S, S, 3] uint8.
    heatmaps: [K, N, N] float32 with peak 1; zeros for keypoints that are not visible.
    visible: [K] bool, the keypoints that have a heat map.
    """

    pixels: np.ndarray
    heatmaps: np.ndarray
    visible: np.ndarray

    @property
    def key(self) -> bytes:
        """A key that is equal for equal pixels."""
        return pixels_key(self.pixels)


def cut(image: ImageSource, box: tuple[float, float, float, float] | None, config: MatcherConfig) -> ObjectCrop:
    """An object's crop as a matcher of this config takes it; see `view.cut_object`."""
    return cut_object(image, box, config.crop_scale, config.vision.image_size, config.released_crop)


def encode_example(example: Example, config: MatcherConfig) -> EncodedExample:
    """An example's crop, and its points as heat maps.

    A point outside the crop is not visible; with `released_crop` it is, where a part of its Gaussian reaches the map.
    Raises InputError for points outside the picture, and where no point is visible.
    """
    crop = cut(example.image, example.box, config)
    check_inside(example, crop.image_size)
    size = config.vision.image_size
    points = crop.crop.normalise(example.points)
    drawn = ~np.isnan(points).any(axis=1) if config.released_crop else visible_in(points)
    heatmaps, weights = heat_targets(points * size, drawn, config.sigma, config.cells, size / config.cells)
    visible = (weights > 0) & heatmaps.any(axis=(1, 2))
    check_shown(example, visible, crop.crop, crop.image_size)
    return EncodedExample(crop.pixels, heatmaps, visible)


def make_prompt(
    category: Category,
    phrases: Tensor | None,
    examples: Sequence[EncodedExample],
    features: Callable[[EncodedExample], Tensor],
    device: torch.device,
) -> tuple[Prompt, np.ndarray]:
    """The prompt of one object, and the keypoints [K] bool that it covers.

    category: its skeleton is part of the prompt.
    phrases: [K, D]; None without text, which covers all keypoints.
    examples: in any number.
    features: gives the feature map [1, C, h, w] of an example.
    """
    covered = np.full(len(category), phrases is not None)
    parts: dict[str, Tensor] = {} if phrases is None else {"phrases": phrases[None]}
    if examples:
        visible = np.stack([one.visible for one in examples])
        covered |= visible.any(axis=0)
        parts["example_features"] = torch.stack([features(one) for one in examples], dim=1)
        parts["heatmaps"] = torch.from_numpy(np.stack([one.heatmaps for one in examples]))[None].to(device)
        parts["example_visible"] = torch.from_numpy(visible)[None].to(device)
    return Prompt(**parts, skeletons=[category.skeleton]), covered


def joined(prompts: Sequence[Prompt], count: int) -> Prompt:
    """The prompts of several objects as one of a batch, in order.

    prompts: as `make_prompt` gives them, all of one kind and with the same number of examples.
    count: number of slots K that keypoints are padded to; what is in the further ones means nothing.
    """
    if len(prompts) == 1:
        return prompts[0]

    def padded(name: str, axis: int) -> Tensor | None:
        values = [getattr(prompt, name) for prompt in prompts]
        if values[0] is None:
            return None
        # F.pad takes pairs from the last axis on; those behind `axis` get none.
        sizes = [[0, 0] * (one.ndim - axis - 1) + [0, count - one.shape[axis]] for one in values]
        return torch.cat([F.pad(one, size) for one, size in zip(values, sizes, strict=True)])

    features = [prompt.example_features for prompt in prompts]
    return Prompt(
        example_features=None if features[0] is None else torch.cat(features),
        heatmaps=padded("heatmaps", 2),
        example_visible=padded("example_visible", 2),
        phrases=padded("phrases", 1),
        skeletons=[skeleton for prompt in prompts for skeleton in prompt.skeletons],
    )
