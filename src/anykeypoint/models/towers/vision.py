"""From the options of an image encoder to the encoder.

CapeLLM uses DINOv2 ViT-L at 224 pixels and compares DINOv2 with registers and Hiera (supplement, choice of visual
encoder); KptLLM uses CLIP ViT-L at 336; GraphCape and CapeX use Swin V2 at 256, POMNet and CapeFormer ResNet-50. Any
encoder serves any model: language models take its `tokens`, matchers its `map`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .image_encoder import ImageEncoder
from .registry import encoder_class
from .vision_config import VisionConfig


def build_encoder(config: VisionConfig, dtype: torch.dtype = torch.float32) -> ImageEncoder:
    """The encoder of `config` with its weights, in eval mode, tuned as the config says.

    dtype: precision of the weights.

    Raises InputError where the weights cannot be had, are of another family, or where size or tuning do not fit.
    """
    encoder = encoder_class(config.name)
    return encoder.from_model(encoder.load_network(config, dtype), config)


def encoder_from_model(model: nn.Module, config: VisionConfig) -> ImageEncoder:
    """The encoder of `config` round a network that is there already; see `ImageEncoder.from_model`."""
    return encoder_class(config.name).from_model(model, config)


def encoder_from_released(state: Mapping[str, Tensor], config: VisionConfig) -> ImageEncoder:
    """The encoder of `config` with the tensors of a released model (see `released.read_released`), in eval mode.

    state: tensors under their authors' names; see `ImageEncoder.released_network`.
    """
    encoder = encoder_class(config.name)
    return encoder.from_model(encoder.released_network(state, config), config)
