"""A matcher as a folder: config.json, and model.safetensors with its backbones and head.

The text encoder is not in it where the config names published weights. One that was read from a folder of its own, as
that of a released checkpoint, lies under `text/`, so that the folder is whole wherever it goes.
"""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...errors import InputError
from ..backbones import PUBLISHED, build_backbone
from ..lora import check_tensors
from ..text import TextConfig, build_text_encoder
from .matcher_config import MatcherConfig
from .model import MatchingModel, assemble

MODEL_TYPE = "matcher"
TEXT = "text"
_TEXT_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")


def kept_tensors(model: MatchingModel) -> dict[str, Tensor]:
    """The tensors of model.safetensors under their names there: head.*, also example_backbone.*, and backbone.* unless
    it is a published one that was never tuned."""
    backbone = model.config.backbone
    as_published = backbone.tuning == "frozen" and backbone.weights == PUBLISHED
    kept = {part: value for part, value in model.kept.items() if not (part == "backbone" and as_published)}
    return {f"{part}.{name}": value for part, module in kept.items() for name, value in module.state_dict().items()}


def save(model: MatchingModel, folder: str | Path, dtype: torch.dtype | None = None) -> None:
    """Write config.json, model.safetensors and, where the encoder came from a folder, text/; floats as `dtype` where
    one is given."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, tensor in kept_tensors(model).items():
        tensor = tensor.detach().cpu().contiguous().clone()
        tensors[name] = tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
    kept = any(name.startswith("backbone.") for name in tensors)
    backbone = model.backbone.saved_config() if kept else model.config.backbone
    config = replace(model.config, backbone=backbone, text=_saved_text(model.config.text, folder))
    scratch = folder / f".model.{os.getpid()}"
    save_file(tensors, scratch, {"format": "pt"})
    scratch.chmod(0o644)  # safetensors keeps its files to their owner
    os.replace(scratch, folder / "model.safetensors")
    scratch.write_text(json.dumps({"model_type": MODEL_TYPE, **config.to_dict()}, indent=1) + "\n")
    os.replace(scratch, folder / "config.json")


def _saved_text(config: TextConfig | None, folder: Path) -> TextConfig | None:
    """The encoder as config.json names it; one from a folder is copied to text/."""
    if config is None or config.source is None or not Path(config.source).is_dir():
        return config
    source, target = Path(config.source), folder / TEXT
    if not target.exists() or not target.samefile(source):
        target.mkdir(exist_ok=True)
        for pattern in _TEXT_FILES:
            for file in source.glob(pattern):
                shutil.copyfile(file, target / file.name)
    return replace(config, source=TEXT)


def read_config(folder: str | Path) -> MatcherConfig:
    """The config of a saved matcher; InputError when the folder holds none."""
    path = Path(folder) / "config.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is not a model folder ({str(error).splitlines()[0]}); give one with config.json."
        ) from error
    if not isinstance(data, dict) or data.pop("model_type", None) != MODEL_TYPE:
        raise InputError(f"{path} does not describe a {MODEL_TYPE} model; give a folder that this library saved.")
    config = MatcherConfig.from_dict(data)
    if config.text is not None and config.text.source == TEXT:
        config = replace(config, text=replace(config.text, source=str(path.parent.resolve() / TEXT)))
    return config


def load(folder: str | Path, dtype: torch.dtype = torch.float32) -> MatchingModel:
    """Rebuild a saved matcher, in eval mode; its text encoder comes from where the config says.

    dtype: of backbone and head. Raises InputError that lists unknown, missing and wrongly shaped tensors.
    """
    folder = Path(folder)
    config = read_config(folder)
    with torch.random.fork_rng():  # random weights that are overwritten
        backbone = build_backbone(config.backbone)
        text = None if config.text is None else build_text_encoder(config.text)
        model = assemble(config, backbone, text)
    try:
        given = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise InputError(f"Cannot read {folder / 'model.safetensors'}: {str(error).splitlines()[0]}.") from error
    own = kept_tensors(model)
    check_tensors({name: tuple(tensor.shape) for name, tensor in own.items()}, given, f"The weights in {folder}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])  # state dicts share memory with the model
    for part in model.kept.values():
        part.to(dtype)
    return model.eval()
