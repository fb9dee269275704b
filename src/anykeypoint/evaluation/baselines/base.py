"""What all baselines share: the crop, the prediction, and how an example's points are carried to another box."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...category import Category
from ...errors import InputError
from ...example import Example
from ...geometry import Box
from ...images import read_picture

CROP_SCALE = 1.25  # side of the square crop, as a multiple of the longer side of the object's box


@dataclass(frozen=True)
class BaselinePrediction:
    """The points of one object, as `predict` of every baseline returns them.

    xy: (K, 2) pixels of the query picture, NaN where the point is absent.
    confidence: (K,) in [0, 1], NaN where the point is absent. Baselines without a confidence of their own say 1.
    """

    xy: np.ndarray
    confidence: np.ndarray


def check_examples(examples: Sequence[Example], category: Category) -> Sequence[Example]:
    """The examples; InputError unless there are one or more, each with the category's number of points."""
    if isinstance(examples, Example) or not len(examples):
        raise InputError(f"This baseline needs a list of one or more examples, but got {examples!r}.")
    for example in examples:
        if len(example) != len(category):
            raise InputError(
                f"The example has {len(example)} points, but {category.name!r} has {len(category)}; give one for each."
            )
    return examples


def example_box(example: Example) -> Box:
    """The example's box as x, y, width, height in pixels of its picture; the whole picture where it has none."""
    return example.box or (0.0, 0.0, *map(float, read_picture(example.image).size))


def transfer_points(example: Example, box: Box) -> np.ndarray:
    """The example's points at the same fractions of another box's width and height.

    Where a side of the example's box is 0, its points lie at that side's only place, and so they do here.
    box: x, y, width, height of the query's box, in pixels of the query picture.
    Returns (K, 2) pixels of the query picture; NaN stays NaN.
    """
    x, y, width, height = example_box(example)
    return (example.points - (x, y)) / (width or 1.0, height or 1.0) * box[2:] + box[:2]
