"""The published networks at full size without their weights, for counting: nothing is fetched and nothing is read.

Build on torch's device "meta", where tensors have shapes and no memory:

    with torch.device("meta"):
        model = empty_model(CapeLLMConfig())
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from torch import nn

from ..configs.strict import Config
from ..configs.yaml_files import load_yaml
from ..errors import InputError
from ..models.fewshot.fewshot_model import FewShotConfig, FewShotModel
from ..models.generative.capellm import CapeLLM
from ..models.generative.capellm_config import CapeLLMConfig
from ..models.generative.kptllm import KptLLM
from ..models.generative.kptllm_config import KptLLMConfig
from ..models.matching.matcher_config import MatcherConfig
from ..models.matching.model import assemble
from ..models.sources.hub import load_config
from ..models.towers.image_encoder import ImageEncoder
from ..models.towers.language import LanguageConfig
from ..models.towers.text import TextConfig, TextEncoder
from ..models.towers.vision import build_encoder
from ..models.towers.vision_config import RANDOM, VisionConfig
from ..models.tuning import tune
from .pieces import PieceTokenizer


@cache
def published_sizes() -> Mapping[str, Any]:
    """The content of networks.yaml."""
    return load_yaml(Path(str(resources.files(__package__) / "networks.yaml")))


def empty_model(config: Config) -> nn.Module:
    """The model of a config in eval mode, tuned as the config says.

    config: of a CapeLLM, a KptLLM, a matcher or a few-shot baseline. Raises InputError for any other, and for a network
        whose sizes are not known.
    """
    if isinstance(config, CapeLLMConfig | KptLLMConfig):
        language, tokenizer = empty_language(config.language, llava=getattr(config, "llava", None) is not None)
        kind = CapeLLM if isinstance(config, CapeLLMConfig) else KptLLM
        return kind(config, empty_encoder(config.vision), language, tokenizer).eval()
    if isinstance(config, MatcherConfig):
        config = replace(config, vision=drawn(config.image_encoder))
        return assemble(config, build_encoder(config.image_encoder), empty_text(config.text)).eval()
    if isinstance(config, FewShotConfig):
        return FewShotModel(config, empty_encoder(config.vision)).eval()
    raise InputError(
        f"The size of a model is known of a CapeLLM, a KptLLM, a matcher and a few-shot baseline, but got a "
        f"{type(config).__name__}; count its parameters where its weights are."
    )


def drawn(config: VisionConfig) -> VisionConfig:
    """The same image encoder with random weights, so that none are read; it has the published sizes of its name."""
    return config if config.source == RANDOM else replace(config, source=RANDOM)


def empty_encoder(config: VisionConfig) -> ImageEncoder:
    """An image encoder with the published sizes of its name, tuned as the config says."""
    return build_encoder(drawn(config))


def empty_language(config: LanguageConfig, llava: bool = False) -> tuple[nn.Module, PieceTokenizer]:
    """A language model, tuned as the config says, and a tokenizer that stands in for its own.

    llava: whether it is the one of a LLaVA-1.5, which has some tokens more.

    Raises InputError where the sizes are not known: they are of the names of networks.yaml, and of a folder.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    known, digits = dict(published_sizes()["language"].get(config.name, {})), 1
    folder = next((path for path in (config.source, config.name) if path and Path(path).is_dir()), None)
    if known:
        kind, digits = known.pop("kind"), known.pop("digits")
        if llava:
            known["vocab_size"] = published_sizes()["llava_tokens"]
        settings = AutoConfig.for_model(kind, **known)
    elif folder is not None:
        settings = load_config(folder)
    else:
        names = ", ".join(published_sizes()["language"])
        raise InputError(
            f"The sizes of the language model {config.name!r} are not known here; known are {names}, or give a folder "
            "with its config.json."
        )
    if config.layers is not None:
        settings.num_hidden_layers = min(config.layers, settings.num_hidden_layers)
    language = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    tune(language, config.tuning, config.lora)
    return language.eval(), PieceTokenizer(digits)


def empty_text(config: TextConfig | None) -> TextEncoder | None:
    """A text encoder without a tokenizer; None for None. Raises InputError for one whose sizes are not known."""
    from transformers import AutoConfig, BertModel, CLIPTextModelWithProjection, GteModel

    if config is None:
        return None
    sizes = dict(published_sizes()["text"].get(config.name, {}))
    if not sizes:
        known = ", ".join(published_sizes()["text"])
        raise InputError(f"The sizes of the text encoder {config.name!r} are not known here; known are {known}.")
    classes = {"gte": GteModel, "clip_text_model": CLIPTextModelWithProjection, "bert": BertModel}
    kind = sizes.pop("kind")
    options = {"add_pooling_layer": False} if kind == "bert" else {}
    return TextEncoder(classes[kind](AutoConfig.for_model(kind, **sizes), **options), None, config)
