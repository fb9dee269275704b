"""Feature maps for the matchers: a picture in, one vector per cell out.

Shapes: B pictures, S pixels a side, h = w cells a side, C channels. The networks are the encoders of `vision`; what is
here brings their tokens to a map as the matchers use it:

    swinv2-*            last stage after the final norm, enlarged twice (bilinear): 768 channels at stride 16 for Tiny
                        and Small (GraphCape, CapeX, the fusion paper)
    resnet50            last stage: 2048 channels at stride 32 (POMNet, CapeFormer)
    dinov2-*            patch tokens after the final norm, at stride 14
    efficientnet-lite2  the stride-16 map beside the stride-32 map, normed together: 328 channels at stride 16
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...configs.strict import known_fields
from ...errors import InputError
from ..tuning import LoraOptions
from .vision import FAMILIES, PRESETS, VisionConfig, VisionEncoder, build_encoder, encoder_from_model, official_model

PUBLISHED = "published"

_SWIN = {"window_size": 16, "pretrained_window_sizes": (0, 0, 0, 0)}
_DINO = {"patch_size": 14, "image_size": 518, "mlp_ratio": 4}  # image_size: of the grid of position embeddings
_DINO_SIZES = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}

# Name -> sizes of its network, under transformers' names.
SIZES: dict[str, dict[str, Any]] = {
    "swinv2-t": {"embed_dim": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24), **_SWIN},
    "swinv2-s": {"embed_dim": 96, "depths": (2, 2, 18, 2), "num_heads": (3, 6, 12, 24), **_SWIN},
    "resnet50": {"embedding_size": 64, "hidden_sizes": (256, 512, 1024, 2048), "depths": (3, 4, 6, 3)},
    **{
        f"dinov2-{letter}": {"hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads, **_DINO}
        for letter, (width, depth, heads) in _DINO_SIZES.items()
    },
    "efficientnet-lite2": {},
}
_DROP_PATH = {"swinv2-t": 0.2, "swinv2-s": 0.3}  # of GraphCape's and CapeX's training


@dataclass(frozen=True)
class BackboneConfig:
    """Which backbone, from where, for which size, and how it is tuned.

    name: one of SIZES.
    weights: "published" takes the published ones (a hub id, or the package of EfficientNet-Lite2); a hub id, a folder,
        or a file under the authors' names (of a whole released model too, where they stand under `backbone.`);
        None draws random ones from torch's generator.
    image_size: side of the square picture in pixels; None takes the size it was trained at.
    tuning: frozen, lora or full; lora says what the adapters are.
    drop_path: chance with which the last block is left out in training, Swin V2 only; None takes 0.2 for Tiny and 0.3
        for Small.
    sizes: what differs from the named network: for random weights any of its SIZES, for others only `window_size`.
    """

    name: str
    weights: str | None = PUBLISHED
    image_size: int | None = None
    tuning: str = "full"
    lora: LoraOptions = field(default_factory=LoraOptions)
    drop_path: float | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in SIZES:
            raise InputError(f"There is no backbone {self.name!r}; known are {', '.join(SIZES)}.")
        if self.weights is not None and (not isinstance(self.weights, str) or not self.weights):
            raise InputError(
                f"The weights of a backbone must be {PUBLISHED!r}, a hub id, a folder, a file or null for random ones, "
                f"but got {self.weights!r}."
            )
        object.__setattr__(self, "image_size", self.vision().image_size)  # refuses what fits no encoder
        if self.drop_path is None:
            object.__setattr__(self, "drop_path", _DROP_PATH.get(self.name, 0.0))
        if type(self.drop_path) not in (int, float) or not 0 <= self.drop_path < 1:
            raise InputError(f"drop_path must be at least 0 and below 1, but got {self.drop_path!r}.")
        if self.drop_path and self.name not in _DROP_PATH:
            raise InputError(f"{self.name} has no drop_path; leave it out, or choose {' or '.join(_DROP_PATH)}.")
        if not isinstance(self.sizes, Mapping):
            raise InputError(f"The sizes of a backbone must be a mapping, but got {self.sizes!r}.")
        known = [key for key in SIZES[self.name] if self.weights is None or key == "window_size"]
        if unknown := [key for key in self.sizes if key not in known]:
            raise InputError(
                f"{self.name} with {'random' if self.weights is None else 'given'} weights has no size {unknown[0]!r} "
                f"to choose; known are {', '.join(known) or 'none'}."
            )
        for key, value in self.sizes.items():
            _check_size(key, value, SIZES[self.name][key])
        frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in self.sizes.items()}
        object.__setattr__(self, "sizes", frozen)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "BackboneConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        values = known_fields(cls, data, "The options of a backbone")
        if "name" not in values:
            raise InputError(f"The options of a backbone must have a name; known are {', '.join(SIZES)}.")
        if "lora" in values:
            values["lora"] = LoraOptions.from_dict(values["lora"])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        sizes = {key: list(value) if isinstance(value, tuple) else value for key, value in self.sizes.items()}
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**values, "lora": self.lora.to_dict(), "sizes": sizes}

    def vision(self) -> VisionConfig:
        """The same as the options of an encoder, which know no random weights."""
        source = None if self.weights in (None, PUBLISHED) else self.weights
        return VisionConfig(self.name, source, self.image_size, self.tuning, self.lora)


def _check_size(key: str, value: Any, usual: Any) -> None:
    """InputError unless `value` is of the kind of `usual`: a whole number from 1, or several (windows: from 0)."""
    least = 0 if key == "pretrained_window_sizes" else 1
    several = isinstance(usual, tuple)
    given = value if several else [value]
    fits = isinstance(given, list | tuple) and len(given) == (len(usual) if several else 1)
    if not fits or not all(type(number) is int and number >= least for number in given):
        kind = f"{len(usual)} whole numbers" if several else "a whole number"
        raise InputError(f"The size {key} of a backbone must be {kind} from {least}, but got {value!r}.")


class Backbone(nn.Module):
    """Pixels B 3 S S, normalised -> map B C h w, where cell (row, column) looks at that part of the picture.

    channels: C; stride: S / h, the side in pixels of the square that a cell stands for; encoder: the network.
    Frozen, it is always in eval mode. Batch norm keeps its statistics in any tuning.
    """

    def __init__(self, encoder: VisionEncoder, config: BackboneConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.channels = encoder.dim - encoder.code_channels
        self._enlarged = 2 if PRESETS[config.name].family == "swinv2" else 1
        self.stride = encoder.stride // self._enlarged
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        tokens = self.encoder(pixels)[..., : self.channels]
        grid = [side // self.encoder.stride for side in pixels.shape[2:]]
        features = tokens.transpose(1, 2).unflatten(2, grid)
        if self._enlarged == 1:
            return features.contiguous()
        return F.interpolate(features, scale_factor=self._enlarged, mode="bilinear", align_corners=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Pictures uint8 B S S 3 (RGB) -> pixels float32 B 3 S S with the network's mean and deviation taken out."""
        return self.encoder.normalise(images)

    def train(self, mode: bool = True) -> "Backbone":
        """Training mode reaches the network only where it trains: a frozen one drops no branches."""
        super().train(mode)
        self.encoder.train(mode and self.config.tuning != "frozen")
        return self

    def saved_config(self) -> BackboneConfig:
        """The options that build this very network, to be kept with its tensors: nothing is fetched for them."""
        own = getattr(self.encoder.model, "config", None)
        sizes = {key: getattr(own, key) for key in SIZES[self.config.name]}
        return replace(self.config, weights=None, sizes=sizes)

    def resized(self, image_size: int) -> "Backbone":
        """The same weights for pictures of so many pixels a side; InputError for a size that it cannot take."""
        other = build_backbone(replace(self.saved_config(), image_size=image_size))  # Swin's windows fit one size
        other.load_state_dict(self.state_dict())
        like = next(self.parameters())
        return other.to(like.device, like.dtype).train(self.training)


