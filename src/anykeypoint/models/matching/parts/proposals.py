"""First guesses: where the query looks like a support token (CapeFormer, Sec. 3.4, the similarity-aware proposals).

Letters: B objects, N = h * w cells, K keypoints, C width.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...maps import cell_centres, peaks


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
