"""DINOv2 (Oquab et al. 2023) as published: its position embeddings at any size, its checkpoints under Meta's names.

The pretrained position embeddings are a 37 x 37 grid (518 pixels). For another size they must be sampled exactly as the
published models do it, or the features drift (by up to 0.05 at 224 pixels):
  without registers   bicubic at scale (size / 14 + 0.1) / 37, not antialiased;
  with registers      bicubic to the exact size, antialiased.
The registers themselves get no position: they are inserted after the positions are added.
"""

import math
import re
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings
from transformers.models.dinov2_with_registers.modeling_dinov2_with_registers import Dinov2WithRegistersEmbeddings

from ...errors import InputError
from ..sources.released import placed, released_shapes
from ..tensors import check_tensors
from ..tuning import apply_lora, load_lora_state
from .image_encoder import ImageEncoder, Published
from .vision_config import VisionConfig

Dinov2 = Dinov2Model | Dinov2WithRegistersModel

# Letter of the published size -> its name on the hub, channels, blocks, attention heads.
_SIZES = {
    "s": ("small", 384, 12, 6),
    "b": ("base", 768, 12, 12),
    "l": ("large", 1024, 24, 16),
    "g": ("giant", 1536, 40, 24),
}


def _published(prefix: str, hub: str) -> dict[str, Published]:
    """The four published sizes, as `<prefix><letter>`; `hub` is the hub id up to the size's name."""
    published = {}
    for letter, (name, width, blocks, heads) in _SIZES.items():
        sizes = {"hidden_size": width, "num_hidden_layers": blocks, "num_attention_heads": heads}
        # image_size: that of the grid of position embeddings.
        sizes |= {"patch_size": 14, "image_size": 518, "mlp_ratio": 4, "use_swiglu_ffn": letter == "g"}
        published[prefix + letter] = Published(hub + name, 224, sizes)
    return published


class Dinov2Encoder(ImageEncoder):
    """Patch tokens after the final norm, without CLS and registers."""

    published: ClassVar = _published("dinov2-", "facebook/dinov2-")
    network: ClassVar = Dinov2Model
    model_types: ClassVar = ("dinov2",)
    unused = ("embeddings.mask_token",)

    def __init__(self, model: Dinov2, config: VisionConfig) -> None:
        use_published_positions(model)
        super().__init__(model, config, dim=model.config.hidden_size, stride=model.config.patch_size)

    def _tokens(self, pixels: Tensor) -> Tensor:
        registers = getattr(self.model.config, "num_register_tokens", 0)
        return self.model(pixels).last_hidden_state[:, 1 + registers :]

    @classmethod
    def official_network(cls, state: Mapping[str, Tensor], config: VisionConfig, dtype: torch.dtype) -> Dinov2:
        # The adapters of a CapeLLM checkpoint were trained together with its projection and are read where that is
        # read. An encoder that only starts from the checkpoint is its base network.
        base = {key: tensor for key, tensor in state.items() if ".attn.lora_" not in key}
        return load_official_dinov2(base, heads=config.heads, dtype=dtype)

    def official_names(self) -> dict[str, tuple[str, ...]]:
        return official_places(self.model)


class Dinov2RegistersEncoder(Dinov2Encoder):
    """DINOv2 with registers (Darcet et al. 2023)."""

    published: ClassVar = _published("dinov2-reg-", "facebook/dinov2-with-registers-")
    network: ClassVar = Dinov2WithRegistersModel
    model_types: ClassVar = ("dinov2_with_registers",)


