"""Training of CapeLLM: each sample is a picture with one group of keypoints, or with all of an object's groups."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from ...data.synthetic import SyntheticObject
from ...errors import InputError
from ...forms.dataset import LabelledObject
from ...models.generative.capellm import CapeLLM
from ...models.generative.capellm_config import CapeLLMConfig
from .. import loop
from ..trainer import StepPlan
from .answer_losses import training_losses
from .capellm_config import CapeLLMTrainConfig
from .generative_trainer import GenerativeTrainer, check_shared
from .object_sampler import TrainingObject
from .rounds import grouped
from .sequence_batch import collate
from .sequences import PackedSequence, build_sequences, training_form


def train(
    model: CapeLLM,
    objects: Sequence[LabelledObject],
    config: CapeLLMTrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
    weights: Mapping[str, float] | None = None,
    quiet: bool = False,
) -> CapeLLM:
    """Train a CapeLLM in place, see `loop.run` for `out` and what follows it. Returns the model.

    With `config.shard` the returned model stays sharded, and with frozen weights in bfloat16 these stay so; load
    `out/model` for one that predicts. Raises InputError when nothing is trainable or when the run cannot learn from the
    form's answers.

    weights: each source's share of the draws, see `ObjectSampler`.
    """
    training_form(model, config)  # raises before anything is written
    with _only_trainable(model, config.train_only):
        loop.run(CapeLLMTrainer(model, objects, config, weights), out, on_step, stop_after, quiet)
    return model


def from_capellm(config: CapeLLMConfig, source: CapeLLM, seed: int = 0) -> CapeLLM:
    """A new CapeLLM with the image encoder, language model, adapters and projection of a saved one.

    The two may differ in how they ask, answer and cut crops. What the new one answers with <KEYPOINT> and the saved one
    does not have is random. Raises InputError unless both agree in encoder, language model and spelling.

    config: description of the new model.
    source: the trained CapeLLM; its modules are used, not copied.
    seed: seed of the random weights.
    """
    check_shared(config, source.config, ("vision", "language", "spaced"), "A CapeLLM that starts from another one")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = CapeLLM(config, source.encoder, source.language, source.tokenizer)
    model.projection = source.projection
    token = ("answer", "keypoint_token", "spread")
    if all(getattr(config, key) == getattr(source.config, key) for key in token):
        model.keypoint_token = source.keypoint_token
    return model.eval()


@contextmanager
def _only_trainable(model: CapeLLM, part: str) -> Iterator[None]:
    """A context within which all but one part of the model is frozen; "" changes nothing."""
    frozen = [p for name, p in model.named_parameters() if p.requires_grad and part and not name.startswith(f"{part}.")]
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


class CapeLLMTrainer(GenerativeTrainer):
    """The trainer of a CapeLLM; see `Trainer` for the methods."""

    model: CapeLLM
    config: CapeLLMTrainConfig

    def prepare(self, accelerator: Accelerator, out: Path) -> StepPlan:
        plan = super().prepare(accelerator, out)
        alone = self.config.guide.alone
        if 0 < plan.steps <= alone:
            raise InputError(
                f"guide.alone must be less than the {plan.steps} steps of the run, as no answer is learnt before, but "
                f"got {alone}; lower it or train longer."
            )
        return plan

    def loss_names(self, step: int) -> tuple[str, ...]:
        answered = self._answered(step)
        answers = ["answers", *self.spread_names()] if answered else []
        return ("loss", *answers, *self.guidance_names(answered))

    def rate_factor(self, step: int) -> float:
        return self.cosine_rate(step, hold=self.config.guide.alone)

    @property
    def anew(self) -> bool:
        """Fixed groups are drawn once, as the paper has it and the released code does."""
        return self.config.grouping != "fixed"

    def groups(self, item: LabelledObject | SyntheticObject, rng: np.random.Generator) -> list[list[int]]:
        keypoints = list(range(len(item.category)))
        # LocLLM takes the first k of all that are visible, which only the crop decides.
        k = len(keypoints) if self.config.grouping == "locllm" else self.config.rounds
        return grouped(self.config.grouping, keypoints, k, len(keypoints), rng)

    def sequences(
        self, item: TrainingObject, rng: np.random.Generator, step: int, group: list[int] | None = None
    ) -> list[PackedSequence]:
        return build_sequences(self.model, item, self.config, rng, self._answered(step), group)

    def losses(self, batch: list[PackedSequence], step: int) -> dict[str, Tensor]:
        moved = collate(batch, self.model.codec.base).to(self.model.device)
        return training_losses(self.model, moved, self.config, self._answered(step), self.readers)

    def _answered(self, step: int) -> bool:
        """Whether the questions have answers at a step; the first steps may train guidance alone."""
        return step >= self.config.guide.alone
