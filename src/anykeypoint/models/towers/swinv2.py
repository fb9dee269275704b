"""Swin V2 (Liu et al. 2022) as published: the mask of shifted windows, stochastic depth, checkpoints under the authors'
names.

GraphCape and CapeX use Swin V2 Tiny and Small at 256 pixels with windows of 16 tokens (`backbone.*` in their files).
"""

import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Swinv2Config, Swinv2Model
from transformers.models.swinv2.modeling_swinv2 import Swinv2DropPath, Swinv2Layer

from ...errors import InputError
from ..sources.released import placed, released_shapes
from ..tensors import check_tensors
from .image_encoder import ImageEncoder, Published
from .vision_config import VisionConfig

PATCH = 4  # side of a patch in pixels
WINDOW = 16  # side of a window in tokens where a checkpoint stores none, as in the published models at 256 pixels

_UNUSED = ("head.weight", "head.bias", "mask_token")  # the classifier, and the token of masked pre-training
# Endings of the names of stored tables that follow from the side of the windows.
_DERIVED = ("attn.relative_coords_table", "attn.relative_position_index", "attn_mask")


def _published(
    name: str,
    embed_dim: int,
    third_depth: int,
    first_heads: int,
    drop_path: float = 0.0,
    pretrained_windows: tuple[int, ...] = (0, 0, 0, 0),
) -> Published:
    """Weights for 256 pixels. The third stage has `third_depth` blocks, the first `first_heads` heads, and each stage
    twice the heads of the one before."""
    sizes: dict[str, Any] = {"embed_dim": embed_dim, "depths": (2, 2, third_depth, 2)}
    sizes |= {"num_heads": tuple(first_heads * 2**i for i in range(4))}
    sizes |= {"window_size": 16, "pretrained_window_sizes": pretrained_windows}
    return Published(f"microsoft/swinv2-{name}", 256, sizes, drop_path)


