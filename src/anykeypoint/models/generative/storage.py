"""CapeLLM and KptLLM as folders: config.json, model.safetensors with what training changed, and base weights by name.

Kept in model.safetensors: what a model has beside its towers (projection, <KEYPOINT> token, prompt extractor); of each
tower its LoRA weights (tuning "lora"), all of it ("full"), or nothing ("frozen"). The base weights come from the hub, a
folder or a pinned package, as the config says.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..folders import fill, model_type, read_settings, write_folder
from ..towers.efficientnet import EfficientNetLite2
from ..towers.language import build_language
from ..towers.vision import VisionEncoder, build_encoder, encoder_from_model
from ..tuning import lora_state
from . import released_capellm
from .base import GenerativeModel
from .capellm import CapeLLM, CapeLLMConfig
from .kptllm import KptLLM, KptLLMConfig

TOWERS = ("encoder", "language")
KINDS = {kind.model_type: (kind, described) for kind, described in ((CapeLLM, CapeLLMConfig), (KptLLM, KptLLMConfig))}

Config = CapeLLMConfig | KptLLMConfig


def build(config: Config, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    """A model with pretrained towers, all else untrained and initialised from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = build_encoder(config.vision)
        language, tokenizer = build_language(config.language, dtype)
        (kind,) = (kind for kind, described in KINDS.values() if isinstance(config, described))
        model = kind(config, encoder, language, tokenizer)
    return model.eval()


def changed_tensors(model: GenerativeModel) -> dict[str, Tensor]:
    """The tensors that training may have changed, under the names of model.safetensors."""
    beside = {name: part for name, part in model.named_children() if name not in TOWERS}
    tensors = {f"{part}.{name}": p for part, module in beside.items() for name, p in module.state_dict().items()}
    for tower, module, tuning in _towers(model):
        kept: dict[str, Tensor] = {}
        if tuning == "lora":
            kept = lora_state(module)
        elif tuning == "full":
            kept = dict(module.state_dict())
        tensors |= {f"{tower}.{name}": tensor for name, tensor in kept.items()}
    return tensors


def save(model: GenerativeModel, folder: str | Path, dtype: torch.dtype | None = None) -> None:
    """Write config.json and model.safetensors; floats as `dtype` where one is given."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_folder(folder, model.model_type, model.config.to_dict(), changed_tensors(model), dtype)


def read_config(folder: Path, kind: str | None = None) -> Config:
    """The config of a saved model of a kind (None: of either); InputError when the folder holds none."""
    kind = kind or _found(folder)
    return KINDS[kind][1].from_dict(read_settings(folder, kind))


def load(folder: str | Path, dtype: torch.dtype = torch.float32, kind: str | None = None) -> Any:
    """Rebuild a saved model: base weights from where the config says, then what training changed.

    kind: the model_type that it must be of; None takes either. A folder that the released CapeLLM code wrote is read by
    `published`.
    Raises InputError for a folder of another kind, and one that lists unknown, missing and wrongly shaped tensors.
    """
    folder = Path(folder)
    kind = kind or _found(folder)
    if kind == CapeLLM.model_type and released_capellm.is_published(folder):
        return released_capellm.load(folder, dtype)
    config = read_config(folder, kind)
    if config.vision.name == "efficientnet-lite2" and config.vision.tuning == "full":
        encoder: VisionEncoder = encoder_from_model(EfficientNetLite2(), config.vision)  # all of it is in the folder
    else:
        encoder = build_encoder(config.vision)
    language, tokenizer = build_language(config.language, dtype)
    model = KINDS[kind][0](config, encoder, language, tokenizer)
    fill(folder, changed_tensors(model))
    return model.eval()


def _found(folder: Path) -> str:
    """The kind that a folder says it is; CapeLLM where it says none of ours, which is then refused as such."""
    found = model_type(folder)
    return found if found in KINDS else CapeLLM.model_type


def _towers(model: GenerativeModel) -> list[tuple[str, nn.Module, str]]:
    config = model.config
    return [
        ("encoder", model.encoder.model, config.vision.tuning),
        ("language", model.language, config.language.tuning),
    ]
