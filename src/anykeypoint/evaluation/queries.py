"""Queries of an evaluation and what a model predicts for one of them.

Letters: K keypoints of a category, P marked points that are to be named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..category import Category
from ..errors import InputError
from ..example import Example
from ..forms.dataset import LabelledObject
from ..images import picture_size
from .protocols import EvaluationProtocol
from .selection import shows

QueryKey = tuple[int, tuple[int, ...]]  # ids of the object and of its examples


class PredictedPoints(Protocol):
    """What `predict` of a model returns, as far as an evaluation reads it.

    xy: (K, 2) pixels of the query picture, NaN where the point has no place.
    confidence: (K,) in [0, 1], NaN where it is unknown.
    `presence`, (K,) in [0, 1] and NaN where it is unknown, is read where it is there.
    """

    xy: np.ndarray
    confidence: np.ndarray


class EvaluatedModel(Protocol):
    """The part of a model that an evaluation uses.

    prompts: those of "text", "example", "both" and "identify" that the model supports; a model without it has "text".
    """

    prompts: Sequence[str]

    def predict(self, image: Path, category: Category, *, box: tuple, **options: Any) -> PredictedPoints:
        """Points of the object in a box: x, y, width, height in pixels of the picture.

        options: the strategy, seed, describe and cumulative of the config where they are set; with examples also
            `example`, a list of Example, and `words`, whether names and descriptions may be read. The skeleton may
            always be read.
        """

    def identify(self, image: Path, points: np.ndarray, *, box: tuple, category: Category | None) -> Sequence[Any]:
        """Names of the points (P, 2), in pixels of the picture: one object with `name` and `confidence` each.

        category: lists the names to choose from; None leaves the wording to the model, unless it has `own_words` False.
        """


@dataclass(frozen=True)
class Query:
    """A labelled object whose points are predicted.

    item: the object, with its true points.
    examples: the objects that the model gets as examples.
    category: the category as the model gets it, which may lack descriptions that the labels have.
    hidden_by: objects that the model does not get; it is asked only for the points that are labelled in all of them.
    """

    item: LabelledObject
    examples: tuple[LabelledObject, ...]
    category: Category
    hidden_by: tuple[LabelledObject, ...] = ()

    @property
    def key(self) -> QueryKey:
        return self.item.id, tuple(one.id for one in (*self.examples, *self.hidden_by))

    @property
    def rows(self) -> list[int]:
        """Indices of the keypoints that the model is asked for."""
        return [k for k in range(len(self.category)) if all(one.visibility[k] > 0 for one in self.hidden_by)]


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for one query, as it is written to and read from a run's folder.

    xy: (K, 2) pixels of the query picture, NaN where the point has no place.
    confidence: (K,), NaN where it is unknown.
    names: K names under a protocol that identifies, None at points without a marked place; None under other protocols.
    presence: (K,), NaN where it is unknown; None where the model says it of no point.
    """

    xy: np.ndarray
    confidence: np.ndarray
    names: tuple[str | None, ...] | None = None
    presence: np.ndarray | None = None


def predict_query(
    model: EvaluatedModel, query: Query, protocol: EvaluationProtocol, options: Mapping[str, Any]
) -> Prediction:
    """The model's prediction for one query, NaN at points that it is not asked for.

    Where the object's box lies wholly outside its picture, as some labels have it, no point is found; nor is one where
    the boxes or all points of all examples do. Of several examples such a one is left out.
    Raises InputError where the shape of what the model predicts does not fit.

    options: further arguments of the model's `predict`.
    """
    if protocol.identifies:
        return _identify_query(model, query, protocol)
    count, rows = len(query.category), query.rows
    examples = [item for item in query.examples if shows(item) and _marked_inside(item).any()]
    if not rows or not shows(query.item) or (protocol.examples and not examples):
        return Prediction(np.full((count, 2), np.nan), np.full(count, np.nan))
    category = query.category if len(rows) == count else query.category.only(rows)
    extra: dict[str, Any] = {}
    if protocol.examples:
        example_category = category if protocol.uses_text else None
        extra["example"] = [_as_example(item, example_category) for item in examples]
        extra["words"] = protocol.uses_text
    points = model.predict(query.item.image, category, box=query.item.box, **extra, **options)
    xy, confidence = np.asarray(points.xy, dtype=np.float64), np.asarray(points.confidence, dtype=np.float64)
    if xy.shape != (len(rows), 2) or confidence.shape != (len(rows),):
        raise InputError(
            f"the model must answer with {len(rows)} points and confidences, but got {xy.shape} and {confidence.shape}."
        )
    presence = _presence(points, len(rows))
    if len(rows) == count:
        return Prediction(xy, confidence, presence=presence)
    every, confidences = np.full((count, 2), np.nan), np.full(count, np.nan)
    every[rows], confidences[rows] = xy, confidence
    presences = None if presence is None else np.full(count, np.nan)
    if presences is not None:
        presences[rows] = presence
    return Prediction(every, confidences, presence=presences)


def _presence(points: PredictedPoints, count: int) -> np.ndarray | None:
    """The presences (count,) of what a model predicted; None where it says none. InputError for another shape."""
    given = getattr(points, "presence", None)
    if given is None:
        return None
    presence = np.asarray(given, dtype=np.float64)
    if presence.shape != (count,):
        raise InputError(f"the model must answer with {count} presences, but got {presence.shape}.")
    return presence if np.isfinite(presence).any() else None


def _identify_query(model: EvaluatedModel, query: Query, protocol: EvaluationProtocol) -> Prediction:
    """Names of the labelled points that lie in the picture: elsewhere there is nothing to name."""
    item, count = query.item, len(query.category)
    rows = np.flatnonzero((item.visibility > 0) & _inside_picture(item) & shows(item))
    category = query.category if protocol.lists_names else None
    answers: Sequence[Any] = []
    if len(rows):
        answers = list(model.identify(item.image, item.points[rows], box=item.box, category=category))
    if len(answers) != len(rows):
        raise InputError(f"the model must name {len(rows)} points, but gave {len(answers)} answers.")
    names: list[str | None] = [None] * count
    confidence = np.full(count, np.nan)
    for row, answer in zip(rows.tolist(), answers, strict=True):
        names[row], confidence[row] = str(answer.name), answer.confidence
    return Prediction(np.full((count, 2), np.nan), confidence, tuple(names))


def _as_example(item: LabelledObject, category: Category | None) -> Example:
    """A labelled object as an example, without the points that its labels put outside the picture, as some data do."""
    return Example(item.image, np.where(_marked_inside(item)[:, None], item.points, np.nan), item.box, category)


def _marked_inside(item: LabelledObject) -> np.ndarray:
    """(K,) bool: which points are labelled in the picture."""
    return _inside_picture(item) & np.isfinite(item.points).all(axis=1)


def _inside_picture(item: LabelledObject) -> np.ndarray:
    """(K,) bool: which labels lie in the picture; all of them where the picture's size cannot be read."""
    if (size := picture_size(item.image)) is None:
        return np.ones(len(item.points), dtype=bool)
    with np.errstate(invalid="ignore"):
        return ((item.points >= 0) & (item.points <= size)).all(axis=1)
