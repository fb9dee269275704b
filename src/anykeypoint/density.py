"""Density: where one keypoint may be, as probabilities over the cells of a crop, and what can be read off them.

Inside a cell the probability is spread evenly, so every figure below is exact for the density as it stands: nothing
is taken to lie in the cells' centres. `mass` may be below 1: what was not expanded. The methods that describe a shape
(mean, covariance, entropy, credible_region) then speak of the point given that it lies where the grid was expanded;
those that give a probability (mass_within, log_density) leave the rest out, so they are lower bounds.

N is the number of cells on one side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InputError
from .geometry import Crop

_ROUNDING = 1e-6  # how far sums of probabilities may stray
_TIE = 1e-9  # masses that differ by a smaller share are the same


@dataclass(frozen=True, eq=False, repr=False)
class Density:
    """The probability of one keypoint's place over a grid of cells that tile a crop.

    crop: the square, in image pixels.
    grid: [N, N] float64, rows = y, columns = x; each cell holds its probability. The sum, `mass`, is at most 1; the
        rest was not expanded, and nothing is said of where it lies.
    """

    crop: Crop
    grid: np.ndarray

    def __post_init__(self) -> None:
        grid = frozen_array(self.grid, "A density's grid")
        if grid.ndim != 2 or grid.shape[0] != grid.shape[1] or grid.size == 0:
            raise InputError(f"A density's grid must be square, [N, N], but got shape {grid.shape}.")
        if not np.isfinite(grid).all() or (grid < 0).any():
            raise InputError("A density's grid must hold finite values from 0 up; pass probabilities, not logits.")
        if not 0 < grid.sum() <= 1 + _ROUNDING:
            raise InputError(f"A density's grid must sum to more than 0 and at most 1, but its sum is {grid.sum():g}.")
        object.__setattr__(self, "grid", grid)

    @property
    def mass(self) -> float:
        """The probability that the grid accounts for, in (0, 1]."""
        return min(float(self.grid.sum()), 1.0)

    @property
    def cell(self) -> float:
        """The side of one cell in image pixels."""
        return self.crop.side / len(self.grid)

    # --- shape -------------------------------------------------------------------------------------------------------

    def mean(self) -> np.ndarray:
        """The expected place given that it lies where the grid was expanded: [2] image pixels."""
        centres = (np.arange(len(self.grid)) + 0.5) / len(self.grid)
        point = np.array([self.grid.sum(axis=0) @ centres, self.grid.sum(axis=1) @ centres]) / self.grid.sum()
        return self.crop.to_image(point)

    def covariance(self) -> np.ndarray:
        """The covariance of x and y round `mean`: [2, 2] square image pixels.

        The spread inside a cell counts (cell side^2 / 12 on each axis), so it is never singular and a uniform grid has
        side^2 / 12 however fine its cells are.
        """
        places = (np.arange(len(self.grid)) + 0.5) * self.cell
        weights = self.grid / self.grid.sum()
        across, down = weights.sum(axis=0), weights.sum(axis=1)
        x, y = places - across @ places, places - down @ places
        together = y @ weights @ x
        inside = self.cell**2 / 12
        return np.array([[across @ x**2 + inside, together], [together, down @ y**2 + inside]])

    def entropy(self) -> float:
        """The entropy of the cell that holds the point, in bits, given that it lies where the grid was expanded.

        From 0 (one cell) to log2(N^2) (all cells alike). It depends on N: halving the cells' side adds 2 bits where
        the density is smooth, so compare grids of one size only.
        """
        shares = self.grid[self.grid > 0] / self.grid.sum()
        return max(0.0, -float(shares @ np.log2(shares)))

    def credible_region(self, level: float) -> np.ndarray:
        """The fewest cells that together hold `level` (in (0, 1]) of the mass expanded: [N, N] bool.

        Of cells that are equally heavy the topmost, then leftmost come first.
        """
        if not 0 < level <= 1:
            raise InputError(f"A credible region's level must be above 0 and at most 1, but got {level!r}.")
        order = np.argsort(-self.grid, axis=None, kind="stable")
        held = np.cumsum(self.grid.ravel()[order])
        count = int(np.searchsorted(held, level * held[-1] * (1 - 1e-12))) + 1
        region = np.zeros(self.grid.size, dtype=bool)
        region[order[:count]] = True
        return region.reshape(self.grid.shape)

    # --- places ------------------------------------------------------------------------------------------------------

    def mode(self, radius: float | None = None) -> np.ndarray:
        """The likeliest place: [2] image pixels.

        Without a radius the centre of the heaviest cell (of equals the topmost, then leftmost). With a radius in image
        pixels the cell centre round which a disc of that radius holds most mass: the answer with the highest expected
        PCK at that distance. A plateau of equals gives its middle, and of separate ones the topmost its own (its
        nearest cell, should the middle hold less).
        """
        if radius is None:
            row, column = np.unravel_index(np.argmax(self.grid), self.grid.shape)
            return self._centre(row, column)
        masses = self._disc_masses(radius)
        best = masses.max()
        tied = masses >= best * (1 - _TIE)
        for plateau in (tied, _first_patch(tied)):
            cells = self._centre(*np.nonzero(plateau))
            middle = cells.mean(axis=0)
            if self.mass_within(middle, radius) >= best * (1 - 2 * _TIE):
                return middle
        away = np.hypot(*(cells - middle).T)
        return cells[np.argmax(away <= away.min() + 1e-6 * self.cell)]  # the topmost of equals, whatever the rounding

    def mass_within(self, point: np.ndarray, radius: float) -> float:
        """The probability that the keypoint lies within `radius` of `point` (both image pixels)."""
        edges = np.arange(len(self.grid) + 1)
        centre = self.crop.normalise(_point(point)) * len(self.grid)
        if np.isnan(centre).any():
            raise InputError("The mass round a point needs a point, but got NaN; leave absent points out.")
        shares = _disc_shares(edges - centre[0], edges - centre[1], _radius(radius) / self.cell)
        return min(float((self.grid * shares).sum()), 1.0)

    def log_density(self, point: np.ndarray) -> float:
        """The natural logarithm of the probability per square image pixel at `point` (image pixels).

        -inf outside the crop, whose probability is zero by construction, and in cells without mass; NaN for NaN.
        """
        place = self.crop.normalise(_point(point))
        if np.isnan(place).any():
            return float("nan")
        if (place < 0).any() or (place > 1).any():
            return float("-inf")
        column, row = np.minimum((place * len(self.grid)).astype(int), len(self.grid) - 1)
        with np.errstate(divide="ignore"):
            return float(np.log(self.grid[row, column]) - 2 * np.log(self.cell))

    # --- other forms -------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """{"crop": [x, y, side], "grid": rows}; `from_dict` reads it back."""
        return {"crop": [self.crop.x, self.crop.y, self.crop.side], "grid": self.grid.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Density":
        """Read what `to_dict` gives."""
        return cls(Crop(*data["crop"]), np.array(data["grid"], dtype=np.float64))

    def __repr__(self) -> str:
        return f"Density(grid={self.grid.shape}, mass={self.mass:.3f})"

    def _centre(self, row: Any, column: Any) -> np.ndarray:
        """Cells -> their centres [..., 2] in image pixels."""
        return self.crop.to_image((np.stack([column, row], axis=-1) + 0.5) / len(self.grid))

    def _disc_masses(self, radius: float) -> np.ndarray:
        """The mass within `radius` of each cell's centre [N, N]: one convolution with the disc."""
        size = len(self.grid)
        reach = min(int(np.ceil(_radius(radius) / self.cell + 0.5)), size - 1)  # cells that a disc may touch
        edges = np.arange(-reach, reach + 2) - 0.5
        disc = _disc_shares(edges, edges, radius / self.cell)  # symmetric, so it need not be turned round
        whole = [size + 2 * reach] * 2
        masses = np.fft.irfft2(np.fft.rfft2(self.grid, whole) * np.fft.rfft2(disc, whole), whole)
        return masses[reach : reach + size, reach : reach + size]


