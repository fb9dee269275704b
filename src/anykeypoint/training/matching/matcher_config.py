"""Everything a training run on episodes is told. How crops are cut and marked is the model's."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ...crops.augment import MATCHER, AugmentConfig
from ...data.episodes import SAMPLINGS
from ...errors import InputError
from ..generative.capellm_config import check_choices, check_counts, load_config

SCHEDULES = ("step", "cosine")
FEATURES = ("live", "cached")


@dataclass(frozen=True)
class ModalityDropout:
    """Shares of the episodes that leave one of the two out; the rest has all that the model takes.

    A model that was trained so also answers to either alone.
    """

    words_only: float = 0.0
    example_only: float = 0.0

    def __post_init__(self) -> None:
        for name in ("words_only", "example_only"):
            _check_share(f"modality_dropout's {name}", getattr(self, name))
        if self.words_only + self.example_only > 1:
            raise InputError(
                f"The shares of modality_dropout must be 1 together at most, but got {self.words_only} and "
                f"{self.example_only}."
            )


@dataclass(frozen=True)
class EpisodeTrainConfig:
    """What all runs on episodes are told. The defaults are those of `MatcherTrainConfig`."""

    shots: int = 1  # examples of an episode
    sampling: str = "released"  # epochs of equally many episodes of each category; "balanced": see `EpisodeConfig`
    epochs: int = 200
    steps: int = 0  # optimiser steps; 0 takes `epochs`
    batch: int = 16  # episodes in one forward pass of one process
    accumulate: int = 1  # forward passes to an optimiser step
    lr: float = 1e-5
    backbone_lr: float = 0.0  # of what trains of the backbone; 0 takes lr
    schedule: str = "step"  # a tenth from each of `drops` on; or "cosine"
    warmup: int = 1000  # steps that rise in a straight line
    warmup_from: float = 0.001  # share of the rate at the first step, with schedule "step"
    drops: tuple[float, ...] = (0.8, 0.9)  # shares of the steps: epochs 160 and 180 of 200
    weight_decay: float = 0.0
    clip: float = 0.0  # gradient norm; 0 switches clipping off
    ema: float = 0.0  # decay of the averaged weights that are saved; 0 saves the last ones
    precision: str = "fp32"  # or "bf16"
    seed: int = 42
    save_every: int = 200  # steps
    keep: int = 2  # checkpoints
    augment: AugmentConfig = MATCHER  # where a file gives some of its keys, the others are AugmentConfig's own

    def __post_init__(self) -> None:
        check_choices(self, sampling=SAMPLINGS, schedule=SCHEDULES, precision=("bf16", "fp32"))
        check_counts(self, "shots", "epochs", "batch", "accumulate", "save_every", "keep")
        for name in ("steps", "warmup"):
            _check_from_zero(self, name)
        _check_share("warmup_from", self.warmup_from)
        for drop in self.drops:
            _check_share("Each of drops", drop)
        if self.sampling == "balanced" and self.steps < 1:
            raise InputError("sampling 'balanced' has no epochs; say how many optimiser steps with 'steps'.")

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a YAML file; unknown keys and wrong types are refused by name."""
        return load_config(cls, path)


@dataclass(frozen=True)
class FewShotTrainConfig(EpisodeTrainConfig):
    """(Meta-)training of a few-shot baseline. No paper says how: the defaults are ours."""

    epochs: int = 50
    batch: int = 8
    lr: float = 1e-4
    warmup: int = 500
    clip: float = 1.0  # a MAML step now and then has a gradient of another size


@dataclass(frozen=True)
class MatcherTrainConfig(EpisodeTrainConfig):
    """A matcher's run. The defaults are the recipe of GraphCape and CapeX, for Swin-V2-T (Small has batch 8)."""

    support_points_fraction: float | None = None  # share of the keypoints asked for; null: those the examples show
    most_keypoints: int = 0  # episodes of more are cut to so many, drawn anew each time; 0 cuts none
    modality_dropout: ModalityDropout = field(default_factory=ModalityDropout)
    describe: float = 1.0  # share of episodes in which a model whose phrases have descriptions is told them
    heat_weight: float = 2.0  # of the similarity maps' loss beside the points'; POMNet's has no other part
    features: str = "live"  # "cached": a frozen backbone's, computed once of `versions` crops of each object
    versions: int = 0  # augmented crops that an object has in the whole run; 0 cuts every one anew

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, features=FEATURES)
        for name in ("versions", "heat_weight", "most_keypoints"):
            _check_from_zero(self, name)
        _check_share("describe", self.describe)
        fraction = self.support_points_fraction
        if fraction is not None and not 0 < fraction <= 1:
            raise InputError(f"support_points_fraction must be above 0 and at most 1, but got {fraction}.")
        if self.features == "cached" and self.versions < 1:
            raise InputError("features 'cached' are of so many crops of each object; say how many with 'versions'.")


def _check_from_zero(config: EpisodeTrainConfig, name: str) -> None:
    if getattr(config, name) < 0:
        raise InputError(f"{name} must be 0 or more, but got {getattr(config, name)}.")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{name} is a share and must be from 0 to 1, but got {value}.")
