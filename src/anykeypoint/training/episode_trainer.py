"""What trainers on episodes share: parameter groups, learning rates and the plan of the run."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from accelerate import Accelerator

from ..data.episodes import LEAVE_OUT, EpisodeSampler
from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject
from .episode_config import EpisodeTrainConfig
from .rates import cosine_rate, step_rate
from .trainer import MicroBatch, StepPlan, Trainer

ENCODERS = ("encoder.", "example_encoder.")  # beginnings of the names of the image encoders' parameters


class EpisodeTrainer(Trainer):
    """A trainer whose samples are episodes. All episodes weigh the same; one without a common keypoint has loss 0."""

    config: EpisodeTrainConfig
    data: Dataset
    episodes: EpisodeSampler  # is set by `prepare`
    steps: int

    def trained_on(self) -> Sequence[LabelledObject]:
        return self.data.objects

    def plan(self, accelerator: Accelerator) -> StepPlan:
        """The plan of a run of `episodes`. Raises InputError where the warm-up is longer than the run."""
        plan = StepPlan.of(self.config, self.episodes.per_epoch, accelerator.num_processes)
        if self.config.warmup >= plan.steps:
            raise InputError(
                f"The rate rises for {self.config.warmup} steps, but the run has {plan.steps}; write a smaller warmup "
                "into the recipe."
            )
        self.steps = plan.steps
        return plan

    def note_left_out(self, accelerator: Accelerator) -> None:
        """Say on stderr which categories have too few objects and are never drawn."""
        small = [self.data.categories[key].name for key in self.episodes.too_few()]
        if small and self.config.small == LEAVE_OUT and accelerator.is_main_process:
            print(f"{len(small)} categories have too few objects and are left out: {', '.join(small)}", file=sys.stderr)

    def parameter_groups(self) -> list[dict]:
        trained = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        encoder = [p for name, p in trained if name.startswith(ENCODERS)]
        groups = [{"params": [p for name, p in trained if not name.startswith(ENCODERS)], "lr": self.config.lr}]
        if encoder:
            groups.append({"params": encoder, "lr": self.config.encoder_lr or self.config.lr})
        return groups

    def rate_factor(self, step: int) -> float:
        config = self.config
        if config.schedule == "cosine":
            return cosine_rate(step, self.steps, config.warmup / self.steps)
        return step_rate(step, self.steps, config.warmup, config.warmup_from, config.drops)

    def micro_batch(self, batch: Any, numbers: range, skipped: int) -> MicroBatch:
        """The micro-batch of some episodes.

        batch: the collated episodes, as `losses` takes them.
        numbers: numbers of the episodes.
        skipped: how many of them have no keypoint to learn from.
        """
        return MicroBatch(
            batches=[(batch, 1.0)],
            crops=len(numbers) - skipped,
            skipped=skipped,
            seed=self.dropout_seed(numbers),
            names=self.query_names(numbers),
        )

    def query_names(self, numbers: range) -> list[str]:
        """The identities of the query objects of some episodes, for error messages."""
        return [str(self.data.objects[self.episodes.pair(number).query].id) for number in numbers]

    def dropout_seed(self, numbers: range) -> int:
        """The seed of dropout in the forward pass of some episodes."""
        return int(np.random.default_rng([self.config.seed, 5, numbers[0]]).integers(2**31))
