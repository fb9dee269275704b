"""A saved model as a folder: config.json, which begins with its model_type, and model.safetensors.

What the two files hold is each family's own matter; here they are written whole, read strictly, and refused where they
are damaged or of another kind.
"""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import InputError, first_line
from ..io import file_digest
from .registry import MODEL_TYPES
from .scratch import remove_killed, scratch_of
from .tensors import check_tensors


def write_folder(
    folder: Path, model_type: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor], dtype: torch.dtype | None
) -> None:
    """Write config.json and model.safetensors, each whole or not at all.

    folder: one that exists.
    config: everything of config.json beside the model_type, as JSON holds it.
    tensors: the model's tensors under their names in the file.
    dtype: the precision in which floating-point tensors are stored; None keeps theirs.

    Raises InputError where one of the files cannot be written.
    """
    kept = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous().clone()
        kept[name] = tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
    scratch = scratch_of(folder / "model")
    remove_killed(folder, "model")
    try:
        save_file(kept, scratch, {"format": "pt"})
        scratch.chmod(0o644)  # safetensors lets only the owner read the files it writes
        os.replace(scratch, folder / "model.safetensors")
        scratch.write_text(json.dumps({"model_type": model_type, **config}, indent=1) + "\n")
        os.replace(scratch, folder / "config.json")
    except (OSError, SafetensorError) as error:  # such as a full disk
        raise InputError(f"Cannot write the model to {folder}: {first_line(error)}.") from error
    finally:
        scratch.unlink(missing_ok=True)


def model_type(folder: Path) -> str | None:
    """The model_type of a folder's config.json; None where the file is missing, damaged or without one."""
    try:
        data = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data.get("model_type") if isinstance(data, dict) else None


def model_digest(folder: Path) -> str:
    """The SHA-256, in hexadecimal, of a model's config.json and weights, those of its parts included.

    Raises InputError where a file cannot be read.
    """
    digest = hashlib.sha256()
    files = [path for path in folder.rglob("*") if path.name == "config.json" or path.suffix == ".safetensors"]
    try:
        for path in sorted(files):
            digest.update(
                f"{path.relative_to(folder).as_posix()} {file_digest(path)}\n".encode("utf-8", "surrogateescape")
            )
    except OSError as error:
        raise InputError(f"Cannot read the model {folder}: {first_line(error)}.") from error
    return digest.hexdigest()


def check_type(folder: Path, allowed: Collection[str]) -> str:
    """The model_type of a folder's config.json; InputError where there is none, or one that is not allowed."""
    found = _read_config(folder).get("model_type")
    if found not in allowed:
        other = f" but one of the kind {found}, which cannot be taken here; give another model"
        end = other if found in MODEL_TYPES else "; give a folder that this library saved"
        raise InputError(f"{folder / 'config.json'} does not describe a {' or '.join(allowed)} model{end}.")
    return found


def read_settings(folder: Path, model_type: str) -> dict[str, Any]:
    """What config.json holds beside the model_type; InputError where there is none, or it is of another type."""
    check_type(folder, [model_type])
    return {key: value for key, value in _read_config(folder).items() if key != "model_type"}


def fill(folder: Path, own: Mapping[str, Tensor], rename: Callable[[str], str] = str) -> None:
    """Copy model.safetensors into a model's own tensors, in place.

    own: tensors that share memory with the model, such as its state dict, under their names in the file.
    rename: gives the name in `own` of a name in the file, for files whose tensors had other names.

    Raises InputError where the file cannot be read, and listing unknown, missing and wrongly shaped tensors.
    """
    try:
        given = {rename(name): tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    except (OSError, SafetensorError) as error:
        raise InputError(f"Cannot read {folder / 'model.safetensors'}: {str(error).splitlines()[0]}.") from error
    check_tensors({name: tuple(tensor.shape) for name, tensor in own.items()}, given, f"The weights in {folder}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is not a model folder ({first_line(error)}); give one with config.json.") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} must hold a mapping, but got {data!r}; give a folder that this library saved.")
    return data
