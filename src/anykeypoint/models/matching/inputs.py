"""Pictures and examples as a matcher takes them: crops, heat maps, and the sentences of what cannot be one.

Letters: K keypoints, S crop side in pixels, N cells a side of a heat map.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...category import Category
from ...data.augment import visible_in
from ...data.heatmaps import heat_targets
from ...errors import InputError
from ...example import Example
from ...geometry import Box, Crop, crop_matrix, square_crop
from ...images import crop_pixels, read_image, warp_pixels
from .matcher_config import MatcherConfig

SLACK = 1.0  # pixels that a point may lie outside its picture; labels are often rounded


@dataclass(frozen=True)
class Encoded:
    """An example's crop and marks. pixels: S S 3 uint8; heat: K N N float32, peak 1; shown: K bool, has heat."""

    pixels: np.ndarray
    heat: np.ndarray
    shown: np.ndarray

    @property
    def key(self) -> bytes:
        """The same for the same pixels, wherever they come from."""
        return hashlib.sha256(np.ascontiguousarray(self.pixels)).digest()


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
    _check_inside(example, picture.size)
    pixels, crop, _ = cut(picture, example.box, config)
    size = config.backbone.image_size
    points = crop.normalise(example.points)
    seen = ~np.isnan(points).any(axis=1) if config.released_crop else visible_in(points)
    heat, weights = heat_targets(points * size, seen, config.sigma, config.cells, size / config.cells)
    shown = (weights > 0) & heat.any(axis=(1, 2))
    if not shown.any():
        raise InputError(
            f"None of the example's {int(example.shown.sum())} points lies in its crop, the square of "
            f"{crop.side:g} pixels round {list(example.box or (0, 0, *picture.size))}; give the box of the object."
        )
    return Encoded(pixels, heat, shown)


def check_examples(example: Example | Sequence[Example] | None, category: Category) -> list[Example]:
    """The examples as a list, empty without any; InputError for those that are not of the category that is asked."""
    if example is None:
        return []
    examples = [example] if isinstance(example, Example) else list(example)
    if not examples:
        raise InputError("The list of examples is empty; pass one or more, or leave example out.")
    for one in examples:
        if not isinstance(one, Example):
            raise InputError(f"An example must be an anykeypoint.Example, but got {type(one).__name__}.")
        if len(one) != len(category):
            raise InputError(
                f"The example has {len(one)} points, but {category.name!r} has {len(category)}; give a point for each, "
                "NaN where it is not shown."
            )
        if one.category is not None and one.category.names != category.names:
            pairs = zip(one.category.names, category.names, strict=True)
            theirs, ours = next(pair for pair in pairs if pair[0] != pair[1])
            raise InputError(
                f"The example's category {one.category.name!r} names {theirs!r} where {category.name!r} has {ours!r}; "
                "ask for the category that the example shows."
            )
    return examples


def _check_inside(example: Example, size: tuple[int, int]) -> None:
    with np.errstate(invalid="ignore"):
        off = ((example.points < -SLACK) | (example.points > np.array(size) + SLACK)).any(axis=1) & example.shown
    if off.any():
        rows = np.flatnonzero(off).tolist()
        named = [f"point {row}" if example.category is None else example.category.names[row] for row in rows]
        listed = ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
        x, y = example.points[rows[0]]
        raise InputError(
            f"The example's picture has {size[0]} x {size[1]} pixels, but {listed} lie outside, the first at "
            f"({x:g}, {y:g}); give points in pixels of that picture, NaN where not shown."
        )
