"""Heat-map targets of MP-100's few-shot family: a Gaussian on whole cells round each visible keypoint.

Letters: K keypoints, N cells a side.
"""

import numpy as np

from ..errors import InputError

CELLS, STRIDE = 64, 4  # of a crop of 256 pixels
RADIUS = 3  # of the patch, in sigmas


def heat_targets(
    points: np.ndarray, visible: np.ndarray, sigma: int, cells: int = CELLS, stride: float = STRIDE
) -> tuple[np.ndarray, np.ndarray]:
    """Targets (K, N, N) float32 with the peak 1 and weights (K,) float32, 0 or 1.

    points: (K, 2) in pixels of the crop. sigma: in cells: 1 for GraphCape, CapeX and EdgeCape, 2 for POMNet, CapeFormer
    and MetaPoint. The Gaussian stands on a whole cell, int(p / stride + 0.5), and ends at three sigmas. As released:
    halves are cut towards zero, so slightly negative points move to cell 0; and a patch that only touches the frame
    keeps the weight 1, a map without heat. Raises InputError for a visible point that is no place.
    """
    points, weights = np.asarray(points), np.asarray(visible).astype(np.float32)
    if points.shape != (len(weights), 2) or not np.isfinite(points[weights > 0]).all():
        raise InputError(f"Heat maps need a finite point (K, 2) for each visible keypoint, but got {points.tolist()}.")
    targets = np.zeros((len(points), cells, cells), dtype=np.float32)
    radius = RADIUS * sigma
    offsets = np.arange(-radius, radius + 1, dtype=np.float32)
    patch = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * sigma**2))
    for k in np.flatnonzero(weights):
        middle = np.trunc(points[k] / stride + 0.5).astype(int)
        first, last = middle - radius, middle + radius + 1  # exclusive
        if (first >= cells).any() or (last < 0).any():
            weights[k] = 0
            continue
        low, high = np.clip(first, 0, cells), np.clip(last, 0, cells)
        inside = patch[low[1] - first[1] : high[1] - first[1], low[0] - first[0] : high[0] - first[0]]
        targets[k, low[1] : high[1], low[0] : high[0]] = inside
    return targets, weights
