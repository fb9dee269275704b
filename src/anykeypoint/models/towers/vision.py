"""Visual encoders by name: a picture in, tokens row by row out.

Shapes: B pictures, H x W pixels, N = rows * columns tokens, C channels. All encoders answer with the same layout, so
that token r * columns + c looks at row r, column c of the picture's grid, whatever order the network works in inside.

CapeLLM uses DINOv2 ViT-L at 224 and compares DINOv2 with registers and Hiera (supplement, choice of visual encoder);
KptLLM uses CLIP ViT-L at 336; GraphCape and CapeX use Swin V2 at 256, POMNet and CapeFormer ResNet-50. What these four
take is the map of `backbones`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...configs.strict import known_fields
from ...errors import InputError
from ..sources.hub import load_config, load_model
from ..sources.released import part_of, read_released
from ..tuning import LoraOptions, check_tuning, tune

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, standard deviation of R, G, B in [0, 1]
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
LITE = ((127 / 255,) * 3, (128 / 255,) * 3)  # EfficientNet-Lite: (value - 127) / 128


@dataclass(frozen=True)
class Preset:
    """A published encoder: its family, where its weights are, and the size it was made for."""

    family: str
    source: str | None
    image_size: int


def _presets() -> dict[str, Preset]:
    presets = {}
    for letter, name in {"s": "small", "b": "base", "l": "large", "g": "giant"}.items():
        presets[f"dinov2-{letter}"] = Preset("dinov2", f"facebook/dinov2-{name}", 224)
        presets[f"dinov2-reg-{letter}"] = Preset("dinov2-reg", f"facebook/dinov2-with-registers-{name}", 224)
    # The self-supervised (MAE, ImageNet-1k) encoders. MAE trains no norm after the last stage: it is a plain one there.
    for letter, name in {"t": "tiny", "s": "small", "b": "base", "bplus": "base-plus", "l": "large"}.items():
        presets[f"hiera-{letter}"] = Preset("hiera", f"facebook/hiera-{name}-224-hf", 224)
    presets["clip-vit-l-336"] = Preset("clip", "openai/clip-vit-large-patch14-336", 336)
    for letter, name in {"t": "tiny", "s": "small", "b": "base"}.items():
        presets[f"swinv2-{letter}"] = Preset("swinv2", f"microsoft/swinv2-{name}-patch4-window16-256", 256)
    large = "microsoft/swinv2-large-patch4-window12to16-192to256-22kto1k-ft"  # no large one was trained at 256 alone
    presets["swinv2-l"] = Preset("swinv2", large, 256)
    presets["resnet50"] = Preset("resnet", "microsoft/resnet-50", 256)
    presets["efficientnet-lite2"] = Preset("efficientnet", None, 256)
    return presets


PRESETS = _presets()


@dataclass(frozen=True)
class VisionConfig:
    """Which encoder, from where, for which size, and how it is tuned.

    name: one of PRESETS.
    source: a hub id or folder; for DINOv2, Swin V2 and ResNet also a file under their authors' own names (.safetensors,
        .pth, .pt); None takes the preset's.
    image_size: side of the square picture in pixels; None takes the preset's (after construction it is a number).
    tuning: frozen, lora or full; lora says what the adapters are.
    heads: attention heads of a file under Meta's names, which does not tell; None takes width / 64, as all published
        sizes have.
    """

    name: str
    source: str | None = None
    image_size: int | None = None
    tuning: str = "frozen"
    lora: LoraOptions = field(default_factory=LoraOptions)
    heads: int | None = None

    def __post_init__(self) -> None:
        if self.name not in PRESETS:
            raise InputError(f"There is no visual encoder {self.name!r}; known are {', '.join(PRESETS)}.")
        if self.source is not None and (not isinstance(self.source, str) or not self.source):
            raise InputError(f"The source of a visual encoder must be a hub id or folder, but got {self.source!r}.")
        if self.image_size is None:
            object.__setattr__(self, "image_size", PRESETS[self.name].image_size)
        if self.heads is not None and (type(self.heads) is not int or self.heads < 1):
            raise InputError(f"The number of attention heads must be a whole number from 1, but got {self.heads!r}.")
        if type(self.image_size) is not int or self.image_size < 1:
            raise InputError(f"The image size must be a whole number of pixels, but got {self.image_size!r}.")
        check_tuning(self.tuning)
        if not isinstance(self.lora, LoraOptions):
            raise InputError(f"The lora field must be LoraOptions, but got {self.lora!r}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "VisionConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        values = known_fields(cls, data, "The options of a visual encoder")
        if "name" not in values:
            raise InputError(f"The options of a visual encoder must have a name; known are {', '.join(PRESETS)}.")
        if "lora" in values:
            values["lora"] = LoraOptions.from_dict(values["lora"])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "lora": self.lora.to_dict()}


class VisionEncoder(nn.Module):
    """What all encoders share; a family says how its network's output becomes tokens in `_tokens`.

    model: the network; dim: channels C; stride: side in pixels of the square that a token stands for; multiple: what
    the sides of a picture must be a multiple of.
    """

    unused: tuple[str, ...] = ()  # beginnings of names in `model` whose output no token depends on
    code_channels = 0  # channels at the end of a token that say only where it is

    def __init__(
        self,
        model: nn.Module,
        config: VisionConfig,
        *,
        dim: int,
        stride: int,
        multiple: int | None = None,
        statistics: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.dim = dim
        self.stride = stride
        self.multiple = multiple or stride
        self.mean, self.std = statistics
        self.grid(config.image_size)  # refuses a size that does not fit

    def grid(self, image_size: int) -> tuple[int, int]:
        """(rows, columns) of tokens for a square picture of that side; InputError where the side does not fit."""
        if image_size < self.multiple or image_size % self.multiple:
            near = max(round(image_size / self.multiple), 1) * self.multiple
            raise InputError(
                f"{self.config.name} takes pictures whose sides are multiples of {self.multiple} pixels, but got "
                f"{image_size}; use {near}."
            )
        return image_size // self.stride, image_size // self.stride

    def normalise(self, images: Tensor) -> Tensor:
        """Pictures uint8 B H W 3 (RGB) -> pixels float32 B 3 H W with the encoder's mean and deviation taken out."""
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise InputError(
                f"Pictures to normalise must be uint8 of shape B H W 3, but got {images.dtype} {list(images.shape)}."
            )
        mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (self.mean, self.std))
        return (images.permute(0, 3, 1, 2).float() / 255 - mean) / std

    def train(self, mode: bool = True) -> "VisionEncoder":
        """Batch norm keeps its published statistics: batches of a few crops would ruin them."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels B 3 H W, normalised -> tokens B N C, row by row."""
        if pixels.ndim != 4 or pixels.shape[1] != 3 or not pixels.is_floating_point():
            raise InputError(
                f"Pixels must be floats of shape B 3 H W, but got {pixels.dtype} {list(pixels.shape)}; use normalise."
            )
        for side in pixels.shape[2:]:
            self.grid(side)
        return self._tokens(pixels.to(next(self.model.parameters()).dtype))

    def _tokens(self, pixels: Tensor) -> Tensor:
        raise NotImplementedError


