"""Training of an image-text model to name marked places: "LLaVA*" of KptLLM's Table 1."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from accelerate import Accelerator
from torch import Tensor

from ...crops.augment import crop_placed, jitter, place
from ...errors import InputError
from ...forms.dataset import Dataset, LabelledObject
from ...geometry import visible_in
from ...images import read_picture
from ...models.generative.image_text import ImageTextNamer
from ...models.precision import fixed_linears
from .. import loop
from ..rates import cosine_rate
from ..trainer import MicroBatch, StepPlan, Trainer
from .image_text_config import ImageTextTrainConfig
from .memory import halve_frozen, recomputed_layers


def train(
    model: ImageTextNamer,
    data: Dataset,
    config: ImageTextTrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
    quiet: bool = False,
) -> ImageTextNamer:
    """Train an image-text model in place, see `loop.run` for `out` and what follows it. Returns the model.

    Raises InputError when nothing is trainable, and for data without a labelled point.
    """
    loop.run(ImageTextTrainer(model, data, config), out, on_step, stop_after, quiet)
    return model


@dataclass(frozen=True)
class MarkedPoint:
    """One training sample.

    pixels: S S 3 uint8, the crop with the ring.
    name: name of the keypoint inside the ring.
    """

    pixels: np.ndarray
    name: str


class ImageTextTrainer(Trainer):
    """The trainer of an image-text model; see `Trainer` for the methods."""

    model: ImageTextNamer
    config: ImageTextTrainConfig
    changeable: ClassVar[tuple[str, ...]] = ("frozen_precision", "checkpointing", "save_every", "keep")

    def __init__(self, model: ImageTextNamer, data: Dataset, config: ImageTextTrainConfig) -> None:
        self.model, self.config = model, config
        self.points = [(item, k) for item in data.objects for k in np.flatnonzero(item.visibility > 0).tolist()]
        if not self.points:
            raise InputError("There is no labelled point to train on; check the data file.")
        self._epoch: tuple[int, np.ndarray] | None = None

    def trained_on(self) -> Sequence[LabelledObject]:
        return list({item.id: item for item, _ in self.points}.values())

    def prepare(self, accelerator: Accelerator, out: Path) -> StepPlan:
        if self.config.frozen_precision == "bf16":
            halve_frozen(fixed_linears(self.model.model).values())  # the folder holds the adapters alone
        self.model.to(accelerator.device)
        plan = StepPlan.of(self.config, len(self.points), accelerator.num_processes)
        self.steps = plan.steps
        return plan

    def parameter_groups(self) -> list[dict]:
        return [{"params": [p for p in self.model.parameters() if p.requires_grad], "lr": self.config.lr}]

    def rate_factor(self, step: int) -> float:
        return cosine_rate(step, self.steps, self.config.warmup)

    def loss_names(self, step: int) -> tuple[str, ...]:
        return ("loss",)

    def load(self, numbers: range, step: int) -> MicroBatch:
        drawn = [self._point(number) for number in numbers]
        samples = [
            self._sample(item, k, np.random.default_rng([self.config.seed, 1, number]))
            for number, (item, k) in zip(numbers, drawn, strict=True)
        ]
        batch = [sample for sample in samples if sample is not None]
        return MicroBatch(
            batches=[(batch, 1.0)] if batch else [],
            crops=len(batch),
            skipped=len(samples) - len(batch),
            seed=int(np.random.default_rng([self.config.seed, 5, numbers[0]]).integers(2**31)),
            names=[str(item.id) for item, _ in drawn],
        )

    def losses(self, batch: list[MarkedPoint], step: int) -> dict[str, Tensor]:
        """The mean cross-entropy over all tokens of the names and their endings (Eq. 6)."""
        log_probs, answered = self.model([one.pixels for one in batch], [one.name for one in batch])
        return {"loss": -(log_probs * answered).sum() / answered.sum()}

    def context(self) -> AbstractContextManager:
        return recomputed_layers(self.model.model.get_decoder().layers) if self.config.checkpointing else nullcontext()

    def _point(self, number: int) -> tuple[LabelledObject, int]:
        """The object and keypoint of a sample by its number; every epoch is a permutation of the labelled points."""
        epoch, index = divmod(number, len(self.points))
        if self._epoch is None or self._epoch[0] != epoch:
            order = np.random.default_rng([self.config.seed, 3, epoch]).permutation(len(self.points))
            self._epoch = (epoch, order)
        return self.points[self._epoch[1][index]]

    def _sample(self, item: LabelledObject, keypoint: int, rng: np.random.Generator) -> MarkedPoint | None:
        """A random crop with the keypoint marked; None where the keypoint lies outside the crop."""
        model, augment = self.model, self.config.augment
        placement = place(item.box, model.config.crop_scale, augment, rng, item.category.flips)
        points = placement.labels(item.points, item.category)
        if not visible_in(points)[keypoint]:
            return None
        picture = read_picture(item.image)
        if augment.colour:
            picture = jitter(picture, augment.colour, rng)
        pixels = crop_placed(picture, placement, model.config.image_size)
        return MarkedPoint(model.marked(pixels, points[keypoint]), item.category.names[keypoint])
