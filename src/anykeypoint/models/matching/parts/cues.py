"""What an example says about a query before anything is learnt: maps of each keypoint over the query's cells.

    appearance  cosine of the query's features and those under the example's point, per group of channels, minus a share
                of how well the cell matches the example anywhere
    back        probability with which a query cell, matched back to the example, lands near the point
    place       Gaussian around the point's place in the example's crop
    shape       Gaussian around the place where an affine map of the example's points puts it, fitted to the other three

The last makes the cues robust: parts that look alike (legs, wheels, corners) are told apart by the other points.

Letters: B objects, each with one example, K keypoints, n = h * w cells of the query, C channels, N x N cells of heat
maps.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...maps import cell_centres, features_at, full_precision, gaussian_at

NAMES = ("appearance", "back", "place", "shape")
PLACE, SHAPE = 0.25, 0.1  # standard deviations of the two Gaussians, as fractions of the crop
STIFFNESS = 0.02  # ridge term of the affine fit, in squares of the crop: pulls the matrix towards the identity

_HUB_SHARE, _HUB_BEST = 0.3, 10  # hubness correction: 0.3 x the mean of a cell's ten highest cosines is subtracted
_BACK_TEMPERATURE = 0.05  # temperature of the softmax in `back`
_BACK_DEVIATION = 0.1  # standard deviation of the Gaussian in `back`, as a fraction of the crop
_FIT_TEMPERATURE, _FIT_ROUNDS = 0.02, 2  # softmax temperature of the matching in the affine fit; number of rounds
_FIT_BACK = 0.3  # weight of `back` beside `appearance` during the fit
_FIRST_PRIOR, _NEXT_PRIOR = 0.1, 0.2  # weight of the Gaussian prior in the first round of the fit and in later ones
_NEXT_DEVIATION = 0.12  # standard deviation of that Gaussian in later rounds, as a fraction of the crop


@dataclass(frozen=True, eq=False)
class Cues:
    """The cues of one example for each of B objects.

    maps: [B, 4, K, n], in the order of NAMES; 0 for keypoints that the example does not show.
    samples: [B, K, C], the normalised features under the example's points.
    points: [B, K, 2], the example's points, fractions of its crop.
    visible: [B, K] bool, the keypoints that the example shows.
    rows: [B], ascending, which rows of a larger batch these objects are; the others have no example that shows
        anything. None for a batch of these objects alone.
    """

    maps: Tensor
    samples: Tensor
    points: Tensor
    visible: Tensor
    rows: Tensor | None = None

    def of(self, rows: Tensor) -> "Cues":
        """The cues of some rows of the larger batch, by their numbers, ascending; the new `rows` count these."""
        kept = torch.isin(self.rows, rows).nonzero()[:, 0]
        each = (self.maps[kept], self.samples[kept], self.points[kept], self.visible[kept])
        return Cues(*each, torch.searchsorted(rows, self.rows[kept]))


def cues_of(
    query: Tensor, places: Tensor, example: Tensor, points: Tensor, visible: Tensor, groups: tuple[int, ...]
) -> Cues:
    """The cues of one example for each query.

    query: [B, n, C], features after `normed`.
    places: [n, 2], centres of the query's cells, fractions of the crop.
    example: [B, C, h, w], feature maps.
    points: [B, K, 2], finite, fractions of the example's crop; what those of keypoints that are not visible are does
        not matter.
    visible: [B, K] bool.
    groups: numbers of channels, see `normed`.

    Under autocast the cosines of all cells with all cells are in half precision; all else is float32.
    """
    cells = normed(example.flatten(2).transpose(1, 2), groups)  # B cells C
    cosines = (cells @ query.transpose(1, 2)).to(query.dtype)  # B cells n
    with full_precision(query):
        return _cues(query, places, example, points, visible, groups, cosines)


def _cues(
    query: Tensor,
    places: Tensor,
    example: Tensor,
    points: Tensor,
    visible: Tensor,
    groups: tuple[int, ...],
    cosines: Tensor,
) -> Cues:
    """See `cues_of`. cosines: [B, cells, n], of the example's cells with the query's."""
    samples = normed(features_at(example, points), groups)
    columns = query.transpose(1, 2)
    best = cosines.topk(min(_HUB_BEST, cosines.shape[1]), dim=1).values
    appearance = samples @ columns - _HUB_SHARE * best.mean(dim=1, keepdim=True)  # B K n
    near = gaussian_at(points, cell_centres(*example.shape[-2:], like=query), _BACK_DEVIATION)  # B K cells
    back = near @ (cosines / _BACK_TEMPERATURE).softmax(dim=1)
    shape = fitted((appearance + _FIT_BACK * back).detach(), points, visible, places)
    maps = torch.stack([appearance, back, gaussian_at(points, places, PLACE), gaussian_at(shape, places, SHAPE)], dim=1)
    return Cues(maps * visible[:, None, :, None], samples, points, visible)


def normed(features: Tensor, groups: tuple[int, ...]) -> Tensor:
    """Features [..., C] scaled so that an inner product is the mean over the groups of channels of their cosines.

    groups: numbers of channels of the groups, in their order; their sum is C.
    """
    parts = features.split(groups, dim=-1)
    # Divided before they are joined, which is the same bits: ONNX Runtime would draw a division behind into one of the
    # products that follow, and refuse the file because the others still need it.
    return torch.cat([F.normalize(part, dim=-1) / math.sqrt(len(parts)) for part in parts], dim=-1)


def centroids(heatmaps: Tensor) -> Tensor:
    """Centres of mass [..., 2] of heat maps [..., N, N], fractions of the map; the middle of a map of zeros.

    Cell i stands for the place i / N, as `crops.heatmaps.heat_targets` draws it.
    """
    size = heatmaps.shape[-1]
    ticks = torch.arange(size, dtype=heatmaps.dtype, device=heatmaps.device) / size
    mass = heatmaps.sum(dim=(-2, -1))
    x = (heatmaps.sum(dim=-2) * ticks).sum(dim=-1)
    y = (heatmaps.sum(dim=-1) * ticks).sum(dim=-1)
    middle = (mass <= 0).to(mass.dtype) / 2
    return torch.stack([x, y], dim=-1) / mass.clamp(min=1e-8)[..., None] + middle[..., None]


@torch.no_grad()
def fitted(scores: Tensor, points: Tensor, visible: Tensor, places: Tensor) -> Tensor:
    """The points [B, K, 2] moved by an affine map of all points of an object, fitted to where their scores are high.

    scores: [B, K, n], how well each place suits each point.
    points: [B, K, 2], fractions of the crop. A point has more weight in the fit the narrower its matching is.
    visible: [B, K] bool, the points that have weight at all.
    places: [n, 2], fractions of the crop.
    """
    guess, deviation, prior = points, PLACE, _FIRST_PRIOR
    for _ in range(_FIT_ROUNDS):
        matching = (scores + prior * gaussian_at(guess, places, deviation)) / _FIT_TEMPERATURE
        probabilities = matching.softmax(dim=-1)
        mean = probabilities @ places
        variance = (probabilities @ places.square() - mean.square()).sum(dim=-1)
        guess = affine(points, mean, visible / (variance.clamp(min=0) + 0.005))
        deviation, prior = _NEXT_DEVIATION, _NEXT_PRIOR
    return guess


def affine(source: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Source points [B, K, 2] moved by the affine map that brings them nearest to the targets.

    This is weighted least squares with a ridge term that pulls the matrix towards the identity, so few points give a
    mere shift.

    target: [B, K, 2], in the unit of the source.
    weight: [B, K], from 0.
    """
    weight = (weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-8))[..., None]
    middles = [(weight * points).sum(dim=1, keepdim=True) for points in (source, target)]
    x, y = source - middles[0], target - middles[1]
    ridge = STIFFNESS * torch.eye(2, dtype=x.dtype, device=x.device)
    left, right = (weight * x).transpose(1, 2) @ x + ridge, (weight * x).transpose(1, 2) @ y + ridge
    (a, b), (c, d) = left.unbind(1)[0].unbind(1), left.unbind(1)[1].unbind(1)
    inverse = torch.stack([d, -b, -c, a], dim=-1).unflatten(-1, (2, 2)) / (a * d - b * c)[:, None, None]
    return x @ (inverse @ right) + middles[1]
