"""CLIP's vision transformer (Radford et al. 2021)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from ...errors import InputError
from ..sources.llava import LlavaCheckpoint
from ..sources.onnx_file import read_onnx
from ..tensors import check_tensors
from .image_encoder import FILES, ImageEncoder, Published, Statistics
from .vision_config import RANDOM, VisionConfig

CLIP_COLOURS: Statistics = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

_VIT_L = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 336,
}
# Of the twelve layers the first seven: matching by them found more points than by any other, measured on `field2`.
VIT_B = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 7,
    "num_attention_heads": 12,
    "patch_size": 16,
    "image_size": 224,
}
HEAD_WIDTH = 64  # channels of an attention head in every published CLIP


class ClipEncoder(ImageEncoder):
    """The patch tokens of the second-to-last layer, without CLS and without a norm.

    As in LLaVA, whose recipe KptLLM follows: CLIP's last layer is trained for what CLS alone says about the picture as
    a whole, so the layer before it keeps more of what each patch shows.
    """

    published: ClassVar = {"clip-vit-l-336": Published("openai/clip-vit-large-patch14-336", 336, _VIT_L)}
    network: ClassVar = CLIPVisionModel
    model_types: ClassVar = ("clip", "clip_vision_model")
    statistics: ClassVar = CLIP_COLOURS

    def __init__(self, model: nn.Module, config: VisionConfig) -> None:
        size = model.config
        if size.num_hidden_layers < 2:
            raise InputError(f"A CLIP encoder needs 2 layers or more, but {config.name} has {size.num_hidden_layers}.")
        super().__init__(model, config, dim=size.hidden_size, stride=size.patch_size)
        self.unused = (f"encoder.layers.{size.num_hidden_layers - 1}.", "post_layernorm.")

    @classmethod
    def load_network(cls, config: VisionConfig, dtype: torch.dtype) -> nn.Module:
        """As every encoder's, and from the tower of a LLaVA-1.5."""
        given = config.source not in (None, RANDOM) and not str(config.source).endswith(FILES)
        llava = LlavaCheckpoint.at(str(config.source)) if given else None
        return super().load_network(config, dtype) if llava is None else llava.vision(dtype)

    def _tokens(self, pixels: Tensor) -> Tensor:
        states = self.model(pixels, interpolate_pos_encoding=True, output_hidden_states=True).hidden_states
        return states[-2][:, 1:]


class ClipLayersEncoder(ImageEncoder):
    """The patch tokens after the first L layers, without CLS and without a norm.

    L is the size `num_hidden_layers`. The other layers are neither built nor saved. The position embeddings are
    interpolated for other sides than the published one.

    The packaged weights were quantised to 8 bits and come close to those of openai/clip-vit-base-patch16, a source for
    whoever has a network; features of the two are not the same bits.
    """

    published: ClassVar = {"clip-vit-b16": Published(None, 224, VIT_B)}
    network: ClassVar = CLIPVisionModel
    model_types: ClassVar = ("clip", "clip_vision_model")
    statistics: ClassVar = CLIP_COLOURS
    adjustable: ClassVar = ("num_hidden_layers",)
    stated: ClassVar = adjustable
    unused = ("post_layernorm.",)

    def __init__(self, model: nn.Module, config: VisionConfig) -> None:
        super().__init__(model, config, dim=model.config.hidden_size, stride=model.config.patch_size)

    @classmethod
    def load_options(cls, config: VisionConfig) -> dict[str, Any]:
        return {"num_hidden_layers": config.sizes["num_hidden_layers"]}

    def _tokens(self, pixels: Tensor) -> Tensor:
        return patch_tokens(self.model, pixels)


def patch_tokens(model: nn.Module, pixels: Tensor) -> Tensor:
    """The tokens B N C of the patches after all layers of a CLIPVisionModel, row by row, for pictures of any side."""
    return model(pixels, interpolate_pos_encoding=True).last_hidden_state[:, 1:]


# --- the packaged weights --------------------------------------------------------------------------------------------

_ROOT, _PRODUCT, _QUANTISED = "vision_model.", "MatMulInteger", "_quantized"


def convert_package(files: list[Path], folder: Path) -> None:
    """Write the one ONNX file of the package as a folder that transformers reads, with weights in half precision."""
    (source,) = files
    weights = read_quantised(source)
    config = sizes_of(weights)
    with torch.device("meta"):
        expected = {key: tuple(tensor.shape) for key, tensor in CLIPVisionModel(config).state_dict().items()}
    check_tensors(expected, weights, f"The CLIP weights in {source.name}")
    save_file({key: value.half() for key, value in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    config.save_pretrained(folder)


def read_quantised(path: Path) -> dict[str, Tensor]:
    """The tensors of a CLIP image tower in an ONNX file, float32 under the names of transformers' CLIPVisionModel.

    A matrix is the second input of a MatMulInteger that has the layer's path as its name: 8-bit numbers q with a scale
    s and a zero z for each output, and stands for (q - z) s, inputs x outputs. Other tensors have transformers' names.

    Raises InputError for a file that is damaged, or in which a matrix lacks its scale or zero.
    """
    tensors, operations = read_onnx(path)
    weights = {
        name.removeprefix(_ROOT): torch.from_numpy(tensor.astype("float32"))
        for name, tensor in tensors.items()
        if name.startswith(_ROOT)
    }
    for operation in operations:
        layer = operation.name.removeprefix("/").rpartition("/")[0].replace("/", ".")
        if operation.kind != _PRODUCT or not layer.startswith(_ROOT):
            continue
        name = operation.inputs[1].removesuffix(_QUANTISED) if len(operation.inputs) > 1 else ""
        parts = [tensors.get(f"{name}{end}") for end in (_QUANTISED, "_zero_point", "_scale")]
        if any(part is None for part in parts):
            raise InputError(f"{path.name} lacks the matrix of {layer}, its zero or its scale; copy it anew.")
        quantised, zero, scale = (torch.from_numpy(part.astype("float32")) for part in parts)
        weights[f"{layer.removeprefix(_ROOT)}.weight"] = ((quantised - zero) * scale).T.contiguous()
    return weights


def sizes_of(weights: Mapping[str, Tensor]) -> CLIPVisionConfig:
    """The config of a CLIP image tower with these tensors; InputError where those that tell the sizes are missing."""
    first = "encoder.layers.0.mlp.fc1.bias"
    needed = ("embeddings.patch_embedding.weight", "embeddings.position_embedding.weight", first)
    if missing := [key for key in needed if key not in weights]:
        raise InputError(f"The CLIP weights lack {missing[0]}; give a whole CLIP image tower.")
    patches, positions, inner = (weights[key].shape for key in needed)
    layers = {key.split(".")[2] for key in weights if key.startswith("encoder.layers.")}
    return CLIPVisionConfig(
        architectures=["CLIPVisionModel"],
        hidden_size=patches[0],
        intermediate_size=inner[0],
        num_hidden_layers=len(layers),
        num_attention_heads=patches[0] // HEAD_WIDTH,
        patch_size=patches[-1],
        image_size=round((positions[0] - 1) ** 0.5) * patches[-1],
    )
