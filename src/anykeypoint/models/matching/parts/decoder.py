"""The iterative decoder: each layer attends to the query from where the points are, and moves them (CapeFormer,
Sec. 3.5; the graph feed-forward block is GraphCape's).

Letters: B objects, N image tokens, K keypoints, C width, L layers.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .positions import sine_code
from .skeleton import FeedForward

_EDGE = 1e-3  # smallest distance from 0 and from 1, as a fraction of the crop, in the inverse sigmoid


def make_step(width: int) -> nn.Sequential:
    """The network from a token [..., C] to its point's move [..., 2], on the scale of the inverse sigmoid."""
    layers = [part for _ in range(3) for part in (nn.Linear(width, width), nn.GELU())]
    return nn.Sequential(*layers, nn.Linear(width, 2))


def moved(points: Tensor, step: Tensor) -> Tensor:
    """Points [..., 2] in [0, 1] after a move [..., 2] on the scale of the inverse sigmoid."""
    return (points.clamp(min=_EDGE).log() - (1 - points).clamp(min=_EDGE).log() + step).sigmoid()


class Decoder(nn.Module):
    """`place` turns the code of a point into the position part of attention; all layers share `norm`."""

    def __init__(self, width: int, heads: int, hidden: int, layers: int, dropout: float, graph: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(width, heads, hidden, dropout, graph) for _ in range(layers))
        self.place = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        tokens: Tensor,
        image: Tensor,
        image_code: Tensor,
        order: Tensor,
        start: Tensor,
        valid: Tensor,
        adjacency: Tensor | None,
        steps: Iterable[nn.Module],
    ) -> tuple[Tensor, Tensor]:
        """The points of each layer [L, B, K, 2], and the path [L+1, B, K, 2]: where each layer starts, and the end.

        A layer's points are its own move once more, computed from the normed token. Their gradient reaches one layer
        back, through the point that the layer starts from (look forward twice, as in DINO). As released, the position
        part of the first layer passes gradients on to the proposals; those of later layers do not.

        tokens: [B, K, C], prompt tokens.
        image: [B, N, C], image tokens, with their code image_code [N, C].
        order: [K, C], code of the keypoints' positions in their list.
        start: [B, K, 2], the points to start from, fractions of the crop.
        valid: [B, K] bool with one keypoint or more in each row.
        adjacency: [B, 2, K, K], see `skeleton.adjacency`; None where no layer uses the graph.
        steps: one network a layer, see `make_step`.
        """
        width = tokens.shape[-1]
        current, path, layers = start, [start.detach()], []
        for layer, step in zip(self.layers, steps, strict=True):
            place = self.place(sine_code(current, width).to(tokens.dtype)) + order
            tokens = layer(tokens, image, image_code, place, valid, adjacency)
            layers.append(moved(path[-1], step(self.norm(tokens))))
            path.append(moved(path[-1].detach(), step(tokens)))
            current = path[-1].detach()
        return torch.stack(layers), torch.stack(path)


class DecoderLayer(nn.Module):
    """Self-attention of keypoints, cross-attention with positions concatenated to features, feed-forward; post-norm."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, graph: str) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(
            2 * width, heads, dropout, kdim=2 * width, vdim=width, batch_first=True
        )
        self.narrow = nn.Linear(2 * width, width)
        self.feedforward = FeedForward(width, hidden, dropout, graph)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, image: Tensor, image_code: Tensor, place: Tensor, valid: Tensor, adjacency: Tensor | None
    ) -> Tensor:
        """Keypoint tokens [B, K, C] -> keypoint tokens.

        image: [B, N, C], with its code image_code [N, C].
        place: [B, K, C], the position part of the keypoints.
        valid, adjacency: as in `Decoder.forward`.
        """
        placed = x + place
        attended, _ = self.self_attention(placed, placed, x, key_padding_mask=~valid, need_weights=False)
        x = self.norm1(x + self.dropout(attended))
        keys = torch.cat([image, image_code.expand_as(image)], dim=-1)
        attended, _ = self.cross_attention(torch.cat([x, place], dim=-1), keys, image, need_weights=False)
        x = self.norm2(x + self.dropout(self.narrow(attended)))
        return self.norm3(x + self.dropout(self.feedforward(x, adjacency)))