class _Positions:
    """A mixin that samples position embeddings as Meta's code does, in place of transformers' own way.

    offset: cells that are added to the number of patches before the scale is computed.
    antialias: whether the sampling is antialiased.
    _sampled: (height, width) -> the state of the parameter, and the positions that were sampled from it.
    """

    offset: float
    antialias: bool
    _sampled: dict[tuple[int, int], tuple[tuple, Tensor]]

    def interpolate_pos_encoding(self, embeddings: Tensor, height: int, width: int) -> Tensor:
        """Position embeddings 1 1+N C of a picture of height x width pixels: CLS first, then the patches row by row.

        They are kept as long as the parameter does not change. In training, and in an export, they are sampled anew.
        """
        grid = self.position_embeddings
        if torch.compiler.is_exporting() or (grid.requires_grad and torch.is_grad_enabled()):
            return self._sample(height, width)
        stamp = (grid.data_ptr(), 0 if grid.is_inference() else grid._version, grid.device, grid.dtype)
        kept = self._sampled.get((height, width))
        if kept is None or kept[0] != stamp:
            with torch.inference_mode(False), torch.no_grad():  # training cannot use tensors of inference mode
                kept = self._sampled[height, width] = (stamp, self._sample(height, width))
        return kept[1]

    def _sample(self, height: int, width: int) -> Tensor:
        """The position embeddings, sampled anew; see `interpolate_pos_encoding`."""
        positions = self.position_embeddings
        rows, columns = height // self.patch_size, width // self.patch_size
        side = math.isqrt(positions.shape[1] - 1)
        if rows == columns == side:
            return positions
        grid = positions[:, 1:].float().reshape(1, side, side, -1).permute(0, 3, 1, 2)  # 1 C side side
        how = (
            {"scale_factor": ((rows + self.offset) / side, (columns + self.offset) / side)}
            if self.offset
            else {"size": (rows, columns)}
        )
        grid = F.interpolate(grid, mode="bicubic", antialias=self.antialias, **how)
        return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2).to(positions.dtype)], dim=1)


class _PlainEmbeddings(_Positions, Dinov2Embeddings):
    offset, antialias = 0.1, False


class _RegisterEmbeddings(_Positions, Dinov2WithRegistersEmbeddings):
    offset, antialias = 0.0, True


def use_published_positions(model: Dinov2) -> Dinov2:
    """Make a model sample its position embeddings as the published code does, in place; its weights stay the same."""
    if not isinstance(model.embeddings, _Positions):
        kind = _RegisterEmbeddings if isinstance(model, Dinov2WithRegistersModel) else _PlainEmbeddings
        with torch.device("meta"):
            embeddings = kind(model.config)
        embeddings.load_state_dict(model.embeddings.state_dict(keep_vars=True), assign=True)
        embeddings.train(model.embeddings.training)
        embeddings._sampled = {}
        model.embeddings = embeddings
    return model


def load_official_dinov2(
    state: Mapping[str, Tensor],
    *,
    heads: int | None = None,
    lora: str = "merge",
    alpha: float = 16.0,
    dropout: float = 0.05,
    dtype: torch.dtype = torch.float32,
) -> Dinov2:
    """A transformers DINOv2, in eval mode, from a state dict with Meta's names (`blocks.0.attn.qkv.weight` ...).

    state: name -> tensor. May hold CapeLLM's adapters: `blocks.0.attn.lora_A_q` of r x C, `lora_B_q` of C x r, and the
        same for v.
    heads: number of attention heads; None takes C / 64, which all published sizes have.
    lora: what becomes of the adapters: "merge" adds (alpha / r) B A to the query and value weights, "peft" makes PEFT
        adapters of them.
    alpha: numerator of the adapters' scale alpha / r.
    dropout: dropout of PEFT adapters.
    dtype: precision of the weights.

    Raises InputError that lists unknown, missing and wrongly shaped tensors.
    """
    if lora not in ("merge", "peft"):
        raise InputError(f"The DINOv2 adapters can be taken with lora 'merge' or 'peft', but got {lora!r}.")
    model = _empty_model(state, heads)
    places = official_places(model)
    expected = released_shapes(places, model)
    r, roles = _adapters(state)
    blocks, width = model.config.num_hidden_layers, model.config.hidden_size
    for i in range(blocks):
        for role in roles:
            expected[f"blocks.{i}.attn.lora_A_{role}"] = (r, width)
            expected[f"blocks.{i}.attn.lora_B_{role}"] = (width, r)
    check_tensors(expected, state, "The DINOv2 weights")

    weights = placed(places, state, model, dtype)
    adapters = {}
    for i in range(blocks):
        for role in roles:
            layer = f"encoder.layer.{i}.attention.{role}_proj"
            a, b = (state[f"blocks.{i}.attn.lora_{side}_{role}"].float() for side in "AB")
            if lora == "merge":
                merged = weights[f"{layer}.weight"].float() + (alpha / r) * (b @ a)
                weights[f"{layer}.weight"] = merged.to(dtype)
            else:
                adapters |= {f"{layer}.lora_A.weight": a, f"{layer}.lora_B.weight": b}
    model.load_state_dict(weights, assign=True)
    model = use_published_positions(model).eval()
    if adapters:
        apply_lora(model, r, alpha, dropout, roles)
        load_lora_state(model, adapters)
    return model


