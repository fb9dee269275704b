"""The options of an evidence head; see `heads.evidence`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ....configs.checks import check_choice, check_positive, check_rate, check_whole
from ....configs.strict import Config
from ....errors import InputError
from ..parts.reading import READINGS

_COUNTS = ("members", "width", "heads", "layers", "blocks", "likeness", "text_width")


@dataclass(frozen=True)
class EvidenceConfig(Config):
    """Sizes of an evidence head. Those that the encoders decide may be None, until `EvidenceHead.fit` fills them in.

    image_width: channels of the query's feature map.
    text_width: channels of a phrase.
    groups: numbers of channels of the groups that have a cosine of their own (EfficientNet-Lite2: its two maps; joined
        with CLIP: these and CLIP's channels).
    members: number of decoders; each learns from every members-th object of a batch, and their outputs are averaged.
    width: channels of a member's tokens, a multiple of `heads`.
    heads: number of attention heads.
    layers: number of decoder layers of a member.
    blocks: number of convolutional blocks in front of the decoder.
    likeness: channels of the projection with a learnt cosine.
    dropout: dropout probability.
    image_dropout: that of the convolutional blocks, which draws a number for every cell; None is `dropout`.
    attention_dropout: that of the attention's weights, as many for every cell; None is `dropout`.
    spread: standard deviation of the target Gaussian in cells.
    reading: how a point is read from the smoothed map: "modes", the highest place, between cells (`maps.modes`), or
        "window", the mean of the 3 x 3 cells round the highest one, as folders of version 0.1.0 are read.
    place_width: how many channels of a phrase, the last ones, are of position words (`towers.place_words`); these are
        only shifted and scaled as a whole, as whitening would mix them with the others.
    ridge: share of the mean variance that whitening adds to each variance; the larger, the less are phrases told apart
        by directions in which the training phrases hardly differ.
    competition: how strongly keypoints asked for by words alone leave a place to each other in an answer, from 0 (see
        `parts.competition`); no weight depends on it.
    """

    called = "The options of an evidence head"
    former_values: ClassVar[Mapping[str, Any]] = {"reading": "window"}

    image_width: int | None = 328
    text_width: int | None = 384
    groups: tuple[int, ...] | None = (120, 208)
    members: int = 4
    width: int = 128
    heads: int = 8
    layers: int = 3
    blocks: int = 2
    likeness: int = 96
    dropout: float = 0.15
    image_dropout: float | None = None
    attention_dropout: float | None = None
    spread: float = 1.0
    reading: str = "modes"
    place_width: int | None = 0
    ridge: float = 0.1
    competition: float = 0.0

    def __post_init__(self) -> None:
        if self.groups is not None:
            object.__setattr__(self, "groups", tuple(self.groups))
        if None not in (self.groups, self.image_width) and sum(self.groups) != self.image_width:
            raise InputError(
                f"The groups of an evidence head must add up to its image_width, but {list(self.groups)} are not "
                f"{self.image_width}."
            )
        for name in _COUNTS:
            if name == "text_width" and self.text_width is None:
                continue
            check_whole(getattr(self, name), f"An evidence head's {name}")
        if self.width % self.heads:
            raise InputError(
                f"An evidence head's width must be a multiple of its {self.heads} heads, not {self.width}."
            )
        for name in ("dropout", "image_dropout", "attention_dropout"):
            if (rate := getattr(self, name)) is not None or name == "dropout":
                check_rate(rate, f"An evidence head's {name}")
        check_choice(self.reading, "An evidence head's reading", READINGS)
        check_positive(self.spread, "An evidence head's spread")
        check_positive(self.competition, "An evidence head's competition", zero=True)
        check_positive(self.ridge, "An evidence head's ridge")
