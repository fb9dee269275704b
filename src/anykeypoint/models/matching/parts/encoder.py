"""The joint encoder: image and support tokens attend to each other as one sequence (CapeFormer, Sec. 3.3).

Letters: B objects, N image tokens, K keypoints, C width.
"""

import torch
from torch import Tensor, nn

from .skeleton import FeedForward


class Encoder(nn.Module):
    """Post-norm layers over [image ; support]."""

    def __init__(self, width: int, heads: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, heads, hidden, dropout) for _ in range(layers))

    def forward(
        self, image: Tensor, support: Tensor, image_code: Tensor, order: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Image (B N C) and support tokens (B K C) -> the same, each knowing of the other.

        image_code (N C), order (K C): where the tokens are. valid (B K) bool: keypoints that others may look at; the
        rest get features, too, but nobody sees them.
        """
        cells = image.shape[1]
        x = torch.cat([image, support], dim=1)
        code = torch.cat([image_code, order])
        hidden = torch.cat([valid.new_zeros(len(valid), cells), ~valid], dim=1)
        for layer in self.layers:
            x = layer(x, code, hidden)
        return x[:, :cells], x[:, cells:]


class EncoderLayer(nn.Module):
    """As released, the code is added to queries, keys, values and to what is carried on."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feedforward = FeedForward(width, hidden, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, code: Tensor, hidden: Tensor) -> Tensor:
        """Tokens (B T C), their code (T C), hidden (B T) bool: those that may not be looked at."""
        x = x + code
        seen, _ = self.attention(x, x, x, key_padding_mask=hidden, need_weights=False)
        x = self.norm1(x + self.dropout(seen))
        return self.norm2(x + self.dropout(self.feedforward(x)))
