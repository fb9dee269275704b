"""Keypoints exchange features along the skeleton (GraphCape, Sec. 3.2), in place of a plain feed-forward block.

Letters: B objects, K keypoints, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ....errors import InputError

Skeleton = Sequence[Sequence[int]]  # pairs of indices of keypoints, counted from 0


def adjacency(skeletons: Sequence[Skeleton] | Tensor, valid: Tensor) -> Tensor:
    """Skeletons of B objects and their valid keypoints (B K bool) -> (B 2 K K) float32: itself, and its neighbours.

    skeletons: pairs, or already B K K, 1 where two keypoints are joined, in both directions, else 0.

    Edges have no direction and count once however often they are listed; those of keypoints that are not valid are left
    out. Row v of the second says how v's feature is shared out among its neighbours: its weights sum to 1, or to 0
    where it has none. Raises InputError for a list of skeletons of another length and for an edge between points that
    are not there.
    """
    linked = skeletons if isinstance(skeletons, Tensor) else _linked(skeletons, valid)
    usable = valid.float()
    linked = linked.to(valid.device) * usable[:, :, None] * usable[:, None, :]
    shared = linked / linked.sum(-1, keepdim=True).clamp(min=1)
    return torch.stack([torch.diag_embed(usable), shared], dim=1)


def _linked(skeletons: Sequence[Skeleton], valid: Tensor) -> Tensor:
    count, slots = valid.shape
    if len(skeletons) != count:
        raise InputError(f"There must be one skeleton for each of the {count} objects, but got {len(skeletons)}.")
    linked = torch.zeros(count, slots, slots)
    for row, skeleton in zip(linked, skeletons, strict=True):
        for first, second in skeleton:
            if not (0 <= first < slots and 0 <= second < slots):
                raise InputError(
                    f"A skeleton's edges must be pairs of numbers from 0 to {slots - 1}, but got ({first}, {second})."
                )
            row[first, second] = row[second, first] = 1
    return linked


class GraphLinear(nn.Module):
    """relu of the sum of a linear map of a keypoint's own feature and another of what its neighbours share with it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * outputs)  # own, neighbours

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """(B K inputs), (B 2 K K) -> (B K outputs); zero for keypoints that are not valid."""
        parts = torch.stack(self.linear(x).chunk(2, dim=-1), dim=1)  # B 2 K outputs
        return (adjacency.to(parts.dtype).transpose(-1, -2) @ parts).sum(dim=1).relu()


class FeedForward(nn.Module):
    """Two layers with a ReLU between; `graph` says which of them are graph layers: none, pre, post or both."""

    def __init__(self, width: int, hidden: int, dropout: float, graph: str = "none") -> None:
        super().__init__()
        self.first = (GraphLinear if graph in ("pre", "both") else nn.Linear)(width, hidden)
        self.second = (GraphLinear if graph in ("post", "both") else nn.Linear)(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """(B K C) -> (B K C); the adjacency (B 2 K K) is needed where there is a graph layer."""
        hidden = self.dropout(_apply(self.first, x, adjacency).relu())
        return _apply(self.second, hidden, adjacency)


def _apply(layer: nn.Module, x: Tensor, adjacency: Tensor | None) -> Tensor:
    return layer(x, adjacency) if isinstance(layer, GraphLinear) else layer(x)
