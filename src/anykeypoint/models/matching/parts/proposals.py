"""First guesses: where the query looks like a support token (CapeFormer, Sec. 3.4, the similarity-aware proposals).

Letters: B objects, N = h * w cells, K keypoints, C width.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Proposals:
    """Points are (B K 2), x and y as fractions of the picture.

    similarity: (B K h w), any real numbers. mean: the expected point under its softmax; this is what is trained.
    peak: the expected point within the 3 x 3 cells round the best; this is where the decoder starts.
    mass: (B K), the probability in those cells.
    """

    similarity: Tensor
    mean: Tensor
    peak: Tensor
    mass: Tensor


class ProposalGenerator(nn.Module):
    """Inner products of image tokens with support tokens, whose channels are weighted by a gate of their own."""

    def __init__(self, width: int, gate: int) -> None:
        super().__init__()
        self.support = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.gate = nn.Sequential(nn.Linear(width, gate), nn.ReLU(), nn.Linear(gate, width))

    def forward(self, support: Tensor, image: Tensor, grid: tuple[int, int]) -> Proposals:
        """Support tokens (B K C) and image tokens (B N C) of a grid of (h, w) cells -> proposals, float32 or better."""
        pattern = self.support(support)
        pattern = pattern * (1 + self.gate(pattern).tanh())
        similarity = pattern @ self.query(image).transpose(1, 2)  # B K N
        # Half precision would cut places to a hundredth of the crop.
        with _full_precision(similarity.device.type):
            similarity = similarity.to(torch.promote_types(similarity.dtype, torch.float32))
            probability = similarity.softmax(dim=-1)
            centres = cell_centres(*grid, like=similarity)
            peak, mass = peaks(probability, grid, centres)
            return Proposals(similarity.unflatten(-1, grid), probability @ centres, peak, mass)


def _full_precision(device: str) -> AbstractContextManager:
    """No autocast, where it is on: the device "meta" and exported graphs know of none."""
    known = torch.amp.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if known and torch.is_autocast_enabled(device) else nullcontext()


def cell_centres(rows: int, columns: int, like: Tensor) -> Tensor:
    """Centres of the cells row by row: (rows*columns 2), x and y as fractions."""
    y = (torch.arange(rows, dtype=like.dtype, device=like.device) + 0.5) / rows
    x = (torch.arange(columns, dtype=like.dtype, device=like.device) + 0.5) / columns
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=-1)


def bump(points: Tensor, places: Tensor, width: float) -> Tensor:
    """A Gaussian of height 1 round points (... 2) at places (n 2): (... n)."""
    return torch.exp(-(places - points[..., None, :]).square().sum(dim=-1) / (2 * width**2))


def peaks(probability: Tensor, grid: tuple[int, int], centres: Tensor, spread: float = 0.0) -> tuple[Tensor, Tensor]:
    """Shares (... K N) of a grid of (h, w) cells whose places are centres (N 2) -> where they peak, and how much.

    The peak (... K 2) is the expected place within the 3 x 3 cells round the heaviest (of equals the first); with it
    comes the share (... K) of those cells. spread: a cell is weighed with what lies round it, by a Gaussian of this
    deviation in the centres' unit; 0 takes each by itself.
    """
    heavy = probability @ bump(centres, centres, spread) if spread else probability
    near = probability * _window(heavy, grid)
    mass = near.sum(dim=-1)
    return near @ centres / (mass + 1e-10)[..., None], mass


def share_within(probability: Tensor, centres: Tensor, points: Tensor, radius: float) -> Tensor:
    """The share (... K) of the cells whose places lie within `radius` of the points (... K 2)."""
    near = (centres - points[..., None, :]).square().sum(dim=-1) < radius**2
    return (probability * near).sum(dim=-1)


def _window(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """1 in the 3 x 3 cells round the highest of each row of values (... K N), else 0."""
    best = F.one_hot(values.argmax(dim=-1), values.shape[-1]).to(values.dtype)
    return F.max_pool2d(best.unflatten(-1, grid), kernel_size=3, stride=1, padding=1).flatten(-2)
