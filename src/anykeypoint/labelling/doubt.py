"""How unsure an answer is, so that the pictures that need a person most come first."""

from collections.abc import Mapping

import numpy as np

from ..pose import Pose

_UNKNOWN = 1.0  # doubt of a point without a confidence: nothing speaks for it


def doubt(pose: Pose) -> float:
    """How unsure a pose is, from 0 to 1: the share of its points that are expected to lie elsewhere.

    It is the mean over the points of 1 - confidence. A point that could not be asked does not count; an answer without
    any point has the doubt 1.
    """
    asked = np.isfinite(pose.xy).all(axis=1)
    if not asked.any():
        return 1.0
    confidence = np.nan_to_num(pose.confidence[asked], nan=1 - _UNKNOWN)
    return float(1 - confidence.mean())


def most_unsure_first(doubts: Mapping[str, float]) -> list[str]:
    """The names of pictures, those of the largest doubt first; of equal ones the first by name."""
    return sorted(doubts, key=lambda name: (-doubts[name], name))
