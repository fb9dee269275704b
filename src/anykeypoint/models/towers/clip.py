"""CLIP's vision transformer (Radford et al. 2021)."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import CLIPVisionModel

from ...errors import InputError
from ..sources.llava import LlavaCheckpoint
from .image_encoder import FILES, ImageEncoder, Published
from .vision_config import RANDOM, VisionConfig

_VIT_L = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 336,
}


class ClipEncoder(ImageEncoder):
    """The patch tokens of the second-to-last layer, without CLS and without a norm.

    As in LLaVA, whose recipe KptLLM follows: CLIP's last layer is trained for what CLS alone says about the picture as
    a whole, so the layer before it keeps more of what each patch shows.
    """

    published: ClassVar = {"clip-vit-l-336": Published("openai/clip-vit-large-patch14-336", 336, _VIT_L)}
    network: ClassVar = CLIPVisionModel
    model_types: ClassVar = ("clip", "clip_vision_model")
    statistics: ClassVar = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

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
