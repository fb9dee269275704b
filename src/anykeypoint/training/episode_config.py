"""Options of training runs on episodes, which matchers and few-shot baselines share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..configs.checks import check_share, check_whole
from ..crops.augment import MATCHER, AugmentConfig
from ..data.episodes import REFUSE, SAMPLINGS, SMALL
from .run_config import RunConfig, check_choices, check_options, check_shares

SCHEDULES = ("step", "cosine")


@dataclass(frozen=True)
class EpisodeTrainConfig(RunConfig):
    """A training run on episodes. See RunConfig for the options of all runs; `batch` counts episodes here.

    sampling: "released" has epochs with equally many episodes of every category; "balanced" draws the query's category
        by the square root of its number of objects, see `data.pairs.balanced_weights`.
    small: what becomes of categories with too few objects for an example and a query, of a model that words alone
        cannot ask: "refuse", or with sampling "balanced" "leave_out", which never draws them and names them on stderr.
    shots: number of examples of an episode.
    schedule: "step" divides the learning rate by ten at each of `drops`; "cosine" lowers it to 0.
    warmup: number of steps of the warm-up.
    warmup_from: factor on the learning rate at the first step, with schedule "step".
    drops: places of the drops as shares of the run, with schedule "step": epochs 160 and 180 of 200 by default.
    """

    former_keys: ClassVar[Mapping[str, str]] = {"backbone_lr": "encoder_lr"}

    sampling: str = "released"
    small: str = REFUSE
    shots: int = 1
    schedule: str = "step"
    warmup: int = 1000
    warmup_from: float = 0.001
    drops: tuple[float, ...] = (0.8, 0.9)
    epochs: int = 200
    batch: int = 16
    lr: float = 1e-5
    clip: float = 0.0
    precision: str = "fp32"
    augment: AugmentConfig = MATCHER

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, sampling=SAMPLINGS, schedule=SCHEDULES, small=SMALL)
        check_options(self, check_whole, "shots")
        check_whole(self.warmup, "The recipe's warmup", least=0)
        check_shares(self, "warmup_from")
        for drop in self.drops:
            check_share(drop, "Each of drops")