class Swinv2Encoder(ImageEncoder):
    """The last stage's tokens after the final norm; as a map, enlarged twice (bilinear), as GraphCape and CapeX do.

    The windows are laid out for one size of picture.
    """

    published: ClassVar = {  # drop_path: of GraphCape's and CapeX's training
        "swinv2-t": _published("tiny-patch4-window16-256", 96, 6, 3, drop_path=0.2),
        "swinv2-s": _published("small-patch4-window16-256", 96, 18, 3, drop_path=0.3),
        "swinv2-b": _published("base-patch4-window16-256", 128, 18, 4),
        # No large one was trained at 256 pixels from the start: this one has windows enlarged from 12 tokens.
        "swinv2-l": _published(
            "large-patch4-window12to16-192to256-22kto1k-ft", 192, 18, 6, pretrained_windows=(12, 12, 12, 6)
        ),
    }
    network: ClassVar = Swinv2Model
    model_types: ClassVar = ("swinv2",)
    adjustable: ClassVar = ("window_size",)
    has_drop_path: ClassVar = True

    def __init__(self, model: Swinv2Model, config: VisionConfig) -> None:
        size = model.config
        if size.image_size != config.image_size:
            raise InputError(
                f"{config.name} was built for pictures of {size.image_size} pixels, but its config says "
                f"{config.image_size}; build it anew at that size."
            )
        use_published_masks(model)
        set_drop_path(model, config.drop_path)
        stride = size.patch_size * 2 ** (len(size.depths) - 1)
        super().__init__(model, config, dim=model.num_features, stride=stride, map_stride=stride // 2)

    def _tokens(self, pixels: Tensor) -> Tensor:
        if tuple(pixels.shape[2:]) != (self.config.image_size,) * 2:
            raise InputError(
                f"{self.config.name} takes pictures of {self.config.image_size} pixels, but got "
                f"{pixels.shape[3]} x {pixels.shape[2]}."
            )
        return self.model(pixels).last_hidden_state

    def map(self, pixels: Tensor) -> Tensor:
        return F.interpolate(self._token_map(pixels), scale_factor=2, mode="bilinear", align_corners=False)

    @classmethod
    def load_options(cls, config: VisionConfig) -> dict[str, Any]:
        """The windows depend on the size of the pictures, the weights do not."""
        return {"image_size": config.image_size, **config.sizes}

    @classmethod
    def make_network(cls, config: VisionConfig, sizes: Mapping[str, Any]) -> Swinv2Model:
        _check_multiple(config.image_size, len(sizes["depths"]), config.name)
        return super().make_network(config, {**sizes, "image_size": config.image_size})

    @classmethod
    def official_network(cls, state: Mapping[str, Tensor], config: VisionConfig, dtype: torch.dtype) -> Swinv2Model:
        window = config.sizes.get("window_size")
        return load_official_swinv2(state, image_size=config.image_size, window=window, dtype=dtype)

    def official_names(self) -> dict[str, tuple[str, ...]]:
        return official_places(self.model)


def load_official_swinv2(
    state: Mapping[str, Tensor],
    *,
    image_size: int,
    window: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Swinv2Model:
    """A transformers Swin V2, in eval mode, from a state dict with official names (`layers.0.blocks.0.norm1.weight`).

    state: name -> tensor. The tables and masks that follow from the windows (`relative_coords_table`,
        `relative_position_index`, `attn_mask`) may be absent or belong to another size of picture; the classifier and
        the mask token are left out.
    image_size: side in pixels of the pictures that the windows are laid out for.
    window: side of the windows in tokens; None takes that of the stored tables, or 16 without tables.
    dtype: precision of the weights.

    Raises InputError that lists unknown, missing and wrongly shaped tensors, and for tables of windows that were
    enlarged after training.
    """
    tables = {key: tensor for key, tensor in state.items() if key.endswith(_DERIVED)}
    rest = {key: tensor for key, tensor in state.items() if key not in tables and key not in _UNUSED}
    model = _empty_model(rest, image_size, window or _stored_window(tables) or WINDOW)
    places = official_places(model)
    expected = released_shapes(places, model) | _table_shapes(model, tables)
    check_tensors(expected, rest | tables, "The Swin V2 weights")
    _check_tables(tables)
    model.load_state_dict(placed(places, rest, model, dtype), assign=True)
    for block in blocks_of(model):  # tables are no weights, so those on the device "meta" are computed again
        attention = block.attention.self
        coordinates, attention.relative_position_index = attention.create_coords_table_and_index()
        attention.relative_coords_table = coordinates.to(dtype)
    return use_published_masks(model).eval()


def use_published_masks(model: Swinv2Model) -> Swinv2Model:
    """Make a model add the mask of its shifted windows once, as the published code does, in place; its weights stay.

    transformers adds the mask's -100 twice. The published scale allows logits up to 100, so that a token in another
    region can keep a small weight in the published models, which a mask of -200 would remove.
    """
    for block in blocks_of(model):
        block.__class__ = _PublishedLayer
    return model


class _PublishedLayer(Swinv2Layer):
    """A block whose mask is halved, because transformers adds it twice."""

    def get_attn_mask(self, *args: object, **options: object) -> Tensor | None:
        mask = super().get_attn_mask(*args, **options)
        return None if mask is None else mask / 2


def set_drop_path(model: Swinv2Model, rate: float) -> None:
    """Set stochastic depth, in place: training leaves out branches with a probability that rises evenly over the blocks
    from 0 to `rate`."""
    blocks = blocks_of(model)
    for i, block in enumerate(blocks):
        probability = rate * i / max(len(blocks) - 1, 1)
        block.drop_path = Swinv2DropPath(probability) if probability else nn.Identity()
    model.config.drop_path_rate = rate


def blocks_of(model: Swinv2Model) -> list[Swinv2Layer]:
    """All attention blocks, in the order in which they run."""
    return [block for stage in model.encoder.layers for block in stage.blocks]


def official_places(model: Swinv2Model) -> dict[str, tuple[str, ...]]:
    """Official name of each tensor -> transformers' names; fused queries, keys and values are cut into three parts."""
    places: dict[str, tuple[str, ...]] = {}
    for kind in ("weight", "bias"):
        places[f"patch_embed.proj.{kind}"] = (f"embeddings.patch_embeddings.projection.{kind}",)
        places[f"patch_embed.norm.{kind}"] = (f"embeddings.norm.{kind}",)
        places[f"norm.{kind}"] = (f"layernorm.{kind}",)
    layers = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "attn.proj": "attention.output.dense",
        "attn.cpb_mlp.0": "attention.self.continuous_position_bias_mlp.0",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    for i, stage in enumerate(model.encoder.layers):
        for j in range(len(stage.blocks)):
            theirs, ours = f"layers.{i}.blocks.{j}", f"encoder.layers.{i}.blocks.{j}"
            inner = f"{ours}.attention.self"
            for official, name in layers.items():
                for kind in ("weight", "bias"):
                    places[f"{theirs}.{official}.{kind}"] = (f"{ours}.{name}.{kind}",)
            places[f"{theirs}.attn.qkv.weight"] = tuple(f"{inner}.{role}.weight" for role in ("query", "key", "value"))
            places[f"{theirs}.attn.q_bias"] = (f"{inner}.query.bias",)
            places[f"{theirs}.attn.v_bias"] = (f"{inner}.value.bias",)
            places[f"{theirs}.attn.cpb_mlp.2.weight"] = (f"{inner}.continuous_position_bias_mlp.2.weight",)
            places[f"{theirs}.attn.logit_scale"] = (f"{inner}.logit_scale",)
        if stage.downsample is not None:
            for name in ("reduction.weight", "norm.weight", "norm.bias"):
                places[f"layers.{i}.downsample.{name}"] = (f"encoder.layers.{i}.downsample.{name}",)
    return places


def _empty_model(state: Mapping[str, Tensor], image_size: int, window: int) -> Swinv2Model:
    """A model of the sizes that the tensors have, without memory for its weights (device "meta")."""
    first = state.get("patch_embed.proj.weight")
    if first is None or first.ndim != 4 or 0 in first.shape:
        raise InputError(
            "The Swin V2 weights must hold patch_embed.proj.weight with 4 dimensions, but it is "
            f"{'missing' if first is None else f'of shape {list(first.shape)}'}; give the official state dict."
        )
    width = first.shape[0]
    blocks: dict[int, set[int]] = {}
    for key in state:
        if match := re.match(r"layers\.(\d+)\.blocks\.(\d+)\.", key):
            blocks.setdefault(int(match[1]), set()).add(int(match[2]))
    depths = [len(blocks[i]) for i in sorted(blocks)]  # a gap shows later as a missing and an unknown name
    heads = []
    for i in range(len(depths)):
        scale = state.get(f"layers.{i}.blocks.0.attn.logit_scale")
        count = scale.shape[0] if scale is not None and scale.ndim else 0
        heads.append(count if count and (width * 2**i) % count == 0 else 1)  # a wrong shape is reported later
    _check_multiple(image_size, len(depths), "Swin V2")
    config = Swinv2Config(
        image_size=image_size,
        patch_size=PATCH,
        embed_dim=width,
        depths=depths or [1],
        num_heads=heads or [1],
        window_size=window,
        pretrained_window_sizes=[0] * max(len(depths), 1),
        drop_path_rate=0.0,
    )
    with torch.device("meta"):
        return Swinv2Model(config, add_pooling_layer=False)


def _check_multiple(image_size: int, stages: int, name: str) -> None:
    """InputError unless pictures of `image_size` pixels a side can be halved after each stage but the last."""
    multiple = PATCH * 2 ** max(stages - 1, 0)
    if image_size < multiple or image_size % multiple:
        raise InputError(f"{name} takes pictures whose sides are multiples of {multiple} pixels, but got {image_size}.")


# --- tables that follow from the windows ---------------------------------------------------------------------------


def _stored_window(tables: Mapping[str, Tensor]) -> int | None:
    """The side in tokens of the largest window that a table was stored for; None without tables.

    Stages with small maps have smaller windows than the others.
    """
    return max((_side(key, tensor) for key, tensor in tables.items()), default=0) or None


def _side(key: str, tensor: Tensor) -> int:
    """The side in tokens of the window that a stored table was made for; 0 for a tensor that is no such table."""
    if key.endswith("relative_coords_table"):
        return (tensor.shape[1] + 1) // 2 if tensor.ndim == 4 else 0
    return math.isqrt(tensor.shape[-1]) if tensor.ndim else 0


def _table_shapes(model: Swinv2Model, tables: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes that the given tables must have; a table that belongs to no block of the model has none."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, stage in enumerate(model.encoder.layers):
        present = {key: tensor for key, tensor in tables.items() if key.startswith(f"layers.{i}.")}
        side = max((_side(key, tensor) for key, tensor in present.items()), default=0)
        for j in range(len(stage.blocks)):
            block = {
                "attn.relative_coords_table": (1, 2 * side - 1, 2 * side - 1, 2),
                "attn.relative_position_index": (side**2, side**2),
            }
            if j % 2:  # every second block shifts its windows; it has a mask for each window of the picture
                mask = present.get(f"layers.{i}.blocks.{j}.attn_mask")
                block["attn_mask"] = (mask.shape[0] if mask is not None and mask.ndim else 1, side**2, side**2)
            shapes |= {f"layers.{i}.blocks.{j}.{name}": shape for name, shape in block.items()}
    return {key: shape for key, shape in shapes.items() if key in tables}


def _check_tables(tables: Mapping[str, Tensor]) -> None:
    """InputError unless the coordinates are relative to the windows' own side, as in the model that is built.

    In a model whose windows were enlarged after training they are relative to the side in training.
    """
    for key, table in tables.items():
        side = _side(key, table)
        if not key.endswith("relative_coords_table") or side < 2:
            continue
        steps = torch.arange(1 - side, side, dtype=torch.float32) * 8 / (side - 1)
        steps = steps.sign() * (steps.abs() + 1).log2() / 3
        if not torch.allclose(
            table.float(), torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)[None], atol=1e-3
        ):
            raise InputError(
                f"{key} was made for windows enlarged after training, whose first size is not in this file; give a "
                "folder that transformers saved."
            )
