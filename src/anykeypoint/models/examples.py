"""Checks of the examples that any model is given."""

from collections.abc import Sequence

import numpy as np

from ..category import Category
from ..errors import InputError, first_few
from ..example import Example
from ..forms.faults.sentinels import is_sentinel
from ..geometry import Crop

SLACK = 1.0  # distance in pixels that a point may lie outside its picture, as labels are often rounded


def as_examples(example: Example | Sequence[Example]) -> list[Example]:
    """One or several examples as a list; InputError for anything else."""
    examples = list(example) if isinstance(example, list | tuple) else [example]
    for one in examples:
        if not isinstance(one, Example):
            raise InputError(f"An example must be an anykeypoint.Example, but got {type(one).__name__}.")
    return examples


def check_examples(example: Example | Sequence[Example] | None, category: Category) -> list[Example]:
    """The examples as a list, empty for None.

    category: the category that is queried; InputError for examples with another number of points or other names.
    """
    if example is None:
        return []
    examples = as_examples(example)
    if not examples:
        raise InputError("The list of examples is empty; pass one or more, or leave example out.")
    for one in examples:
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


def check_inside(example: Example, size: tuple[int, int]) -> None:
    """InputError for points of an example that lie more than SLACK outside its picture, or at (-1, -1), which says that
    a point is not labelled.

    size: width and height of the picture in pixels.
    """
    with np.errstate(invalid="ignore"):
        off = ((example.points < -SLACK) | (example.points > np.array(size) + SLACK)).any(axis=1) & example.marked
    off |= [is_sentinel(x, y) for x, y in example.points.tolist()]
    if off.any():
        rows = np.flatnonzero(off).tolist()
        named = [f"point {row}" if example.category is None else example.category.names[row] for row in rows]
        (x, y), lie = example.points[rows[0]], "lies" if len(rows) == 1 else "lie"
        raise InputError(
            f"The example's picture has {size[0]} x {size[1]} pixels, but {first_few(named, 5)} {lie} outside, the "
            f"first at ({x:g}, {y:g}); give points in pixels of that picture, NaN where not shown."
        )


def check_shown(example: Example, shown: np.ndarray, crop: Crop, size: tuple[int, int]) -> None:
    """InputError where no point of an example is visible in its crop.

    shown: [K] bool, the visible points.
    crop: the crop, in image pixels.
    size: width and height of the picture in pixels.
    """
    if not shown.any():
        raise InputError(
            f"None of the example's {int(example.marked.sum())} points lies in its crop, the square of "
            f"{crop.side:g} pixels round {list(example.box or (0, 0, *size))}; give the box of the object."
        )
