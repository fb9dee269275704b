"""Several questions with one answer: the equal mixture of the questions' distributions.

With p_m(x, y) of each of M questions, the mixture is p(x, y) = mean of p_m(x, y). So p(x) is the mean of p_m(x), and in
the conditional distributions that follow, each question is weighted by the probability that it gave to what has been
read so far. This is exact, between the numbers and between the digits of one number.

Letters: B branches, one for each question, K groups of branches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """K groups of consecutive branches, and the weight of each branch in its group.

    counts: number of branches of each group, K.
    shares: B float64, the weights; they sum to 1 in each group.
    """

    counts: tuple[int, ...]
    shares: Tensor

    @classmethod
    def equal(cls, counts: Sequence[int]) -> "Mixture":
        """Groups of these numbers of branches, all of the same weight."""
        shares = [1 / count for count in counts for _ in range(count)]
        return cls(tuple(counts), torch.tensor(shares, dtype=torch.float64))

    @property
    def alone(self) -> bool:
        """Whether every group is a single branch, so that nothing is mixed."""
        return max(self.counts, default=1) == 1

    def spread(self, values: Sequence[Any]) -> list[Any]:
        """One value per group, K -> one per branch, B: that of its group."""
        return [value for value, count in zip(values, self.counts, strict=True) for _ in range(count)]

    def mean(self, values: Tensor) -> Tensor:
        """The weighted mean over each group's branches: B ... -> K ...."""
        if self.alone:
            return values
        shares = self.shares.to(values.device)
        weighted = values.double() * shares.view(-1, *[1] * (values.ndim - 1))
        return torch.stack([part.sum(0) for part in weighted.split(self.counts)]).to(values.dtype)

    def given(self, log_prob: Tensor) -> "Mixture":
        """The mixture after each branch has read tokens to which it gave this log probability (B)."""
        if self.alone:
            return self
        weights = self.shares.log() + log_prob.double()
        return Mixture(self.counts, torch.cat([_shares(part) for part in weights.split(self.counts)]))

    def total(self, log_prob: Tensor) -> Tensor:
        """The log probability that each group's mixture gives to tokens, from that of its branches: B -> K."""
        if self.alone:
            return log_prob
        weights = self.shares.log() + log_prob.double()
        return torch.stack([part.logsumexp(0) for part in weights.split(self.counts)]).to(log_prob.dtype)

    def digits(self, lead: Tensor, tables: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The mixture's conditional distributions of a number's lead and digits, from those of the branches.

        lead: B 2.
        tables: B 10, B 10 10, ...; each digit given the digits in front of it.

        Returns K 2, and K 10, K 10 10, ....
        """
        if self.alone:
            return lead, list(tables)
        joint, mixed = lead[:, 0].double(), []
        for table in tables:
            before = self.mean(joint)
            joint = joint[..., None] * table.double()
            mixed.append(self.mean(joint) / before[..., None].clamp(min=torch.finfo(torch.float64).tiny))
        return self.mean(lead), mixed


def _shares(weights: Tensor) -> Tensor:
    """Log weights of one group -> weights that sum to 1; equal ones where every branch excludes what was read."""
    if not weights.isfinite().any():
        return torch.full_like(weights, 1 / len(weights))
    return weights.softmax(0)
