"""What is asked of a model for one object, and the answers to several such questions at once."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..category import Category
from ..errors import InputError
from ..example import Example
from ..geometry import Box
from ..images import UprightPicture
from ..pose import Identified, Pose

Answer = Pose | list[Identified]


@dataclass(frozen=True, eq=False)
class Question:
    """One object of a picture, and what is asked about it.

    picture, pixels: the picture, and a key that is equal for equal pixels.
    category: the keypoints to find, or the names to choose from; None leaves the names to the model.
    box: of the object in image pixels; None takes the whole picture.
    examples, example_keys: examples, and a key for each of their pictures.
    words: as models take it.
    points: [P, 2] places in image pixels that are to be named; None asks where the category's keypoints are.
    options: further keyword arguments of the model's method, those with their default left out.
    least: presence from which a point counts as present.
    kept: whether the picture is one that a client asked to keep, about which it will ask more.
    """

    picture: UprightPicture = field(repr=False)
    pixels: bytes
    category: Category | None
    box: Box | None = None
    examples: tuple[Example, ...] = ()
    example_keys: tuple[bytes, ...] = ()
    words: bool | None = None
    points: np.ndarray | None = None
    options: tuple[tuple[str, Any], ...] = ()
    least: float = 0.5
    kept: bool = False

    @cached_property
    def key(self) -> bytes:
        """A key that is equal for questions with the same answer from one model."""
        parts = {
            "pixels": self.pixels.hex(),
            "category": None if self.category is None else self.category.to_dict(),
            "box": self.box,
            "examples": [
                [key.hex(), one.points.tobytes().hex(), one.box]
                for key, one in zip(self.example_keys, self.examples, strict=True)
            ],
            "words": self.words,
            "points": None if self.points is None else self.points.tobytes().hex(),
            "options": sorted(self.options),
            "least": self.least,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()


def answer_batch(
    model: Any, questions: Sequence[Question], views: Callable[[Question], Any] | None = None
) -> list[Answer | Exception]:
    """The answers of a model, in order; a question that cannot be answered gives its error and costs no other one.

    views: gives the view of a kept picture, encoded once; None encodes it for each question.

    Those for places go through the network together as `inference.many.answer` has it, but for kept pictures, of which
    only the head is still to be computed; names are given one by one.
    """
    from ..inference.many import ObjectQuery, answer  # not before the server is there: torch takes seconds

    items = {
        place: ObjectQuery(
            question.picture,
            question.category,  # type: ignore[arg-type]  # only a question for names has none
            question.box,
            list(question.examples) or None,
            question.words,
            dict(question.options),
        )
        for place, question in enumerate(questions)
        if question.points is None
    }
    viewed = {} if views is None else {place: item for place, item in items.items() if questions[place].kept}
    together = {place: item for place, item in items.items() if place not in viewed}
    answers: dict[int, Any] = dict(zip(together, answer(model, together.values()), strict=True))
    for place, question in enumerate(questions):
        if question.points is not None:
            answers[place] = _caught(lambda one=question: _names(model, one))
        elif place in viewed:
            answers[place] = _caught(
                lambda one=question, item=viewed[place]: views(one).predict(one.category, **item.arguments)
            )
        if question.points is None:
            answers[place] = _counted(answers[place], question)
    return [answers[place] for place in range(len(questions))]


def _caught(ask: Callable[[], Answer]) -> Answer | Exception:
    """What a call gives, or the error that it raises."""
    try:
        return ask()
    except Exception as error:
        return error


def _names(model: Any, question: Question) -> Answer:
    """The names of a question's points."""
    if not hasattr(model, "identify"):
        raise InputError("This model finds keypoints and names none; choose another model.")
    given = dict(question.options)
    return model.identify(question.picture, question.points, box=question.box, category=question.category, **given)


def _counted(answer: Pose | Exception, question: Question) -> Pose | Exception:
    """The pose with those points present that the question counts as such; an error as it is."""
    return answer if isinstance(answer, Exception) or question.least == 0.5 else answer.present_from(question.least)
