"""Language models by name: the decoder that reads image tokens and a question, and writes a coordinate.

Any decoder-only model with rotary positions and the usual layout (embed_tokens, layers, norm, lm_head) will do; the
presets are those of CapeLLM's comparison (supplement, choice of LLM) and a small one that needs no account anywhere.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...configs.strict import known_fields
from ...errors import InputError
from ..sources.hub import load_config, load_model, load_tokenizer
from ..tuning import LoraOptions, check_tuning, tune

# Base models, not the chat-tuned ones, as in the paper (Vicuna is only to be had tuned).
PRESETS: dict[str, str | None] = {
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B",
    "llama-3.2-1b": "meta-llama/Llama-3.2-1B",
    "vicuna-7b": "lmsys/vicuna-7b-v1.5",
    "mistral-7b": "mistralai/Mistral-7B-v0.3",
    "smollm2-135m": None,  # comes as a pinned package, see `anykeypoint.models.sources.packages`
}


@dataclass(frozen=True)
class LanguageConfig:
    """Which language model, from where, and how it is tuned.

    name: one of PRESETS, a hub id or a folder.
    source: a hub id or folder; None takes the preset's, or the name itself where it is no preset.
    layers: keep only the first so many decoder layers; None keeps all.
    tuning: frozen, lora or full; lora says what the adapters are.
    tokenizer: a hub id or folder of the tokenizer; None takes the one beside the weights.
    """

    name: str
    source: str | None = None
    layers: int | None = None
    tuning: str = "frozen"
    lora: LoraOptions = field(default_factory=LoraOptions)
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        for key in ("name", "source", "tokenizer"):
            value = getattr(self, key)
            if (value is None and key == "name") or (value is not None and (not isinstance(value, str) or not value)):
                raise InputError(f"The {key} of a language model must be text, but got {value!r}.")
        if self.name not in PRESETS and self.source is None and "/" not in self.name and not Path(self.name).is_dir():
            raise InputError(
                f"There is no language model {self.name!r}; known are {', '.join(PRESETS)}, or give a hub id "
                "(owner/name) or a folder."
            )
        if self.layers is not None and (type(self.layers) is not int or self.layers < 1):
            raise InputError(f"The number of layers to keep must be a whole number from 1, but got {self.layers!r}.")
        check_tuning(self.tuning)
        if not isinstance(self.lora, LoraOptions):
            raise InputError(f"The lora field must be LoraOptions, but got {self.lora!r}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "LanguageConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        values = known_fields(cls, data, "The options of a language model")
        if "name" not in values:
            raise InputError(f"The options of a language model must have a name; known are {', '.join(PRESETS)}.")
        if "lora" in values:
            values["lora"] = LoraOptions.from_dict(values["lora"])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "lora": self.lora.to_dict()}


def build_language(config: LanguageConfig, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """(model, tokenizer) of `config`: a transformers causal LM in eval mode, tuned as the config says.

    A tokenizer without a padding token pads with its end-of-text token, as the released CapeLLM does.
    Raises InputError where the model cannot be had or has not the layout that the decoding works on.
    """
    from transformers import AutoModelForCausalLM

    source = _source(config)
    settings = load_config(source)
    _check_layout(settings, source)
    if config.layers is not None:
        _keep_layers(settings, config.layers, source)
    tokenizer = load_tokenizer(config.tokenizer or source)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise InputError(
                f"The tokenizer of {config.tokenizer or source} has neither a padding nor an end-of-text token; "
                "give it one."
            )
        tokenizer.pad_token = tokenizer.eos_token
    model = load_model(AutoModelForCausalLM, source, dtype, config=settings, trust_remote_code=False)
    tune(model, config.tuning, config.lora)
    return model.eval(), tokenizer


def _source(config: LanguageConfig) -> str:
    if config.source is not None:
        return config.source
    if config.name not in PRESETS:
        return config.name
    published = PRESETS[config.name]
    if published is not None:
        return published
    from ..sources.packages import fetch

    return str(fetch(config.name))


def _check_layout(settings: Any, source: str) -> None:
    """InputError unless the config is of a decoder with rotary positions; no weight is loaded for it."""
    from transformers import AutoModelForCausalLM

    if getattr(settings, "is_encoder_decoder", False):
        raise InputError(
            f"{source} is an encoder-decoder model ({settings.model_type}), but a decoder-only model is needed, "
            f"such as {', '.join(PRESETS)}."
        )
    try:
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    except ValueError as error:
        raise InputError(
            f"{source} is no causal language model ({settings.model_type}); give one such as {', '.join(PRESETS)}."
        ) from error
    decoder = getattr(empty, "model", None)
    parts = ("embed_tokens", "layers", "norm", "rotary_emb")
    if not all(hasattr(decoder, part) for part in parts) or not hasattr(empty, "lm_head"):
        raise InputError(
            f"{source} ({settings.model_type}) is not laid out as a decoder with rotary positions; give a Llama-like "
            f"model such as {', '.join(PRESETS)}."
        )


def _keep_layers(settings: Any, layers: int, source: str) -> None:
    """Change the config so that only the first `layers` decoder layers are built and read."""
    if layers > settings.num_hidden_layers:
        raise InputError(
            f"{source} has {settings.num_hidden_layers} layers, but {layers} were to be kept; keep that many or fewer."
        )
    settings.num_hidden_layers = layers
    if isinstance(getattr(settings, "layer_types", None), list):  # one entry per layer, e.g. sliding or full attention
        settings.layer_types = settings.layer_types[:layers]
