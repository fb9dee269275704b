"""CapeLLM as a folder: config.json, model.safetensors with what training changed, and the base weights by name.

Kept in model.safetensors: the projection; the <KEYPOINT> token, where the model answers with it; of each tower its LoRA
weights (tuning "lora"), all of it ("full"), or nothing ("frozen"). The base weights come from the hub, a folder or a
pinned package, as the config says.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...errors import InputError
from ..efficientnet import EfficientNetLite2
from ..language import build_language
from ..lora import check_tensors, lora_state
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
    tensors = {}
    for name, tensor in changed_tensors(model).items():
        tensor = tensor.detach().cpu().contiguous().clone()
        tensors[name] = tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
    scratch = folder / f".model.{os.getpid()}"
    save_file(tensors, scratch, {"format": "pt"})
    scratch.chmod(0o644)  # safetensors keeps its files to their owner
    os.replace(scratch, folder / "model.safetensors")
    scratch.write_text(json.dumps({"model_type": MODEL_TYPE, **model.config.to_dict()}, indent=1) + "\n")
    os.replace(scratch, folder / "config.json")


def read_config(folder: Path) -> CapeLLMConfig:
    """The config of a saved model; InputError when the folder holds none of ours."""
    path = folder / "config.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is not a model folder ({str(error).splitlines()[0]}); give one with config.json."
        ) from error
    if not isinstance(data, dict) or data.pop("model_type", None) != MODEL_TYPE:
        raise InputError(f"{path} does not describe a {MODEL_TYPE} model; give a folder that this library saved.")
    return CapeLLMConfig.from_dict(data)


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
    try:
        given = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise InputError(f"Cannot read {folder / 'model.safetensors'}: {str(error).splitlines()[0]}.") from error
    own = changed_tensors(model)
    check_tensors({name: tuple(tensor.shape) for name, tensor in own.items()}, given, f"The weights in {folder}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])  # state dicts share memory with the model
    return model.eval()


def _towers(model: CapeLLM) -> list[tuple[str, nn.Module, str]]:
    config = model.config
    return [
        ("encoder", model.encoder.model, config.vision.tuning),
        ("language", model.language, config.language.tuning),
    ]
