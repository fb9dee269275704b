"""What training a matching head minimises: the errors of its similarity maps, of its first guesses and of the points of
every decoder layer.

As in the released code, the loss of an object is the mean over its labelled keypoints, and the loss of a batch the mean
over its objects; an object without labelled keypoints counts as 0. The fusion paper's Eq. 7 divides by the number of
layers (`mean_over_layers`); the code that it builds on sums. The paper leaves the proposals out, which that code has.

Letters: B objects, K keypoints, L decoder layers, h x w cells of the similarity maps, N x N cells of the heat maps.
"""

import re
from collections import Counter
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from .proposals import Proposals


def matching_losses(
    proposals: Proposals,
    layers: Tensor,
    target_points: Tensor,
    target_heatmaps: Tensor,
    labelled: Tensor,
    heatmap_weight: float,
) -> dict[str, Tensor]:
    """The parts of the loss, each a scalar that includes its weight: heat, proposals, layer_0, layer_1, ...

    proposals: the first guess.
    layers: [L, B, K, 2], points of the decoder layers, fractions of the crop.
    target_points: [B, K, 2], fractions of the crop.
    target_heatmaps: [B, K, N, N].
    labelled: [B, K] bool, keypoints that are valid and visible in the query; targets of the others are never read.
    heatmap_weight: weight of the part "heat".
    """
    losses = {"heat": heatmap_weight * similarity_loss(proposals.similarity, target_heatmaps, labelled)}
    losses["proposals"] = point_loss(proposals.mean, target_points, labelled)
    for number, points in enumerate(layers):
        losses[f"layer_{number}"] = point_loss(points, target_points, labelled)
    return losses


def mean_over_layers(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parts of a loss with those of each decoder's layers divided by their number (fusion paper, Eq. 7 to 9).

    parts: by name; those of layers end in layer_0, layer_1, ..., and what stands before it names the decoder.
    """
    decoders = {name: match[1] for name in parts if (match := re.fullmatch(r"(.*)layer_\d+", name))}
    layers = Counter(decoders.values())
    return {name: part / layers[decoders[name]] if name in decoders else part for name, part in parts.items()}


def similarity_loss(similarity: Tensor, target_heatmaps: Tensor, labelled: Tensor) -> Tensor:
    """Squared difference of the similarity's sigmoid [B, K, h, w] and the heat maps, resized and scaled to peak 1."""
    target_heatmaps = target_heatmaps.where(labelled[..., None, None], 0)
    target = F.interpolate(target_heatmaps, size=similarity.shape[-2:], mode="bilinear", align_corners=False)
    target = target / (target.amax(dim=(-2, -1), keepdim=True) + 1e-10)
    return mean_labelled((similarity.sigmoid() - target).square().mean(dim=(-2, -1)), labelled)


def point_loss(points: Tensor, target_points: Tensor, labelled: Tensor) -> Tensor:
    """L1 distance of points [B, K, 2] from their targets [B, K, 2]."""
    target_points = target_points.where(labelled[..., None], 0)  # absent targets are NaN, also in gradients
    return mean_labelled((points - target_points).abs().sum(dim=-1), labelled)


def mean_labelled(values: Tensor, labelled: Tensor) -> Tensor:
    """Values [B, K] -> the mean over the objects of each one's mean over its labelled keypoints."""
    sums = values.where(labelled, 0).sum(dim=1)
    return (sums / labelled.sum(dim=1).clamp(min=1)).mean()
