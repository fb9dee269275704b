"""Options of adapting a matcher to a category."""

from dataclasses import dataclass, field
from typing import ClassVar

from ...configs.checks import check_positive, check_rate, check_share, check_whole
from ...configs.strict import Config
from ...crops.augment import AugmentConfig

CHANGES = AugmentConfig(scale=0.15, rotation=20.0, turn="normal", turned=0.7, shift=0.06, flip=0.5, colour=0.25)


@dataclass(frozen=True)
class AdaptConfig(Config):
    """How a matcher is adapted.

    versions: number of crops of each picture whose features are computed: the plain one, and augmented ones.
    folds: number of parts of the pictures; a member of the model learns from all parts but one, on which it is stopped.
    steps: number of steps of each member.
    batch: number of crops in a step.
    rate: learning rate; it rises for a tenth of the steps, and then falls to 0.
    weight_decay: weight decay of AdamW.
    spread: standard deviation of the target Gaussian in cells of the answer.
    check_every: number of steps between two measurements on the part that is left out.
    examples: number of pictures that the matcher has as its examples.
    width, blocks, fine, dropout: sizes of a member, see `models.matching.adapted.templates.TemplateConfig`.
    augment: random changes of the crops. Categories with a side that has no partner are never mirrored.
    seed: seed of all random numbers.
    """

    called: ClassVar[str] = "The options of adapting"

    versions: int = 12
    folds: int = 4
    steps: int = 240
    batch: int = 12
    rate: float = 2e-3
    weight_decay: float = 0.02
    spread: float = 1.0
    check_every: int = 50
    examples: int = 5
    width: int = 96
    blocks: int = 2
    fine: int = 2
    dropout: float = 0.2
    augment: AugmentConfig = field(default_factory=lambda: CHANGES)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("versions", "steps", "batch", "check_every", "examples", "width", "fine"):
            check_whole(getattr(self, name), f"Adapting's {name}")
        check_whole(self.folds, "Adapting's folds", least=2)
        for name in ("blocks", "seed"):
            check_whole(getattr(self, name), f"Adapting's {name}", least=0)
        check_positive(self.rate, "Adapting's rate")
        check_positive(self.spread, "Adapting's spread")
        check_share(self.weight_decay, "Adapting's weight_decay")
        check_rate(self.dropout, "Adapting's dropout")
