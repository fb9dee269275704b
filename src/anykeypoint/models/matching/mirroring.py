"""The mean of what a head says of a picture and of the same picture mirrored, exact for left and right.

What is a left ear in a picture is a right ear in the mirrored one, so the maps of a pair are exchanged on the way back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...category import Category
from .heads.base import HeadOutput


@dataclass(frozen=True, eq=False)
class MeanOutput:
    """Points [B, K, 2] and probabilities [B, K, h, w] of two outputs together; a `HeadOutput`."""

    points: Tensor
    probabilities: Tensor


def with_mirrored(
    output: HeadOutput,
    mirrored: HeadOutput,
    category: Category,
    covered: np.ndarray,
    read: Callable[[Tensor], Tensor | None],
) -> MeanOutput:
    """The mean of two outputs, for the picture as it is.

    output: for the picture. mirrored: for the mirrored picture, with the same prompt.
    category: its pairs are exchanged. A point with a side and no partner keeps what the picture alone says, as does one
        whose partner the prompt does not cover.
    covered: [K] bool, the keypoints that the prompt covers.
    read: gives the points of distributions, see `MatchingHead.read`; where it gives none, points are averaged.
    """
    order = category.mirrored()
    both = covered & covered[order]
    both[list(category.unpaired)] = False
    mask = torch.from_numpy(both).to(output.points.device)[None, :, None]
    other = mirrored.probabilities.flip(-1)[:, order]
    probabilities = torch.where(mask[..., None], (output.probabilities + other) / 2, output.probabilities)
    points = read(probabilities)
    if points is None:
        turned = mirrored.points[:, order] * mirrored.points.new_tensor([-1, 1]) + mirrored.points.new_tensor([1, 0])
        points = torch.where(mask, (output.points + turned) / 2, output.points)
    return MeanOutput(points, probabilities)
