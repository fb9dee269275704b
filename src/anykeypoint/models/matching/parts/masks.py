"""Masks of valid slots, and tokens behind them.

Letters: B objects, K keypoints, C channels.
"""

import torch
from torch import Tensor

from ....errors import InputError


def keep_one(valid: Tensor) -> Tensor:
    """The mask [B, K] in which a row without a valid slot gets slot 0: softmax over an all-masked row is NaN."""
    nothing = ~valid.any(dim=1, keepdim=True)
    return torch.cat([valid[:, :1] | nothing, valid[:, 1:]], dim=1)


def clean(tokens: Tensor, valid: Tensor) -> Tensor:
    """Tokens [B, K, C] with zeros in slots that are not valid; InputError where tokens and mask do not fit.

    valid: [B, K] bool.
    """
    if valid.dtype != torch.bool or tokens.ndim != 3 or tokens.shape[:2] != valid.shape or not valid.shape[1]:
        raise InputError(
            f"Prompt tokens must be (B, K, C) with a bool mask (B, K) and K from 1, but got {tuple(tokens.shape)} "
            f"and {valid.dtype} {tuple(valid.shape)}."
        )
    return tokens.masked_fill(~valid[..., None], 0)
