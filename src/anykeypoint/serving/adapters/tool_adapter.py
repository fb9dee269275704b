"""What the adapters of all tools stand on: questions about a picture that a tool gives, and corrections in the tool.

A tool's adapter makes pictures of what the tool gives, has `ToolAdapter.questions` answered by a model or by a server's
queue, and writes the poses as what the tool calls rectangles and points.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...category import Category
from ...detection.search import Search
from ...errors import InputError
from ...example import Example
from ...forms.writing import point_labels
from ...geometry import Box, check_overlap
from ...images import ImageSource, UprightPicture
from ...labelling.nearest import COUNT, chosen_examples, pooled
from ...pose import Pose
from ..answering import Question, answer_batch

_log = logging.getLogger(__name__)

MOST = 1000  # corrections that are kept; of more, the oldest go

# What an object looks like, as `labelling.nearest.pooled` has it; None of a model without features. It is asked with
# the picture, the box, and a key that is equal for equal pixels, b"" where nothing is to be kept for the answer.
Look = Callable[[ImageSource, Box | None, bytes], np.ndarray | None]


@dataclass(frozen=True, eq=False)
class Correction:
    """An object that a person marked. example: its picture and points; key: equal for equal pixels."""

    example: Example
    key: bytes


class ToolAdapter:
    """Finds the objects of one category for a tool. May be used from several threads.

    category: the points that are wanted.
    search: finds the objects of a picture; None takes the whole picture as one, where the tool names no rectangle.
    examples: that are known from the start, with a key for each picture.
    words: whether names and descriptions are read beside examples; None reads them where the model can.
    """

    def __init__(
        self,
        category: Category,
        search: Search | None = None,
        examples: Sequence[Correction] = (),
        words: bool | None = None,
    ) -> None:
        labels = point_labels(category)
        if twice := [label for label in labels if labels.count(label) > 1]:
            raise InputError(f"Tools go by names, but {category.name!r} has two points {twice[0]!r}; rename one.")
        self.category, self.search, self.words, self.labels = category, search, words, labels
        self.given = tuple(examples)
        self._corrected: dict[str, tuple[Correction, ...]] = {}
        self._lock, self._searching, self._looking = threading.Lock(), threading.Lock(), threading.Lock()
        self._vectors: dict[Correction, np.ndarray] = {}  # what the examples look like

    # --- questions and answers ---------------------------------------------------------------------------------------

    def questions(
        self, picture: UprightPicture, key: bytes = b"", boxes: Sequence[Box] = (), look: Look | None = None
    ) -> list[Question]:
        """A question for each object of a picture; none where a detector finds no object.

        key: equal for equal pixels, where answers are cached.
        boxes: [x, y, w, h] of the objects in image pixels, where the tool knows them.
        look: says what objects look like, so that each is asked with the examples that look most like it; None takes
            the newest examples.
        Raises InputError for a box that is none or lies outside the picture.
        """
        places: list[Box | None] = [check_overlap(box, picture.size) for box in boxes]
        if not places and self.search is not None:
            with self._searching:
                places += [one.box for one in self.search.find(picture)[0]]
        elif not places:
            places = [None]
        questions = []
        for box in places:
            chosen = self.chosen(look, picture, box, key)
            examples, keys = tuple(one.example for one in chosen), tuple(one.key for one in chosen)
            kept = bool(key) and look is not None  # the features that were looked at answer too
            questions.append(Question(picture, key, self.category, box, examples, keys, self.words, kept=kept))
        return questions

    def found_by(self, model: Any, picture: UprightPicture, boxes: Sequence[Box] = ()) -> list[Pose]:
        """The objects of a picture, asked of a model in this process. Raises the error of the first that has one."""
        poses = []
        look = None if not hasattr(model, "encode_pixels") else lambda image, box, _: look_of(model.encode(image, box))
        for answer in answer_batch(model, self.questions(picture, boxes=boxes, look=look)):
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, Pose)
            poses.append(answer)
        return poses

    # --- corrections -------------------------------------------------------------------------------------------------

    def correct(self, name: str, objects: Sequence[Correction]) -> None:
        """What a person said of a picture becomes examples, in place of what was said of it before.

        name: of what was corrected, in the tool. objects: those with a marked point; none forgets it.
        """
        with self._lock:
            self._corrected.pop(name, None)
            if objects:
                self._corrected[name] = tuple(objects)
                while len(self._corrected) > MOST:
                    del self._corrected[next(iter(self._corrected))]

    def knows(self, name: str) -> bool:
        """Whether there is a correction of that name."""
        with self._lock:
            return name in self._corrected

    @property
    def examples(self) -> list[Correction]:
        """All examples, the newest last."""
        with self._lock:
            return [*self.given, *(one for several in self._corrected.values() for one in several)]

    def chosen(
        self, look: Look | None = None, picture: UprightPicture | None = None, box: Box | None = None, key: bytes = b""
    ) -> list[Correction]:
        """The examples that an object is answered with, as many as help (`labelling.nearest.COUNT`), and for each point
        that none of these shows one more that does: those that look most like it, as on the page.

        look: as for `questions`. Without it, or where it does not say, the newest.
        """
        every = self._there()
        if look is None or picture is None or len(every) <= COUNT:
            return _newest(every)
        with self._looking:
            vector = look(picture, box, key)
            seen = {one: self._vectors[one] if one in self._vectors else self._looked_at(one, look) for one in every}
            self._vectors = known = {one: each for one, each in seen.items() if each is not None}
        shown = list(known)
        if vector is None or not shown:
            return _newest(every)
        vectors, points = np.stack([known[one] for one in shown]), np.stack([one.example.marked for one in shown])
        return [shown[number] for number in chosen_examples(vector, vectors, points)]

    def _there(self) -> list[Correction]:
        """The examples but those whose file is not where it was, which would let each answer fail."""
        every = self.examples
        gone = [one for one in every if _is_gone(one.example.image)]
        if gone:
            first = gone[0].example.image
            _log.warning("%d examples are not used, as their pictures are gone (the first is %s)", len(gone), first)
        return [one for one in every if one not in gone]

    @staticmethod
    def _looked_at(one: Correction, look: Look) -> np.ndarray | None:
        """What an example looks like; None for one whose picture cannot be read, which answers nothing."""
        try:
            return look(one.example.image, one.example.box, b"")
        except InputError as error:
            _log.warning("An example is not used: %s", error)
            return None

    def example(self, image: ImageSource, places: Mapping[str, Sequence[float]], box: Box | None) -> Example:
        """An example of the category.

        places: x and y in image pixels by label. Raises InputError for labels that the category lacks.
        """
        points = np.full((len(self.labels), 2), np.nan)
        for label, place in places.items():
            if label not in self.labels:
                raise InputError(
                    f"{self.category.name!r} has no point {label[:80]!r}; it has {', '.join(self.labels)[:200]}."
                )
            points[self.labels.index(label)] = place[:2]
        return Example(image, points, box, self.category)


def look_of(view: Any) -> np.ndarray:
    """What an object looks like. view: a matcher's, see `MatchingModel.encode`."""
    return pooled(view.features[0].float().cpu().numpy())


def _is_gone(image: ImageSource) -> bool:
    """Whether a picture is a file that is not there."""
    return isinstance(image, str | os.PathLike) and not os.path.isfile(image)


def _newest(every: Sequence[Correction]) -> list[Correction]:
    """The newest examples, and before them, for each point that none of these shows, the newest one that shows it."""
    taken = list(every[-COUNT:])
    missing = ~np.any([one.example.marked for one in taken], axis=0)
    for one in reversed(every[:-COUNT]):
        if (missing & one.example.marked).any():
            taken.insert(0, one)
            missing &= ~one.example.marked
    return taken


def box_of(pose: Pose) -> Box:
    """The rectangle of an object, [x, y, w, h] in image pixels: the whole picture where it has no box."""
    return pose.box or (0.0, 0.0, float(pose.image_size[0]), float(pose.image_size[1]))


def score_of(pose: Pose) -> float:
    """The mean confidence of the points that are present, 0 where none is or none has one."""
    known = pose.confidence[pose.present & np.isfinite(pose.confidence)]
    return float(known.mean()) if len(known) else 0.0
