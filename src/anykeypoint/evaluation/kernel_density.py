"""A density from points that a model draws, by Gaussian kernels, as CapeLLM makes it for a picture (Sec. 4.4, Fig. 5).

The exact density of `Density` needs no draws. This one is what the paper draws, to be put beside it. The paper gives
neither the number of points nor the width of the kernels: the number is the caller's, and the width is Scott's rule.
"""

import numpy as np

from ..density import Density
from ..errors import InputError
from ..geometry import Crop


def kernel_density(points: np.ndarray, crop: Crop, cells: int) -> Density:
    """The density of one keypoint from drawn points: the mean of a Gaussian kernel round each of them.

    points: [N, 2] in image pixels; those that are NaN, where a draw gave no place, are left out.
    crop: the square that the density covers. Each kernel is cut off at its edge and scaled to 1 / N.
    cells: number of cells on a side.
    The kernels have the covariance of the points times N^(-1/3), Scott's rule for two dimensions, and no less than the
    spread inside a cell, side^2 / 12 on each axis: points that are all the same have a density too. Raises InputError
    where no point is a place.
    """
    drawn = np.asarray(points, dtype=np.float64)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    if not len(drawn):
        raise InputError("A density from drawn points needs a point, but no draw gave one; draw more of them.")
    places = crop.normalise(drawn)
    centred = places - places.mean(axis=0)
    covariance = centred.T @ centred / max(len(places) - 1, 1)
    kernel = covariance * len(places) ** (-1 / 3) + np.eye(2) / (12 * cells**2)
    inverse = np.linalg.inv(kernel)
    centres = (np.arange(cells) + 0.5) / cells
    grid = np.zeros((cells, cells))
    for x, y in places:
        across, down = centres - x, centres[:, None] - y
        distance = inverse[0, 0] * across**2 + 2 * inverse[0, 1] * across * down + inverse[1, 1] * down**2
        heights = np.exp(-(distance - distance.min()) / 2)  # less the least, so that no kernel vanishes in rounding
        grid += heights / heights.sum() / len(places)
    return Density(crop, grid / grid.sum())
