"""Decoding strategies: how a number is chosen from the distributions of its free positions (Table 9, and ours).

A strategy works digit by digit (greedy and the samplings), with a look at hidden states (contrastive), or on the whole
distribution of a number (expected, mode). Whatever it is, only the digits that the template allows are in play.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

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
CANDIDATES = 4  # digits that contrastive search weighs at each position; the paper does not say


@dataclass(frozen=True)
class Strategy:
    """One strategy with its number, written `kind` or `kind-number`.

    greedy: the likeliest digit. sampling: a digit by its probability; temperature-T: of probabilities to the power 1/T;
    top-K: among the K likeliest; nucleus-P: among the fewest likeliest that hold the probability P.
    contrastive-A: (1 - A) p - A max cos, over the 4 likeliest digits, where max cos is the largest cosine between the
    hidden state of the digit and those of all tokens before it.
    expected: the mean. mode-R: the centre of the likeliest window of +-R of the crop, the point of highest expected PCK
    at R on its axis (mode: R = 0.1). Both of x first and then of y given that x.
    """

    kind: str
    number: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Strategy":
        """Read "top-3" and the like; InputError lists the known strategies."""
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
                f"There is no decoding strategy {text!r}; known are {', '.join(KNOWN)} (such as temperature-0.6, "
                "top-3, nucleus-0.92, contrastive-0.6, mode-0.1)."
            )
        return cls(kind, CONFIDENCE_RADIUS if kind == "mode" and value is None else value or 0.0)

    @property
    def draws(self) -> bool:
        """Whether the answer depends on a seed."""
        return self.kind in ("sampling", "temperature", "top", "nucleus")

    @property
    def by_digit(self) -> bool:
        return self.draws or self.kind == "greedy"

    def pick(self, probabilities: Tensor, draw: float) -> int:
        """The index chosen from one distribution (n); `draw` in [0, 1) decides, where the strategy draws."""
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
    """`count` numbers in [0, 1) that depend on the seed and the question's tokens, not on its company or order."""
    if seed < 0:
        raise InputError(f"The seed must be a whole number from 0, but got {seed}.")
    digest = hashlib.sha256(np.asarray(question, dtype=np.int64).tobytes()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, dtype=np.uint32).tolist()]).random(count)


def penalty(candidates: Tensor, past: Tensor) -> Tensor:
    """The largest cosine of each candidate's hidden state (k D) with any before it (T D): k."""
    unit = torch.nn.functional.normalize
    return (unit(candidates.float(), dim=-1) @ unit(past.float(), dim=-1).T).amax(-1)
