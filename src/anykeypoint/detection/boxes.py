"""Detections, and which of several boxes round one object is kept.

Boxes are [x, y, w, h] in pixels of the upright picture. N is the number of boxes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..configs.checks import check_share
from ..errors import InputError
from ..geometry import Box, check_box


@dataclass(frozen=True)
class Detection:
    """One object that a detector found: its box, how sure the detector is (0 to 1), and the word it was asked by."""

    box: Box
    score: float
    word: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", check_box(self.box))
        object.__setattr__(self, "score", check_share(self.score, "A detection's score"))
        if not isinstance(self.word, str) or not self.word.strip():
            raise InputError(f"A detection's word must be a text that is not blank, but got {self.word!r}.")


def overlaps(box: Sequence[float], others: np.ndarray) -> np.ndarray:
    """The area that a box shares with each of the others [N, 4] over the area of both together (IoU): [N], 0 to 1."""
    x, y, w, h = box
    wide = np.minimum(x + w, others[:, 0] + others[:, 2]) - np.maximum(x, others[:, 0])
    high = np.minimum(y + h, others[:, 1] + others[:, 3]) - np.maximum(y, others[:, 1])
    shared = np.clip(wide, 0, None) * np.clip(high, 0, None)
    return shared / (w * h + others[:, 2] * others[:, 3] - shared)


def suppress(found: Iterable[Detection], overlap: float, most: int | None = None) -> list[Detection]:
    """The best detections, best first, of which no two share more than `overlap` (IoU), at most `most` of them.

    The best one stays, those that share more with it go, whatever their word, and so on: one object found twice, as
    "dog" and as "animal", is one object. Equal scores are told apart by box and word, so that the order of `found`
    changes nothing.
    """
    ranked = sorted(found, key=lambda one: (-one.score, one.box, one.word))
    boxes = np.array([one.box for one in ranked], dtype=np.float64).reshape(-1, 4)
    left, kept = np.arange(len(ranked)), []
    while len(left) and (most is None or len(kept) < most):
        best, left = ranked[left[0]], left[1:]
        kept.append(best)
        left = left[overlaps(best.box, boxes[left]) <= overlap]
    return kept


def cut(box: Sequence[float], size: tuple[int, int]) -> Box | None:
    """The part of a box that lies in a picture of (width, height); None where nothing does."""
    x, y, w, h = box
    left, top = max(x, 0.0), max(y, 0.0)
    wide, high = min(x + w, size[0]) - left, min(y + h, size[1]) - top
    return (float(left), float(top), float(wide), float(high)) if wide > 0 and high > 0 else None
