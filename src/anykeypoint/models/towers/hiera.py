"""Hiera (Ryali et al. 2023): a hierarchical transformer whose tokens lie in the order of its mask units."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import HieraModel

from ...errors import InputError
from .image_encoder import ImageEncoder, Published
from .vision_config import VisionConfig


def _published(name: str, embed_dim: int, depths: tuple[int, ...], heads: int) -> Published:
    """The self-supervised (MAE, ImageNet-1k) weights. `heads` are those of the first stage; each stage doubles them.

    MAE trains no norm after the last stage: in these weights that norm is the identity but for its normalisation.
    """
    sizes = {"embed_dim": embed_dim, "depths": depths, "num_heads": tuple(heads * 2**i for i in range(4))}
    sizes |= {"num_query_pool": 3, "image_size": (224, 224)}
    return Published(f"facebook/hiera-{name}-224-hf", 224, sizes)


class HieraEncoder(ImageEncoder):
    """The last stage's tokens after the final norm, brought from the order of mask units to rows and columns."""

    published: ClassVar = {
        "hiera-t": _published("tiny", 96, (1, 2, 7, 2), 1),
        "hiera-s": _published("small", 96, (1, 2, 11, 2), 1),
        "hiera-b": _published("base", 96, (2, 3, 16, 3), 1),
        "hiera-bplus": _published("base-plus", 112, (2, 3, 16, 3), 2),
        "hiera-l": _published("large", 144, (2, 6, 36, 4), 2),
    }
    network: ClassVar = HieraModel
    model_types: ClassVar = ("hiera",)

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
        left = (
            len(size.depths) - 1 - size.num_query_pool
        )  # each stage reorders the tokens once, each pooling undoes one
        if left:
            rows, columns = (side // self.stride for side in pixels.shape[2:])
            order = unrolled_order(rows, columns, size.query_stride[0], left).to(tokens.device)
            tokens = torch.empty_like(tokens).index_copy(1, order, tokens)
        return self.model.pooler.layernorm(tokens)


def unrolled_order(rows: int, columns: int, stride: int, times: int) -> Tensor:
    """Hiera's order of tokens: entry i is the row-by-row index of the token that stands at position i.

    rows, columns: size of the grid of tokens.
    stride: side of the blocks that query pooling joins, in tokens.
    times: number of reorderings that no pooling has undone; 0 in the published models, whose order is row by row.

    Each reordering moves the tokens of a stride x stride block to the front, so that pooling is a maximum over the
    first axis.
    """
    order = torch.arange(rows * columns).view(1, rows, columns)
    for _ in range(times):
        n, height, width = order.shape
        order = order.view(n, height // stride, stride, width // stride, stride).permute(0, 2, 4, 1, 3)
        order = order.reshape(n * stride * stride, height // stride, width // stride)
    return order.flatten()
