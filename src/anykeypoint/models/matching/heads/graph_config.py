"""What makes one matching head. CapeFormer, GraphCape and CapeX are three settings of the same head."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ....configs.strict import known_fields
from ....errors import InputError

GRAPHS = ("none", "pre", "post", "both")
ORDERS = ("none", "fixed", "learnt")
_WHOLE = ("image_width", "support_width", "width", "heads", "hidden", "gate", "encoder_layers", "decoder_layers")
_WHOLE += ("order_slots",)


@dataclass(frozen=True)
class HeadConfig:
    """Sizes and choices of a head; GraphCape's by default."""

    image_width: int = 768  # channels of the query's feature map
    support_width: int = 768  # channels of a support token: of an example's features, or of a text encoder
    width: int = 256  # of all tokens inside; a multiple of 4 and of the heads
    heads: int = 8
    hidden: int = 768  # of the feed-forward layers
    gate: int = 128  # hidden width of the proposal generator's gate
    encoder_layers: int = 3
    decoder_layers: int = 3
    dropout: float = 0.1
    graph: str = "pre"  # which of the decoder's two feed-forward layers mix neighbours of the skeleton
    order: str = "none"  # what a token is told about its place in the list of keypoints: none, fixed sines, learnt
    order_slots: int = 100  # the longest list that has such a code

    def __post_init__(self) -> None:
        for name in _WHOLE:
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InputError(f"A matching head's {name} must be a whole number from 1, but got {value!r}.")
        if self.width % 4 or self.width % self.heads:
            raise InputError(
                f"A matching head's width must be a multiple of 4 and of its {self.heads} heads, but got {self.width}."
            )
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise InputError(f"A matching head's dropout must be at least 0 and below 1, but got {self.dropout!r}.")
        for name, known in (("graph", GRAPHS), ("order", ORDERS)):
            if getattr(self, name) not in known:
                raise InputError(
                    f"A matching head's {name} must be one of {', '.join(known)}, but got {getattr(self, name)!r}."
                )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "HeadConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        return cls(**known_fields(cls, data, "The options of a matching head"))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


# The published heads. CapeX's differs from GraphCape's in what its support tokens are, not in the head.
HEADS = {
    "capeformer": HeadConfig(image_width=2048, support_width=2048, hidden=2048, graph="none", order="fixed"),
    "graphcape": HeadConfig(),
    "capex": HeadConfig(),
}