def frozen_array(value: Any, what: str) -> np.ndarray:
    """A float64 copy that nobody can change behind our back; InputError if it is not numbers."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} must be an array of numbers, but got {type(value).__name__}.") from error
    array.setflags(write=False)
    return array


def _first_patch(cells: np.ndarray) -> np.ndarray:
    """The connected patch, corners included, of the topmost, then leftmost true cell: [N, N] bool."""
    patch = np.zeros_like(cells)
    patch.flat[np.argmax(cells)] = True
    while True:
        padded = np.pad(patch, 1)
        rows = padded[:-2] | padded[1:-1] | padded[2:]
        grown = (rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]) & cells
        if (grown == patch).all():
            return patch
        patch = grown


def _disc_shares(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """How much of each cell a disc round the origin covers, 0 to 1.

    x: W + 1 edges of columns, y: H + 1 edges of rows, one apart (unit cells), ascending. Returns [H, W], exact.
    """
    corner = np.diff(np.diff(_disc_area(x, y[:, None], radius), axis=0), axis=1)
    far_x, far_y = (np.maximum(np.abs(edges[:-1]), np.abs(edges[1:])) for edges in (x, y))
    near_x, near_y = (np.maximum(np.maximum(edges[:-1], -edges[1:]), 0) for edges in (x, y))
    # Said outright where it is certain: the differences above lose digits when the disc is large.
    within = np.hypot(far_x, far_y[:, None]) <= radius
    without = np.hypot(near_x, near_y[:, None]) >= radius
    return np.where(within, 1.0, np.where(without, 0.0, np.clip(corner, 0, 1)))


def _disc_area(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """The area of the part of a disc round the origin that lies left of x and above y (below in value), broadcast."""
    x, y = np.broadcast_arrays(np.clip(x, -radius, radius), np.clip(y, -radius, radius))

    def half(u: np.ndarray) -> np.ndarray:
        """The area between the diameter and the upper half circle, left of u."""
        rise = np.sqrt(np.maximum(radius**2 - u**2, 0))
        return (u * rise + radius**2 * np.arcsin(np.clip(u / radius, -1, 1))) / 2 + np.pi * radius**2 / 4

    cut = np.sqrt(np.maximum(radius**2 - y**2, 0))  # where the line y meets the circle
    middle = np.clip(x, -cut, cut)
    area = half(middle) - half(-cut) + y * (middle + cut)
    # Above the diameter the columns beyond the line's ends belong to the part whole.
    beyond = 2 * half(np.minimum(x, -cut)) + 2 * (half(np.maximum(x, cut)) - half(cut))
    return area + np.where(y >= 0, beyond, 0.0)


def _point(value: Any) -> np.ndarray:
    array = frozen_array(value, "A point")
    if array.shape != (2,):
        raise InputError(f"A point must be two numbers, x and y in image pixels, but got shape {array.shape}.")
    return array


def _radius(value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"A radius must be a finite number of image pixels above 0, but got {value!r}.")
    return float(value)
