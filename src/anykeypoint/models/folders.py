"""A saved model as a folder: config.json, which begins with its model_type, and model.safetensors.

What the families keep in them is their own; how they are written whole, read strictly and refused is here.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import InputError
from .tensors import check_tensors


def write_folder(
    folder: Path, model_type: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor], dtype: torch.dtype | None
) -> None:
    """Write both files, each whole or not at all, into a folder that is there; floats as `dtype` where one is given."""
    kept = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous().clone()
        kept[name] = tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
    scratch = folder / f".model.{os.getpid()}"
    save_file(kept, scratch, {"format": "pt"})
    scratch.chmod(0o644)  # safetensors keeps its files to their owner
    os.replace(scratch, folder / "model.safetensors")
    scratch.write_text(json.dumps({"model_type": model_type, **config}, indent=1) + "\n")
    os.replace(scratch, folder / "config.json")


def model_type(path: Path) -> str | None:
    """The model_type of a folder's config.json; None where it cannot be read."""
    try:
        data = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data.get("model_type") if isinstance(data, dict) else None


def read_settings(folder: Path, model_type: str) -> dict[str, Any]:
    """What config.json holds beside the model_type; InputError where there is none, or it is of another type."""
    path = folder / "config.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is not a model folder ({str(error).splitlines()[0]}); give one with config.json."
        ) from error
    if not isinstance(data, dict) or data.pop("model_type", None) != model_type:
        raise InputError(f"{path} does not describe a {model_type} model; give a folder that this library saved.")
    return data


def fill(folder: Path, own: Mapping[str, Tensor]) -> None:
    """Copy model.safetensors into a model's own tensors (state dicts share memory with it).

    Raises InputError where the file cannot be read, and listing unknown, missing and wrongly shaped tensors.
    """
    try:
        given = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise InputError(f"Cannot read {folder / 'model.safetensors'}: {str(error).splitlines()[0]}.") from error
    check_tensors({name: tuple(tensor.shape) for name, tensor in own.items()}, given, f"The weights in {folder}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])
