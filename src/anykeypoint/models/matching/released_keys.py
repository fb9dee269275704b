"""Heads of the released CapeFormer, GraphCape and CapeX, under their own names (`keypoint_head.*`), as heads of ours.

Their checkpoints are state dicts without a config: sizes and choices are derived from names and shapes. No tensor tells
the number of attention heads (8 in all published models) and CapeFormer's number of slots (100), which are arguments.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import InputError
from ..tensors import check_tensors
from .heads.graph import CapeFormer, CapeX, GraphCape, GraphConfig, GraphHead

PREFIX = "keypoint_head."

_HEADS = {"capeformer": CapeFormer, "graphcape": GraphCape, "capex": CapeX}

# Beginnings of our names -> theirs, the first that fits; `{ffn}` and `{support}` differ between the three models.
_NAMES = (
    (r"image_projection\.", "input_proj."),
    (r"token_projection\.", "{support}."),
    (r"order\.table\.", "support_embedding."),
    (r"steps\.(\d+)\.", r"kpt_branch.\1.mlp."),
    (r"matcher\.encoder\.layers\.(\d+)\.attention\.", r"transformer.encoder.layers.\1.self_attn."),
    (r"matcher\.encoder\.layers\.(\d+)\.feedforward\.first\.", r"transformer.encoder.layers.\1.linear1."),
    (r"matcher\.encoder\.layers\.(\d+)\.feedforward\.second\.", r"transformer.encoder.layers.\1.linear2."),
    (r"matcher\.proposals\.token\.", "transformer.proposal_generator.support_proj."),
    (r"matcher\.proposals\.query\.", "transformer.proposal_generator.query_proj."),
    (r"matcher\.proposals\.gate\.", "transformer.proposal_generator.dynamic_proj."),
    (r"matcher\.decoder\.place\.0\.", "transformer.decoder.ref_point_head.layers.0."),
    (r"matcher\.decoder\.place\.2\.", "transformer.decoder.ref_point_head.layers.1."),
    (r"matcher\.decoder\.layers\.(\d+)\.self_attention\.", r"transformer.decoder.layers.\1.self_attn."),
    (r"matcher\.decoder\.layers\.(\d+)\.cross_attention\.", r"transformer.decoder.layers.\1.multihead_attn."),
    (r"matcher\.decoder\.layers\.(\d+)\.narrow\.", r"transformer.decoder.layers.\1.choker."),
    (r"matcher\.decoder\.layers\.(\d+)\.feedforward\.first\.", r"transformer.decoder.layers.\1.{ffn}1."),
    (r"matcher\.decoder\.layers\.(\d+)\.feedforward\.second\.", r"transformer.decoder.layers.\1.{ffn}2."),
    (r"matcher\.", "transformer."),
)


def load_released_head(
    state: Mapping[str, Tensor], *, heads: int = 8, slots: int = 100, dropout: float = 0.1
) -> tuple[GraphHead, str]:
    """The head (float32, in eval mode) of a released state dict, and its model: capeformer, graphcape or capex.

    state: the tensors whose names begin with `keypoint_head.`, and no others.
    heads: number of attention heads.
    slots: number of CapeFormer's order codes, where they are not learnt.
    dropout: dropout probability.

    Raises InputError listing unknown, missing and wrongly shaped tensors.
    """
    model = released_kind(state)
    with torch.device("meta"):
        head = _HEADS[model](_config(state, model, heads, slots, dropout))
    own = head.state_dict()
    places = released_names(head, model)
    shapes = {theirs: _their_shape(name, own[name].shape) for name, theirs in places.items()}
    check_tensors(shapes, state, f"The weights of the released {model} head")
    weights = {name: state[theirs].float().reshape(own[name].shape).clone() for name, theirs in places.items()}
    head.load_state_dict(weights, assign=True)
    return head.eval(), model


def released_kind(state: Mapping[str, Tensor]) -> str:
    """The model of a state dict, capeformer, graphcape or capex, by names that only one of them has."""
    if any(key.startswith(f"{PREFIX}text_proj.") for key in state):
        return "capex"
    plain = any(re.match(rf"{re.escape(PREFIX)}transformer\.decoder\.layers\.\d+\.linear1\.", key) for key in state)
    return "capeformer" if plain else "graphcape"


def released_names(head: GraphHead, model: str) -> dict[str, str]:
    """Names of our parameters -> their names."""
    words = {
        "support": "text_proj" if model == "capex" else "query_proj",
        "ffn": "linear" if model == "capeformer" else "ffn",
    }
    places = {}
    for name in head.state_dict():
        pattern, theirs = next(pair for pair in _NAMES if re.match(pair[0], name))
        begun = re.sub(rf"^{pattern}", theirs, name, count=1).format(**words)
        # Theirs is a convolution of one cell where ours is a linear layer.
        places[name] = PREFIX + re.sub(r"(ffn\d)\.linear\.", r"\1.conv.", begun)
    return places


def _their_shape(name: str, shape: torch.Size) -> tuple[int, ...]:
    return (*shape, 1) if name.endswith("linear.weight") else tuple(shape)


def _config(state: Mapping[str, Tensor], model: str, heads: int, slots: int, dropout: float) -> GraphConfig:
    """The sizes and choices, derived from names and shapes."""

    def shape(name: str, dims: int) -> torch.Size:
        tensor = state.get(PREFIX + name)
        if tensor is None or tensor.ndim != dims:
            found = "it is missing" if tensor is None else f"it has the shape {list(tensor.shape)}"
            raise InputError(
                f"The weights of a released head must hold {PREFIX}{name} with {dims} dimensions, but {found}; give "
                f"the checkpoint's tensors whose names begin with {PREFIX}."
            )
        return state[PREFIX + name].shape

    def layers(part: str) -> int:
        numbers = [re.match(rf"{re.escape(PREFIX)}transformer\.{part}\.layers\.(\d+)\.", key) for key in state]
        return max((int(found[1]) + 1 for found in numbers if found), default=1)

    first, second = (f"{PREFIX}transformer.decoder.layers.0.ffn{n}.conv.weight" in state for n in (1, 2))
    graph = {(False, False): "none", (True, False): "pre", (False, True): "post", (True, True): "both"}[first, second]
    learnt = f"{PREFIX}support_embedding.weight" in state
    width, image_width = shape("input_proj.weight", 4)[:2]
    return GraphConfig(
        image_width=image_width,
        token_width=shape("text_proj.weight" if model == "capex" else "query_proj.weight", 2)[1],
        width=width,
        heads=heads,
        hidden=shape("transformer.encoder.layers.0.linear1.weight", 2)[0],
        gate=shape("transformer.proposal_generator.dynamic_proj.0.weight", 2)[0],
        encoder_layers=layers("encoder"),
        decoder_layers=layers("decoder"),
        dropout=dropout,
        graph=graph,
        order="none" if model != "capeformer" else "learnt" if learnt else "fixed",
        order_slots=shape("support_embedding.weight", 2)[0] if learnt else slots,
    )
