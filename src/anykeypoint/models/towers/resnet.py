"""ResNet-50 (He et al. 2016), also from checkpoints under torchvision's names, which mmpose and mmcls use too.

POMNet and CapeFormer use its last stage: 2048 channels at stride 32 (8 x 8 cells at 256 pixels). A stage halves the map
in the 3 x 3 convolution of its first block.
"""

import re
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from ...errors import InputError
from ..sources.released import placed, released_shapes
from ..tensors import check_tensors
from .image_encoder import ImageEncoder, Published
from .vision_config import VisionConfig

_UNUSED = ("fc.weight", "fc.bias")  # the classifier's tensors
_RESNET50 = {"embedding_size": 64, "hidden_sizes": (256, 512, 1024, 2048), "depths": (3, 4, 6, 3)}


class ResNetEncoder(ImageEncoder):
    """The cells of the last stage's map. They carry no position embeddings."""

    published: ClassVar = {"resnet50": Published("microsoft/resnet-50", 256, _RESNET50)}
    network: ClassVar = ResNetModel
    model_types: ClassVar = ("resnet",)

    def __init__(self, model: ResNetModel, config: VisionConfig) -> None:
        size = model.config
        super().__init__(model, config, dim=size.hidden_sizes[-1], stride=2 ** (len(size.hidden_sizes) + 1))

    def _tokens(self, pixels: Tensor) -> Tensor:
        return self.model(pixels).last_hidden_state.flatten(2).transpose(1, 2)

    @classmethod
    def official_network(cls, state: Mapping[str, Tensor], config: VisionConfig, dtype: torch.dtype) -> ResNetModel:
        return load_official_resnet(state, dtype)

    def official_names(self) -> dict[str, tuple[str, ...]]:
        return official_places(self.model)


def load_official_resnet(state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> ResNetModel:
    """A transformers ResNet of bottleneck blocks, in eval mode, from a state dict with torchvision's names.

    state: name -> tensor. The counters `num_batches_tracked` may be absent, as in older files; the classifier's tensors
        are left out.
    dtype: precision of the weights.

    Raises InputError that lists unknown, missing and wrongly shaped tensors.
    """
    state = {key: tensor for key, tensor in state.items() if key not in _UNUSED}
    model = _empty_model(state)
    places = official_places(model)
    counters = {key: torch.tensor(0) for key in places if key.endswith(".num_batches_tracked")}
    state = counters | state
    check_tensors(released_shapes(places, model), state, "The ResNet weights")
    model.load_state_dict(placed(places, state, model, dtype), assign=True)
    return model.eval()


def official_places(model: ResNetModel) -> dict[str, tuple[str, ...]]:
    """torchvision's name of each tensor -> transformers' name, in a tuple of one."""
    places: dict[str, tuple[str, ...]] = {}

    def layer(convolution: str, norm: str, ours: str) -> None:
        places[f"{convolution}.weight"] = (f"{ours}.convolution.weight",)
        for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            places[f"{norm}.{kind}"] = (f"{ours}.normalization.{kind}",)

    layer("conv1", "bn1", "embedder.embedder")
    for s, stage in enumerate(model.encoder.stages):
        for b, block in enumerate(stage.layers):
            theirs, ours = f"layer{s + 1}.{b}", f"encoder.stages.{s}.layers.{b}"
            for n in range(len(block.layer)):
                layer(f"{theirs}.conv{n + 1}", f"{theirs}.bn{n + 1}", f"{ours}.layer.{n}")
            if not isinstance(block.shortcut, nn.Identity):
                layer(f"{theirs}.downsample.0", f"{theirs}.downsample.1", f"{ours}.shortcut")
    return places


def _empty_model(state: Mapping[str, Tensor]) -> ResNetModel:
    """A model of the sizes that the tensors have, without memory for its weights (device "meta")."""
    blocks: dict[int, set[int]] = {}
    for key in state:
        if match := re.match(r"layer(\d+)\.(\d+)\.", key):
            blocks.setdefault(int(match[1]), set()).add(int(match[2]))
    ends = [f"layer{s + 1}.0.conv3.weight" for s in range(len(blocks))]
    for key in ("conv1.weight", *(ends or ["layer1.0.conv3.weight"])):
        if key not in state or state[key].ndim != 4 or not state[key].shape[0] or state[key].shape[0] % 4:
            raise InputError(
                f"The ResNet weights must hold {key} with 4 dimensions, but it is "
                f"{f'of shape {list(state[key].shape)}' if key in state else 'missing'}; give torchvision's state dict "
                "of a ResNet-50."
            )
    config = ResNetConfig(
        embedding_size=state["conv1.weight"].shape[0],
        hidden_sizes=[state[key].shape[0] for key in ends],
        depths=[len(blocks[s]) for s in sorted(blocks)],
    )
    with torch.device("meta"):
        return ResNetModel(config)
