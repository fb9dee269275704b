"""Training of the few-shot baselines: meta-training of ProtoNet and MAML, and the training before fine-tuning."""

from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor

from ...crops.batches import EpisodeBatch, collate
from ...crops.heatmaps import STRIDE
from ...data.episodes import EpisodeConfig, EpisodeSampler
from ...forms.dataset import Dataset
from ...models.fewshot.fewshot_model import FewShotModel
from .. import loop
from ..episode_trainer import EpisodeTrainer
from ..trainer import MicroBatch, StepPlan
from .fewshot_config import FewShotTrainConfig


def train(
    model: FewShotModel,
    data: Dataset,
    config: FewShotTrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
    quiet: bool = False,
) -> FewShotModel:
    """Train a baseline in place, see `loop.run` for `out` and what follows it. Returns the model.

    A fine-tuned head that knows no category yet gets a last layer for each category of the data. Raises InputError
    where model, data and recipe do not fit each other.
    """
    model.meet((category.name, len(category)) for category in data.categories.values())
    loop.run(FewShotTrainer(model, data, config), out, on_step, stop_after, quiet)
    return model


class FewShotTrainer(EpisodeTrainer):
    """The trainer of a few-shot baseline; see `Trainer` for the methods."""

    def __init__(self, model: FewShotModel, data: Dataset, config: FewShotTrainConfig) -> None:
        self.model, self.data, self.config = model, data, config

    def prepare(self, accelerator: Accelerator, out: Path) -> StepPlan:
        self.model.to(accelerator.device)
        config, size = self.config, self.model.encoder.config.image_size
        drawn = EpisodeConfig(
            shots=config.shots,
            sampling=config.sampling,
            small=config.small,
            crop_scale=self.model.config.crop_scale,
            size=size,
            cells=max(1, round(size / STRIDE)),
            seed=config.seed,
            augment=config.augment,
        )
        self.episodes = EpisodeSampler(self.data, drawn)
        self.note_left_out(accelerator)
        return self.plan(accelerator)

    def loss_names(self, step: int) -> tuple[str, ...]:
        return ("loss",)

    def load(self, numbers: range, step: int) -> MicroBatch:
        batch = collate([self.episodes.episode(number) for number in numbers])
        skipped = int((~self.model.learnable(batch)).sum())
        return self.micro_batch(batch, numbers, skipped)

    def losses(self, batch: EpisodeBatch, step: int) -> dict[str, Tensor]:
        return {"loss": self.model.loss(batch)}
