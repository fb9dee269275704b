"""CapeLLM's course: objects, each behind its crop with all of its conversations."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from torch import Tensor, nn

from ...data.pairs import balanced_weights
from ...errors import InputError
from ...forms.dataset import LabelledObject
from ...models.generative.capellm import CapeLLM
from .. import loop
from ..course import Course, Pass
from ..rates import cosine_rate
from .capellm_config import TrainConfig
from .losses import make_readers, training_loss
from .memory import idle_pass, recomputed, spread
from .sequences import MadeUp, PackedSequence, build_sequences, collate, training_form


class Plan:
    """Which objects every optimiser step of one process sees.

    weights: with sampling "balanced", each source's share of the draws (see `pairs.balanced_weights`); an epoch has
    every object once, whatever it is of.
    """

    def __init__(
        self,
        objects: Sequence[LabelledObject],
        config: TrainConfig,
        processes: int = 1,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        if not objects:
            raise InputError("There is no object with a labelled point to train on; check the data file.")
        self.objects, self.config, self.processes = objects, config, processes
        self.per_step = config.batch * config.accumulate * processes
        kinds = [item.category_id for item in objects]
        sources = [getattr(item, "source", "") for item in objects]
        self.weights = balanced_weights(kinds, sources, weights if config.sampling == "balanced" else None)
        self.steps = config.steps or config.epochs * math.ceil(len(objects) / self.per_step)
        self._epoch: tuple[int, np.ndarray] | None = None

    def items(self, step: int, process: int) -> list[list[tuple[LabelledObject | MadeUp, np.random.Generator]]]:
        """The step's forward passes, each a list of `batch` objects with the generator of their augmentation."""
        config = self.config
        passes = []
        for turn in range(config.accumulate):
            drawn = []
            for b in range(config.batch):
                place = ((step * config.accumulate + turn) * self.processes + process) * config.batch + b
                drawn.append((self._object(place), np.random.default_rng([config.seed, 1, place])))
            passes.append(drawn)
        return passes

    def _object(self, place: int) -> LabelledObject | MadeUp:
        if self.config.sampling == "balanced":
            rng = np.random.default_rng([self.config.seed, 2, place])
            if rng.random() < self.config.made_up:
                return MadeUp(int(rng.integers(2**62)), int(rng.integers(2**62)))
            return self.objects[rng.choice(len(self.objects), p=self.weights)]
        epoch, index = divmod(place, len(self.objects))
        if self._epoch is None or self._epoch[0] != epoch:
            order = np.random.default_rng([self.config.seed, 3, epoch]).permutation(len(self.objects))
            self._epoch = (epoch, order)
        return self.objects[self._epoch[1][index]]


def train(
    model: CapeLLM,
    objects: Sequence[LabelledObject],
    config: TrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
    weights: Mapping[str, float] | None = None,
) -> CapeLLM:
    """Train what of the model is trainable, as `loop.run` says; returns it.

    With `config.shard` the returned model stays spread over the processes; load `out/model` for one to work with.
    `weights` are of `Plan`. Raises InputError when nothing is trainable or what is asked for cannot be learnt.
    """
    training_form(model, config)  # refuses what cannot be learnt before anything is written
    with _only(model, config.train_only):
        loop.run(CapeLLMCourse(model, objects, config, weights), out, on_step, stop_after)
    return model


@contextmanager
def _only(model: CapeLLM, part: str) -> Iterator[None]:
    """All but a part of the model frozen for a while; "" leaves it as it is."""
    frozen = [p for name, p in model.named_parameters() if p.requires_grad and part and not name.startswith(f"{part}.")]
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


class CapeLLMCourse(Course):
    """See `Course`. An object whose conversations need several sequences weighs as one that needs a single one."""

    free = ("checkpointing", "shard", "save_every", "keep")

    def __init__(
        self,
        model: CapeLLM,
        objects: Sequence[LabelledObject],
        config: TrainConfig,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.model, self.objects, self.config, self.weights = model, objects, config, weights
        self.together = config.shard
        self.readers: nn.ModuleDict | None = None

    def settle(self, accelerator: Accelerator, out: Path) -> Plan:
        if self.config.shard:
            spread(self.model, accelerator)
        self.model.to(accelerator.device)
        self.readers = make_readers(self.model, self.config.guide)
        if self.readers is not None:
            self.readers.to(accelerator.device)
        plan = Plan(self.objects, self.config, accelerator.num_processes, self.weights)
        self.steps = plan.steps
        return plan

    def groups(self) -> list[dict]:
        encoder = [p for p in self.model.encoder.parameters() if p.requires_grad]
        known = {id(p) for p in encoder}
        rest = [p for p in self.model.parameters() if p.requires_grad and id(p) not in known]
        groups = [{"params": [*rest, *self.beside().values()], "lr": self.config.lr}]
        if encoder:
            groups.append({"params": encoder, "lr": self.config.encoder_lr or self.config.lr})
        return groups

    def beside(self) -> Mapping[str, nn.Parameter]:
        if self.readers is None:
            return {}
        return {f"readers.{name}": p for name, p in self.readers.named_parameters()}

    def rate(self, step: int) -> float:
        return cosine_rate(step, self.steps, self.config.warmup, self.config.guide.alone)

    def parts(self, step: int) -> tuple[str, ...]:
        answered, guide = self._answered(step), self.config.guide
        there = {
            "loss": True,
            "answers": answered,
            "guide": guide.layers,
            "read": answered and self.readers is not None,
        }
        return tuple(name for name, is_there in there.items() if is_there)

    def opened(self, items: list[tuple[LabelledObject | MadeUp, np.random.Generator]], step: int) -> Pass:
        answered = self._answered(step)
        built = [self.built(item, rng, answered) for item, rng in items]
        sequences = [sequence for of_one in built for sequence in of_one]
        total = _questions(sequences)
        parts = [sequences[i : i + self.config.batch] for i in range(0, len(sequences), self.config.batch)]
        skipped = built.count([])
        return Pass(
            batches=[(part, _questions(part) / total) for part in parts],
            crops=len(built) - skipped,
            skipped=skipped,
            seed=int(items[0][1].integers(2**31)),
            names=[str(item.id) for item, _ in items],
        )

    def built(
        self, item: LabelledObject | MadeUp, rng: np.random.Generator, answered: bool = True
    ) -> list[PackedSequence]:
        """An object's sequences."""
        return build_sequences(self.model, item, self.config, rng, answered)

    def losses(self, batch: list[PackedSequence], step: int) -> dict[str, Tensor]:
        moved = collate(batch, self.model.codec.base).to(self.model.device)
        return training_loss(self.model, moved, self.config, self._answered(step), self.readers)

    def running(self) -> AbstractContextManager:
        return recomputed(self.model) if self.config.checkpointing else nullcontext()

    def idle(self) -> None:
        idle_pass(self.model)

    def _answered(self, step: int) -> bool:
        return step >= self.config.guide.alone


def _questions(sequences: Sequence[PackedSequence]) -> int:
    return sum(sequence.questions for sequence in sequences)
