"""Detections, and which of several boxes round one object is kept.

A box is left, top, width and height, in pixels of the upright picture. N is the number of boxes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..configs.checks import check_share, check_text
from ..geometry import Box, check_box


@dataclass(frozen=True)
class Detection:
    """One object in a picture.

    box: left, top, width, height in pixels of the upright picture.
    score: the detector's confidence, from 0 to 1.
    word: the word of the query that the object answers.

    >>> ak.Detection((10, 20, 300, 200), 0.75, "cat").box
    (10.0, 20.0, 300.0, 200.0)
    """

    box: Box
    score: float
    word: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", check_box(self.box))
        object.__setattr__(self, "score", check_share(self.score, "A detection's score"))
        check_text(self.word, "A detection's word")


def overlaps(box: Sequence[float], others: np.ndarray) -> np.ndarray:
    """The intersection over union of a box with each of the boxes `others` [N, 4]: [N], from 0 to 1."""
    x, y, w, h = box
    wide = np.minimum(x + w, others[:, 0] + others[:, 2]) - np.maximum(x, others[:, 0])
    high = np.minimum(y + h, others[:, 1] + others[:, 3]) - np.maximum(y, others[:, 1])
    shared = np.clip(wide, 0, None) * np.clip(high, 0, None)
    return shared / (w * h + others[:, 2] * others[:, 3] - shared)


def suppress(candidates: Iterable[Detection], overlap: float, most: int | None = None) -> list[Detection]:
    """The detections that non-maximum suppression keeps, those with the highest score first.

    candidates: the detections.
    overlap: two boxes whose intersection over union is larger are one object, of which the higher score is kept.
    most: number of detections that are kept at most; None keeps all.

    Words play no part: an object that was detected as "dog" and as "animal" is one object. Equal scores are ordered by
    box and word, so that the order of the candidates changes nothing.
    """
    ranked = sorted(candidates, key=lambda one: (-one.score, one.box, one.word))
    boxes = np.array([one.box for one in ranked], dtype=np.float64).reshape(-1, 4)
    left = np.arange(len(ranked))
    kept: list[Detection] = []
    while len(left) and (most is None or len(kept) < most):
        best, left = ranked[left[0]], left[1:]
        kept.append(best)
        left = left[overlaps(best.box, boxes[left]) <= overlap]
    return kept


def cut(box: Sequence[float], size: tuple[int, int]) -> Box | None:
    """The part of a box that lies inside a picture.

    size: width and height of the picture in pixels.

    None where the box lies outside.
    """
    x, y, w, h = box
    left, top = max(x, 0.0), max(y, 0.0)
    wide, high = min(x + w, size[0]) - left, min(y + h, size[1]) - top
    return (float(left), float(top), float(wide), float(high)) if wide > 0 and high > 0 else None