class Dinov2Encoder(VisionEncoder):
    """DINOv2 with or without registers: patch tokens after the final norm, without CLS and registers."""

    unused = ("embeddings.mask_token",)

    def __init__(self, model: nn.Module, config: VisionConfig) -> None:
        from .dinov2 import use_published_positions

        super().__init__(
            use_published_positions(model), config, dim=model.config.hidden_size, stride=model.config.patch_size
        )

    def _tokens(self, pixels: Tensor) -> Tensor:
        registers = getattr(self.model.config, "num_register_tokens", 0)
        return self.model(pixels).last_hidden_state[:, 1 + registers :]


class ClipEncoder(VisionEncoder):
    """CLIP: patch tokens of the second-to-last layer, without CLS and without a norm.

    As in LLaVA, whose recipe KptLLM follows: CLIP's last layer is trained for what only CLS says about the picture as a
    whole, so the layer before it keeps more of what each place looks like.
    """

    def __init__(self, model: nn.Module, config: VisionConfig) -> None:
        size = model.config
        if size.num_hidden_layers < 2:
            raise InputError(f"A CLIP encoder needs 2 layers or more, but {config.name} has {size.num_hidden_layers}.")
        super().__init__(model, config, dim=size.hidden_size, stride=size.patch_size, statistics=CLIP)
        self.unused = (f"encoder.layers.{size.num_hidden_layers - 1}.", "post_layernorm.")

    def _tokens(self, pixels: Tensor) -> Tensor:
        states = self.model(pixels, interpolate_pos_encoding=True, output_hidden_states=True).hidden_states
        return states[-2][:, 1:]


