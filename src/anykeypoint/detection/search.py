"""A detector with its query: the objects that are searched for in every picture of a run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..configs.checks import check_share
from ..images import ImageSource
from .boxes import Detection
from .detector import MOST, Detector, check_most

LEAST = 0.02  # detections with a lower score are not worth naming


@dataclass(frozen=True)
class Search:
    """A detector with the options of its searches.

    detector: the detector.
    words, score, most: see `Detector.find`.

    Raises InputError when it is made for what `find` would refuse at the first picture.
    """

    detector: Detector
    words: str | Sequence[str]
    score: float | None = None
    most: int = MOST

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.detector.check(self.words)))
        least = self.detector.usual_score if self.score is None else self.score
        object.__setattr__(self, "score", check_share(least, "The least score of a detection"))
        check_most(self.most)

    def find(self, image: ImageSource) -> tuple[list[Detection], str]:
        """The detections in one picture, those with the highest score first.

        Also gives what to say where there is none: which score would find one, if any does.
        """
        assert self.score is not None
        found = self.detector.find(image, self.words, min(self.score, LEAST), most=self.most)
        kept = [one for one in found if one.score >= self.score]
        missed = f"no {' or '.join(self.words)} was found with a score of {self.score:g} or more"
        if kept:
            return kept, ""
        if found:
            share = math.floor(found[0].score * 1000) / 1000
            return [], f"{missed}; the best has {share:g}, so --detect-score {share:g} finds it."
        return [], f"{missed}, and none with a lower one; give the box with --boxes, or another --detector."
