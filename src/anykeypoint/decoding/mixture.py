"""Several questions with one answer: the equal mixture of the distributions that they get.

With p_m(x, y) of each of M questions, the mixture is p(x, y) = mean of p_m(x, y). So p(x) is the mean of p_m(x), and
after something was read, every question counts by how likely it held that to be. All is exact, also within a number.

Letters: B branches, one for each question, K groups of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """K groups of branches that lie behind one another, and each branch's share in its group's answer."""

    counts: tuple[int, ...]  # branches of each group
    shares: Tensor  # B float64, sum 1 in each group

    @classmethod
    def equal(cls, counts: Sequence[int]) -> "Mixture":
        shares = [1 / count for count in counts for _ in range(count)]
        return cls(tuple(counts), torch.tensor(shares, dtype=torch.float64))

    @property
    def alone(self) -> bool:
        """Every group is one branch: nothing is mixed."""
        return max(self.counts, default=1) == 1

    def spread(self, values: Sequence[Any]) -> list[Any]:
        """A value per group -> the same for each of its branches."""
        return [value for value, count in zip(values, self.counts, strict=True) for _ in range(count)]

    def mean(self, values: Tensor) -> Tensor:
        """B ... -> K ..., by the branches' shares."""
        if self.alone:
            return values
        shares = self.shares.to(values.device)
        weighted = values.double() * shares.view(-1, *[1] * (values.ndim - 1))
        return torch.stack([part.sum(0) for part in weighted.split(self.counts)]).to(values.dtype)

    def given(self, log_prob: Tensor) -> "Mixture":
        """The mixture after each branch has read something that it gave this probability (B)."""
        if self.alone:
            return self
        weights = self.shares.log() + log_prob.double()
        return Mixture(self.counts, torch.cat([_shares(part) for part in weights.split(self.counts)]))

    def total(self, log_prob: Tensor) -> Tensor:
        """The log probability (K) that the mixture gives to what its branches give B."""
        if self.alone:
            return log_prob
        weights = self.shares.log() + log_prob.double()
        return torch.stack([part.logsumexp(0) for part in weights.split(self.counts)]).to(log_prob.dtype)

    def digits(self, lead: Tensor, tables: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The mixture's lead and digits from those of the branches, each given what is in front of it:
        B 2, [B 10, B 10 10, ...] -> K 2, [K 10, K 10 10, ...]."""
        if self.alone:
            return lead, list(tables)
        joint, mixed = lead[:, 0].double(), []
        for table in tables:
            before = self.mean(joint)
            joint = joint[..., None] * table.double()
            mixed.append(self.mean(joint) / before[..., None].clamp(min=torch.finfo(torch.float64).tiny))
        return self.mean(lead), mixed


def _shares(weights: Tensor) -> Tensor:
    """Log weights of one group -> shares; equal ones where nothing was possible at all."""
    if not weights.isfinite().any():
        return torch.full_like(weights, 1 / len(weights))
    return weights.softmax(0)
