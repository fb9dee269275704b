"""The base of all detectors: a picture and words in, boxes out."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..configs import typed
from ..configs.checks import check_share, check_whole, plain
from ..errors import InputError
from ..images import ImageSource, UprightPicture, read_picture
from .boxes import Detection, cut, suppress

if TYPE_CHECKING:  # the command line reads words with this module before it needs torch
    from torch import nn

OVERLAP = 0.5  # two boxes of a larger intersection over union are one object
MOST = 50  # number of objects in a picture


class Detector(ABC):
    """Finds the objects that words name.

    usual_score: the least score of a detection unless another is given.
    network: the network that is run on the pictures.
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
        """The objects that the words name, those with the highest score first.

        image: what `images.read_picture` takes.
        words: "dog; cat", or a list of words.
        score: the least score of a detection, from 0 to 1; None takes `usual_score`.
        overlap: of two boxes with a larger intersection over union (0 to 1) only the one with the higher score is kept,
            whatever their words.
        most: number of detections at most.

        Boxes are left, top, width and height in pixels of the upright picture, cut at its edges. The network reads one
        word at a time, so that neither the other words nor their order change a score. Raises InputError for words
        that the detector cannot take, for numbers out of range, and for what `images.read_picture` refuses.
        """
        checked = self.check(words)
        least = self.usual_score if score is None else check_share(score, "The least score of a detection")
        check_share(overlap, "The overlap of detections")
        check_most(most)
        picture = read_picture(image)
        found = suppress(self._candidates(picture.pixels, checked, least), overlap, most)
        return found if picture.shrunk == 1 else [_enlarged(one, picture) for one in found]

    def check(self, words: str | Sequence[str]) -> list[str]:
        """The words as a list; InputError for one that is blank, given twice, or that the detector cannot take."""
        return split_words(words)

    @abstractmethod
    def _candidates(self, picture: Image.Image, words: list[str], score: float) -> Iterable[Detection]:
        """All detections with at least this score; one object may have several."""


def _enlarged(found: Detection, picture: UprightPicture) -> Detection:
    """A detection in a picture that was read shrunk, in pixels of the picture as it is in its file."""
    x, y, w, h = (value * picture.shrunk for value in found.box)
    return replace(found, box=cut((x + picture.corner[0], y + picture.corner[1], w, h), picture.size) or picture.whole)


def check_most(most: int) -> int:
    """The greatest number of detections in a picture; InputError unless it is a whole number from 1."""
    return check_whole(plain(most), "The most detections in a picture")


def split_words(words: str | Sequence[str]) -> list[str]:
    """The words of "dog; cat" (see `typed.split_words`), or of a list.

    Raises InputError without any, and for a word that is blank or given twice.
    """
    given = typed.split_words(words)[0] if isinstance(words, str) else words
    if (
        not isinstance(given, Sequence)
        or not given
        or not all(isinstance(word, str) and word.strip() for word in given)
    ):
        raise InputError(f"The words to look for must be texts, as in 'dog; cat', and none blank, but got {words!r}.")
    split = [" ".join(word.split()) for word in given]
    if twice := [word for word in split if split.count(word) > 1]:
        raise InputError(f"The word {twice[0]!r} is there twice; name every kind of object once.")
    return split


def as_detections(
    boxes: np.ndarray, scores: np.ndarray, word: str, score: float, size: tuple[int, int]
) -> list[Detection]:
    """The boxes with at least a given score as detections, cut at the edges of the picture.

    boxes: [N, 4] left, top, width, height in pixels of the picture.
    scores: [N].
    word: the word that all of them answer.
    score: the least score.
    size: width and height of the picture in pixels.

    Boxes outside of the picture are left out, and those with numbers that are not finite: some weights overflow.
    """
    usable = (scores >= score) & np.isfinite(scores) & ~np.isnan(boxes).any(axis=1)
    pairs = zip(boxes[usable].tolist(), scores[usable].tolist(), strict=True)
    parts = [(cut(box, size), value) for box, value in pairs]
    return [Detection(part, min(value, 1.0), word) for part, value in parts if part is not None]
