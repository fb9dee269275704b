"""Sampling of the objects that a generative model is trained on, by their number in the run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.pairs import balanced_weights
from ...data.synthetic import SyntheticObject, draw_object
from ...errors import InputError
from ...forms.dataset import LabelledObject
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
    return draw_object(item.kind, item.pose) if isinstance(item, SyntheticSeeds) else item


class ObjectSampler:
    """The object of each training sample, with the generator of its random changes.

    With sampling "epoch" every epoch is a permutation of the objects; with "balanced" each object is drawn on its own.
    """

    def __init__(
        self,
        objects: Sequence[LabelledObject],
        config: GenerativeTrainConfig,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Raises InputError where there is no object, and where weights and sources do not fit each other.

        objects: the labelled objects.
        config: the options of the run.
        weights: with sampling "balanced", each source's share of the draws, see `data.pairs.balanced_weights`.
        """
        if not objects:
            raise InputError("There is no object with a labelled point to train on; check the data file.")
        self.objects, self.config = objects, config
        categories = [item.category_id for item in objects]
        sources = [getattr(item, "source", "") for item in objects]
        used = weights if config.sampling == "balanced" else None
        self.probabilities = balanced_weights(categories, sources, used)
        self._epoch: tuple[int, np.ndarray] | None = None

    def sample(self, number: int) -> tuple[TrainingObject, np.random.Generator]:
        """The object of a sample, and the generator of its crop and its conversations.

        number: number of the sample in the run, over all steps, processes and forward passes.
        """
        return self._object(number), np.random.default_rng([self.config.seed, 1, number])

    def _object(self, number: int) -> TrainingObject:
        if self.config.sampling == "balanced":
            rng = np.random.default_rng([self.config.seed, 2, number])
            if rng.random() < self.config.made_up:
                return SyntheticSeeds(int(rng.integers(2**62)), int(rng.integers(2**62)))
            return self.objects[rng.choice(len(self.objects), p=self.probabilities)]
        epoch, index = divmod(number, len(self.objects))
        if self._epoch is None or self._epoch[0] != epoch:
            order = np.random.default_rng([self.config.seed, 3, epoch]).permutation(len(self.objects))
            self._epoch = (epoch, order)
        return self.objects[self._epoch[1][index]]
