"""Two image encoders side by side: EfficientNet-Lite2, exact in place, and CLIP ViT-B/16, which knows what parts are.

A cell has the 120 + 208 channels of Lite2's two maps and N of CLIP. Of CLIP these are the patch tokens after the first
L layers, on the picture scaled down to 0.8 of its side, which took 1.6 times less time and found no fewer points. A few
channels of these tokens have huge values and would decide every cosine alone; so they pass a fixed affine map, whose
mean and whitening projection were computed once on training pictures. It comes with the package and is kept in a
model's folder.

Letters: B pictures, S pixels a side, R = S / 16 rows and columns, H channels of CLIP, N channels after the projection.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from ...errors import InputError
from ..maps import full_precision, widened
from .clip import CLIP_COLOURS, VIT_B, ClipLayersEncoder, patch_tokens
from .efficientnet import (
    LITE2_CHANNELS,
    LITE2_COLOURS,
    POSITION_CHANNELS,
    EfficientNetLite2,
    load_efficientnet,
    tokens_from_maps,
)
from .image_encoder import ImageEncoder, Published
from .vision_config import RANDOM, VisionConfig

LITE2, CLIP = "efficientnet-lite2", "clip-vit-b16"
_PROJECTION = "clip_projection.safetensors"  # `mean` [H] and `projection` [H, N]; in its metadata the layers L
_CLIP_SIZES = tuple(key for key in VIT_B if key != "patch_size")  # patches and Lite2's cells are both of 16 pixels
_PATCH = VIT_B["patch_size"]
_SIZES = {**{key: VIT_B[key] for key in _CLIP_SIZES}, "projected": 256, "clip_scale": 0.8}


class JoinedNetwork(nn.Module):
    """Both networks and the affine map behind CLIP.

    lite: EfficientNet-Lite2.
    clip: CLIP's first L layers.
    mean: [H], and projection: [H, N]: CLIP's tokens t become (t - mean) @ projection.
    """

    float32 = ("mean", "projection")

    def __init__(self, lite: EfficientNetLite2, clip: CLIPVisionModel, mean: Tensor, projection: Tensor) -> None:
        super().__init__()
        self.lite = lite
        self.clip = clip
        self.register_buffer("mean", mean)
        self.register_buffer("projection", projection)

    def forward(self, pixels: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels B 3 S S, normalised for Lite2 -> its maps B 120 R R and B 208 R/2 R/2, and CLIP's B N R R.

        side: of the pictures that CLIP gets, in pixels.
        """
        fine, coarse = self.lite(pixels)
        tokens = widened(patch_tokens(self.clip, _for_clip(pixels, side)))
        with full_precision(tokens):
            projected = (tokens - self.mean) @ self.projection
        cells = projected.transpose(1, 2).unflatten(2, (side // _PATCH,) * 2)
        if cells.shape[2:] != fine.shape[2:]:
            cells = F.interpolate(cells, size=fine.shape[2:], mode="bilinear", align_corners=False)
        return fine, coarse, cells


class JoinedEncoder(ImageEncoder):
    """Lite2's channels, CLIP's, and for language models the code of each cell's position.

    The pixels have one form, Lite2's; inside, they are brought to CLIP's side and colours. A `source` is that of CLIP,
    a folder or hub id; Lite2 is the packaged one. LoRA adapts CLIP alone, as a convolution has no adapters.
    """

    published: ClassVar = {f"{LITE2}+{CLIP}": Published(None, 320, _SIZES)}
    network: ClassVar = JoinedNetwork
    statistics: ClassVar = LITE2_COLOURS
    adjustable: ClassVar = ("num_hidden_layers", "clip_scale")
    stated: ClassVar = adjustable
    kept: ClassVar = JoinedNetwork.float32
    unused = ("clip.post_layernorm.",)

    def __init__(self, model: JoinedNetwork, config: VisionConfig) -> None:
        groups = (*LITE2_CHANNELS, model.projection.shape[1])
        channels = sum(groups)
        super().__init__(model, config, dim=channels + POSITION_CHANNELS, stride=16, multiple=32, groups=groups)

    def _tokens(self, pixels: Tensor) -> Tensor:
        size = pixels.shape[-1]
        side = max(1, round(self.config.sizes["clip_scale"] * size / _PATCH)) * _PATCH
        fine, coarse, cells = self.model(pixels, side)
        lite, code = tokens_from_maps(fine, coarse).split((sum(LITE2_CHANNELS), POSITION_CHANNELS), dim=-1)
        return torch.cat([lite, cells.flatten(2).transpose(1, 2), code], dim=-1)

    @property
    def detail_groups(self) -> tuple[int, ...]:
        return LITE2_CHANNELS

    def details(self, pixels: Tensor) -> Tensor:
        """Lite2's channels alone: as exact in a patch as both together, at a fraction of the cost."""
        fine, coarse = self.model.lite(pixels.to(next(self.model.parameters()).dtype))
        lite = tokens_from_maps(fine, coarse)[..., : sum(LITE2_CHANNELS)]
        return lite.transpose(1, 2).unflatten(2, tuple(fine.shape[-2:])).contiguous()

    @classmethod
    def packages_of(cls, name: str) -> tuple[str, ...]:
        return LITE2, CLIP

    @classmethod
    def load_network(cls, config: VisionConfig, dtype: torch.dtype) -> JoinedNetwork:
        if config.source == RANDOM:
            return cls.random_network(config).to(dtype)
        layers = config.sizes["num_hidden_layers"]
        mean, projection = published_projection(layers)
        clip = VisionConfig(CLIP, config.source, sizes={"num_hidden_layers": layers})
        network = ClipLayersEncoder.load_network(clip, dtype)
        if network.config.hidden_size != len(mean):
            raise InputError(
                f"{config.source} has {network.config.hidden_size} channels, but {config.name} needs a CLIP ViT-B/16 "
                f"of {len(mean)}; choose that, or leave the source out."
            )
        return JoinedNetwork(load_efficientnet(), network, mean, projection).to(dtype)

    @classmethod
    def make_network(cls, config: VisionConfig, sizes: Mapping[str, Any]) -> JoinedNetwork:
        clip = CLIPVisionModel(CLIPVisionConfig(**{key: sizes[key] for key in _CLIP_SIZES}, patch_size=_PATCH))
        width, projected = sizes["hidden_size"], sizes["projected"]
        projection = torch.randn(width, projected) / width**0.5
        return JoinedNetwork(EfficientNetLite2(), clip, torch.zeros(width), projection)

    def own_sizes(self) -> dict[str, Any]:
        clip = {key: getattr(self.model.clip.config, key) for key in _CLIP_SIZES}
        scale = self.config.sizes["clip_scale"]
        return {**clip, "projected": self.model.projection.shape[1], "clip_scale": scale}


def published_projection(layers: int) -> tuple[Tensor, Tensor]:
    """The mean [H] and the projection [H, N] that come with the package, float32.

    layers: the number L of CLIP's layers that the tokens have passed; InputError where the map is for another.
    """
    with safe_open(str(files(__package__).joinpath(_PROJECTION)), framework="pt") as file:
        fitted = int(file.metadata()["layers"])
        if layers != fitted:
            raise InputError(
                f"The projection of {LITE2}+{CLIP} is for {fitted} layers of CLIP, but got num_hidden_layers: "
                f"{layers}; use {fitted}, or {CLIP} alone."
            )
        return file.get_tensor("mean").float(), file.get_tensor("projection").float()


def _for_clip(pixels: Tensor, side: int) -> Tensor:
    """Pixels B 3 S S, normalised for Lite2 -> B 3 side side, normalised for CLIP."""
    means, deviations = (
        [torch.tensor(values).to(pixels).view(3, 1, 1) for values in pair]
        for pair in zip(LITE2_COLOURS, CLIP_COLOURS, strict=True)
    )
    colours = pixels * deviations[0] + means[0]
    if side != pixels.shape[-1]:
        colours = F.interpolate(colours, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
    return (colours - means[1]) / deviations[1]
