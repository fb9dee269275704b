"""The names that version 0.1.0 has for the encoders of matchers. They go once matchers use `VisionConfig`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...configs.strict import Config
from ..tuning import LoraOptions
from .image_encoder import ImageEncoder
from .vision import build_encoder, encoder_from_model, encoder_from_released
from .vision_config import RANDOM, VisionConfig

PUBLISHED = "published"


@dataclass(frozen=True)
class BackboneConfig(Config):
    """A `VisionConfig` with `weights` in place of `source`, and tuned fully unless it says otherwise."""

    called: ClassVar[str] = "The options of a backbone"

    name: str
    weights: str | None = PUBLISHED
    image_size: int | None = None
    tuning: str = "full"
    lora: LoraOptions = field(default_factory=LoraOptions)
    drop_path: float | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vision = self.vision()
        for name in ("image_size", "drop_path", "sizes"):
            object.__setattr__(self, name, getattr(vision, name))

    def vision(self) -> VisionConfig:
        source = RANDOM if self.weights is None else None if self.weights == PUBLISHED else self.weights
        return VisionConfig(
            self.name, source, self.image_size, self.tuning, self.lora, drop_path=self.drop_path, sizes=self.sizes
        )


class Backbone(nn.Module):
    """An image encoder that is called for its map."""

    def __init__(self, encoder: ImageEncoder, config: BackboneConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.channels, self.stride = encoder.channels, encoder.map_stride
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        return self.encoder.map(pixels)

    def normalise(self, images: Tensor) -> Tensor:
        return self.encoder.normalise(images)

    def saved_config(self) -> BackboneConfig:
        return replace(self.config, weights=None, sizes=self.encoder.saved_config().sizes)

    def resized(self, image_size: int) -> "Backbone":
        encoder = self.encoder.resized(image_size)
        return Backbone(encoder, replace(self.saved_config(), image_size=image_size)).train(self.training)


def build_backbone(config: BackboneConfig, dtype: torch.dtype = torch.float32) -> Backbone:
    return Backbone(build_encoder(config.vision(), dtype), config)


def backbone_from_released(state: Mapping[str, Tensor], config: BackboneConfig) -> Backbone:
    return Backbone(encoder_from_released(state, config.vision()), config)


def backbone_from_model(network: nn.Module, config: BackboneConfig) -> Backbone:
    return Backbone(encoder_from_model(network, config.vision()), config)
