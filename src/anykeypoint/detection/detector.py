"""What every detector does: it is given a picture and words, and answers with boxes."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..configs.checks import check_share
from ..errors import InputError
from ..images import ImageSource, read_image
from .boxes import Detection, cut, suppress

if TYPE_CHECKING:
    from torch import nn

OVERLAP = 0.5  # two boxes that share more than this of their common area (IoU) are one object
MOST = 50  # objects in a picture


class Detector(ABC):
    """Finds the objects that words name.

    usual_score: what it takes for sure enough unless it is told. network: what looks at the picture.
    """

    usual_score: float
    network: "nn.Module"

    def find(
        self,
        image: ImageSource,
        words: str | Sequence[str],
        score: float | None = None,
        overlap: float = OVERLAP,
        most: int = MOST,
    ) -> list[Detection]:
        """The objects that the words name, the surest first.

        image: what `read_image` takes. words: "dog; cat" or a list of words.
        score: the least that the detector must be sure, 0 to 1; None takes its own `usual_score`.
        overlap: of two boxes that share more than this (IoU, 0 to 1) only the surer one stays, whatever their words.
        most: at most so many, the surest.

        Boxes [x, y, w, h] are in pixels of the upright picture, cut at its edges. Words are asked one by one: neither
        their company nor their order changes a score. Raises InputError for words it cannot look for, numbers out of
        range and what `read_image` refuses.
        """
        asked = self.check(words)
        least = self.usual_score if score is None else check_share(score, "The least score of a detection")
        check_share(overlap, "The overlap of detections")
        check_most(most)
        return suppress(self._candidates(read_image(image), asked, least), overlap, most)

    def check(self, words: str | Sequence[str]) -> list[str]:
        """The words as a list; InputError where one of them is none, is there twice, or cannot be looked for."""
        return split_words(words)

    @abstractmethod
    def _candidates(self, picture: Image.Image, words: list[str], score: float) -> Iterable[Detection]:
        """All detections of at least this score, one object as often as it is found."""


def check_most(most: int) -> int:
    """InputError unless it is a whole number from 1 up."""
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise InputError(f"The most detections in a picture must be a whole number from 1 up, but got {most!r}.")
    return most


def split_words(words: str | Sequence[str]) -> list[str]:
    """The words of "dog; cat", or of a list; InputError unless there is at least one, none is blank and none twice."""
    given = words.split(";") if isinstance(words, str) else words
    if (
        not isinstance(given, Sequence)
        or not given
        or not all(isinstance(word, str) and word.strip() for word in given)
    ):
        raise InputError(f"The words to look for must be texts, as in 'dog; cat', and none blank, but got {words!r}.")
    found = [" ".join(word.split()) for word in given]
    if twice := [word for word in found if found.count(word) > 1]:
        raise InputError(f"The word {twice[0]!r} is there twice; name every kind of object once.")
    return found


def as_detections(
    boxes: np.ndarray, scores: np.ndarray, word: str, score: float, size: tuple[int, int]
) -> list[Detection]:
    """Boxes [N, 4] with scores [N] of at least `score` as detections, cut at the edges of a picture of (width, height).

    Boxes without a part in the picture are left out, and those that are no numbers: some weights overflow.
    """
    usable = (scores >= score) & np.isfinite(scores) & ~np.isnan(boxes).any(axis=1)
    parts = [(cut(box, size), sure) for box, sure in zip(boxes[usable].tolist(), scores[usable].tolist(), strict=True)]
    return [Detection(part, min(sure, 1.0), word) for part, sure in parts if part is not None]
