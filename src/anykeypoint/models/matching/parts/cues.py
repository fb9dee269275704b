"""What an example says of a picture before anything is learnt: maps of each keypoint over the query's cells.

    looks     cosine of the query's features and those under the example's point, each group of channels by itself, less
              a share of how well the cell suits the example anywhere
    back      how much of what a cell resembles most in the example lies round the point
    place     a Gaussian round the point's place in the example's crop
    shape     a Gaussian round where an affine map of the example's points puts it, fitted to the other three

The last is what makes it robust: parts that look alike (legs, wheels, corners) are told apart by where the other points
went.

Letters: B objects, each with one example, K keypoints, n = h * w cells, C channels.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...maps import cell_centres, features_at, gaussian_at

NAMES = ("looks", "back", "place", "shape")
PLACE, SHAPE = 0.25, 0.1  # standard deviations of the two Gaussians, as shares of the crop
STIFFNESS = 0.02  # of the affine map: how strongly it is held near a mere shift
_COMMON, _BEST = 0.3, 10  # the share that is taken off for cells that suit everything, judged by so many best
_RETURN, _ROUND = 0.05, 0.1  # warmth and width of the way back
_WARMTH, _TURNS = 0.02, 2  # of the first matching; how often map and matching are fitted to each other
_BACK, _FIRST, _THEN = 0.3, 0.1, 0.2  # during the fit: weights of back and of the two priors
_NEAR = 0.12  # the second prior's width


@dataclass(frozen=True, eq=False)
class Cues:
    """maps: (B 4 K n), in the order of NAMES; 0 where the example does not show a keypoint.

    samples: the normalised features (B K C) under the example's points (B K 2), fractions of its crop. shown: (B K).
    """

    maps: Tensor
    samples: Tensor
    points: Tensor
    shown: Tensor

    def __getitem__(self, rows: Tensor) -> "Cues":
        """Those of some objects."""
        return Cues(self.maps[rows], self.samples[rows], self.points[rows], self.shown[rows])


def cues_of(
    query: Tensor, places: Tensor, example: Tensor, heat: Tensor, shown: Tensor, groups: tuple[int, ...]
) -> Cues:
    """Cues of an example for each object (B C h w) with heat maps (B K N N), where shown (B K), for its query.

    query: `normed` features (B n C) at places (n 2). What a heat map holds where it is not shown is not read.
    """
    points = centroids(heat.masked_fill(~shown[..., None, None], 0))  # B K 2
    samples = normed(features_at(example, points), groups)
    whole = normed(example.flatten(2).transpose(1, 2), groups)  # B cells C
    others = query.transpose(1, 2)
    cosines = whole @ others  # B cells n
    common = cosines.topk(min(_BEST, cosines.shape[1]), dim=1).values.mean(dim=1, keepdim=True)
    looks = samples @ others - _COMMON * common  # B K n
    near = gaussian_at(points, cell_centres(*example.shape[-2:], like=query), _ROUND)  # B K cells
    back = near @ (cosines / _RETURN).softmax(dim=1)
    shape = fitted((looks + _BACK * back).detach(), points, shown, places)
    maps = torch.stack([looks, back, gaussian_at(points, places, PLACE), gaussian_at(shape, places, SHAPE)], dim=1)
    return Cues(maps * shown[:, None, :, None], samples, points, shown)


def normed(features: Tensor, groups: tuple[int, ...]) -> Tensor:
    """Features (... C) whose inner product is the mean over the groups of channels of their cosines."""
    parts = features.split(groups, dim=-1)
    return torch.cat([F.normalize(part, dim=-1) for part in parts], dim=-1) / math.sqrt(len(parts))


def centroids(heat: Tensor) -> Tensor:
    """Heat maps (... N N) -> their centres of mass (... 2), fractions of the map; the middle of one without heat.

    Cell i of a heat map stands for the place i / N, as its targets are drawn.
    """
    size = heat.shape[-1]
    ticks = torch.arange(size, dtype=heat.dtype, device=heat.device) / size
    mass = heat.sum(dim=(-2, -1))
    x, y = (heat.sum(dim=-2) * ticks).sum(dim=-1), (heat.sum(dim=-1) * ticks).sum(dim=-1)
    middle = torch.where(mass > 0, 0.0, 0.5)
    return torch.stack([x, y], dim=-1) / mass.clamp(min=1e-8)[..., None] + middle[..., None]


@torch.no_grad()
def fitted(looks: Tensor, points: Tensor, shown: Tensor, places: Tensor) -> Tensor:
    """Where an affine map of each object's points (B K 2) puts them, so that it agrees with what looks like them.

    looks: how well each place (n 2) suits a point (B K n). Each point counts by how sure its matching is; shown (B K):
    which count at all.
    """
    guess, width, height = points, PLACE, _FIRST
    for _ in range(_TURNS):
        chances = ((looks + height * gaussian_at(guess, places, width)) / _WARMTH).softmax(dim=-1)
        mean = chances @ places
        spread = (chances @ places.square() - mean.square()).sum(dim=-1)
        guess = affine(points, mean, shown / (spread.clamp(min=0) + 0.005))
        width, height = _NEAR, _THEN
    return guess


def affine(source: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Source points (B K 2) through the affine map that brings them nearest to the targets, by weights (B K).

    Its matrix is held near the identity by STIFFNESS (in squares of the crop): few points turn into a shift.
    """
    weight = (weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-8))[..., None]
    middles = [(weight * points).sum(dim=1, keepdim=True) for points in (source, target)]
    x, y = source - middles[0], target - middles[1]
    hold = STIFFNESS * torch.eye(2, dtype=x.dtype, device=x.device)
    left, right = (weight * x).transpose(1, 2) @ x + hold, (weight * x).transpose(1, 2) @ y + hold
    (a, b), (c, d) = left.unbind(1)[0].unbind(1), left.unbind(1)[1].unbind(1)
    inverse = torch.stack([d, -b, -c, a], dim=-1).unflatten(-1, (2, 2)) / (a * d - b * c)[:, None, None]
    return x @ (inverse @ right) + middles[1]
