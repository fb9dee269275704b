"""A matcher's course: episodes, each with an example, words or both, and a query whose keypoints are to be found.

Letters: B episodes, M examples, K keypoints, S crop side in pixels, C h w a feature map, N x N cells of heat maps.
"""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from ...category import Category
from ...crops.batches import Episode, EpisodeBatch, collate
from ...data.episodes import EpisodeConfig, EpisodeSampler
from ...errors import InputError
from ...forms.dataset import Dataset
from ...models.matching.heads.evidence import EvidenceHead
from ...models.matching.model import MatchingModel
from .. import loop
from ..course import Course, Pass
from ..rates import cosine_rate, step_rate
from .features import CachedPlan, VersionedPlan, compute_features
from .matcher_config import EpisodeTrainConfig, MatcherTrainConfig

BACKBONES = ("backbone.", "example_backbone.")  # how the names of their parameters begin


def train(
    model: MatchingModel,
    data: Dataset,
    config: MatcherTrainConfig,
    out: Path,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    stop_after: int | None = None,
) -> MatchingModel:
    """Train what of the matcher is trainable, as `loop.run` says; returns it.

    With features "cached" those of the backbone are kept in `out/features`. Raises InputError when nothing is
    trainable, and where model, data or recipe do not fit each other.
    """
    loop.run(MatchingCourse(model, data, config), out, on_step, stop_after)
    return model


class Plan:
    """Which episodes every optimiser step of one process sees, by their places in the run."""

    def __init__(self, per_epoch: int, config: EpisodeTrainConfig, processes: int = 1) -> None:
        self.config, self.processes = config, processes
        self.per_step = config.batch * config.accumulate * processes
        self.steps = config.steps or config.epochs * math.ceil(per_epoch / self.per_step)
        if config.warmup >= self.steps:
            raise InputError(
                f"The rate rises for {config.warmup} steps, but the run has {self.steps}; write a smaller warmup."
            )

    def items(self, step: int, process: int) -> list[list[int]]:
        """The step's forward passes, each a list of `batch` places."""
        config = self.config
        starts = [
            ((step * config.accumulate + turn) * self.processes + process) * config.batch
            for turn in range(config.accumulate)
        ]
        return [list(range(start, start + config.batch)) for start in starts]


@dataclass(frozen=True)
class Asked:
    """What is drawn for an episode: whether it has words, with descriptions, and an example, and for which keypoints.

    keypoints: (K,) bool, or None for those that all examples show.
    """

    words: bool
    example: bool
    described: bool
    keypoints: np.ndarray | None


@dataclass(frozen=True)
class Batch:
    """Episodes as the matcher takes them. Pictures are pixels uint8, or their features float16 where these are cached.

    looking: R, the rows with examples; examples have only those.
    """

    query: Tensor  # B S S 3 or B C h w
    examples: Tensor  # R M S S 3 or R M C h w
    looking: Tensor  # R
    example_heat: Tensor  # B M K N N
    shown: Tensor  # B M K bool: examples that may be looked at, and show the keypoint
    told: Tensor  # B K bool: has words
    valid: Tensor  # B K bool: asked for
    labelled: Tensor  # B K bool: asked for and visible in the query
    points: Tensor  # B K 2
    heat: Tensor  # B K N N
    categories: tuple[Category, ...]
    asked: tuple[Asked, ...]

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})


class EpisodeCourse(Course):
    """What the courses on episodes share: rates, and their backbones' own."""

    steps: int

    def groups(self) -> list[dict]:
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        backbone = [p for name, p in named if name.startswith(BACKBONES)]
        groups = [{"params": [p for name, p in named if not name.startswith(BACKBONES)], "lr": self.config.lr}]
        if backbone:
            groups.append({"params": backbone, "lr": self.config.backbone_lr or self.config.lr})
        return groups

    def rate(self, step: int) -> float:
        config = self.config
        if config.schedule == "cosine":
            return cosine_rate(step, self.steps, config.warmup / self.steps)
        return step_rate(step, self.steps, config.warmup, config.warmup_from, config.drops)


