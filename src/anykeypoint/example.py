"""Example: an image with the keypoints of a category marked ("support" in the papers)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .category import Category
from .density import frozen_array
from .errors import InputError
from .geometry import Box, check_box

if TYPE_CHECKING:
    from .images import ImageSource


@dataclass(frozen=True, eq=False, repr=False)
class Example:
    """One object with its K keypoints.

    image: what `images.read_image` takes. points: [K, 2] in pixels of that picture, NaN where a point is not shown.
    box: x, y, w, h of the object in the same pixels; None for the whole picture.
    category: what the points are called; None where only their places are known.
    Raises InputError unless one point or more is shown, and where the category has another number of points.
    """

    image: "ImageSource"
    points: np.ndarray
    box: Box | None = None
    category: Category | None = None

    def __post_init__(self) -> None:
        points = frozen_array(self.points, "An example's points")
        if points.ndim != 2 or points.shape[1] != 2:
            raise InputError(f"An example's points must be (K, 2) in pixels, but got {points.shape}.")
        if np.isinf(points).any():
            raise InputError("An example's points must be finite, or NaN where not shown, but one is infinite.")
        if not np.isfinite(points).all(axis=1).any():
            raise InputError("An example must show one point or more, but all of its points are NaN.")
        if self.category is not None and len(self.category) != len(points):
            raise InputError(
                f"The example has {len(points)} points, but its category {self.category.name!r} has "
                f"{len(self.category)}; give one point for each, NaN where it is not shown."
            )
        object.__setattr__(self, "points", points)
        if self.box is not None:
            object.__setattr__(self, "box", check_box(self.box))

    @property
    def shown(self) -> np.ndarray:
        """(K,) bool: which points are marked."""
        return np.isfinite(self.points).all(axis=1)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        named: Any = "" if self.category is None else f"{self.category.name!r}, "
        return f"Example({named}{len(self)} keypoints, {int(self.shown.sum())} shown)"