def build_backbone(config: BackboneConfig, dtype: torch.dtype = torch.float32) -> Backbone:
    """The backbone of `config`, in eval mode, tuned as the config says.

    Raises InputError where the weights cannot be had or do not fit (listing unknown, missing and wrongly shaped
    tensors), or where the size or tuning does not fit.
    """
    if config.weights is None:
        return backbone_from_model(_random_network(config).to(dtype), config)
    return _finished(build_encoder(config.vision(), dtype, config.sizes.get("window_size")), config)


def backbone_from_released(state: Mapping[str, Tensor], config: BackboneConfig) -> Backbone:
    """The backbone of `config` with the tensors of a released model (see `released.read_released`), in eval mode.

    state: tensors under their authors' names, bare or under `backbone.` or `encoder.`; only these are looked at where
    there are some. The sizes come from the tensors. Raises InputError as `build_backbone`.
    """
    network = official_model(state, config.vision(), window=config.sizes.get("window_size"))
    return backbone_from_model(network, config)


def backbone_from_model(network: nn.Module, config: BackboneConfig) -> Backbone:
    """The backbone of `config` round a network that is there already; the network is changed in place."""
    return _finished(encoder_from_model(network, config.vision()), config)


def _finished(encoder: VisionEncoder, config: BackboneConfig) -> Backbone:
    if PRESETS[config.name].family == "swinv2":
        from .swinv2 import set_drop_path

        set_drop_path(encoder.model, config.drop_path)
    return Backbone(encoder, config)


def _random_network(config: BackboneConfig) -> nn.Module:
    import transformers

    family = PRESETS[config.name].family
    sizes = {key: config.sizes.get(key, usual) for key, usual in SIZES[config.name].items()}
    if family == "efficientnet":
        from .efficientnet import EfficientNetLite2

        return EfficientNetLite2()
    if family == "swinv2":  # its windows are laid out for one size of picture
        sizes |= {"image_size": config.image_size}
        stride = 4 * 2 ** (len(sizes["depths"]) - 1)
        if config.image_size % stride:
            raise InputError(
                f"{config.name} takes pictures whose sides are multiples of {stride} pixels, but got "
                f"{config.image_size}."
            )
    model = getattr(transformers, FAMILIES[family].model)
    try:
        return model(model.config_class(**sizes))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"A {config.name} of the sizes {sizes} cannot be built ({error}); choose others.") from error
