"""A few-shot baseline's course: meta-training of ProtoNet and MAML, and the training that fine-tuning starts from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from torch import Tensor

from ..crops.batches import EpisodeBatch, collate
from ..crops.heatmaps import STRIDE
from ..data.episodes import EpisodeConfig, EpisodeSampler
from ..forms.dataset import Dataset
from ..models.fewshot.model import FewShotModel
from . import loop
from .course import Pass
from .matching.matcher import EpisodeCourse, Plan
from .matching.matcher_config import FewShotTrainConfig


def train(
    model: FewShotModel,
    data: Dataset,
    config: FewShotTrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
) -> FewShotModel:
    """Train what of the baseline is trainable, as `loop.run` says; returns it.

    A fine-tuned head that knows no category yet gets rows for those of the data. Raises InputError where model, data or
    recipe do not fit each other.
    """
    model.meet((category.name, len(category)) for category in data.categories.values())
    loop.run(FewShotCourse(model, data, config), out, on_step, stop_after)
    return model


class FewShotCourse(EpisodeCourse):
    """See `Course`. Every episode weighs the same, one without a keypoint to learn from as 0."""

    def __init__(self, model: FewShotModel, data: Dataset, config: FewShotTrainConfig) -> None:
        self.model, self.data, self.config = model, data, config

    def settle(self, accelerator: Accelerator, out: Path) -> Plan:
        self.model.to(accelerator.device)
        config, size = self.config, self.model.backbone.config.image_size
        drawn = EpisodeConfig(
            shots=config.shots,
            sampling=config.sampling,
            crop_scale=self.model.config.crop_scale,
            size=size,
            cells=max(1, round(size / STRIDE)),
            seed=config.seed,
            augment=config.augment,
        )
        self.episodes = EpisodeSampler(self.data, drawn)
        plan = Plan(self.episodes.per_epoch, config, accelerator.num_processes)
        self.steps = plan.steps
        return plan

    def parts(self, step: int) -> tuple[str, ...]:
        return ("loss",)

    def opened(self, items: list[int], step: int) -> Pass:
        batch = collate([self.episodes.episode(at) for at in items])
        skipped = int((~self.model.learnable(batch)).sum())
        return Pass(
            batches=[(batch, 1.0)],
            crops=len(items) - skipped,
            skipped=skipped,
            seed=int(np.random.default_rng([self.config.seed, 5, items[0]]).integers(2**31)),
            names=[str(self.data.objects[self.episodes.pair(at).query].id) for at in items],
        )

    def losses(self, batch: EpisodeBatch, step: int) -> dict[str, Tensor]:
        return {"loss": self.model.loss(batch)}
