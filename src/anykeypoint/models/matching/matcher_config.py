"""What makes one whole matcher: backbone, text encoder, head, fusion, and how pictures are cut for them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...configs.strict import known_fields
from ...crops.heatmaps import STRIDE
from ...errors import InputError
from ...geometry import MATCHER_CROP
from ..towers.backbones import BackboneConfig
from ..towers.text import TextConfig
from .heads.evidence import EvidenceConfig
from .heads.fusion import DecisionFusionConfig, FeatureFusionConfig
from .heads.graph_config import HEADS, HeadConfig
from .heads.pomnet import POMNetConfig

AnyHead = HeadConfig | POMNetConfig | EvidenceConfig

# Name -> what it is asked with: any one of these prompts.
PROMPTS = {
    "pomnet": ("example",),
    "capeformer": ("example",),
    "graphcape": ("example",),
    "capex": ("text",),
    "flf": ("text", "example", "both"),
    "dlf": ("text", "example", "both"),
    "evidence": ("text", "example", "both"),
}
_FUSIONS = {"flf": FeatureFusionConfig, "dlf": DecisionFusionConfig}
_BACKBONES = {  # the fusion paper has Small
    "pomnet": BackboneConfig("resnet50"),
    "capeformer": BackboneConfig("resnet50"),
    "graphcape": BackboneConfig("swinv2-t"),
    "capex": BackboneConfig("swinv2-t"),
    "evidence": BackboneConfig("efficientnet-lite2", image_size=320, tuning="frozen"),
}
_TEXTS = {"evidence": "minilm-l6"}
_TEXT = "gte-base-en-v1.5"


@dataclass(frozen=True)
class MatcherConfig:
    """Everything that makes one matcher. What is left out is as published for the name.

    name: pomnet, capeformer, graphcape (by examples), capex (by words), flf, dlf (by either or both; the fusion
        paper's) or evidence (by either or both; ours, see `evidence`).
    text: the encoder of words; None where the name has none. fusion: of flf or dlf, else None.
    head, fusion: None takes the published one, fitted to what backbone and text encoder give.
    crop_scale: side of a crop over the box's longer side. released_crop: cut pictures and mark examples as MP-100's
        released code does (`images.warp_pixels`), for weights that were trained so.
    sigma, cells: of an example's heat maps, in cells, and cells a side; None takes 2 for pomnet and capeformer, else 1,
        and one cell for 4 pixels.
    own_example_backbone: examples are looked at by a second backbone of the same kind; None has one for pomnet alone.
    described: a keypoint's phrase is its name alone, as in CapeX; True adds its description.
    """

    name: str
    backbone: BackboneConfig | None = None
    text: TextConfig | None = None
    head: AnyHead | None = None
    fusion: FeatureFusionConfig | DecisionFusionConfig | None = None
    crop_scale: float = MATCHER_CROP[0]
    released_crop: bool = False
    sigma: int | None = None
    cells: int | None = None
    described: bool = False
    own_example_backbone: bool | None = None

    def __post_init__(self) -> None:
        def settle(field: str, value: Any) -> None:
            object.__setattr__(self, field, value)

        if self.name not in PROMPTS:
            raise InputError(f"There is no matcher {self.name!r}; known are {', '.join(PROMPTS)}.")
        if self.backbone is None:
            settle("backbone", _BACKBONES.get(self.name) or BackboneConfig("swinv2-s"))
        if self.text is None and self.reads:
            settle("text", TextConfig(_TEXTS.get(self.name, _TEXT)))
        if self.text is not None and not self.reads:
            raise InputError(f"{self.name} is asked by examples and has no text encoder; leave text out.")
        kind = type(published_head(self.name))
        if self.head is not None and not isinstance(self.head, kind):
            raise InputError(f"The head of {self.name} must be a {kind.__name__}, but got {self.head!r}.")
        wanted = _FUSIONS.get(self.name, type(None))
        if self.fusion is not None and not isinstance(self.fusion, wanted):
            fits = "none" if wanted is type(None) else f"a {wanted.__name__}"
            raise InputError(f"The fusion of {self.name} must be {fits}, but got {self.fusion!r}.")
        if self.sigma is None:
            settle("sigma", 2 if self.name in ("pomnet", "capeformer") else 1)
        if self.own_example_backbone is None:
            settle("own_example_backbone", self.name == "pomnet")
        if self.cells is None:
            settle("cells", max(1, round(self.backbone.image_size / STRIDE)))
        for field in ("sigma", "cells"):
            if type(value := getattr(self, field)) is not int or value < 1:
                raise InputError(f"A matcher's {field} must be a whole number from 1, but got {value!r}.")
        scale = self.crop_scale
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
            raise InputError(f"A matcher's crop_scale must be a finite number above 0, but got {scale!r}.")
        for field in ("released_crop", "described", "own_example_backbone"):
            if type(value := getattr(self, field)) is not bool:
                raise InputError(f"A matcher's {field} must be true or false, but got {value!r}.")
        if self.own_example_backbone and not self.looks:
            raise InputError(f"{self.name} looks at no example and has no backbone for one; leave it out.")

    @property
    def prompts(self) -> tuple[str, ...]:
        """What it answers to: of "text", "example", "both"."""
        return PROMPTS[self.name]

    @property
    def reads(self) -> bool:
        """Whether it has a use for words."""
        return "text" in self.prompts

    @property
    def looks(self) -> bool:
        """Whether it has a use for examples."""
        return "example" in self.prompts

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "MatcherConfig":
        """Read the form of `to_dict`; unknown keys are refused. What a head leaves out is as published for the name."""
        values = known_fields(cls, data, "The options of a matcher")
        name = values.get("name")
        if name not in PROMPTS:
            raise InputError(f"The options of a matcher must have a name of {', '.join(PROMPTS)}, but got {name!r}.")
        parts = {
            "backbone": BackboneConfig.from_dict,
            "text": TextConfig.from_dict,
            "head": lambda head: type(published_head(name)).from_dict(_merged(published_head(name), head)),
            "fusion": lambda fusion: _fusion(name, fusion),
        }
        for key, read in parts.items():
            if values.get(key) is not None:
                values[key] = read(values[key])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The form that `from_dict` reads."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for key in ("backbone", "text", "head", "fusion"):
            values[key] = None if values[key] is None else values[key].to_dict()
        return values


def published_head(name: str) -> AnyHead:
    """The head that a matcher of that name was published with."""
    own = {"pomnet": POMNetConfig, "evidence": EvidenceConfig}
    return own[name]() if name in own else HEADS.get(name, HEADS["capex"])  # the fusions are on CapeX's


def _merged(head: AnyHead, changes: Any) -> Any:
    return {**head.to_dict(), **changes} if isinstance(changes, Mapping) else changes


def _fusion(name: str, data: Any) -> FeatureFusionConfig | DecisionFusionConfig:
    if name not in _FUSIONS:
        raise InputError(f"{name} has no fusion; leave it out, or choose {' or '.join(_FUSIONS)}.")
    return _FUSIONS[name].from_dict(data)
