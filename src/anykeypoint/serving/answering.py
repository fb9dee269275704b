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
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()


def answer_each(model: Any, questions: Sequence[Question]) -> list[Answer | Exception]:
    """The answers of a model, in order; a question that cannot be answered gives its error and costs no other one."""
    answers: list[Answer | Exception] = []
    for question in questions:
        try:
            answers.append(_answer(model, question))
        except Exception as error:
            answers.append(error)
    return answers


def answer_batch(
    model: Any, questions: Sequence[Question], together: Callable[[Any, Sequence[Question]], list[Answer]] | None = None
) -> list[Answer | Exception]:
    """`answer_each`, but through the network together where that goes.

    together: answers all questions at once or raises an error; then they are answered one by one, and where memory was
        too small first in two halves. None answers one by one.
    """
    if together is None or len(questions) < 2:
        return answer_each(model, questions)
    try:
        return list(together(model, questions))
    except Exception as error:
        half = len(questions) // 2
        if not _is_memory(error) or half < 2:
            return answer_each(model, questions)
    answers: list[Answer | Exception] = []
    for part in (questions[:half], questions[half:]):
        try:
            answers += together(model, part)
        except Exception:
            answers += answer_each(model, part)
    return answers


def _answer(model: Any, question: Question) -> Answer:
    if question.points is None:
        given: dict[str, Any] = dict(question.options)
        if question.examples:
            given["example"] = list(question.examples)
        if question.words is not None:
            given["words"] = question.words
        return model.predict(question.picture, question.category, box=question.box, **given)
    if not hasattr(model, "identify"):
        raise InputError("This model finds keypoints and names none; choose another model.")
    given = dict(question.options)
    return model.identify(question.picture, question.points, box=question.box, category=question.category, **given)


def _is_memory(error: Exception) -> bool:
    """Whether an error says that memory was too small, of Python's or of a GPU's."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
