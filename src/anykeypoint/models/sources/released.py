"""Checkpoint files as research code publishes them: read safely, and brought to our names.

Most are written by `torch.save`, as a pickle. Only the plain data of a pickle are read (`weights_only`); code in it is
never run.
"""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...errors import InputError, first_line

LIMIT = 32 * 2**30  # bytes; far above any released pose model, and a file that claims more would fill the memory

_HOLDERS = ("state_dict", "model")  # keys under which mmcv and the authors of Swin store the tensors


def read_released(path: str | Path, limit: int = LIMIT) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, on the CPU.

    path: a .safetensors file, or one that `torch.save` wrote. The latter holds the tensors by name, or a mapping that
        has them under `state_dict` or `model` beside other data (mmcv's `meta`), which are left out.
    limit: number of bytes of the largest file, and of the largest unpacked content, that is read.

    Raises InputError where the file is missing, damaged or too large, where it can only be read by running code, and
    where it holds anything but tensors by name.
    """
    path = Path(path)
    try:
        _check_size(path, limit)
        content = load_file(path) if path.suffix == ".safetensors" else _load(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"Cannot read {path}: {first_line(error)}; give a whole file of the checkpoint.") from error
    held = [key for key in _HOLDERS if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)]
    tensors = content[held[0]] if held else content
    if not isinstance(tensors, Mapping) or not tensors:
        raise InputError(f"{path} holds no tensors by name; give a state dict, or a file with one as state_dict.")
    for key, value in tensors.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"{path} must hold tensors by name, but {key!r} is a {type(value).__name__}.")
        if value.layout != torch.strided or value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise InputError(f"The tensor {key} in {path} is larger than what the file holds of it; use another file.")
    return dict(tensors)


def _check_size(path: Path, limit: int) -> None:
    """InputError where a file, or what it unpacks to, has more than `limit` bytes."""
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:  # its entries may be compressed
                size = max(size, sum(entry.file_size for entry in archive.infolist()))
        except zipfile.BadZipFile as error:
            raise _damaged(path) from error
    if size > limit:
        raise InputError(f"{path} holds {size} bytes, but at most {limit} are read; give the checkpoint's own file.")


def _load(path: Path) -> Any:
    """What `torch.save` wrote, read as plain data; InputError for a damaged file and for one that needs code."""
    with path.open("rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged pickle can fail in any way
            if re.search("unsupported (global|class)", str(error), re.IGNORECASE):
                raise InputError(
                    f"{path} needs code of its own to be read, which is never run; save its state dict alone as "
                    "safetensors."
                ) from error
            raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is no whole file of torch.save; copy it anew, or give safetensors.")


# --- names ---------------------------------------------------------------------------------------------------------

# Released name of a tensor -> our names; where there are several, the tensor is cut into that many equal parts.
Places = Mapping[str, tuple[str, ...]]


def part_of(state: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors whose names begin with the first of `prefixes` that occurs, without it; all where none occurs."""
    for prefix in prefixes:
        if found := {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}:
            return found
    return dict(state)


def released_shapes(places: Places, model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shapes that released tensors must have to fit a network.

    places: released names -> our names.
    model: the network; may be on the device "meta".
    """
    own = model.state_dict()
    shapes = {}
    for key, names in places.items():
        first = own[names[0]].shape
        shapes[key] = (first[0] * len(names), *first[1:]) if len(names) > 1 else tuple(first)
    return shapes


def placed(places: Places, state: Mapping[str, Tensor], model: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """Copies of released tensors under our names.

    places: released names -> our names.
    state: the released tensors, whose shapes have been checked.
    model: the network that they are for.
    dtype: precision of the floating-point tensors.

    Raises InputError for integers in place of floating-point numbers, as in quantised files, or the other way round.
    """
    own = model.state_dict()
    weights = {}
    for key, names in places.items():
        if state[key].is_floating_point() != own[names[0]].is_floating_point():
            raise InputError(
                f"The tensor {key} is {state[key].dtype}, but {own[names[0]].dtype} or alike is needed; give weights "
                "that are not quantised."
            )
        for name, part in zip(names, state[key].chunk(len(names)) if len(names) > 1 else [state[key]], strict=True):
            weights[name] = part.to(dtype if part.is_floating_point() else part.dtype, copy=True)
    return weights
