"""Support tokens from examples: the features under each keypoint's heat map (CapeFormer, Sec. 3.2).

Letters: B objects, S shots, K keypoints, C channels, h x w cells of features, H x W cells of heat maps.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ....errors import InputError


def pool(features: Tensor, heat_maps: Tensor, shown: Tensor | None = None) -> Tensor:
    """Features (B S C h w) and heat maps (B S K H W) of the examples -> support tokens (B K C).

    A token is the mean of the features, brought to the heat map's size, weighted by the heat; then the mean over the
    shots. shown (B S K) bool: which keypoints a shot shows; the mean is over those alone, so rows may have fewer shots
    than S. None takes all shots, as released; the two agree where a keypoint that some shot does not show is not asked
    for. A map without heat gives zeros.
    """
    if features.ndim != 5 or heat_maps.ndim != 5 or features.shape[:2] != heat_maps.shape[:2]:
        raise InputError(
            f"Examples must be features (B, S, C, h, w) and heat maps (B, S, K, H, W) of the same B and S, but got "
            f"{tuple(features.shape)} and {tuple(heat_maps.shape)}."
        )
    heat = heat_maps / (heat_maps.sum(dim=(-2, -1), keepdim=True) + 1e-8)
    # Enlarging features and weighing them by heat is the same as weighing them by heat that is shared out to their few
    # cells: the transposed enlargement, which is separable.
    down, across = (_enlargement(*sizes, like=heat) for sizes in zip(features.shape[-2:], heat.shape[-2:], strict=True))
    weights = down.T @ heat @ across  # B S K h w
    tokens = weights.flatten(3) @ features.flatten(3).transpose(2, 3)  # B S K C
    if shown is None:
        return tokens.mean(dim=1)
    counts = shown.sum(dim=1).clamp(min=1)  # B K
    return tokens.masked_fill(~shown[..., None], 0).sum(dim=1) / counts[..., None]


def features_at(features: Tensor, points: Tensor) -> Tensor:
    """Maps (S C h w) at points (S K 2), finite fractions of the crop, between cells bilinearly -> (S K C).

    A point beyond the outermost cells' centres has what the nearest of them has.
    """
    places = points[:, :, None].to(features.dtype) * 2 - 1
    found = F.grid_sample(features, places, mode="bilinear", padding_mode="border", align_corners=False)
    return found[..., 0].transpose(1, 2)


def _enlargement(cells: int, size: int, like: Tensor) -> Tensor:
    """The matrix (size, cells) of bilinear resizing along one side, as `interpolate` does it."""
    identity = torch.eye(cells, dtype=like.dtype, device=like.device)
    return F.interpolate(identity[None], size=size, mode="linear", align_corners=False)[0].T
