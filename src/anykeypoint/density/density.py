"""Density: the probability of one keypoint's place over the cells of a crop, and figures computed from it.

Inside a cell the probability is spread evenly, so every figure is exact for the density as given: no probability is
moved to the centres of cells. `mass` may be below 1 where the model did not expand all cells. Methods that describe a
shape (mean, covariance, entropy, credible_region) are conditioned on the point lying in the expanded part. Methods that
give a probability (mass_within, log_density) leave the rest out, so they are lower bounds.

N is the number of cells on one side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..configs.checks import check_positive
from ..errors import InputError
from ..geometry import Crop

_ROUNDING = 1e-6  # how far a sum of probabilities may exceed 1
_TIE = 1e-9  # masses that differ by a smaller share count as equal


@dataclass(frozen=True, eq=False, repr=False)
class Density:
    """The probability of one keypoint's place over a grid of cells that tile a crop.

    crop: the square, in image pixels.
    grid: [N, N] float64, rows = y, columns = x; each cell holds its probability. The sum, `mass`, is at most 1; where
        the rest lies is unknown.
    Raises InputError for anything else.
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
        """The sum of the grid: above 0 and at most 1."""
        return min(float(self.grid.sum()), 1.0)

    @property
    def cell(self) -> float:
        """The side of one cell in image pixels."""
        return self.crop.side / len(self.grid)

    # --- shape -------------------------------------------------------------------------------------------------------

    def mean(self) -> np.ndarray:
        """The expected place, given that it lies in the expanded part: [2] in image pixels."""
        centres = (np.arange(len(self.grid)) + 0.5) / len(self.grid)
        point = np.array([self.grid.sum(axis=0) @ centres, self.grid.sum(axis=1) @ centres]) / self.grid.sum()
        return self.crop.to_image(point)

    def covariance(self) -> np.ndarray:
        """The covariance of x and y about `mean`: [2, 2] in square image pixels.

        The spread inside a cell is included (its side^2 / 12 on each axis). So the matrix is never singular, and a
        uniform grid has crop.side^2 / 12 on each axis, however small its cells are.
        """
        places = (np.arange(len(self.grid)) + 0.5) * self.cell
        weights = self.grid / self.grid.sum()
        across, down = weights.sum(axis=0), weights.sum(axis=1)
        x, y = places - across @ places, places - down @ places
        together = y @ weights @ x
        inside = self.cell**2 / 12
        return np.array([[across @ x**2 + inside, together], [together, down @ y**2 + inside]])

    def entropy(self) -> float:
        """The entropy, in bits, of the cell that holds the point, given that it lies in the expanded part.

        It runs from 0 (one cell) to log2(N^2) (all cells equal). It depends on N: cells of half the side add 2 bits
        where the density is smooth, so only grids of one size can be compared.
        """
        shares = self.grid[self.grid > 0] / self.grid.sum()
        return max(0.0, -float(shares @ np.log2(shares)))

    def credible_region(self, level: float) -> np.ndarray:
        """The smallest set of cells that holds a share of the mass: [N, N] bool.

        level: the share, above 0 and at most 1. Of cells with equal probability the topmost, then leftmost come first.
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
        """The likeliest place: [2] in image pixels.

        radius: None takes the centre of the cell with the largest probability, of equal cells the topmost, then
            leftmost. A number takes the cell centre about which a disc of this radius, in image pixels, holds the most
            mass, which is the place with the highest expected PCK at that distance. Several equal centres give their
            mean if its disc holds as much; otherwise the mean of the topmost connected patch of them, or the cell
            nearest to that mean.
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
        # The first of the nearest cells, whatever the rounding: cells run from the top, so it is the topmost.
        return cells[np.argmax(away <= away.min() + 1e-6 * self.cell)]

    def mass_within(self, point: np.ndarray, radius: float) -> float:
        """The probability that the keypoint lies in a disc.

        point: [2] centre of the disc in image pixels.
        radius: in image pixels.
        """
        return min(float((self.grid * disc_shares(self.crop, len(self.grid), point, radius)).sum()), 1.0)

    def log_density(self, point: np.ndarray) -> float:
        """The natural logarithm of the probability per square image pixel at a place.

        point: [2] in image pixels. Outside the crop and in cells without mass the value is -inf; for NaN it is NaN.
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
        """The centres [..., 2] of cells in image pixels."""
        return self.crop.to_image((np.stack([column, row], axis=-1) + 0.5) / len(self.grid))

    def _disc_masses(self, radius: float) -> np.ndarray:
        """The mass in a disc about the centre of each cell [N, N], by one convolution. radius: in image pixels."""
        size = len(self.grid)
        # The largest distance, in cells, at which the disc touches a cell.
        reach = min(int(np.ceil(_radius(radius) / self.cell + 0.5)), size - 1)
        edges = np.arange(-reach, reach + 2) - 0.5
        disc = _disc_shares(edges, edges, radius / self.cell)  # symmetric, so it is its own mirror image
        whole = [size + 2 * reach] * 2
        masses = np.fft.irfft2(np.fft.rfft2(self.grid, whole) * np.fft.rfft2(disc, whole), whole)
        return masses[reach : reach + size, reach : reach + size]


def disc_shares(crop: Crop, cells: int, point: np.ndarray, radius: float) -> np.ndarray:
    """The share of each cell that lies in a disc, from 0 to 1: [cells, cells], rows = y.

    crop: the square that the cells tile, in image pixels.
    cells: their number on a side.
    point: [2] centre of the disc in image pixels.
    radius: in image pixels.

    Raises InputError for a point that is NaN and a radius that is not above 0.
    """
    edges = np.arange(cells + 1)
    centre = crop.normalise(_point(point)) * cells
    if np.isnan(centre).any():
        raise InputError("The mass round a point needs a point, but got NaN; leave absent points out.")
    radius = _radius(radius) * cells / crop.side
    # Only cells that the disc may touch are computed; the others have none of it.
    first, last = np.clip([np.floor(centre - radius) - 1, np.ceil(centre + radius) + 1], 0, cells).astype(int)
    shares = np.zeros((cells, cells))
    x, y = (edges[first[axis] : last[axis] + 1] - centre[axis] for axis in (0, 1))
    shares[first[1] : last[1], first[0] : last[0]] = _disc_shares(x, y, radius)
    return shares


def frozen_array(value: Any, what: str) -> np.ndarray:
    """A float64 copy that cannot be written to; InputError if it is not numbers. what: subject of the sentence."""
    try:
        array = as_numbers(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(f"{what} must be an array of numbers, but got {type(value).__name__}.") from error
    array.setflags(write=False)
    return array


def as_numbers(value: Any) -> np.ndarray:
    """A float64 copy of an array, of rows, or of a tensor of torch, wherever it is and whether it has a gradient.

    What a masked array hides is NaN. Raises TypeError, ValueError, OverflowError or RuntimeError for anything else.
    """
    value = of_tensor(value)
    if isinstance(value, np.ma.MaskedArray):
        value = value.astype(np.float64).filled(np.nan)
    return np.array(value, dtype=np.float64)


def of_tensor(value: Any) -> Any:
    """The numbers of a tensor of torch as an array; anything else as it is. Raises RuntimeError or TypeError for one
    that has none at hand."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu()
    return (tensor.double() if tensor.is_floating_point() else tensor).numpy()  # numpy has no bfloat16


