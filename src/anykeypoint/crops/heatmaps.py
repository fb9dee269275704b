"""Target heat maps of MP-100's few-shot family: a Gaussian, centred on a whole cell, for each visible keypoint.

Letters: K keypoints, N cells along a side of a heat map.
"""

import numpy as np

from ..errors import InputError

CELLS = 64  # number of cells along a side of a heat map, for crops of 256 pixels
STRIDE = 4  # side of a cell in pixels of the crop
RADIUS = 3  # half the side of the square that the Gaussian fills, in standard deviations


def heat_targets(
    points: np.ndarray, visible: np.ndarray, sigma: int, cells: int = CELLS, stride: float = STRIDE
) -> tuple[np.ndarray, np.ndarray]:
    """Heat maps (K, N, N) float32 with the peak 1, and weights (K,) float32, each 0 or 1.

    The Gaussian is centred on the cell int(p / stride + 0.5) and cut off at three standard deviations. Two properties
    of the released code are kept: int() rounds towards zero, so that slightly negative points move to cell 0; and a
    Gaussian whose square only touches the map keeps the weight 1, with a map of zeros. Raises InputError for a visible
    point that is not finite.

    points: (K, 2) in pixels of the crop.
    visible: (K,) bool, keypoints that get a heat map.
    sigma: standard deviation in cells: 1 for GraphCape, CapeX and EdgeCape, 2 for POMNet, CapeFormer and MetaPoint.
    cells: N.
    stride: side of a cell in pixels of the crop.
    """
    points, weights = np.asarray(points), heat_weights(points, visible, sigma, cells, stride)
    targets = np.zeros((len(points), cells, cells), dtype=np.float32)
    radius = RADIUS * sigma
    offsets = np.arange(-radius, radius + 1, dtype=np.float32)
    patch = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * sigma**2))
    for k in np.flatnonzero(weights):
        centre = np.trunc(points[k] / stride + 0.5).astype(int)
        first, end = centre - radius, centre + radius + 1  # first cell of the square, and the one behind its last
        low, high = np.clip(first, 0, cells), np.clip(end, 0, cells)
        inside = patch[low[1] - first[1] : high[1] - first[1], low[0] - first[0] : high[0] - first[0]]
        targets[k, low[1] : high[1], low[0] : high[0]] = inside
    return targets, weights


def heat_weights(
    points: np.ndarray, visible: np.ndarray, sigma: int, cells: int = CELLS, stride: float = STRIDE
) -> np.ndarray:
    """The weights (K,) float32 of `heat_targets`, whose arguments these are, without the heat maps."""
    points, weights = np.asarray(points), np.asarray(visible).astype(np.float32)
    if points.shape != (len(weights), 2) or not np.isfinite(points[weights > 0]).all():
        raise InputError(f"Heat maps need a finite point (K, 2) for each visible keypoint, but got {points.tolist()}.")
    centres = np.trunc(np.where(weights[:, None] > 0, points, 0) / stride + 0.5)
    radius = RADIUS * sigma
    return weights * ((centres - radius < cells) & (centres + radius + 1 >= 0)).all(axis=1)


def heat_centres(points: np.ndarray, visible: np.ndarray, sigma: int, cells: int) -> np.ndarray:
    """Centres of mass (..., 2) float32 of the heat maps of `heat_targets`, without drawing these.

    They are fractions of the map, where cell i stands for i / N; the middle, 0.5, for a map of zeros.

    points: (..., 2), fractions of the crop; never read where not visible.
    visible: (...) bool, keypoints that have a heat map.
    sigma, cells: as in `heat_targets`.
    """
    centres = np.trunc(np.where(visible[..., None], points, 0) * cells + 0.5)
    offsets = np.arange(-RADIUS * sigma, RADIUS * sigma + 1)
    columns = centres[..., None] + offsets  # the Gaussian is a product of one along each axis: ..., 2, square's side
    mass = np.exp(-(offsets**2) / (2 * sigma**2)) * ((columns >= 0) & (columns < cells))
    total = mass.sum(axis=-1)
    means = (mass * columns).sum(axis=-1) / np.maximum(total, 1e-8) / cells
    drawn = visible & (total > 0).all(axis=-1)
    return np.where(drawn[..., None], means, 0.5).astype(np.float32)
