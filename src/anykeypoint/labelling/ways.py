"""The ways of answering that a simulated labelling loop compares, on one job with the pictures of one kind of object.

words      the model by words alone
example    the model with the first picture as its example
examples   the model with the corrected pictures as its examples, those that look most like the picture
adapted    the same, and what was learnt from the corrected pictures (`Answering.learn`)
copying    the points of the corrected picture that looks most like this one, at the same place of the box
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..evaluation.baselines.base import transfer_points
from ..example import Example
from ..forms.dataset import LabelledObject
from ..pose import Pose
from ..training.adapting.adapt import FEWEST
from ..training.adapting.adapt_config import AdaptConfig
from .doubt import doubt
from .job import Answering
from .simulate import Answered, labelled

ADAPTING = AdaptConfig(versions=6, steps=160)  # less than the verb `adapt` takes, as a person waits
NAMES = ("words", "example", "examples", "adapted", "copying")


def name_of(item: LabelledObject) -> str:
    """The name of an object in its job."""
    return str(item.id)


class JobWay:
    """A way of answering that is a job's own.

    name: one of NAMES, all but "copying".
    seed: of adapting, which is done anew whenever there are twice as many examples.
    """

    def __init__(self, job: Answering, name: str, seed: int = 0) -> None:
        self.job, self.name, self.seed = job, name, seed
        self._adapted_to = 0
        self.learns = name in ("examples", "adapted")

    def begin(self) -> None:
        """Forget the examples."""
        self.job.forget_adapting()
        self._adapted_to = 0
        for name in self.job.examples:
            self.job.remove_example(name)

    def learn(self, item: LabelledObject) -> None:
        """Take in an example, unless words alone answer. One whose points all lie outside its crop teaches nothing."""
        if self.name == "words":
            return
        try:
            self.job.add_example(name_of(item), item.image, _marked(item), item.box)
        except InputError:
            return

    def answer(self, items: Sequence[LabelledObject], fine: bool) -> Iterator[Answered]:
        """See `simulate.Way`."""
        examples = len(self.job.examples)
        if self.name == "adapted" and not fine and examples >= max(FEWEST, 2 * self._adapted_to):
            self.job.adapt(replace(ADAPTING, seed=self.seed))
            self._adapted_to = examples
        nothing = np.full((len(self.job.category), 2), np.nan)
        for _, pose in self.job.answer([name_of(item) for item in items], fine=None if fine else False):
            yield Answered(pose.xy, doubt(pose)) if isinstance(pose, Pose) else Answered(nothing, 1.0)


class Copying(JobWay):
    """The nearest corrected picture's points, by their place in the box."""

    def __init__(self, job: Answering) -> None:
        super().__init__(job, "copying")
        self.learns = True
        self._items: dict[str, LabelledObject] = {}

    def learn(self, item: LabelledObject) -> None:
        """See `JobWay.learn`."""
        super().learn(item)
        self._items[name_of(item)] = item

    def answer(self, items: Sequence[LabelledObject], fine: bool) -> Iterator[Answered]:
        """See `simulate.Way`. The doubt is how unlike the two pictures are."""
        for item in items:
            ranked = self.job.ranked_examples(name_of(item))
            points = np.full_like(item.points, np.nan)
            for name, _ in ranked:  # a point that the nearest one does not show comes from the next that does
                other = self._items[name]
                copied = transfer_points(Example(other.image, _marked(other), other.box), item.box)
                points = np.where(np.isnan(points), copied, points)
            yield Answered(points, 1 - max(ranked[0][1], 0.0) if ranked else 1.0)


def ways(job: Answering, names: Sequence[str], seed: int = 0) -> list[JobWay]:
    """The ways of these names, of NAMES, on one job. seed: of adapting."""
    return [Copying(job) if name == "copying" else JobWay(job, name, seed) for name in names]


def _marked(item: LabelledObject) -> np.ndarray:
    """The labelled points of an object [K, 2], NaN for the others."""
    return np.where(labelled(item)[:, None], item.points, np.nan)
