"""Decoding strategies: how a number is chosen from the distributions of its free positions (Table 9, and ours).

A strategy works digit by digit (greedy and the samplings), compares hidden states (contrastive), or works on the whole
distribution of a number (expected, mode). All of them choose among the digits that the template allows.

Letters: n values of a distribution, k candidates, T earlier tokens, D model width.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..configs.checks import near_names
from ..errors import InputError
from ..geometry import CONFIDENCE_RADIUS

KNOWN = (
    "greedy",
    "sampling",
    "temperature-T",
    "top-K",
    "nucleus-P",
    "contrastive-A",
    "expected",
    "mode",
    "mode-R",
)
CANDIDATES = 4  # number of digits that contrastive search compares at each position; the paper does not say


@dataclass(frozen=True)
class Strategy:
    """One strategy, written `kind` or `kind-number`.

        greedy          the most probable digit
        sampling        a digit drawn by its probability
        temperature-T   the same, of probabilities to the power 1/T
        top-K           the same, among the K most probable digits
        nucleus-P       the same, among the fewest most probable digits that together have the probability P
        contrastive-A   the digit of highest (1 - A) p - A max cos among the CANDIDATES most probable, where max cos is
                        the largest cosine between the digit's hidden state and that of any token before it
        expected        the mean of the distribution
        mode-R          the centre of the most probable interval of +-R of the crop, which is the point of highest
                        expected PCK at R on its axis; mode: R = CONFIDENCE_RADIUS

    The last two choose x first, and then y from its distribution given that x.

    kind: the name.
    number: T, K, P, A or R; 0 where the kind has none.
    """

    kind: str
    number: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Strategy":
        """The strategy of a text such as "top-3"; InputError lists the known strategies."""
        match = re.fullmatch(r"([a-z]+)(?:-(\d+(?:\.\d+)?))?", text) if isinstance(text, str) else None
        kind, number = (match[1], match[2]) if match else ("", None)
        value = None if number is None else float(number)
        fits = {
            "greedy": value is None,
            "sampling": value is None,
            "expected": value is None,
            "temperature": value is not None and value > 0,
            "top": value is not None and value >= 1 and value == int(value),
            "nucleus": value is not None and 0 < value <= 1,
            "contrastive": value is not None and value <= 1,
            "mode": value is None or 0 < value <= 1,
        }
        if not fits.get(kind, False):
            raise InputError(
                f"There is no decoding strategy {text!r}{near_names(text, KNOWN)}; "
                f"known are {', '.join(KNOWN)} (such as temperature-0.6, "
                "top-3, nucleus-0.92, contrastive-0.6, mode-0.1)."
            )
        return cls(kind, CONFIDENCE_RADIUS if kind == "mode" and value is None else value or 0.0)

    @property
    def draws(self) -> bool:
        """Whether the answer depends on a seed."""
        return self.kind in ("sampling", "temperature", "top", "nucleus")

    @property
    def by_digit(self) -> bool:
        """Whether each digit is chosen from its own distribution."""
        return self.draws or self.kind == "greedy"

    def pick(self, probabilities: Tensor, draw: float) -> int:
        """The index that a strategy by digit chooses.

        probabilities: n, one distribution.
        draw: a random number in [0, 1), which decides where the strategy draws.
        """
        if self.kind == "greedy":
            return int(probabilities.argmax())
        p = probabilities.double()
        if self.kind == "temperature":
            p = (p.log() / self.number).softmax(-1)
        order = p.argsort(descending=True, stable=True)
        p = p[order]
        if self.kind == "top":
            p = p[: int(self.number)]
        if self.kind == "nucleus":
            p = p[: int((p.cumsum(0) < self.number - 1e-12).sum()) + 1]
        ends = (p / p.sum()).cumsum(0)
        return int(order[min(int(torch.searchsorted(ends, draw, right=True)), len(p) - 1)])


def seeded_draws(question: Sequence[int], seed: int, count: int) -> np.ndarray:
    """`count` random numbers in [0, 1) that depend on the seed and the question's tokens, and on no other question."""
    if seed < 0:
        raise InputError(f"The seed must be a whole number from 0, but got {seed}.")
    digest = hashlib.sha256(np.asarray(question, dtype=np.int64).tobytes()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, dtype=np.uint32).tolist()]).random(count)


def penalty(candidates: Tensor, past: Tensor) -> Tensor:
    """The largest cosine of each candidate's hidden state with any earlier one.

    candidates: k D.
    past: T D.

    Returns k.
    """
    unit = torch.nn.functional.normalize
    return (unit(candidates.float(), dim=-1) @ unit(past.float(), dim=-1).T).amax(-1)
