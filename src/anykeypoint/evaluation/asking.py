"""A model's answers to a list of questions, on one process or many, each written down before the next is asked.

A question is an object to look at and the examples shown with it. A process of many takes every so-manyth question and
appends to a file of its own; in the end one file holds all, in the order of the questions. A killed run goes on with
whatever any process had written, also with another number of processes.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..category import Category
from ..errors import InputError
from ..example import Example
from ..forms.dataset import LabelledObject
from ..forms.pictures import picture_size
from . import protocols
from .records import whole_lines, write

Progress = Callable[[Iterable, str], Iterable]
Key = tuple[int, tuple[int, ...]]  # ids of the object and of its examples


class Answer(Protocol):
    xy: np.ndarray  # (K, 2) image pixels, NaN where absent
    confidence: np.ndarray  # (K,), NaN where unknown


class Model(Protocol):
    """What can be measured. prompts: of "text", "example", "both", "identify" those that it answers; text if unsaid."""

    prompts: Sequence[str]

    def predict(self, image: Path, category: Category, *, box: tuple, **options: Any) -> Answer:
        """options: those of `evaluate`; with examples also `example`, a list of Example, and `words`, whether the
        category's names and descriptions may be read (its skeleton always may)."""

    def identify(self, image: Path, points: np.ndarray, *, box: tuple, category: Category | None) -> Sequence[Any]:
        """One answer with `name` and `confidence` for each of the points (P, 2); a category lists the names to choose
        from."""


@dataclass(frozen=True)
class Question:
    """An object, the examples that are shown with it, and its category as it is asked."""

    item: LabelledObject
    examples: tuple[LabelledObject, ...]
    category: Category

    @property
    def key(self) -> Key:
        return self.item.id, tuple(example.id for example in self.examples)


@dataclass(frozen=True)
class Answered:
    """An answer as it was written down. xy: (K, 2); confidence: (K,); names: of a protocol that asks for them, None at
    points that were not asked about."""

    xy: np.ndarray
    confidence: np.ndarray
    names: tuple[str | None, ...] | None = None


@dataclass(frozen=True)
class Workers:
    """This process among those that share a run. wait: returns once all have called it."""

    rank: int = 0
    count: int = 1
    wait: Callable[[], None] = lambda: None


def ask_all(
    model: Model,
    questions: Sequence[Question],
    protocol: protocols.Protocol,
    path: Path,
    options: Mapping[str, Any],
    workers: Workers,
    bar: Progress,
    title: str,
) -> list[Answered]:
    """The answers in the order of the questions, from the lines of `path` where they are, else from the model.

    Raises InputError with the object's id where the model refuses it or answers otherwise than it was asked.
    """
    parts = f"{path.stem}.*{path.suffix}"
    asked = {question.key: question for question in questions}
    done: dict[Key, Answered] = {}
    for file in [path, *sorted(path.parent.glob(parts))]:
        done |= _read(file, asked, protocol)
    workers.wait()  # all have read before anyone writes
    mine = path if workers.count == 1 else path.with_suffix(f".{workers.rank}{path.suffix}")
    left = [question for question in questions if question.key not in done][workers.rank :: workers.count]
    with mine.open("a", encoding="utf-8") as lines:
        for question in bar(left, title) if workers.rank == 0 else left:
            try:
                answer = ask(model, question, protocol, options)
            except InputError as error:
                raise InputError(f"Object {question.item.id} ({question.item.image}): {error}") from error
            done[question.key] = answer
            lines.write(_line(question, answer))
            lines.flush()
    workers.wait()
    if workers.rank == 0:
        for file in sorted(path.parent.glob(parts)):
            done |= _read(file, asked, protocol)
        if workers.count > 1 or any(path.parent.glob(parts)):
            write(path, "".join(_line(question, done[question.key]) for question in questions))
            for file in path.parent.glob(parts):
                file.unlink()
    workers.wait()
    if workers.rank:
        done = _read(path, asked, protocol)
    return [done[question.key] for question in questions]