class MatchingCourse(EpisodeCourse):
    """See `Course`. Every episode weighs the same, one without a keypoint to learn from as 0, as released."""

    def __init__(self, model: MatchingModel, data: Dataset, config: MatcherTrainConfig) -> None:
        self.model, self.data, self.config = model, data, config
        dropout = config.modality_dropout
        if (dropout.words_only or dropout.example_only) and "both" not in model.prompts:
            raise InputError(
                f"modality_dropout leaves out words or the example, but {model.config.name} takes one of them only; "
                "leave it out."
            )
        if config.features == "cached" and model.config.backbone.tuning != "frozen":
            raise InputError("features 'cached' need a backbone that stays as it is; set its tuning to frozen.")
        if config.features == "cached" and model.config.own_example_backbone:
            raise InputError("features 'cached' are of one backbone; set own_example_backbone to false.")

    def settle(self, accelerator: Accelerator, out: Path) -> Plan:
        self.model.to(accelerator.device)
        if isinstance(head := self.model.head, EvidenceHead) and not head.whitens:
            head.whiten(self._phrases())
        self.episodes = self._episodes(accelerator, out / "features")
        plan = Plan(self.episodes.per_epoch, self.config, accelerator.num_processes)
        self.steps = plan.steps
        return plan

    def parts(self, step: int) -> tuple[str, ...]:
        return ("loss", *self.model.head.parts)

    def opened(self, items: list[int], step: int) -> Pass:
        pairs = [self.episodes.pair(at) for at in items]
        sizes = [len(self.data.objects[pair.query].category) for pair in pairs]
        rows = [self._rows(at, size) for at, size in zip(items, sizes, strict=True)]
        asked = [self.asked(at, len(kept)) for at, kept in zip(items, rows, strict=True)]
        with ThreadPoolExecutor(min(len(items), os.cpu_count() or 1)) as pool:  # reading and cutting pictures
            episodes = pool.map(self.episodes.episode, items, [one.example for one in asked])
            batch = _batch(collate([_cut(one, kept) for one, kept in zip(episodes, rows, strict=True)]), asked)
        skipped = int((~batch.labelled.any(dim=1)).sum())
        return Pass(
            batches=[(batch, 1.0)],
            crops=len(items) - skipped,
            skipped=skipped,
            seed=int(np.random.default_rng([self.config.seed, 5, items[0]]).integers(2**31)),
            names=[str(self.data.objects[pair.query].id) for pair in pairs],
        )

    def losses(self, batch: Batch, step: int) -> dict[str, Tensor]:
        batch, model = batch.to(self.model.device), self.model
        query = self._features(batch.query)
        looks = words = None
        if len(batch.looking):
            found = self._features(batch.examples, examples=True)
            looks = found.new_zeros(len(query), *found.shape[1:]).index_copy(0, batch.looking, found)
        if any(one.words for one in batch.asked):
            words = torch.zeros(*batch.told.shape, model.text.dim, device=query.device)
            for row, (category, one) in enumerate(zip(batch.categories, batch.asked, strict=True)):
                if one.words:
                    with torch.autocast(query.device.type, enabled=False):  # as they are when the model is asked
                        words[row, : len(category)] = model.phrases(category, one.described)
        answer = model.match(
            query,
            batch.valid,
            [category.skeleton for category in batch.categories],
            examples=looks,
            heat=None if looks is None else batch.example_heat,
            shown=None if looks is None else batch.shown,
            phrases=words,
            told=None if words is None else batch.told,
        )
        weight = self.config.heat_weight
        parts = model.losses(answer, batch.points, batch.heat, batch.labelled, batch.valid, weight)
        return {"loss": sum(parts.values()), **{name: part.detach() for name, part in parts.items()}}

    def _phrases(self) -> Tensor:
        """The vectors of all phrases that the data's keypoints have, each once, P D."""
        points = {point for item in self.data.objects for point in item.category.keypoints}
        return self.model.text.phrases(sorted({self.model.phrase(point) for point in points}))

    def _rows(self, at: int, keypoints: int) -> np.ndarray:
        """Which of so many keypoints the episode at a place keeps."""
        most = self.config.most_keypoints
        if not 0 < most < keypoints:
            return np.arange(keypoints)
        return np.sort(np.random.default_rng([self.config.seed, 8, at]).choice(keypoints, most, replace=False))

    def asked(self, at: int, keypoints: int) -> Asked:
        """What is drawn for the episode at a place, of a category of so many keypoints."""
        config, model = self.config, self.model.config
        rng = np.random.default_rng([config.seed, 4, at])
        draw, describe = rng.random(2)
        words, example = config.modality_dropout.words_only, config.modality_dropout.example_only
        chosen = None
        if config.support_points_fraction is not None:
            kept = max(1, math.floor(round(keypoints * config.support_points_fraction, 6)))
            chosen = np.isin(np.arange(keypoints), rng.choice(keypoints, kept, replace=False))
        return Asked(
            words=model.reads and not words <= draw < words + example,
            example=model.looks and draw >= words,
            described=bool(describe < config.describe),
            keypoints=chosen,
        )

    def _episodes(self, accelerator: Accelerator, folder: Path) -> EpisodeSampler:
        config, model = self.config, self.model.config
        drawn = EpisodeConfig(
            shots=config.shots,
            sampling=config.sampling,
            crop_scale=model.crop_scale,
            size=model.backbone.image_size,
            released_crop=model.released_crop,
            sigma=model.sigma,
            cells=model.cells,
            example_pixels=model.looks,
            seed=config.seed,
            augment=config.augment,
        )
        if not config.versions:
            return EpisodeSampler(self.data, drawn)
        plan = VersionedPlan(self.data, drawn, config.versions)
        if config.features == "live":
            return plan

        @torch.no_grad()
        def features(crops: np.ndarray) -> Tensor:
            return self._features(torch.from_numpy(crops).to(self.model.device))

        maps = compute_features(plan, self.model.backbone, features, folder, accelerator)
        return CachedPlan(self.data, drawn, maps)

    def _features(self, pictures: Tensor, examples: bool = False) -> Tensor:
        """Pixels ... S S 3 uint8, or their features ... C h w float16 -> features ... C h w."""
        if pictures.dtype != torch.uint8:
            return pictures.float()
        flat = self.model.backbone.normalise(pictures.flatten(0, -4))
        return self.model.features(flat, examples).unflatten(0, pictures.shape[:-3])


