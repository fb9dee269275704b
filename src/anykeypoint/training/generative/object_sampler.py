"""Sampling of the items that a generative model is trained on, by their number in the run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...data.pairs import balanced_weights
from ...data.synthetic import SyntheticObject, draw_object
from ...errors import InputError
from ...forms.dataset import LabelledObject
from .epochs import EpochItems, Groups
from .generative_config import GenerativeTrainConfig


@dataclass(frozen=True)
class SyntheticSeeds:
    """A synthetic object by its two seeds, see `data.synthetic.draw_object`; it is drawn when it is needed."""

    kind: int
    pose: int

    @property
    def id(self) -> str:
        """A name for error messages."""
        return f"made-up {self.kind}/{self.pose}"


TrainingObject = LabelledObject | SyntheticSeeds


def resolve(item: TrainingObject) -> LabelledObject | SyntheticObject:
    """The object itself, drawn where it is given by its seeds."""
    return _drawn(item.kind, item.pose) if isinstance(item, SyntheticSeeds) else item


@lru_cache(maxsize=1)  # a group is drawn from an object's keypoints just before its picture is cropped
def _drawn(kind: int, pose: int) -> SyntheticObject:
    return draw_object(kind, pose)


class Sample(NamedTuple):
    """What one training sample is made of.

    item: the object.
    group: indices of the keypoints of its one conversation; None for all conversations of the object.
    rng: generator of the crop and the conversations.
    """

    item: TrainingObject
    group: list[int] | None
    rng: np.random.Generator


class ObjectSampler:
    """The object of each training sample, and with the unit "group" one group of its keypoints.

    With sampling "epoch" every epoch has all items in a random order; with "balanced" each object is drawn on its own,
    and then one of its groups, each with the same probability.
    """

    def __init__(
        self,
        objects: Sequence[LabelledObject],
        config: GenerativeTrainConfig,
        weights: Mapping[str, float] | None = None,
        groups: Callable[[LabelledObject | SyntheticObject, np.random.Generator], Groups] | None = None,
        anew: bool = False,
    ) -> None:
        """Raises InputError where there is no object, and where weights and sources do not fit each other.

        objects: the labelled objects.
        config: the options of the run.
        weights: with sampling "balanced", each source's share of the draws, see `data.pairs.balanced_weights`.
        groups: draws the groups of an object's keypoints, each of which is an item; None makes each object an item.
        anew: whether the groups are drawn again in every epoch.
        """
        if not objects:
            raise InputError("There is no object with a labelled point to train on; check the data file.")
        self.objects, self.config, self._groups = objects, config, groups
        categories = [item.category_id for item in objects]
        sources = [getattr(item, "source", "") for item in objects]
        used = weights if config.sampling == "balanced" else None
        self.probabilities = balanced_weights(categories, sources, used)
        self.epochs: EpochItems | None = None
        if config.sampling == "epoch":
            of_index = None if groups is None else lambda index, rng: groups(objects[index], rng)
            self.epochs = EpochItems(len(objects), config.seed, of_index, anew)

    def sizes(self) -> list[int]:
        """Number of items in each epoch of the run; none where the run is counted in steps."""
        return [] if self.config.steps else [self.epochs.size(epoch) for epoch in range(self.config.epochs)]

    def sample(self, number: int) -> Sample:
        """The sample of a number, which counts over all steps, processes and forward passes of the run."""
        if self.epochs is None:
            item, group = self._draw(np.random.default_rng([self.config.seed, 2, number]))
        else:
            index, group = self.epochs.at(number)
            item = self.objects[index]
        return Sample(item, group, np.random.default_rng([self.config.seed, 1, number]))

    def another(self, number: int, rng: np.random.Generator) -> Sample:
        """A sample in place of one from which nothing can be learnt, drawn with that one's generator."""
        if self.epochs is None:
            item, group = self._draw(rng)
        else:
            index, group = self.epochs.another(number, rng)
            item = self.objects[index]
        return Sample(item, group, rng)

    def _draw(self, rng: np.random.Generator) -> tuple[TrainingObject, list[int] | None]:
        if rng.random() < self.config.made_up:
            item = SyntheticSeeds(int(rng.integers(2**62)), int(rng.integers(2**62)))
        else:
            item = self.objects[rng.choice(len(self.objects), p=self.probabilities)]
        if self._groups is None:
            return item, None
        groups = self._groups(resolve(item), rng)
        return item, groups[int(rng.integers(len(groups)))] if groups else []
