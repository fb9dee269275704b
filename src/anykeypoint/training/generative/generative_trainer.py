"""What the trainers of CapeLLM and KptLLM share: samples, guidance, memory savings and learning rates."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from accelerate import Accelerator
from torch import nn

from ...data.synthetic import SyntheticObject
from ...errors import InputError
from ...forms.dataset import LabelledObject
from ...models.generative.base import GenerativeModel
from ..rates import cosine_rate
from ..trainer import MicroBatch, StepPlan, Trainer
from .generative_config import GenerativeTrainConfig
from .guidance import make_readers
from .memory import dummy_pass, frozen_linears, halve_frozen, keep_few_kernels, recomputed, shard
from .object_sampler import ObjectSampler, Sample, TrainingObject
from .sequences import PackedSequence

_TRIES = 16  # most items that are drawn in place of one from which nothing can be learnt


class GenerativeTrainer(Trainer):
    """A trainer whose samples are objects, or groups of an object's keypoints.

    With the item "object" an object with several sequences weighs as much as one with a single one. With the item
    "group" a sample without a labelled point in its crop counts as skipped, and another is drawn in its place.

    anew: whether the groups of the item "group" are drawn again in every epoch.
    """

    model: GenerativeModel
    config: GenerativeTrainConfig
    changeable: ClassVar[tuple[str, ...]] = ("frozen_precision", "checkpointing", "shard", "save_every", "keep")
    anew: bool = False

    def __init__(
        self,
        model: GenerativeModel,
        objects: Sequence[LabelledObject],
        config: GenerativeTrainConfig,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """weights: each source's share of the draws, see `ObjectSampler`."""
        self.model, self.objects, self.config, self.weights = model, objects, config, weights
        self.collective = config.shard
        self.readers: nn.ModuleDict | None = None

    def sequences(
        self, item: TrainingObject, rng: np.random.Generator, step: int, group: list[int] | None = None
    ) -> list[PackedSequence]:
        """The training sequences of an object at a step; none where nothing of it can be learnt from.

        item: the object.
        rng: generator of the crop and the conversations.
        step: number of the step, from 0.
        group: indices of the keypoints of its one conversation; None packs all of the object's conversations.
        """
        raise NotImplementedError

    def groups(self, item: LabelledObject | SyntheticObject, rng: np.random.Generator) -> list[list[int]]:
        """The groups of an object's keypoints, each of them one item; rng: generator of the draw."""
        raise NotImplementedError

    def make_sampler(self) -> ObjectSampler:
        """The sampler of the run's items."""
        groups = self.groups if self.config.item == "group" else None
        return ObjectSampler(self.objects, self.config, self.weights, groups, self.anew)

    def trained_on(self) -> Sequence[LabelledObject]:
        return self.objects

    def prepare(self, accelerator: Accelerator, out: Path) -> StepPlan:
        keep_few_kernels()
        if self.config.frozen_precision == "bf16":
            halve_frozen(frozen_linears(self.model))
        if self.config.shard:
            shard(self.model, accelerator)
        self.model.to(accelerator.device)
        self.readers = make_readers(self.model, self.config.guide)
        if self.readers is not None:
            self.readers.to(accelerator.device)
        self.sampler = self.make_sampler()
        plan = StepPlan.of(self.config, self.sampler.sizes(), accelerator.num_processes)
        self.steps = plan.steps
        return plan

    def parameter_groups(self) -> list[dict]:
        encoder = [p for p in self.model.encoder.parameters() if p.requires_grad]
        known = {id(p) for p in encoder}
        rest = [p for p in self.model.parameters() if p.requires_grad and id(p) not in known]
        groups = [{"params": [*rest, *self.auxiliary_parameters().values()], "lr": self.config.lr}]
        if encoder:
            groups.append({"params": encoder, "lr": self.config.encoder_lr or self.config.lr})
        return groups

    def auxiliary_parameters(self) -> Mapping[str, nn.Parameter]:
        if self.readers is None:
            return {}
        return {f"readers.{name}": p for name, p in self.readers.named_parameters()}

    def rate_factor(self, step: int) -> float:
        return self.cosine_rate(step)

    def cosine_rate(self, step: int, hold: int = 0) -> float:
        """The run's cosine schedule; hold: first step at which the rate may fall."""
        return cosine_rate(step, self.steps, self.config.warmup, hold)

    def guidance_names(self, answered: bool = True) -> list[str]:
        """The names of the loss terms of guidance; answered: whether the sequences have answers."""
        terms = {"guide": bool(self.config.guide.layers), "read": answered and self.readers is not None}
        return [name for name, present in terms.items() if present]

    def spread_names(self) -> list[str]:
        """The name of the loss term of the spread of <KEYPOINT> answers, where the model estimates one."""
        token = self.model.keypoint_token
        return ["spread"] if token is not None and token.spread is not None else []

    def load(self, numbers: range, step: int) -> MicroBatch:
        samples, sequences, crops, skipped = [], [], 0, 0
        for number in numbers:
            sample, built, missed = self._build(number, step)
            samples.append(sample)
            sequences += built
            crops += bool(built)
            skipped += missed
        total = _questions(sequences)
        parts = [sequences[i : i + self.config.batch] for i in range(0, len(sequences), self.config.batch)]
        return MicroBatch(
            batches=[(part, _questions(part) / total) for part in parts],
            crops=crops,
            skipped=skipped,
            seed=int(samples[0].rng.integers(2**31)),
            names=[str(sample.item.id) for sample in samples],
        )

    def _build(self, number: int, step: int) -> tuple[Sample, list[PackedSequence], int]:
        """A sample of the run, its sequences, and how many crops had nothing to learn from before it or in it."""
        sample = self.sampler.sample(number)
        tries = _TRIES if self.config.item == "group" else 0
        for missed in range(tries + 1):
            built = self.sequences(sample.item, sample.rng, step, sample.group)
            if built:
                return sample, built, missed
            if missed < tries:
                sample = self.sampler.another(number, sample.rng)
        return sample, [], tries + 1

    def context(self) -> AbstractContextManager:
        return recomputed(self.model) if self.config.checkpointing else nullcontext()

    def dummy_pass(self) -> None:
        dummy_pass(self.model)


def check_shared(ours: Any, theirs: Any, keys: Sequence[str], what: str) -> None:
    """InputError unless a new model has the options of the saved one that it starts from.

    ours, theirs: configs of the new and of the saved model.
    keys: options that must be the same.
    what: subject of the sentence.
    """
    for key in keys:
        own, saved = (_plain(getattr(config, key)) for config in (ours, theirs))
        if own != saved:
            raise InputError(f"{what} has its {key}, which is {saved}, but got {own}.")


def _plain(value: object) -> object:
    """An option as a sentence can show it."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _questions(sequences: Sequence[PackedSequence]) -> int:
    return sum(sequence.questions for sequence in sequences)
