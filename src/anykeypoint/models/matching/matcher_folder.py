"""A matcher as a folder: config.json, and model.safetensors with its backbones and head.

The text encoder is not in it where the config names published weights. One that was read from a folder of its own, as
that of a released checkpoint, lies under `text/`, so that the folder is whole wherever it goes.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..folders import fill, read_settings, write_folder
from ..towers.backbones import PUBLISHED
from ..towers.text import TextConfig
from .matcher_config import MatcherConfig
from .model import MatchingModel, build

MODEL_TYPE = "matcher"
TEXT = "text"
_TEXT_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")


def as_published(config: MatcherConfig) -> bool:
    """Is the backbone a published one that was never tuned?"""
    return config.backbone.tuning == "frozen" and config.backbone.weights == PUBLISHED


def kept_tensors(model: MatchingModel) -> dict[str, Tensor]:
    """The tensors of model.safetensors under their names there: head.*, also example_backbone.*, and backbone.* unless
    it is a published one that was never tuned."""
    published = as_published(model.config)
    kept = {part: value for part, value in model.kept.items() if not (part == "backbone" and published)}
    return {f"{part}.{name}": value for part, module in kept.items() for name, value in module.state_dict().items()}


def save(model: MatchingModel, folder: str | Path, dtype: torch.dtype | None = None) -> None:
    """Write config.json, model.safetensors and, where the encoder came from a folder, text/; floats as `dtype` where
    one is given."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    backbone = model.config.backbone if as_published(model.config) else model.backbone.saved_config()
    config = replace(model.config, backbone=backbone, text=_saved_text(model.config.text, folder))
    write_folder(folder, MODEL_TYPE, config.to_dict(), kept_tensors(model), dtype)


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
    folder = Path(folder)
    config = MatcherConfig.from_dict(read_settings(folder, MODEL_TYPE))
    if config.text is not None and config.text.source == TEXT:
        config = replace(config, text=replace(config.text, source=str(folder.resolve() / TEXT)))
    return config


def load(folder: str | Path, dtype: torch.dtype = torch.float32) -> MatchingModel:
    """Rebuild a saved matcher, in eval mode; its text encoder comes from where the config says.

    dtype: of backbone and head. Raises InputError that lists unknown, missing and wrongly shaped tensors.
    """
    folder = Path(folder)
    model = build(read_config(folder))  # its random weights are overwritten
    fill(folder, kept_tensors(model))
    for part in model.kept.values():
        part.to(dtype)
    return model
