"""Pictures and examples as a matcher takes them: crops, heat maps, and the sentences of what cannot be one.

Letters: K keypoints, S crop side in pixels, N cells a side of a heat map.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...crops.heatmaps import heat_targets
from ...example import Example
from ...geometry import Box, Crop, crop_matrix, square_crop, visible_in
from ...images import crop_pixels, read_image, warp_pixels
from ..cache import pixels_key
from ..examples import check_inside, check_shown
from .matcher_config import MatcherConfig


@dataclass(frozen=True)
class Encoded:
    """An example's crop and marks. pixels: S S 3 uint8; heat: K N N float32, peak 1; shown: K bool, has heat."""

    pixels: np.ndarray
    heat: np.ndarray
    shown: np.ndarray

    @property
    def key(self) -> bytes:
        """The same for the same pixels, wherever they come from."""
        return pixels_key(self.pixels)


def cut(picture: Image.Image, box: Box | None, config: MatcherConfig) -> tuple[np.ndarray, Crop, Box]:
    """The crop's pixels S S 3 uint8, where it lies, and the box; without one the whole picture is it."""
    box = (0.0, 0.0, float(picture.width), float(picture.height)) if box is None else box
    crop, size = square_crop(box, config.crop_scale), config.backbone.image_size
    if config.released_crop:
        return warp_pixels(picture, crop_matrix(crop, size), size), crop, tuple(box)
    return crop_pixels(picture, crop, size), crop, tuple(box)


def encode_example(example: Example, config: MatcherConfig) -> Encoded:
    """An example as a matcher sees it.

    A point outside the crop is not shown; with `released_crop` it is where a part of its heat reaches the map.
    Raises InputError for points outside the picture, and where the crop shows none.
    """
    picture = read_image(example.image)
    check_inside(example, picture.size)
    pixels, crop, _ = cut(picture, example.box, config)
    size = config.backbone.image_size
    points = crop.normalise(example.points)
    seen = ~np.isnan(points).any(axis=1) if config.released_crop else visible_in(points)
    heat, weights = heat_targets(points * size, seen, config.sigma, config.cells, size / config.cells)
    shown = (weights > 0) & heat.any(axis=(1, 2))
    check_shown(example, shown, crop, picture.size)
    return Encoded(pixels, heat, shown)
