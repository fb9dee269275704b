"""Options of a training run of a few-shot baseline."""

from dataclasses import dataclass

from ..episode_config import EpisodeTrainConfig


@dataclass(frozen=True)
class FewShotTrainConfig(EpisodeTrainConfig):
    """(Meta-)training of a few-shot baseline. No paper gives a recipe, so the defaults are ours.

    clip: gradients are clipped, since single steps of MAML have gradients of another magnitude.
    """

    epochs: int = 50
    batch: int = 8
    lr: float = 1e-4
    warmup: int = 500
    clip: float = 1.0