def _cut(episode: Episode, rows: np.ndarray) -> Episode:
    """The episode with these keypoints alone; itself where that is all of them."""
    return episode if len(rows) == len(episode.category) else episode.only(rows)


def _batch(episodes: EpisodeBatch, asked: Sequence[Asked]) -> Batch:
    """Episodes as tensors, with what each is asked.

    As in the released code, keypoints that an example does not show are not asked for, by words either; but a drawn
    share of keypoints is asked for by words alone whether shown or not.
    """
    valid = episodes.examples.visible.all(axis=1)  # B K
    for row, one in enumerate(asked):
        if one.keypoints is not None:
            drawn = np.zeros_like(valid[row])
            drawn[: len(one.keypoints)] = one.keypoints
            valid[row] = drawn & valid[row] if one.example else drawn
    told = valid & np.array([[one.words] for one in asked])
    looks = np.array([one.example for one in asked])
    looking = np.flatnonzero(looks)
    tensors = (
        episodes.query.pixels,
        episodes.examples.pixels[looking],
        looking,
        episodes.examples.heatmaps,
        episodes.examples.visible & valid[:, None] & looks[:, None, None],
        told,
        valid,
        valid & episodes.query.visible,
        episodes.query.points.astype(np.float32),
        episodes.query.heatmaps,
    )
    return Batch(*map(torch.from_numpy, tensors), episodes.categories, tuple(asked))
