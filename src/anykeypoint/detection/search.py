"""A detector with its query: the objects that are searched for in every picture of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..configs.checks import check_share
from ..images import ImageSource
from .boxes import Detection
from .detector import MOST, Detector, check_most


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

    def find(self, image: ImageSource) -> list[Detection]:
        """The detections in one picture, those with the highest score first."""
        return self.detector.find(image, self.words, self.score, most=self.most)

    def nothing(self) -> str:
        """The message for a picture in which `find` detects nothing."""
        return f"no {' or '.join(self.words)} was found with a score of {self.score:g} or more; a lower one finds more."
