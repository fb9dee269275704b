"""Attention that trains fast in mixed precision on a CPU too.

Letters: R rows, Q queries, n keys, D width.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...maps import full_precision


class Attention(nn.MultiheadAttention):
    """Attention whose softmax is in float32 under autocast on a CPU; everywhere else it is that of its base.

    Fused attention in bfloat16 is slow there, backwards above all, while the linear maps round it gain most from
    bfloat16.
    """

    def forward(self, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> tuple[Tensor, Any]:
        """Queries [R, Q, D], keys and values [R, n, D]; see the base."""
        mixed = query.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not mixed or rest or options.pop("need_weights", True) or options.keys() - {"key_padding_mask"}:
            return super().forward(query, key, value, *rest, **options)
        maps = zip((query, key, value), self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3), strict=True)
        heads = [
            F.linear(given, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2).float()
            for given, weight, bias in maps
        ]
        masked = options.get("key_padding_mask")
        keep = None if masked is None else ~masked[:, None, None]
        with full_precision(query):
            dropout = self.dropout if self.training else 0.0
            attended = F.scaled_dot_product_attention(*heads, attn_mask=keep, dropout_p=dropout)
        return self.out_proj(attended.transpose(1, 2).flatten(2)), None
