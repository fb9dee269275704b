"""Keypoints exchange features along the skeleton (GraphCape, Sec. 3.2), in place of a plain feed-forward block.

Letters: B objects, K keypoints, C channels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ....errors import InputError

Skeleton = Sequence[Sequence[int]]  # pairs of keypoint indices, counted from 0


def adjacency(skeletons: Sequence[Skeleton] | Tensor, valid: Tensor) -> Tensor:
    """Two matrices for each object, [B, 2, K, K] float32: the identity, and the normalised adjacency.

    Edges have no direction and count once however often they are listed; edges of keypoints that are not valid are left
    out. Row v of the second matrix holds the weights with which the feature of v goes to its neighbours: they sum to 1,
    or to 0 where v has none.

    skeletons: B lists of pairs, or a matrix [B, K, K] with 1 where two keypoints are joined, in both directions.
    valid: [B, K] bool.

    Raises InputError for another number of skeletons than objects, and for an edge to a slot that does not exist.
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
    """relu(W1 x + the weighted sum of W2 x over the neighbours): a linear layer that mixes along the skeleton."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * outputs)  # W1 and W2, one above the other

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Features [B, K, inputs] and adjacency [B, 2, K, K] -> [B, K, outputs]; zero in slots that are not valid."""
        parts = torch.stack(self.linear(x).chunk(2, dim=-1), dim=1)  # B 2 K outputs
        return (adjacency.to(parts.dtype).transpose(-1, -2) @ parts).sum(dim=1).relu()


class FeedForward(nn.Module):
    """Two layers with a ReLU between them.

    graph: which of the two are graph layers: "none", "pre" (the first), "post" (the second) or "both".
    """

    def __init__(self, width: int, hidden: int, dropout: float, graph: str = "none") -> None:
        super().__init__()
        self.first = (GraphLinear if graph in ("pre", "both") else nn.Linear)(width, hidden)
        self.second = (GraphLinear if graph in ("post", "both") else nn.Linear)(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """Features [B, K, C] -> [B, K, C]; adjacency: [B, 2, K, K], needed where a layer is a graph layer."""
        hidden = self.dropout(_apply(self.first, x, adjacency).relu())
        return _apply(self.second, hidden, adjacency)


def _apply(layer: nn.Module, x: Tensor, adjacency: Tensor | None) -> Tensor:
    return layer(x, adjacency) if isinstance(layer, GraphLinear) else layer(x)
