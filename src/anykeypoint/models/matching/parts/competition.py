"""Keypoints that are asked for by words alone compete for the places of the picture.

A decoder that does not know a kind of object often answers several of its names at one place: both wing tips at the
same wing. Each map then yields where the maps of the other keypoints are higher, for some rounds:

    log q_k(x)  <-  log p_k(x) + strength * (log q_k(x) - log sum_j q_j(x)),   normed over the places x

A place that one keypoint is sure of is so left to it, and a keypoint with two likely places takes the free one. A
keypoint alone has no rival and keeps its map.

Letters: B objects, M examples, K keypoints, n cells.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Contest:
    """Who competes in a batch.

    strength: above 0.
    valid: [B, K] bool, the keypoints that are asked for; all of them are rivals.
    yielding: [B, M, K] bool, the keypoints whose maps change; the others keep theirs.
    """

    strength: float
    valid: Tensor
    yielding: Tensor

    def settle(self, logs: Tensor) -> Tensor:
        """The log probabilities [B, M, K, n] of the places after the competition; see the module."""
        absent, yielding = ~self.valid[:, None, :, None], (self.yielding & self.valid[:, None])[..., None]
        now = logs
        for _ in range(ROUNDS):
            highest = now.masked_fill(absent, float("-inf")).logsumexp(dim=-2, keepdim=True)
            now = torch.where(yielding, (logs + self.strength * (now - highest)).log_softmax(dim=-1), logs)
        return now
