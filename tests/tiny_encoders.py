"""Tiny random image encoders, made in the test."""

import torch
import transformers

from anykeypoint.models.towers.efficientnet import EfficientNetLite2
from anykeypoint.models.towers.image_encoder import ImageEncoder
from anykeypoint.models.towers.vision import build_encoder, encoder_from_model
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig

# Name -> sizes of a tiny network of its family, and the side in pixels of its pictures.
TINY = {
    "swinv2-t": {"embed_dim": 8, "depths": (1, 2, 1, 1), "num_heads": (1, 2, 4, 4), "window_size": 4},
    "resnet50": {"embedding_size": 8, "hidden_sizes": (8, 12, 16, 20), "depths": (1, 2, 1, 1)},
    "dinov2-s": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 70},
    "dinov2-reg-s": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 70},
    "clip-vit-l-336": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 56,
    },
    "clip-vit-b16": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
    },
    "hiera-t": {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2), "image_size": (64, 64)},
    "efficientnet-lite2": {},
    "efficientnet-lite2+clip-vit-b16": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "projected": 8,
    },
}
PIXELS = {
    "swinv2-t": 128,
    "resnet50": 128,
    "dinov2-s": 56,
    "dinov2-reg-s": 56,
    "clip-vit-l-336": 70,
    "clip-vit-b16": 96,
    "hiera-t": 96,
    "efficientnet-lite2": 64,
    "efficientnet-lite2+clip-vit-b16": 64,
}

_VIT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 14}
_VIT_16 = {**_VIT, "patch_size": 16, "intermediate_size": 48, "image_size": 64}
_HIERA = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "image_size": [64, 64]}
_SWIN = {"embed_dim": 8, "depths": [1, 1, 2], "num_heads": [1, 2, 2], "window_size": 4, "image_size": 64}

# Name -> transformers class, its config, side of the pictures in pixels, rows of tokens, channels of a token.
NETWORKS = {
    "dinov2-s": ("Dinov2", {**_VIT, "image_size": 70, "mlp_ratio": 2}, 56, 4, 32),
    "dinov2-reg-s": ("Dinov2WithRegisters", {**_VIT, "image_size": 70, "mlp_ratio": 2}, 56, 4, 32),
    "clip-vit-l-336": ("CLIPVision", {**_VIT, "intermediate_size": 48, "image_size": 56}, 56, 4, 32),
    "clip-vit-b16": ("CLIPVision", {**_VIT_16, "num_hidden_layers": 7}, 64, 4, 32),
    "hiera-t": ("Hiera", _HIERA, 96, 3, 64),
    "swinv2-t": ("Swinv2", _SWIN, 64, 4, 32),
}


def tiny(name: str, seed: int = 0, **options) -> ImageEncoder:
    """The encoder of a name with the sizes of TINY and random weights."""
    torch.manual_seed(seed)
    options = {"image_size": PIXELS[name], "source": RANDOM, "sizes": TINY[name], "tuning": "full", **options}
    return build_encoder(VisionConfig(name, **options))


def loud(encoder: torch.nn.Module) -> torch.nn.Module:
    """Random weights, statistics and biases everywhere, so that no branch is silent."""
    source = torch.Generator().manual_seed(3)
    for key, tensor in encoder.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=source)
            tensor.copy_(noise.abs() + 0.5 if key.endswith("running_var") else tensor + 0.2 * noise)
    return encoder


def noise(size: int, batch: int = 1, seed: int = 1) -> torch.Tensor:
    """Normalised pixels of pictures that show nothing: batch 3 size size."""
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def tiny_model(name: str, **changes: object) -> torch.nn.Module:
    """A small random network of the name's family, as transformers makes it; wide weights keep all branches loud."""
    if name == "efficientnet-lite2":
        return EfficientNetLite2()
    kind, config, *_ = NETWORKS[name]
    torch.manual_seed(0)
    wide = {} if kind == "CLIPVision" else {"initializer_range": 0.1}
    return getattr(transformers, f"{kind}Model")(
        getattr(transformers, f"{kind}Config")(**{**config, **wide, **changes})
    )


def tiny_encoder(name: str, **options: object) -> ImageEncoder:
    """The encoder round such a network."""
    size = 64 if name == "efficientnet-lite2" else NETWORKS[name][2]
    return encoder_from_model(tiny_model(name), VisionConfig(name, **{"image_size": size, **options}))
