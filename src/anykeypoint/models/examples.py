"""Examples as any model takes them: what cannot be one, and features that are kept from one question to the next."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..category import Category
from ..errors import InputError
from ..example import Example
from ..geometry import Crop

SLACK = 1.0  # pixels that a point may lie outside its picture; labels are often rounded
KEPT = 64  # examples whose features are kept


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


def check_inside(example: Example, size: tuple[int, int]) -> None:
    """InputError for points of an example outside its picture of that size (width, height)."""
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


def check_shown(example: Example, shown: np.ndarray, crop: Crop, size: tuple[int, int]) -> None:
    """InputError where no point of an example is shown (K bool) in its crop."""
    if not shown.any():
        raise InputError(
            f"None of the example's {int(example.shown.sum())} points lies in its crop, the square of "
            f"{crop.side:g} pixels round {list(example.box or (0, 0, *size))}; give the box of the object."
        )


def pixels_key(pixels: np.ndarray) -> bytes:
    """The same for the same pixels, wherever they come from."""
    return hashlib.sha256(np.ascontiguousarray(pixels)).digest()


class RemembersExamples(nn.Module):
    """A module that keeps the features of the last KEPT examples, by their pixels, until its weights may change."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[bytes, Tensor] = {}
        self.register_load_state_dict_post_hook(lambda module, keys: module._seen.clear())

    def _apply(self, *arguments: Any, **options: Any) -> "RemembersExamples":
        self._seen.clear()  # another device or precision gives other bits
        return super()._apply(*arguments, **options)

    def train(self, mode: bool = True) -> "RemembersExamples":
        """Features of examples are forgotten, as the weights may change in training."""
        self._seen.clear()
        return super().train(mode)

    def remembered(self, key: bytes, look: Callable[[], Tensor]) -> Tensor:
        """What `look` gives, or gave when it was last asked for that key."""
        known = self._seen.pop(key, None)
        self._seen[key] = look() if known is None else known
        while len(self._seen) > KEPT:
            del self._seen[next(iter(self._seen))]
        return self._seen[key]