def _first_patch(cells: np.ndarray) -> np.ndarray:
    """The patch that is connected to the topmost, then leftmost true cell, over corners too: [N, N] bool."""
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
    """The share of each cell that a disc about the origin covers, 0 to 1, exactly: [H, W].

    x: [W + 1] edges of the columns, ascending, one apart.
    y: [H + 1] edges of the rows, ascending, one apart.
    radius: in cells.
    """
    corner = np.diff(np.diff(_disc_area(x, y[:, None], radius), axis=0), axis=1)
    far_x, far_y = (np.maximum(np.abs(edges[:-1]), np.abs(edges[1:])) for edges in (x, y))
    near_x, near_y = (np.maximum(np.maximum(edges[:-1], -edges[1:]), 0) for edges in (x, y))
    # Cells wholly inside or outside get exact values: the differences above lose digits when the disc is large.
    within = np.hypot(far_x, far_y[:, None]) <= radius
    without = np.hypot(near_x, near_y[:, None]) >= radius
    return np.where(within, 1.0, np.where(without, 0.0, np.clip(corner, 0, 1)))


def _disc_area(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """The area of the part of a disc about the origin with coordinates below x and below y; x and y are broadcast."""
    x, y = np.broadcast_arrays(np.clip(x, -radius, radius), np.clip(y, -radius, radius))

    def half(u: np.ndarray) -> np.ndarray:
        """The area of the upper half disc left of u."""
        rise = np.sqrt(np.maximum(radius**2 - u**2, 0))
        return (u * rise + radius**2 * np.arcsin(np.clip(u / radius, -1, 1))) / 2 + np.pi * radius**2 / 4

    cut = np.sqrt(np.maximum(radius**2 - y**2, 0))  # where the line y meets the circle
    middle = np.clip(x, -cut, cut)
    area = half(middle) - half(-cut) + y * (middle + cut)
    # Where the line y is past the diameter, the columns beyond its ends count in full.
    beyond = 2 * half(np.minimum(x, -cut)) + 2 * (half(np.maximum(x, cut)) - half(cut))
    return area + np.where(y >= 0, beyond, 0.0)


def _point(value: Any) -> np.ndarray:
    """A place [2] in image pixels; NaN is allowed."""
    array = frozen_array(value, "A point")
    if array.shape != (2,):
        raise InputError(f"A point must be two numbers, x and y in image pixels, but got shape {array.shape}.")
    return array


def _radius(value: float) -> float:
    return check_positive(value, "A radius in image pixels")


def check_covariance(matrices: np.ndarray) -> None:
    """InputError unless covariances [..., 2, 2] are symmetric and have no negative eigenvalue, but for rounding."""
    scale = 1e-6 * (1 + np.abs(matrices).max(initial=0))
    symmetric = np.abs(matrices - matrices.swapaxes(-1, -2)).max(initial=0) <= scale
    if not symmetric or np.linalg.eigvalsh(matrices).min(initial=0) < -scale:
        raise InputError("A pose's covariance must be symmetric matrices without negative eigenvalues; check its sign.")
