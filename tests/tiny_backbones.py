"""Tiny random backbones, made in the test."""

import torch

from anykeypoint.models.towers.backbones import Backbone, BackboneConfig, build_backbone

TINY = {
    "swinv2-t": {"embed_dim": 8, "depths": (1, 2, 1, 1), "num_heads": (1, 2, 4, 4), "window_size": 4},
    "resnet50": {"embedding_size": 8, "hidden_sizes": (8, 12, 16, 20), "depths": (1, 2, 1, 1)},
    "dinov2-s": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 70},
    "efficientnet-lite2": {},
}
PIXELS = {"swinv2-t": 128, "resnet50": 128, "dinov2-s": 56, "efficientnet-lite2": 64}


def tiny(name: str, seed: int = 0, **options) -> Backbone:
    torch.manual_seed(seed)
    options = {"image_size": PIXELS[name], "weights": None, "sizes": TINY[name], **options}
    return build_backbone(BackboneConfig(name, **options))


def loud(backbone: Backbone) -> Backbone:
    """Random weights, statistics and biases everywhere, so that no branch is silent."""
    source = torch.Generator().manual_seed(3)
    for key, tensor in backbone.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=source)
            tensor.copy_(noise.abs() + 0.5 if key.endswith("running_var") else tensor + 0.2 * noise)
    return backbone


def noise(size: int, batch: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))
