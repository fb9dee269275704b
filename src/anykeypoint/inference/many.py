"""Answers for a list of objects, each a pose or the error of that object alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..models.batched import BATCH, ObjectQuery, answered
from ..pose import Pose

__all__ = ["BATCH", "ObjectQuery", "OneByOne", "answer"]


def answer(model: Any, items: Iterable[ObjectQuery], batch: int = BATCH) -> list[Pose | InputError]:
    """For each item, in order, its pose, or the error that says why there is none; a bad item spoils no other.

    model: any model that `anykeypoint.load` gives, or one that has `predict` alone, which is asked one object after
        another.
    items: of any pictures, boxes, categories, examples and options; those of one picture that stand together have it
        read once.
    batch: largest number of objects that go through the network together.

    An item that cannot be answered has an InputError; it is a `PredictionFailed` where the item itself is not to blame.
    """
    return list(answered(model if hasattr(model, "predict_batch") else OneByOne(model.predict), items, batch))


@dataclass(frozen=True)
class OneByOne:
    """Objects asked one after another, for what has no batches; see `models.batched.BatchPredictor`.

    ask: called as a model's `predict`.
    """

    ask: Any

    def predict_batch(self, queries: Sequence[ObjectQuery]) -> list[Any]:
        """What `ask` gives for each query, in order."""
        return [self.ask(query.image, query.category, box=query.box, **query.arguments) for query in queries]
