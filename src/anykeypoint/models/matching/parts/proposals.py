"""First guesses: where the query is similar to a prompt token (CapeFormer, Sec. 3.4, similarity-aware proposals).

Letters: B objects, N = h * w cells, K keypoints, C width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...maps import cell_centres, full_precision, peaks


@dataclass(frozen=True, eq=False)
class Proposals:
    """The first guess; points are fractions of the query's crop.

    similarity: [B, K, h, w], any real numbers.
    mean: [B, K, 2], the expected point under the softmax of the similarity; this is what is trained.
    peak: [B, K, 2], the expected point within the 3 x 3 cells around the best; this is where the decoder starts.
    mass: [B, K], the probability of those cells.
    """

    similarity: Tensor
    mean: Tensor
    peak: Tensor
    mass: Tensor


class ProposalGenerator(nn.Module):
    """Inner products of image tokens and prompt tokens, whose channels are weighted by a gate of their own.

    start: what the first weights of both sides are multiplied by, see `GraphConfig.similarity_start`.
    """

    def __init__(self, width: int, gate: int, start: float = 1.0) -> None:
        super().__init__()
        self.start = start
        self.token = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.gate = nn.Sequential(nn.Linear(width, gate), nn.ReLU(), nn.Linear(gate, width))

    @torch.no_grad()
    def begin(self) -> None:
        """Bring newly drawn weights to where they start."""
        for side in (self.token, self.query):
            side.weight.mul_(self.start)

    def forward(self, tokens: Tensor, image: Tensor, grid: tuple[int, int]) -> Proposals:
        """Proposals in float32 or a finer precision.

        tokens: [B, K, C], prompt tokens.
        image: [B, N, C], image tokens.
        grid: (h, w).
        """
        pattern = self.token(tokens)
        pattern = pattern * (1 + self.gate(pattern).tanh())
        similarity = pattern @ self.query(image).transpose(1, 2)  # B K N
        # Half precision would round places to a hundredth of the crop.
        with full_precision(similarity):
            similarity = similarity.to(torch.promote_types(similarity.dtype, torch.float32))
            probability = similarity.softmax(dim=-1)
            centres = cell_centres(*grid, like=similarity)
            peak, mass = peaks(probability, grid, centres)
            return Proposals(similarity.unflatten(-1, grid), probability @ centres, peak, mass)
