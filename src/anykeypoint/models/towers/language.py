"""Language models by name: the decoder that reads image tokens and a question, and writes a coordinate.

Any decoder-only model with rotary positions and the usual layout (embed_tokens, layers, norm, lm_head) will do. The
named ones are those of CapeLLM's comparison (supplement, choice of LLM), and a small one that needs no account.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from ...configs.checks import check_text, check_whole, near_names
from ...configs.strict import Config
from ...errors import InputError
from ..precision import keep_frozen_halves, language_to_precision, load_unrounded
from ..sources import packages
from ..sources.hub import load_config, load_model, load_tokenizer, stored_half
from ..sources.llava import LlavaCheckpoint
from ..tuning import LoraOptions, check_tuning, tune

# Name -> hub id; None where the weights come as the package of that name (see `sources.packages`). As in the paper,
# these are base models, not those tuned for chat; Vicuna was published only tuned.
LANGUAGE_MODELS: dict[str, str | None] = {
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B",
    "llama-3.2-1b": "meta-llama/Llama-3.2-1B",
    "vicuna-7b": "lmsys/vicuna-7b-v1.5",
    "vicuna-13b": "lmsys/vicuna-13b-v1.5",
    "mistral-7b": "mistralai/Mistral-7B-v0.3",
    "smollm2-135m": None,
}
ENGLISH = frozenset({"smollm2-135m"})  # language models that understand English alone


@dataclass(frozen=True)
class LanguageConfig(Config):
    """The options of a language model.

    name: one of LANGUAGE_MODELS, a hub id or a folder.
    source: a hub id or folder with the weights, which may be those of a LLaVA-1.5; None takes those of the name.
    layers: number of decoder layers, the first ones, that are kept; None keeps all.
    tuning: frozen, lora or full.
    lora: the adapters, where tuning is lora.
    tokenizer: a hub id or folder with the tokenizer; None takes the one beside the weights.
    """

    called: ClassVar[str] = "The options of a language model"

    name: str
    source: str | None = None
    layers: int | None = None
    tuning: str = "frozen"
    lora: LoraOptions = field(default_factory=LoraOptions)
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        check_text(self.name, "The name of a language model")
        for key in ("source", "tokenizer"):
            if getattr(self, key) is not None:
                check_text(getattr(self, key), f"The {key} of a language model")
        known = self.name in LANGUAGE_MODELS or self.source is not None
        if not known and "/" not in self.name and not Path(self.name).is_dir():
            raise InputError(
                f"There is no language model {self.name!r}{near_names(self.name, LANGUAGE_MODELS)}; known are "
                f"{', '.join(LANGUAGE_MODELS)}, or give a hub id (owner/name) or a folder."
            )
        if self.layers is not None:
            check_whole(self.layers, "The number of layers to keep")
        check_tuning(self.tuning)
        if not isinstance(self.lora, LoraOptions):
            raise InputError(f"The lora field must be LoraOptions, but got {self.lora!r}.")


def build_language(
    config: LanguageConfig, dtype: torch.dtype = torch.float32, keep_half: bool = False
) -> tuple[Any, Any]:
    """(model, tokenizer) of `config`: a causal language model of transformers in eval mode, tuned as the config says.

    dtype: precision of the layers; see `language_to_precision`.
    keep_half: in float32, keep the weights of frozen linear layers as they are stored where that is half precision; see
        `keep_frozen_halves`.

    A tokenizer without a padding token pads with its end-of-text token, as the released CapeLLM does.
    Raises InputError where the model cannot be had, or does not have the layout that decoding relies on.
    """
    from transformers import AutoModelForCausalLM

    source = _source(config)
    llava = LlavaCheckpoint.at(source)
    settings = load_config(source) if llava is None else llava.language_config()
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

    def load(precision: torch.dtype | str) -> Any:
        if llava is not None:
            return llava.language(deepcopy(settings), precision)
        return load_model(AutoModelForCausalLM, source, precision, config=deepcopy(settings), trust_remote_code=False)

    if dtype != torch.float32:
        # Half precision reads the weights as they are stored, so that what stays float32 is not rounded first.
        model = load("auto" if llava is None else torch.float32)
        language_to_precision(model, dtype)
        tune(model, config.tuning, config.lora)
    else:
        model = load_unrounded(load, stored_half(source) if keep_half and config.tuning != "full" else None)
        tune(model, config.tuning, config.lora)
        if keep_half:
            keep_frozen_halves(model)
    return model.eval(), tokenizer


def _source(config: LanguageConfig) -> str:
    """The hub id or folder that the weights are read from."""
    if config.source is not None:
        return config.source
    if config.name not in LANGUAGE_MODELS:
        return config.name
    return LANGUAGE_MODELS[config.name] or str(packages.fetch(config.name))


def _check_layout(settings: Any, source: str) -> None:
    """InputError unless the transformers config is of a decoder with rotary positions; no weight is read for this."""
    from transformers import AutoModelForCausalLM

    if getattr(settings, "is_encoder_decoder", False):
        raise InputError(
            f"{source} is an encoder-decoder model ({settings.model_type}), but a decoder-only model is needed, "
            f"such as {', '.join(LANGUAGE_MODELS)}."
        )
    try:
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    except ValueError as error:
        raise InputError(
            f"{source} is no causal language model ({settings.model_type}); give one such as "
            f"{', '.join(LANGUAGE_MODELS)}."
        ) from error
    decoder = getattr(empty, "model", None)
    parts = ("embed_tokens", "layers", "norm", "rotary_emb")
    if not all(hasattr(decoder, part) for part in parts) or not hasattr(empty, "lm_head"):
        raise InputError(
            f"{source} ({settings.model_type}) is not laid out as a decoder with rotary positions; give a Llama-like "
            f"model such as {', '.join(LANGUAGE_MODELS)}."
        )


def _keep_layers(settings: Any, layers: int, source: str) -> None:
    """Change a transformers config so that only the first `layers` decoder layers are built and read."""
    if layers > settings.num_hidden_layers:
        raise InputError(
            f"{source} has {settings.num_hidden_layers} layers, but {layers} were to be kept; keep that many or fewer."
        )
    settings.num_hidden_layers = layers
    if isinstance(getattr(settings, "layer_types", None), list):  # for each layer: sliding or full attention
        settings.layer_types = settings.layer_types[:layers]
