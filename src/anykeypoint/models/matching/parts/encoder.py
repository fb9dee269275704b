"""The joint encoder: image tokens and prompt tokens attend to each other as one sequence (CapeFormer, Sec. 3.3).

Letters: B objects, N image tokens, K keypoints, C width.
"""

import torch
from torch import Tensor, nn

from .skeleton import FeedForward


class Encoder(nn.Module):
    """Post-norm layers over the sequence [image tokens ; prompt tokens]."""

    def __init__(self, width: int, heads: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, heads, hidden, dropout) for _ in range(layers))

    def forward(
        self, image: Tensor, tokens: Tensor, image_code: Tensor, order: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both sequences, each with what it took from the other.

        image: [B, N, C], image tokens.
        tokens: [B, K, C], prompt tokens.
        image_code: [N, C], code of the cells' positions.
        order: [K, C], code of the keypoints' positions in their list.
        valid: [B, K] bool, tokens that others may attend to; the rest get features too, but no token attends to them.
        """
        cells = image.shape[1]
        x = torch.cat([image, tokens], dim=1)
        code = torch.cat([image_code, order])
        masked = torch.cat([valid.new_zeros(len(valid), cells), ~valid], dim=1)
        for layer in self.layers:
            x = layer(x, code, masked)
        return x[:, :cells], x[:, cells:]


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward block. As released, the code is added to the tokens themselves, so it is in
    queries, keys, values and the shortcut."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feedforward = FeedForward(width, hidden, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, code: Tensor, masked: Tensor) -> Tensor:
        """Tokens [B, T, C] and their code [T, C] -> tokens; masked: [B, T] bool, tokens that none attends to."""
        x = x + code
        attended, _ = self.attention(x, x, x, key_padding_mask=masked, need_weights=False)
        x = self.norm1(x + self.dropout(attended))
        return self.norm2(x + self.dropout(self.feedforward(x)))
