"""Identified: what a point of a picture is called."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Identified:
    """One answer to "which keypoint is this?".

    name: in the model's own words, or the likeliest of a category's names.
    confidence: in [0, 1]. Of own words, the probability of all their tokens and of the end behind them; of a category's
        names, that of this one among them.
    probabilities: of a category's names, each once, which sum to 1; None without a category.
    """

    name: str
    confidence: float
    probabilities: Mapping[str, float] | None = None
