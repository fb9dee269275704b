"""Text encoders by name: phrases in, one unit vector each out.

CapeX asks with the phrase of each keypoint alone, read by a frozen gte-base-en-v1.5, by CLIP or by a multilingual BERT
(its released code has these three); MiniLM is small and works offline. A phrase's vector never depends on the phrases
around it: each is encoded by itself, so nothing is padded, and once.

Shapes: P phrases, D channels, N tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...configs.strict import known_fields
from ...errors import InputError
from ..sources.hub import load_model, load_tokenizer, read_config


@dataclass(frozen=True)
class Preset:
    """A published encoder.

    source: where its weights are; None where they come as a package (`models.sources.packages`) or must be named.
    types: what a checkpoint of the family says of itself in config.json. pooling: what stands for the phrase: the first
    token's state, the mean over all tokens, or a projection of the model's own. tokens: the most it is given.
    """

    source: str | None
    types: tuple[str, ...]
    pooling: str
    tokens: int


PRESETS = {
    "minilm-l6": Preset(None, ("bert",), "mean", 256),
    "gte-base-en-v1.5": Preset("Alibaba-NLP/gte-base-en-v1.5", ("new", "gte"), "first", 77),
    "clip": Preset("openai/clip-vit-base-patch32", ("clip", "clip_text_model"), "projection", 77),
    "bert": Preset(None, ("bert",), "first", 77),
}
PACKAGED = "minilm-l6"


@dataclass(frozen=True)
class TextConfig:
    """Which encoder and from where. name: one of PRESETS. source: a hub id or folder; None takes the preset's."""

    name: str
    source: str | None = None

    def __post_init__(self) -> None:
        if self.name not in PRESETS:
            raise InputError(f"There is no text encoder {self.name!r}; known are {', '.join(PRESETS)}.")
        if self.source is not None and (not isinstance(self.source, str) or not self.source):
            raise InputError(f"The source of a text encoder must be a hub id or folder, but got {self.source!r}.")
        if self.source is None and PRESETS[self.name].source is None and self.name != PACKAGED:
            raise InputError(f"The text encoder {self.name!r} has no weights of its own; give a hub id or folder.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TextConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        values = known_fields(cls, data, "The options of a text encoder")
        if "name" not in values:
            raise InputError(f"The options of a text encoder must have a name; known are {', '.join(PRESETS)}.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class TextEncoder(nn.Module):
    """A frozen network with its tokenizer. dim: channels D of a phrase."""

    def __init__(self, model: nn.Module, tokenizer: Any, config: TextConfig) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.config = config
        size = model.config
        self.dim = size.projection_dim if PRESETS[config.name].pooling == "projection" else size.hidden_size
        self._known: dict[str, Tensor] = {}
        self.register_load_state_dict_post_hook(lambda module, keys: module._known.clear())

    def _apply(self, *arguments: Any, **options: Any) -> "TextEncoder":
        self._known.clear()  # another device or precision may give other bits
        return super()._apply(*arguments, **options)

    def train(self, mode: bool = True) -> "TextEncoder":
        """Nothing trains here, and dropout would give a phrase another vector each time."""
        return super().train(False)

    def phrases(self, phrases: Sequence[str]) -> Tensor:
        """(P, D) float32 unit vectors, on the network's device.

        The same phrase has the same bits in any company and at any time. Raises InputError for what is no text or
        blank, and for a phrase longer than the encoder is given (77 tokens in CapeX), which would be cut.
        """
        if isinstance(phrases, str):
            raise InputError(f"Phrases must be a list of texts, but got the text {phrases!r}; put it in a list.")
        device = next(self.model.parameters()).device
        for phrase in phrases:
            if phrase not in self._known:
                self._known[phrase] = self._encode(phrase).cpu()
        vectors = [self._known[phrase] for phrase in phrases]
        return torch.stack(vectors).to(device) if vectors else torch.zeros(0, self.dim, device=device)

    @torch.no_grad()
    def _encode(self, phrase: str) -> Tensor:
        if not isinstance(phrase, str) or not phrase.strip():
            raise InputError(f"A phrase to encode must be a text that is not blank, but got {phrase!r}.")
        preset = PRESETS[self.config.name]
        ids = self.tokenizer(phrase, return_tensors="pt", verbose=False)["input_ids"]
        if ids.shape[1] > preset.tokens:
            raise InputError(
                f"The phrase {phrase[:40]!r}... has {ids.shape[1]} tokens, but {self.config.name} is given "
                f"{preset.tokens} at most; shorten it."
            )
        output = self.model(input_ids=ids.to(next(self.model.parameters()).device))
        if preset.pooling == "projection":
            vector = output.text_embeds[0]
        else:
            states = output.last_hidden_state[0]
            vector = states[0] if preset.pooling == "first" else states.mean(dim=0)
        return F.normalize(vector.float(), dim=0)


def build_text_encoder(config: TextConfig, dtype: torch.dtype = torch.float32) -> TextEncoder:
    """The encoder of `config` with its pretrained weights and tokenizer.

    Raises InputError where they cannot be had or are of another family.
    """
    from transformers import BertModel, CLIPTextModelWithProjection

    source = config.source or PRESETS[config.name].source or _packaged()
    found = read_config(source).get("model_type")
    if found not in PRESETS[config.name].types:
        raise InputError(
            f"{source} holds a model of type {found}, but {config.name} needs one of type "
            f"{' or '.join(PRESETS[config.name].types)}."
        )
    if config.name == "gte-base-en-v1.5":
        model = _load_gte(source, dtype)
    elif config.name == "clip":
        model = load_model(CLIPTextModelWithProjection, source, dtype)
    else:
        model = load_model(BertModel, source, dtype, add_pooling_layer=False)
    return TextEncoder(model, load_tokenizer(source), config)


def _packaged() -> str:
    from ..sources.packages import fetch

    return str(fetch(PACKAGED))


# --- gte -----------------------------------------------------------------------------------------------------------

# What the repository's own code can be told to do otherwise; the published v1.5 models use none of it.
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


def _load_gte(source: str, dtype: torch.dtype) -> nn.Module:
    """transformers' GTE with the weights of Alibaba's repository, whose own code is never run.

    Its config says model type "new" and may scale the rotary positions by "ntk" (v1.5: factor 2), which transformers
    does not know; the names of its weights transformers translates itself.
    """
    from transformers import GteConfig, GteModel

    raw = read_config(source)
    if raw["model_type"] == "gte":  # a conversion for transformers
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
    if scaling is None:
        return 1.0
    if not isinstance(scaling, Mapping) or scaling.get("type") != "ntk" or set(scaling) - {"type", "factor"}:
        raise InputError(f"{source} scales its positions by {scaling!r}, but only ntk with a factor can be read.")
    return float(scaling["factor"])


def ntk_frequencies(theta: float, factor: float, width: int) -> Tensor:
    """(width / 2,) angles per position of the rotary pairs of a head of `width` channels, under fixed NTK scaling.

    The base is multiplied by the factor, and every frequency divided by factor^(2 / width), so that the last pair turns
    exactly `factor` times slower than without.
    """
    powers = torch.arange(0, width, 2).float() / width
    return 1.0 / (theta * factor) ** powers / factor ** (2 / width)
