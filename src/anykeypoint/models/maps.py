"""Operations on feature maps, heat maps and probability maps that several families share.

Letters: B objects, M examples, K keypoints, C channels, h x w cells of features, H x W cells of heat maps, N cells of
a flattened map, row by row.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError


def widened(values: Tensor) -> Tensor:
    """The values in float32, or as they are in a finer precision; half precision would round places and cosines."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def full_precision(like: Tensor) -> AbstractContextManager:
    """A context without autocast on a tensor's device: operations are in the precision of what they are given.

    The device "meta" and exported graphs have no autocast to switch off.
    """
    kind = like.device.type
    known = torch.amp.is_autocast_available(kind)
    return torch.autocast(kind, enabled=False) if known and torch.is_autocast_enabled(kind) else nullcontext()


def cell_centres(rows: int, columns: int, like: Tensor) -> Tensor:
    """Centres of the cells of a map, row by row: [rows*columns, 2], x and y as fractions of the map.

    like: a tensor whose precision and device the result has.
    """
    y = (torch.arange(rows, dtype=like.dtype, device=like.device) + 0.5) / rows
    x = (torch.arange(columns, dtype=like.dtype, device=like.device) + 0.5) / columns
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=-1)


def gaussian_at(points: Tensor, places: Tensor, deviation: float) -> Tensor:
    """A Gaussian of height 1 around each point, evaluated at places: [..., N].

    points: [..., 2].
    places: [N, 2], in the unit of the points.
    deviation: standard deviation in that unit.
    """
    return torch.exp(-(places - points[..., None, :]).square().sum(dim=-1) / (2 * deviation**2))


def peaks(probability: Tensor, grid: tuple[int, int], centres: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """The peak of each probability map, between cells, and the probability near it.

    The peak is the expected place within the 3 x 3 cells around the cell of highest probability (the first of equals).

    probability: [..., K, N].
    grid: (h, w) with h * w = N.
    centres: [N, 2], the place that each cell stands for.
    smoothing: standard deviation, in the unit of the centres, of a Gaussian with which the map is smoothed before the
        highest cell is chosen; 0 takes the map as it is.

    Returns the peaks [..., K, 2], in the unit of the centres, and the probability [..., K] of the 3 x 3 cells.
    """
    smooth = probability @ gaussian_at(centres, centres, smoothing) if smoothing else probability
    near = probability * _window(smooth, grid)
    mass = near.sum(dim=-1)
    return near @ centres / (mass + 1e-10)[..., None], mass


def modes(probability: Tensor, centres: Tensor, deviation: float, steps: int = 20) -> Tensor:
    """Where each probability map, smoothed by a Gaussian, is highest: [..., K, 2], between cells.

    From the highest cell of the smoothed map, steps of the mean shift: each goes to the mean place under the
    probability times a Gaussian around the step before. A small change of the probabilities moves the place a little,
    and far only where two places are equally good.

    probability: [..., K, N].
    centres: [N, 2], the place that each cell stands for.
    deviation: standard deviation of the Gaussian, in the unit of the centres.
    steps: number of steps.
    """
    places = centres[(probability @ gaussian_at(centres, centres, deviation)).argmax(dim=-1)]
    for _ in range(steps):
        near = probability * gaussian_at(places, centres, deviation)
        places = near @ centres / (near.sum(dim=-1, keepdim=True) + 1e-10)
    return places


def share_within(probability: Tensor, centres: Tensor, points: Tensor, radius: float) -> Tensor:
    """The probability [..., K] of the cells whose places lie nearer than `radius` to a point.

    probability: [..., K, N].
    centres: [N, 2], the place that each cell stands for.
    points: [..., K, 2], in the unit of the centres, as is the radius.
    """
    near = (centres - points[..., None, :]).square().sum(dim=-1) < radius**2
    return (probability * near).sum(dim=-1)


def pool(features: Tensor, heatmaps: Tensor, visible: Tensor | None = None) -> Tensor:
    """Example tokens [B, K, C]: the features under each keypoint's heat map (CapeFormer, Sec. 3.2).

    A token is the mean of the features, enlarged to the size of the heat map and weighted by it; then the mean over the
    examples. A heat map of zeros gives a token of zeros.

    features: [B, M, C, h, w].
    heatmaps: [B, M, K, H, W].
    visible: [B, M, K] bool, the keypoints that an example has; the mean is over those examples alone, so that objects
        of one batch may have different numbers of examples. None averages over all M, as the released code does; the
        two agree for keypoints that every example has.
    """
    if features.ndim != 5 or heatmaps.ndim != 5 or features.shape[:2] != heatmaps.shape[:2]:
        raise InputError(
            f"Examples must be features (B, M, C, h, w) and heat maps (B, M, K, H, W) of the same B and M, but got "
            f"{tuple(features.shape)} and {tuple(heatmaps.shape)}."
        )
    heatmaps = heatmaps / (heatmaps.sum(dim=(-2, -1), keepdim=True) + 1e-8)
    # Enlarging the features and weighting them by H x W heat equals weighting the h x w features by heat that the
    # transposed enlargement has shrunk; the enlargement is separable, and this way no H x W features are stored.
    sides = zip(features.shape[-2:], heatmaps.shape[-2:], strict=True)
    down, across = (_enlargement(*side, like=heatmaps) for side in sides)
    weights = down.T @ heatmaps @ across  # B M K h w
    tokens = weights.flatten(3) @ features.flatten(3).transpose(2, 3)  # B M K C
    if visible is None:
        return tokens.mean(dim=1)
    counts = visible.sum(dim=1).clamp(min=1)  # B K
    return tokens.masked_fill(~visible[..., None], 0).sum(dim=1) / counts[..., None]


def features_at(features: Tensor, points: Tensor) -> Tensor:
    """Features [M, K, C] at points, bilinear between the centres of cells.

    features: [M, C, h, w].
    points: [M, K, 2], finite, fractions of the map. A point beyond the outermost centres gets the nearest border value.
    """
    places = points[:, :, None].to(features.dtype) * 2 - 1
    sampled = F.grid_sample(features, places, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[..., 0].transpose(1, 2)


def _window(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """1 in the 3 x 3 cells around the highest of each row of values [..., K, N], else 0."""
    best = F.one_hot(values.argmax(dim=-1), values.shape[-1]).to(values.dtype)
    return F.max_pool2d(best.unflatten(-1, grid), kernel_size=3, stride=1, padding=1).flatten(-2)


def _enlargement(cells: int, size: int, like: Tensor) -> Tensor:
    """The matrix [size, cells] of bilinear resizing along one side, as `interpolate` computes it."""
    identity = torch.eye(cells, dtype=like.dtype, device=like.device)
    return F.interpolate(identity[None], size=size, mode="linear", align_corners=False)[0].T
