"""The labelled pictures that a matcher is adapted with, as features of some crops of each.

Letters: N objects, V versions (crops) of each object, K keypoints, C channels, h x w cells of features.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from torch import Tensor

from ...crops.augment import PLAIN, AugmentConfig, CropPlacement, crop_placed, jitter, place
from ...errors import InputError
from ...forms.dataset import LabelledObject
from ...images import UprightPicture, read_picture
from ...models.matching.inputs import cut
from ...models.matching.matcher_config import MatcherConfig
from ...models.matching.model import MatchingModel


@dataclass(frozen=True, eq=False)
class PictureFeatures:
    """Features of the crops of N objects; version 0 is the plain crop, cut as in a prediction.

    maps: [N, V, C, h, w] float16.
    examples: [N, C, h, w] float16, of the plain crops as the matcher sees its examples.
    points: [N, V, K, 2] float32, fractions of the crop; NaN where not labelled.
    sides: (N,) longer side of the box as a fraction of the plain crop.
    """

    maps: Tensor
    examples: Tensor
    points: Tensor
    sides: np.ndarray

    @property
    def visible(self) -> Tensor:
        """[N, V, K] bool, the points that are labelled and lie in the crop."""
        return ((self.points >= 0) & (self.points < 1)).all(dim=-1)


def _changed(
    picture: UprightPicture, placement: CropPlacement, colour: float, rng: np.random.Generator, config: MatcherConfig
) -> np.ndarray:
    """The pixels [S, S, 3] of an augmented crop."""
    shown = jitter(picture, colour, rng) if colour else picture
    return crop_placed(shown, placement, config.vision.image_size, config.released_crop)


@torch.inference_mode()
def picture_features(
    model: MatchingModel,
    objects: Sequence[LabelledObject],
    versions: int,
    augment: AugmentConfig,
    seed: int,
    on_object: Callable[[], None] | None = None,
) -> PictureFeatures:
    """The features of a matcher's image encoder.

    versions: V, the plain crop and V - 1 augmented ones.
    augment: random changes of the others.
    on_object: called after each object.

    Raises InputError for a picture that cannot be read, for features beyond float16, and where they do not fit into the
    memory.
    """
    config, points = model.config, []
    maps, examples = _room(model, len(objects), versions)
    for number, item in enumerate(objects):
        pixels, places = [], []
        picture = read_picture(item.image)
        for version in range(versions):
            rng = np.random.default_rng([seed, 11, number, version])
            placement = place(item.box, config.crop_scale, augment if version else PLAIN, rng, item.category.flips)
            pixels.append(
                _changed(picture, placement, augment.colour, rng, config)
                if version
                else cut(picture, item.box, config).pixels
            )
            places.append(placement.labels(item.points, item.category))
        crops = model.encoder.normalise(torch.from_numpy(np.stack(pixels)).to(model.device))
        maps[number] = model.features(crops)
        if model.example_encoder is not None:
            examples[number] = model.features(crops[:1], examples=True)[0]
        points.append(np.stack(places))
        if not torch.isfinite(maps[number]).all():
            raise InputError(
                f"The features of object {item.id} are beyond float16; adapt a model with another image encoder."
            )
        if on_object is not None:
            on_object()
    return PictureFeatures(
        maps,
        examples,
        torch.from_numpy(np.stack(points)).float(),
        np.full(len(objects), 1 / config.crop_scale),
    )


def _room(model: MatchingModel, count: int, versions: int) -> tuple[Tensor, Tensor]:
    """Empty `maps` and `examples` of some objects; the examples are the plain crops' maps where one encoder makes both.

    Raises InputError where the machine has less memory left than they take.
    """
    side = model.config.vision.image_size
    black = model.encoder.normalise(torch.zeros(1, side, side, 3, dtype=torch.uint8, device=model.device))
    sizes = [(count, versions, *model.features(black).shape[1:])]
    if model.example_encoder is not None:
        sizes.append((count, *model.features(black, examples=True).shape[1:]))
    needed, free = 2 * sum(map(math.prod, sizes)), psutil.virtual_memory().available
    if needed > free:  # the system would end the process without a word
        raise InputError(
            f"The features of {count} objects in {versions} versions take {needed / 2**30:.1f} GiB of memory, but "
            f"{free / 2**30:.1f} GiB are free; adapt to fewer objects, or with fewer versions in the recipe."
        )
    maps, *own = (torch.empty(size, dtype=torch.float16) for size in sizes)
    return maps, own[0] if own else maps[:, 0]
