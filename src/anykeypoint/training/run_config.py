"""Options that the training runs of all model families have. Each family adds its own and sets its own defaults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from ..configs.checks import check_choice, check_positive, check_rate, check_share, check_whole
from ..configs.strict import Config
from ..configs.yaml_files import read_config
from ..crops.augment import AugmentConfig
from ..errors import InputError

PRECISIONS = ("bf16", "fp32")


@dataclass(frozen=True)
class RunConfig(Config):
    """Length, optimiser and checkpoints of one training run.

    sampling: how training samples are drawn; each family lists its ways.
    epochs: number of passes over the data.
    steps: number of optimiser steps; 0 takes `epochs`. Sampling "balanced" has no epochs and needs it.
    batch: number of samples (images, or episodes) in one forward pass of one process.
    accumulate: number of forward passes whose gradients make one optimiser step.
    lr: learning rate.
    encoder_lr: learning rate of the image encoder's parameters, where they train; 0 takes `lr`.
    weight_decay: weight decay of AdamW; 0 makes it Adam.
    clip: norm to which gradients are clipped; 0 switches clipping off.
    ema: decay of the moving average of the weights, which is then what is saved; 0 saves the last weights.
    precision: "bf16" for automatic mixed precision, or "fp32".
    seed: seed of all random numbers of the run.
    save_every: number of optimiser steps between two checkpoints.
    keep: number of checkpoints that are kept.
    augment: random changes of the crops. A mapping that gives some keys takes the defaults of AugmentConfig for the
        others, not those that the family has as its default here.
    allow_unpaired: train with flips although names have a side and no partner on the other one. Their categories are
        never mirrored; without this option such names stop the run (see `training.flips`).
    """

    called: ClassVar[str] = "The options of a training run"
    earlier: ClassVar[Mapping[str, Any]] = {}  # values of options that checkpoints of earlier versions do not state

    sampling: str = "epoch"
    epochs: int = 1
    steps: int = 0
    batch: int = 1
    accumulate: int = 1
    lr: float = 1e-4
    encoder_lr: float = 0.0
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.0
    precision: str = "bf16"
    seed: int = 42
    save_every: int = 200
    keep: int = 2
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    allow_unpaired: bool = False

    def __post_init__(self) -> None:
        check_choices(self, precision=PRECISIONS)
        check_options(self, check_whole, "epochs", "batch", "accumulate", "save_every", "keep")
        for name in ("steps", "seed"):
            check_whole(getattr(self, name), f"The recipe's {name}", least=0)
        check_from_zero(self, "lr", "encoder_lr", "weight_decay", "clip")
        check_options(self, check_rate, "ema")
        if self.sampling == "balanced" and self.steps < 1:
            raise InputError("sampling 'balanced' has no epochs; say how many optimiser steps with 'steps'.")

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a YAML file. Raises InputError, with the key, for unknown keys and values of another type."""
        return read_config(cls, path)


def check_choices(config: Config, **choices: tuple[str, ...]) -> None:
    """Check fields of a config that must be one of some words. Raises InputError."""
    for name, known in choices.items():
        check_choice(getattr(config, name), f"The recipe's {name}", known)


def check_frozen_precision(kept: str, precision: str) -> None:
    """Check the `frozen_precision` of a recipe against its `precision`. Raises InputError."""
    check_choice(kept, "The recipe's frozen_precision", PRECISIONS)
    if kept == "bf16" and precision != "bf16":
        raise InputError("frozen_precision 'bf16' needs precision 'bf16': in 'fp32' no weight is rounded.")


def check_options(config: Config, check: Callable[[Any, str], Any], *names: str) -> None:
    """Apply one check of `configs.checks` to several fields of a config. Raises InputError."""
    for name in names:
        check(getattr(config, name), f"The recipe's {name}")


def check_shares(config: Config, *names: str) -> None:
    """Check fields of a config that are shares, from 0 to 1. Raises InputError."""
    check_options(config, check_share, *names)


def check_from_zero(config: Config, *names: str) -> None:
    """Check fields of a config that are finite numbers from 0. Raises InputError."""
    for name in names:
        check_positive(getattr(config, name), f"The recipe's {name}", zero=True)