def _empty_model(state: Mapping[str, Tensor], heads: int | None) -> Dinov2:
    """A model of the sizes that the tensors have, without memory for its weights (device "meta")."""
    needed = {"pos_embed": 3, "patch_embed.proj.weight": 4}
    for key, dims in needed.items():
        if key not in state or state[key].ndim != dims:
            raise InputError(
                f"The DINOv2 weights must hold {key} with {dims} dimensions, but it is "
                f"{f'of shape {list(state[key].shape)}' if key in state else 'missing'}; give Meta's own state dict."
            )
    _, tokens, width = state["pos_embed"].shape
    patch = state["patch_embed.proj.weight"].shape[-1]
    side = math.isqrt(tokens - 1)
    blocks = {int(match[1]) for key in state if (match := re.match(r"blocks\.(\d+)\.", key))}
    if heads is None:
        if width % 64:
            raise InputError(f"The heads of a DINOv2 of width {width} do not follow from its width; pass heads.")
        heads = width // 64
    if heads < 1 or width % heads:
        raise InputError(f"The heads of a DINOv2 must divide its width {width}, but got {heads}.")
    gated = "blocks.0.mlp.w12.weight" in state
    sizes = {
        "hidden_size": width,
        "num_hidden_layers": max(blocks, default=-1) + 1,
        "num_attention_heads": heads,
        "image_size": side * patch,
        "patch_size": patch,
        "use_swiglu_ffn": gated,
    }
    if not gated and "blocks.0.mlp.fc1.weight" in state:
        sizes["mlp_ratio"] = max(len(state["blocks.0.mlp.fc1.weight"]) // width, 1)
    with torch.device("meta"):
        if "register_tokens" not in state:
            return Dinov2Model(Dinov2Config(**sizes))
        registers = state["register_tokens"].shape[1]
        return Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**sizes, num_register_tokens=registers))


def official_places(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Meta's name of each tensor -> transformers' names.

    Where there are several, the tensor is cut into that many equal parts: queries, keys and values, or the two halves
    of a gated layer.
    """
    places: dict[str, tuple[str, ...]] = {
        "cls_token": ("embeddings.cls_token",),
        "pos_embed": ("embeddings.position_embeddings",),
        "mask_token": ("embeddings.mask_token",),
    }
    if isinstance(model, Dinov2WithRegistersModel):
        places["register_tokens"] = ("embeddings.register_tokens",)
    layers = {
        "norm1": ("norm1",),
        "attn.qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
        "attn.proj": ("attention.o_proj",),
        "norm2": ("norm2",),
    }
    if model.config.use_swiglu_ffn:
        layers |= {"mlp.w12": ("mlp.gate_proj", "mlp.up_proj"), "mlp.w3": ("mlp.down_proj",)}
    else:
        layers |= {"mlp.fc1": ("mlp.fc1",), "mlp.fc2": ("mlp.fc2",)}
    for kind in ("weight", "bias"):
        places[f"patch_embed.proj.{kind}"] = (f"embeddings.patch_embeddings.projection.{kind}",)
        places[f"norm.{kind}"] = (f"layernorm.{kind}",)
    for i in range(model.config.num_hidden_layers):
        for kind in ("weight", "bias"):
            for official, ours in layers.items():
                places[f"blocks.{i}.{official}.{kind}"] = tuple(f"encoder.layer.{i}.{name}.{kind}" for name in ours)
        for n in (1, 2):
            places[f"blocks.{i}.ls{n}.gamma"] = (f"encoder.layer.{i}.layer_scale{n}.lambda1",)
    return places


def _adapters(state: Mapping[str, Tensor]) -> tuple[int, tuple[str, ...]]:
    """The rank of the LoRA tensors in `state` and the roles they adapt; (0, ()) without any."""
    adapters = [(key, match) for key in state if (match := re.fullmatch(r"blocks\.\d+\.attn\.lora_([AB])_([qv])", key))]
    if not adapters:
        return 0, ()
    ranks = [state[key].shape[0] for key, match in adapters if match[1] == "A" and state[key].ndim == 2]
    return (ranks or [0])[0], tuple(sorted({match[2] for _, match in adapters}))
