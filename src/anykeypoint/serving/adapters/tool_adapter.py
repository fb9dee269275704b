"""What the adapters of all tools stand on: questions about a picture that a tool gives, and corrections in the tool.

A tool's adapter makes pictures of what the tool gives, has `ToolAdapter.questions` answered by a model or by a server's
queue, and writes the poses as what the tool calls rectangles and points.
"""

import threading
from collections.abc import Mapping, Sequence
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
from ...labelling.nearest import COUNT
from ...pose import Pose
from ..answering import Question, answer_batch

MOST = 1000  # corrections that are kept; of more, the oldest go


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
        self._lock, self._searching = threading.Lock(), threading.Lock()

    # --- questions and answers ---------------------------------------------------------------------------------------

    def questions(self, picture: UprightPicture, key: bytes = b"", boxes: Sequence[Box] = ()) -> list[Question]:
        """A question for each object of a picture; none where a detector finds no object.

        key: equal for equal pixels, where answers are cached.
        boxes: [x, y, w, h] of the objects in image pixels, where the tool knows them.
        Raises InputError for a box that is none or lies outside the picture.
        """
        places: list[Box | None] = [check_overlap(box, picture.size) for box in boxes]
        if not places and self.search is not None:
            with self._searching:
                places += [one.box for one in self.search.find(picture)[0]]
        elif not places:
            places = [None]
        chosen = self.chosen()
        examples, keys = tuple(one.example for one in chosen), tuple(one.key for one in chosen)
        return [Question(picture, key, self.category, box, examples, keys, self.words) for box in places]

    def found_by(self, model: Any, picture: UprightPicture, boxes: Sequence[Box] = ()) -> list[Pose]:
        """The objects of a picture, asked of a model in this process. Raises the error of the first that has one."""
        poses = []
        for answer in answer_batch(model, self.questions(picture, boxes=boxes)):
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

    def chosen(self) -> list[Correction]:
        """The examples that pictures are answered with: the newest, as many as help (`labelling.nearest.COUNT`), and
        before them, for each point that none of these shows, the newest one that shows it."""
        with self._lock:
            every = [*self.given, *(one for several in self._corrected.values() for one in several)]
        taken = every[-COUNT:]
        missing = ~np.any([one.example.marked for one in taken], axis=0)
        for one in reversed(every[:-COUNT]):
            if (missing & one.example.marked).any():
                taken.insert(0, one)
                missing &= ~one.example.marked
        return taken

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


def box_of(pose: Pose) -> Box:
    """The rectangle of an object, [x, y, w, h] in image pixels: the whole picture where it has no box."""
    return pose.box or (0.0, 0.0, float(pose.image_size[0]), float(pose.image_size[1]))


def score_of(pose: Pose) -> float:
    """The mean confidence of the points that are present, 0 where none is or none has one."""
    known = pose.confidence[pose.present & np.isfinite(pose.confidence)]
    return float(known.mean()) if len(known) else 0.0
