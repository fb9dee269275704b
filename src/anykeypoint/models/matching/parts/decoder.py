"""The iterative decoder: each layer looks at the picture from where the points are, and moves them (CapeFormer,
Sec. 3.5; the graph feed-forward block is GraphCape's).

Letters: B objects, N image tokens, K keypoints, C width, L layers.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .positions import sine_code
from .skeleton import FeedForward

_EDGE = 1e-3  # how near to 0 and 1 a point counts when it is moved


def make_step(width: int) -> nn.Sequential:
    """A layer's way from a token (... C) to how far its point moves (... 2) before the sigmoid."""
    layers = [part for _ in range(3) for part in (nn.Linear(width, width), nn.GELU())]
    return nn.Sequential(*layers, nn.Linear(width, 2))


def moved(points: Tensor, step: Tensor) -> Tensor:
    """Points in [0, 1] after a step that is taken on the scale of the inverse sigmoid."""
    return (points.clamp(min=_EDGE).log() - (1 - points).clamp(min=_EDGE).log() + step).sigmoid()


class Decoder(nn.Module):
    """`place` turns the code of a point into what attention is told of it; `norm` is shared by all layers' answers."""

    def __init__(self, width: int, heads: int, hidden: int, layers: int, dropout: float, graph: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(width, heads, hidden, dropout, graph) for _ in range(layers))
        self.place = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        support: Tensor,
        image: Tensor,
        image_code: Tensor,
        order: Tensor,
        start: Tensor,
        valid: Tensor,
        adjacency: Tensor | None,
        steps: Iterable[nn.Module],
    ) -> tuple[Tensor, Tensor]:
        """Support (B K C) and image tokens (B N C), points to start from (B K 2) -> each layer's answer (L B K 2), and
        the points that the layers start from, with the last layer's end (L+1 B K 2).

        image_code (N C), order (K C), adjacency (B 2 K K). valid (B K) bool must have one keypoint or more in each row.
        steps: one per layer. A layer's answer is its own step once more, from the normed token. Its gradient
        reaches one layer back through the point it starts from (look forward twice, as in DINO). As released, what the
        first layer is told of its place passes gradients on to the proposals; later layers' places do not.
        """
        width = support.shape[-1]
        seen, path, answers = start, [start.detach()], []
        for layer, step in zip(self.layers, steps, strict=True):
            place = self.place(sine_code(seen, width).to(support.dtype)) + order
            support = layer(support, image, image_code, place, valid, adjacency)
            answers.append(moved(path[-1], step(self.norm(support))))
            path.append(moved(path[-1].detach(), step(support)))
            seen = path[-1].detach()
        return torch.stack(answers), torch.stack(path)


class DecoderLayer(nn.Module):
    """Self-attention among keypoints, cross-attention with places beside the features, feed-forward; post-norm."""

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
        """Keypoints (B K C) with their places (B K C), image (B N C) with its (N C) -> keypoints."""
        asked = x + place
        seen, _ = self.self_attention(asked, asked, x, key_padding_mask=~valid, need_weights=False)
        x = self.norm1(x + self.dropout(seen))
        keys = torch.cat([image, image_code.expand_as(image)], dim=-1)
        seen, _ = self.cross_attention(torch.cat([x, place], dim=-1), keys, image, need_weights=False)
        x = self.norm2(x + self.dropout(self.narrow(seen)))
        return self.norm3(x + self.dropout(self.feedforward(x, adjacency)))