def ask(model: Model, question: Question, protocol: protocols.Protocol, options: Mapping[str, Any]) -> Answered:
    """One answer; InputError where it is not of the form that was asked for."""
    item, category = question.item, question.category
    count = len(category)
    if protocol.names:
        rows = np.flatnonzero((item.visibility > 0) & _inside(item))  # elsewhere there is nothing to name
        choice = category if protocol.chooses else None
        found = list(model.identify(item.image, item.points[rows], box=item.box, category=choice)) if len(rows) else []
        if len(found) != len(rows):
            raise InputError(f"the model must name {len(rows)} points, but gave {len(found)} answers.")
        names: list[str | None] = [None] * count
        confidence = np.full(count, np.nan)
        for row, answer in zip(rows.tolist(), found, strict=True):
            names[row], confidence[row] = str(answer.name), answer.confidence
        return Answered(np.full((count, 2), np.nan), confidence, tuple(names))
    extra: dict[str, Any] = {}
    if protocol.shown:
        told = category if protocol.words else None
        extra["example"] = [_example(shown, told) for shown in question.examples]
        extra["words"] = protocol.words
    answer = model.predict(item.image, category, box=item.box, **extra, **options)
    xy, confidence = np.asarray(answer.xy, dtype=np.float64), np.asarray(answer.confidence, dtype=np.float64)
    if xy.shape != (count, 2) or confidence.shape != (count,):
        raise InputError(
            f"the model must answer with {count} points and confidences, but got {xy.shape} and {confidence.shape}."
        )
    return Answered(xy, confidence)


def _example(shown: LabelledObject, told: Category | None) -> Example:
    """A labelled object as an example. What its labels put outside the picture, as some data sets do, is not shown."""
    inside = _inside(shown)  # where none is, the model says that there is nothing to see
    points = np.where(inside[:, None], shown.points, np.nan) if inside.any() else shown.points
    return Example(shown.image, points, shown.box, told)


def _inside(item: LabelledObject) -> np.ndarray:
    """(K,) bool: which labels lie in the picture; all where its size cannot be read."""
    if (size := picture_size(item.image)) is None:
        return np.ones(len(item.points), dtype=bool)
    with np.errstate(invalid="ignore"):
        return ((item.points >= 0) & (item.points <= size)).all(axis=1)


# --- lines ---------------------------------------------------------------------------------------------------------


def _line(question: Question, answer: Answered) -> str:
    entry: dict[str, Any] = {"id": question.item.id}
    if question.examples:
        entry["examples"] = [example.id for example in question.examples]
    entry["category"] = question.item.category.name
    if answer.names is None:
        entry["points"] = [[_number(x), _number(y)] for x, y in answer.xy]
    else:
        entry["names"] = list(answer.names)
    entry["confidences"] = [_number(value) for value in answer.confidence]
    return json.dumps(entry) + "\n"


def _read(path: Path, asked: Mapping[Key, Question], protocol: protocols.Protocol) -> dict[Key, Answered]:
    """The answers in the file's whole lines. InputError, with its number, for a line that answers no question."""
    done: dict[Key, Answered] = {}
    for number, line in enumerate(whole_lines(path), 1):
        try:
            entry = json.loads(line)
            key = entry["id"], tuple(entry.get("examples", ()))
            count = len(asked[key].category)
            confidence = np.array([math.nan if value is None else value for value in entry["confidences"]], dtype=float)
            names = tuple(entry["names"]) if protocol.names else None
            points = [[None, None]] * count if protocol.names else entry["points"]
            xy = np.array([[math.nan if v is None else v for v in point] for point in points], dtype=float)
            if xy.shape != (count, 2) or confidence.shape != (count,) or (names is not None and len(names) != count):
                raise ValueError("other number of points")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number}, is no prediction of this run; remove the folder.") from error
        done[key] = Answered(xy, confidence, names)
    return done


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
