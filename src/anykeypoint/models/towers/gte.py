"""gte-base-en-v1.5 without its repository's code: transformers' GTE with NTK-scaled rotary positions."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..sources.hub import load_model, read_config

# Settings that the repository's own code also follows with other values; the published v1.5 models have these.
_GTE_FIXED = {
    "position_embedding_type": "rope",
    "layer_norm_type": "layer_norm",
    "logn_attention_scale": False,
    "logn_attention_clip1": False,
}
_GTE_SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id"),
)


def load_gte(source: str, dtype: torch.dtype) -> nn.Module:
    """transformers' GTE with the weights of Alibaba's repository, whose own code is never run.

    source: hub id or folder.
    dtype: precision of the weights.

    The repository's config has the model type "new" and may scale the rotary positions by "ntk" (factor 2 in v1.5),
    which transformers does not support, so the frequencies are set here. transformers itself translates the names of
    the weights. Raises InputError for settings that cannot be followed.
    """
    from transformers import GteConfig, GteModel

    raw = read_config(source)
    if raw["model_type"] == "gte":  # a conversion that transformers reads by itself
        return load_model(GteModel, source, dtype)
    for key, value in _GTE_FIXED.items():
        if raw.get(key, value) != value:
            raise InputError(f"{source} has {key} {raw[key]!r}, but only {value!r} can be read; use a published model.")
    if missing := [key for key in (*_GTE_SIZES, "rope_theta") if key not in raw]:
        raise InputError(f"The config.json of {source} lacks {missing[0]!r}; use a published model.")
    factor = _ntk_factor(raw.get("rope_scaling"), source)
    rope = {"rope_type": "default", "rope_theta": float(raw["rope_theta"])}
    config = GteConfig(**{key: raw[key] for key in _GTE_SIZES}, rope_parameters=rope)
    model = load_model(GteModel, source, dtype, config=config)
    frequencies = model.rotary_emb.inv_freq
    frequencies.copy_(ntk_frequencies(rope["rope_theta"], factor, 2 * len(frequencies)))
    return model


def _ntk_factor(scaling: Any, source: str) -> float:
    """The factor of `rope_scaling` in config.json, 1 without scaling; InputError for scaling of another kind."""
    if scaling is None:
        return 1.0
    if not isinstance(scaling, Mapping) or scaling.get("type") != "ntk" or set(scaling) - {"type", "factor"}:
        raise InputError(f"{source} scales its positions by {scaling!r}, but only ntk with a factor can be read.")
    return float(scaling["factor"])


def ntk_frequencies(theta: float, factor: float, width: int) -> Tensor:
    """Angles in radians per position, one for each rotary pair of an attention head: (width / 2,).

    theta: base of the frequencies.
    factor: factor of fixed NTK scaling; 1 scales nothing.
    width: channels of a head.

    The base is multiplied by the factor, and each frequency divided by factor^(2 / width), so that the last pair turns
    exactly `factor` times slower than without scaling.
    """
    powers = torch.arange(0, width, 2).float() / width
    return 1.0 / (theta * factor) ** powers / factor ** (2 / width)
