"""Answers for a list of objects, each a pose or the error of that object alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..models.batched import BatchPredictor, ObjectQuery, answered
from ..pose import Pose

__all__ = ["ObjectQuery", "OneByOne", "answer", "in_batches"]


def answer(model: Any, items: Iterable[ObjectQuery], batch: int | None = None) -> list[Pose | InputError]:
    """For each item, in order, its pose, or the error that says why there is none; a bad item spoils no other.

    model: any model that `anykeypoint.load` gives, or one that has `predict` alone, which is asked one object after
        another.
    items: of any pictures, boxes, categories, examples and options; those of one picture that stand together have it
        read once.
    batch: largest number of objects that go through the network together; None takes the model's own.

    An item that cannot be answered has an InputError; it is a `PredictionFailed` where the item itself is not to blame.
    """
    return list(answered(in_batches(model), items, batch))


def in_batches(model: Any) -> BatchPredictor:
    """The model, or what asks it one object after another where it has `predict` alone."""
    batched: BatchPredictor = model if hasattr(model, "predict_batch") else OneByOne(model.predict)
    return batched


@dataclass(frozen=True)
class OneByOne:
    """Objects asked one after another, for what has no batches; see `models.batched.BatchPredictor`.

    ask: called as a model's `predict`.
    """

    ask: Any
    batch: int = 1

    def predict_batch(self, queries: Sequence[ObjectQuery]) -> list[Any]:
        """What `ask` gives for each query, in order."""
        return [self.ask(query.image, query.category, box=query.box, **query.arguments) for query in queries]
