"""What training a matching head minimises: its similarity maps, its first guesses, and every decoder layer's answer.

As released: for each object the mean over its labelled keypoints, then the mean over the objects; an object without any
counts as 0. (The fusion paper's Eq. 7 divides by the layers and leaves the proposals out; its base code does neither.)

Letters: B objects, K keypoints, h x w cells of the similarity maps, H x W of the heat maps.
"""

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from ..heads.graph import Match

HEAT_WEIGHT = 2.0


def matching_losses(
    match: "Match", points: Tensor, heat_maps: Tensor, labelled: Tensor, heat_weight: float = HEAT_WEIGHT
) -> dict[str, Tensor]:
    """The parts of the loss, each a scalar with its weight in it: heat, proposals, layer_0, layer_1, ...

    points: true places (B K 2), fractions of the crop. heat_maps: targets (B K H W). labelled: (B K) bool, keypoints
    that are valid and visible in the query; what the others hold is never read. Training minimises the sum.
    """
    losses = {"heat": heat_weight * heat_loss(match.proposals.similarity, heat_maps, labelled)}
    losses["proposals"] = point_loss(match.proposals.mean, points, labelled)
    for layer, answer in enumerate(match.points):
        losses[f"layer_{layer}"] = point_loss(answer, points, labelled)
    return losses


def heat_loss(similarity: Tensor, heat_maps: Tensor, labelled: Tensor) -> Tensor:
    """Squared distance of the similarity's sigmoid from the heat, brought to its size with the peak 1."""
    heat_maps = heat_maps.where(labelled[..., None, None], 0)
    target = F.interpolate(heat_maps, size=similarity.shape[-2:], mode="bilinear", align_corners=False)
    target = target / (target.amax(dim=(-2, -1), keepdim=True) + 1e-10)
    return mean_labelled((similarity.sigmoid() - target).square().mean(dim=(-2, -1)), labelled)


def point_loss(found: Tensor, points: Tensor, labelled: Tensor) -> Tensor:
    """L1 distance (B K 2) from (B K 2)."""
    points = points.where(labelled[..., None], 0)  # absent points are NaN: keep them out of the gradients
    return mean_labelled((found - points).abs().sum(dim=-1), labelled)


def mean_labelled(values: Tensor, labelled: Tensor) -> Tensor:
    """(B K) -> the mean over the objects of each one's mean over its labelled keypoints (B K bool)."""
    sums = values.where(labelled, 0).sum(dim=1)
    return (sums / labelled.sum(dim=1).clamp(min=1)).mean()
