"""What each point looks like, from all examples at once: a linear discriminant on the features of their cells.

    w_k = S^-1 (m_k - m),   score_k(cell) = w_k . (cell - (m_k + m) / 2)

m_k is the mean feature round the point k of the examples, m and S the mean and the covariance of all of their cells. A
matcher compares a picture with single examples; this knows what the examples have in common and what differs between
them by chance, and takes milliseconds to learn. Its scores are added to the logarithms of the matcher's probabilities.

Letters: M examples, K keypoints, C channels, h x w cells of features, n = h * w.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.maps import cell_centres

# Chosen on kinds of object that were not trained on.
RIDGE = 0.1  # added to the covariance, in units of its mean variance
SPREAD = 0.04  # standard deviation, as a fraction of the crop, of the Gaussian that weighs cells round a point
SOFTENING = 10.0  # by which scores are divided


@dataclass(frozen=True, eq=False)
class Discriminant:
    """Linear scores of the points.

    weights: [K, C]. offsets: [K]. known: [K] bool, the points that an example shows; the others have no scores.
    """

    weights: Tensor
    offsets: Tensor
    known: Tensor

    def scores(self, features: Tensor) -> Tensor:
        """[B, K, h, w], logarithms of probabilities over the cells of feature maps [B, C, h, w]."""
        cells = F.normalize(features.float(), dim=1).flatten(2)
        scores = (self.weights @ cells + self.offsets[:, None]) / SOFTENING
        logs = scores.log_softmax(dim=-1).masked_fill(~self.known[:, None], 0)
        return logs.unflatten(-1, tuple(features.shape[-2:]))


def learnt(maps: Sequence[Tensor], points: Sequence[np.ndarray]) -> Discriminant:
    """The discriminant of M examples.

    maps: M feature maps [1, C, h, w]. points: M times [K, 2], fractions of the crop; NaN where not shown.
    """
    channels, keypoints = maps[0].shape[1], len(points[0])
    empty = torch.zeros(0).to(maps[0].device)
    total, products = empty.new_zeros(channels), empty.new_zeros(channels, channels)
    near, mass, count = empty.new_zeros(keypoints, channels), empty.new_zeros(keypoints), 0
    for features, places in zip(maps, points, strict=True):
        cells = F.normalize(features.float(), dim=1).flatten(2)[0].T  # n C
        centres = cell_centres(features.shape[-2], features.shape[-1], like=cells)
        away = centres - torch.from_numpy(places).to(cells).nan_to_num(9.0)[:, None]  # 9 is far outside
        close = (-away.square().sum(dim=-1) / (2 * SPREAD**2)).exp()  # K n
        total, products, count = total + cells.sum(dim=0), products + cells.T @ cells, count + len(cells)
        near, mass = near + close @ cells, mass + close.sum(dim=1)
    mean = total / count
    covariance = products / count - mean[:, None] * mean
    covariance = covariance + RIDGE * covariance.diagonal().mean() * torch.eye(channels).to(mean)
    at_points = near / mass.clamp(min=1e-9)[:, None]
    weights = torch.linalg.solve(covariance, (at_points - mean).T).T
    return Discriminant(weights, -(weights * (at_points + mean)).sum(dim=1) / 2, mass > 1e-6)
