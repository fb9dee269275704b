"""Positions of cells and points as sines and cosines: DETR's position embedding, on fractions of the crop."""

import torch
from torch import Tensor

TEMPERATURE = 10_000.0
_EPSILON = 1e-6  # DETR adds it to the number of cells, so that a position stays below 1


def sine_code(xy: Tensor, width: int) -> Tensor:
    """Points [..., 2], x and y as fractions -> [..., width]: the half of y, then that of x; sines and cosines in turn.

    width: a multiple of 4.
    """
    exponents = torch.arange(width // 4, dtype=xy.dtype, device=xy.device) * 4 / width
    angles = xy.flip(-1)[..., None] * (2 * torch.pi) / TEMPERATURE**exponents  # ... 2 width/4
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-3)


def grid_code(rows: int, columns: int, width: int, like: Tensor) -> Tensor:
    """The code of each cell, row by row: [rows*columns, width].

    A cell's position is its number, counted from 1, over the number of cells, as in DETR: its far edge, not its centre.

    like: a tensor whose precision and device the result has.
    """
    y = torch.arange(1, rows + 1, dtype=torch.float32, device=like.device) / (rows + _EPSILON)
    x = torch.arange(1, columns + 1, dtype=torch.float32, device=like.device) / (columns + _EPSILON)
    y, x = torch.meshgrid(y, x, indexing="ij")
    return sine_code(torch.stack([x.flatten(), y.flatten()], dim=-1), width).to(like.dtype)