class HieraEncoder(VisionEncoder):
    """Hiera: last stage's tokens after the final norm, brought from mask-unit order to rows and columns."""

    def __init__(self, model: nn.Module, config: VisionConfig) -> None:
        size = model.config
        if len({*size.patch_stride}) > 1 or len({*size.query_stride}) > 1 or model.pooler is None:
            raise InputError("A Hiera encoder must have square strides and its pooler; use the published models.")
        stride = size.patch_stride[0] * size.query_stride[0] ** size.num_query_pool
        unit = size.patch_stride[0] * size.masked_unit_size[0]  # attention works within whole mask units
        super().__init__(model, config, dim=size.hidden_size, stride=stride, multiple=unit)

    def _tokens(self, pixels: Tensor) -> Tensor:
        tokens = self.model(pixels, interpolate_pos_encoding=True).last_hidden_state
        size = self.model.config
        left = len(size.depths) - 1 - size.num_query_pool  # the order is changed once per stage, pooling undoes some
        if left:
            rows, columns = (side // self.stride for side in pixels.shape[2:])
            order = unrolled_order(rows, columns, size.query_stride[0], left).to(tokens.device)
            tokens = torch.empty_like(tokens).index_copy(1, order, tokens)
        return self.model.pooler.layernorm(tokens)


def unrolled_order(rows: int, columns: int, stride: int, times: int) -> Tensor:
    """Hiera's order of tokens: entry i is the row-by-row index of the token that it keeps at place i.

    Each time, the places of a stride x stride block are moved to the front, so that pooling is a maximum over the first
    axis. `times` is how many such moves no pooling has used up; the published models use up all, their order is plain.
    """
    order = torch.arange(rows * columns).view(1, rows, columns)
    for _ in range(times):
        n, height, width = order.shape
        order = order.view(n, height // stride, stride, width // stride, stride).permute(0, 2, 4, 1, 3)
        order = order.reshape(n * stride * stride, height // stride, width // stride)
    return order.flatten()


class Swinv2Encoder(VisionEncoder):
    """Swin V2: last stage's tokens after the final norm. Its windows are laid out for one size of picture."""

    def __init__(self, model: nn.Module, config: VisionConfig) -> None:
        from .swinv2 import use_published_masks

        size = model.config
        if size.image_size != config.image_size:
            raise InputError(
                f"{config.name} was built for pictures of {size.image_size} pixels, but {config.image_size} were asked "
                "for; build it anew at that size."
            )
        stride = size.patch_size * 2 ** (len(size.depths) - 1)
        super().__init__(use_published_masks(model), config, dim=model.num_features, stride=stride)

    def _tokens(self, pixels: Tensor) -> Tensor:
        if tuple(pixels.shape[2:]) != (self.config.image_size,) * 2:
            raise InputError(
                f"{self.config.name} takes pictures of {self.config.image_size} pixels, but got "
                f"{pixels.shape[3]} x {pixels.shape[2]}."
            )
        return self.model(pixels).last_hidden_state


class ResNetEncoder(VisionEncoder):
    """ResNet: the cells of the last stage's map. They carry no positions."""

    def __init__(self, model: nn.Module, config: VisionConfig) -> None:
        size = model.config
        super().__init__(model, config, dim=size.hidden_sizes[-1], stride=2 ** (len(size.hidden_sizes) + 1))

    def _tokens(self, pixels: Tensor) -> Tensor:
        return self.model(pixels).last_hidden_state.flatten(2).transpose(1, 2)


class EfficientNetLite2Encoder(VisionEncoder):
    """EfficientNet-Lite2: its stride-16 and stride-32 maps on the finer grid, beside positions (see `efficientnet`)."""

    def __init__(self, model: nn.Module, config: VisionConfig) -> None:
        from .efficientnet import POSITION_CHANNELS

        dim = 120 + 208 + POSITION_CHANNELS
        super().__init__(model, config, dim=dim, stride=16, multiple=32, statistics=LITE)
        self.code_channels = POSITION_CHANNELS

    def _tokens(self, pixels: Tensor) -> Tensor:
        from .efficientnet import tokens_from_maps

        return tokens_from_maps(*self.model(pixels))


@dataclass(frozen=True)
class Family:
    encoder: type[VisionEncoder]
    model: str  # transformers' class
    types: tuple[str, ...]  # what a checkpoint of the family says of itself in config.json


FAMILIES = {
    "dinov2": Family(Dinov2Encoder, "Dinov2Model", ("dinov2",)),
    "dinov2-reg": Family(Dinov2Encoder, "Dinov2WithRegistersModel", ("dinov2_with_registers",)),
    "hiera": Family(HieraEncoder, "HieraModel", ("hiera",)),
    "clip": Family(ClipEncoder, "CLIPVisionModel", ("clip", "clip_vision_model")),
    "swinv2": Family(Swinv2Encoder, "Swinv2Model", ("swinv2",)),
    "resnet": Family(ResNetEncoder, "ResNetModel", ("resnet",)),
}


def build_encoder(config: VisionConfig, dtype: torch.dtype = torch.float32, window: int | None = None) -> VisionEncoder:
    """The encoder of `config` with its pretrained weights, in eval mode, tuned as the config says.

    window: side of Swin V2's attention windows in tokens; None takes that of the weights.
    Raises InputError where the weights cannot be had, are of another family, or the size or tuning does not fit.
    """
    preset = PRESETS[config.name]
    if preset.family == "efficientnet":
        from .efficientnet import load_efficientnet

        return encoder_from_model(load_efficientnet(config.source).to(dtype), config)
    import transformers

    family = FAMILIES[preset.family]
    source = config.source or preset.source
    if source.endswith((".safetensors", ".pth", ".pt")):
        return encoder_from_model(official_model(read_released(source), config, dtype, window), config)
    found = load_config(source).model_type
    if found not in family.types:
        raise InputError(
            f"{source} holds a model of type {found}, but {config.name} needs one of type {family.types[0]}."
        )
    # Swin's windows depend on the size, not its weights.
    options = {"image_size": config.image_size} if preset.family == "swinv2" else {}
    if window is not None:
        options["window_size"] = window
    return encoder_from_model(load_model(getattr(transformers, family.model), source, dtype, **options), config)


def encoder_from_model(model: nn.Module, config: VisionConfig) -> VisionEncoder:
    """The encoder of `config` round a network that is there already; the network is changed in place.

    Raises InputError where the network is not of the preset's family.
    """
    import transformers

    family = PRESETS[config.name].family
    if family == "efficientnet":
        from .efficientnet import EfficientNetLite2

        kind, encoder = EfficientNetLite2, EfficientNetLite2Encoder
    else:
        kind, encoder = getattr(transformers, FAMILIES[family].model), FAMILIES[family].encoder
    if not isinstance(model, kind):
        raise InputError(f"{config.name} needs a {kind.__name__}, but got a {type(model).__name__}.")
    built = encoder(model, config)
    tune(built.model, config.tuning, config.lora, built.unused)
    return built.eval()


def official_model(
    state: Mapping[str, Tensor], config: VisionConfig, dtype: torch.dtype = torch.float32, window: int | None = None
) -> nn.Module:
    """The network of `config` from a state dict under its authors' names, bare or under `backbone.` or `encoder.`.

    Raises InputError for a family without such names, and listing unknown, missing and wrongly shaped tensors.
    """
    family = PRESETS[config.name].family
    state = part_of(state, ("backbone.", "encoder."))
    if family == "swinv2":
        from .swinv2 import load_official_swinv2

        return load_official_swinv2(state, image_size=config.image_size, window=window, dtype=dtype)
    if family == "resnet":
        from .resnet import load_official_resnet

        return load_official_resnet(state, dtype)
    if not family.startswith("dinov2"):
        raise InputError(f"{config.name} cannot be read from a single file; give a folder or hub id.")
    from .dinov2 import load_official_dinov2

    # The adapters of a CapeLLM checkpoint were trained with its projection: `generative.published` reads them, a base
    # to start from has none.
    base = {key: tensor for key, tensor in state.items() if ".attn.lora_" not in key}
    return load_official_dinov2(base, heads=config.heads, dtype=dtype)
