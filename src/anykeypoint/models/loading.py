"""From a name to a model on a device, whatever family it is of."""

import os
from pathlib import Path
from typing import Any

import torch

from ..configs.checks import check_choice, check_whole, near_names, plain
from ..configs.lazy import resolve
from ..errors import InputError
from .device import pick_device
from .folders import check_type
from .registry import MODEL_TYPES
from .seen_names import SEEN_NAMES
from .shipped import SHIPPED, find_shipped, held_out_names
from .sources.hub import explain

MOST_PIXELS = 4096  # side of a crop; activations of a larger one fill the memory before anything can be said
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load(name: str, device: str = "auto", dtype: str | torch.dtype = "float32", image_size: int | None = None) -> Any:
    """See `anykeypoint.load`."""
    if isinstance(dtype, torch.dtype):
        dtype = str(dtype).removeprefix("torch.")
    check_choice(dtype, "dtype", DTYPES)
    image_size = plain(image_size)
    if image_size is not None and check_whole(image_size, "The image size of a model, in pixels,") > MOST_PIXELS:
        raise InputError(f"The image size of a model is at most {MOST_PIXELS} pixels, but got {image_size}.")
    place = pick_device(device)  # refused before the weights are read, which may take minutes
    model = from_folder(find(name), DTYPES[dtype]).to(place)
    if image_size is not None:
        model.resize(image_size)
    return model


def from_folder(
    path: str | Path, dtype: torch.dtype = torch.float32, expected: str | None = None, keep_half: bool = False
) -> Any:
    """The model of a folder, in eval mode, of the family that its config.json names.

    dtype: what the family's own `load` says of it.
    expected: the `model_type` that the model must have; None takes any family.
    keep_half: of a family that has such, keep frozen weights as they are stored where that is half precision.

    Raises InputError for a folder that holds no model, or one of another family than expected, and for files that do
    not fit.
    """
    path = Path(path)
    allowed = [name for name, kind in MODEL_TYPES.items() if expected in (None, name, kind.gives)]
    kind = MODEL_TYPES[check_type(path, allowed)]
    return resolve(kind.load)(path, dtype, **({"keep_half": True} if keep_half and kind.keeps_half else {}))


def find(name: str) -> Path:
    """The folder of a model: one that is shipped, by its name; a folder; or one that is downloaded from the hub.

    The held-out checkpoint of a shipped model goes by its name with `shipped.HELD_OUT` behind it.
    """
    if not isinstance(name, str | os.PathLike) or name == "":
        raise InputError(f"A model is given by its name, its folder or a hub id, but got {name!r:.80}.")
    name = os.fsdecode(name)
    if (shipped := find_shipped(name)) is not None:
        return shipped
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        near = near_names(name, [*SHIPPED, *held_out_names()])
        raise InputError(
            f"There is no model {name!r}{near}; shipped are {', '.join(SHIPPED)}, or give a "
            "folder or a hub id (owner/name)."
        )
    from huggingface_hub import snapshot_download

    files = {"config.json", "model.safetensors", SEEN_NAMES}.union(*(kind.files for kind in MODEL_TYPES.values()))
    try:
        return Path(snapshot_download(name, allow_patterns=sorted(files)))
    except Exception as error:  # the hub's client raises errors of many kinds
        raise InputError(explain(error, name)) from error
