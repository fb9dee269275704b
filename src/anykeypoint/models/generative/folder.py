"""CapeLLM as a folder: config.json, model.safetensors with what training changed, and the base weights by name.

Kept in model.safetensors: the projection; the <KEYPOINT> token, where the model answers with it; of each tower its LoRA
weights (tuning "lora"), all of it ("full"), or nothing ("frozen"). The base weights come from the hub, a folder or a
pinned package, as the config says.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from ..efficientnet import EfficientNetLite2
from ..folders import fill, read_settings, write_folder
from ..language import build_language
from ..lora import lora_state
from ..vision import VisionEncoder, build_encoder, encoder_from_model
from . import published
from .capellm import CapeLLM, CapeLLMConfig

MODEL_TYPE = "capellm"


def build(config: CapeLLMConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> CapeLLM:
    """A CapeLLM with pretrained towers and an untrained projection, initialised from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = build_encoder(config.vision)
        language, tokenizer = build_language(config.language, dtype)
        model = CapeLLM(config, encoder, language, tokenizer)
    return model.eval()


def changed_tensors(model: CapeLLM) -> dict[str, Tensor]:
    """The tensors that training may have changed, under the names of model.safetensors."""
    tensors = {f"projection.{name}": p for name, p in model.projection.state_dict().items()}
    if model.keypoint_token is not None:
        tensors |= {f"keypoint_token.{name}": p for name, p in model.keypoint_token.state_dict().items()}
    for tower, module, tuning in _towers(model):
        kept: dict[str, Tensor] = {}
        if tuning == "lora":
            kept = lora_state(module)
        elif tuning == "full":
            kept = dict(module.state_dict())
        tensors |= {f"{tower}.{name}": tensor for name, tensor in kept.items()}
    return tensors


def save(model: CapeLLM, folder: str | Path, dtype: torch.dtype | None = None) -> None:
    """Write config.json and model.safetensors; floats as `dtype` where one is given."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_folder(folder, MODEL_TYPE, model.config.to_dict(), changed_tensors(model), dtype)


def read_config(folder: Path) -> CapeLLMConfig:
    """The config of a saved model; InputError when the folder holds none of ours."""
    return CapeLLMConfig.from_dict(read_settings(folder, MODEL_TYPE))


def load(folder: str | Path, dtype: torch.dtype = torch.float32) -> CapeLLM:
    """Rebuild a saved model: base weights from where the config says, then what training changed.

    A folder that the released CapeLLM code wrote is read by `published`.
    Raises InputError that lists unknown, missing and wrongly shaped tensors.
    """
    folder = Path(folder)
    if published.is_published(folder):
        return published.load(folder, dtype)
    config = read_config(folder)
    if config.vision.name == "efficientnet-lite2" and config.vision.tuning == "full":
        encoder: VisionEncoder = encoder_from_model(EfficientNetLite2(), config.vision)  # all of it is in the folder
    else:
        encoder = build_encoder(config.vision)
    language, tokenizer = build_language(config.language, dtype)
    model = CapeLLM(config, encoder, language, tokenizer)
    fill(folder, changed_tensors(model))
    return model.eval()


def _towers(model: CapeLLM) -> list[tuple[str, nn.Module, str]]:
    config = model.config
    return [
        ("encoder", model.encoder.model, config.vision.tuning),
        ("language", model.language, config.language.tuning),
    ]
