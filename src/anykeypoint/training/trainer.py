"""The interface between the training loop and a model family: a trainer loads samples and computes their loss."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

from accelerate import Accelerator
from torch import Tensor, nn

from ..category import Category
from ..forms.dataset import LabelledObject
from .run_config import RunConfig


@dataclass(frozen=True)
class StepPlan:
    """Which training samples every optimiser step of every process takes, by their number in the run.

    The numbers count the samples over all steps, processes and forward passes. With fewer processes and as many times
    more forward passes a step takes the same samples.

    steps: number of optimiser steps of the run.
    batch: number of samples in one forward pass of one process.
    accumulate: number of forward passes to an optimiser step.
    processes: number of processes.
    """

    steps: int
    batch: int
    accumulate: int
    processes: int

    @classmethod
    def of(cls, config: RunConfig, samples: int | Sequence[int], processes: int) -> "StepPlan":
        """The plan of a run; a last step of an epoch that is not full takes samples of the next one.

        config: the options of the run.
        samples: number of samples in an epoch, or in each epoch of the run.
        processes: number of processes.
        """
        per_step = config.batch * config.accumulate * processes
        sizes = [samples] * config.epochs if isinstance(samples, int) else samples
        steps = config.steps or sum(ceil(size / per_step) for size in sizes)
        return cls(steps, config.batch, config.accumulate, processes)

    @property
    def samples_per_step(self) -> int:
        """Number of samples to an optimiser step, over all forward passes and processes."""
        return self.batch * self.accumulate * self.processes

    def micro_batches(self, step: int, process: int) -> list[range]:
        """The numbers of the samples of each forward pass of one process in one step, both counted from 0."""
        first = step * self.accumulate
        turns = range(first, first + self.accumulate)
        starts = [(turn * self.processes + process) * self.batch for turn in turns]
        return [range(start, start + self.batch) for start in starts]


@dataclass(frozen=True)
class MicroBatch:
    """The samples of one forward pass, loaded. They may need several passes, as one sample can be several sequences.

    batches: what `Trainer.losses` takes, each with its weight in the loss; the weights sum to 1.
    crops: number of samples that are trained on.
    skipped: number of samples without anything to learn from.
    seed: seed of dropout.
    names: identities of the samples' objects, for error messages.
    """

    batches: Sequence[tuple[Any, float]]
    crops: int
    skipped: int
    seed: int
    names: Sequence[str]


class Trainer:
    """One model and how it is trained.

    model: the model, which has `save_pretrained(folder)`.
    config: the options of the run.
    changeable: names of options that may differ when a run is resumed, as they do not change what is learnt.
    collective: True where a forward pass communicates with the other processes, so that all processes must run equally
        many of them.
    """

    model: nn.Module
    config: RunConfig
    changeable: ClassVar[tuple[str, ...]] = ("save_every", "keep")
    collective: bool = False

    def trained_on(self) -> Sequence[LabelledObject]:
        """The labelled objects that are trained on."""
        return ()

    def categories(self) -> Iterable[Category]:
        """The categories of the labelled objects that are trained on, each as often as one likes."""
        return (item.category for item in self.trained_on())

    def prepare(self, accelerator: Accelerator, out: Path) -> StepPlan:
        """Move the model to its device and plan the run. It is called once, before all other methods.

        accelerator: device and processes of the run.
        out: folder of the run, for what the trainer keeps between runs.
        """
        raise NotImplementedError

    def parameter_groups(self) -> list[dict]:
        """The parameters that train, as groups for the optimiser, each with its full learning rate."""
        raise NotImplementedError

    def auxiliary_parameters(self) -> Mapping[str, nn.Parameter]:
        """Parameters by name that train with the model and are in checkpoints, but not in the saved model."""
        return {}

    def rate_factor(self, step: int) -> float:
        """The factor from 0 to 1 on all learning rates at a step, counted from 0."""
        raise NotImplementedError

    def loss_names(self, step: int) -> tuple[str, ...]:
        """The keys that `losses` may return at a step, in any process."""
        raise NotImplementedError

    def load(self, numbers: range, step: int) -> MicroBatch:
        """Read, crop and batch samples of the plan, given by their numbers in the run."""
        raise NotImplementedError

    def losses(self, batch: Any, step: int) -> dict[str, Tensor]:
        """One forward pass. Returns scalars: "loss", which is minimised, and its terms by name, without gradient."""
        raise NotImplementedError

    def context(self) -> AbstractContextManager:
        """A context within which all steps are taken."""
        return nullcontext()

    def dummy_pass(self) -> None:
        """A forward and backward pass with zero loss. It is needed where `collective` is set.

        It keeps the collective operations in step on processes that ran out of batches.
        """
        raise NotImplementedError
