"""From a name to a model on a device."""

from importlib import resources
from pathlib import Path

import torch

from ..errors import InputError
from .fewshot import model as fewshot
from .fewshot.model import FewShotModel
from .folders import model_type
from .generative import released_capellm, storage
from .generative.capellm import CapeLLM
from .generative.kptllm import KptLLM
from .matching import matcher_folder as matchers
from .matching.model import MatchingModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load(
    name: str, device: str = "auto", dtype: str = "float32", image_size: int | None = None
) -> CapeLLM | KptLLM | MatchingModel | FewShotModel:
    """See `anykeypoint.load`."""
    if dtype not in DTYPES:
        raise InputError(f"dtype must be one of {', '.join(DTYPES)}, but got {dtype!r}.")
    place = pick_device(device)  # before the weights, which may take minutes
    model = from_folder(find(name), DTYPES[dtype]).to(place)
    if image_size is not None:
        model.resize(image_size)
    return model


def from_folder(path: Path, dtype: torch.dtype = torch.float32) -> CapeLLM | KptLLM | MatchingModel | FewShotModel:
    """The model of a folder, whatever kind its config.json says it is."""
    kinds = {matchers.MODEL_TYPE: matchers, fewshot.MODEL_TYPE: fewshot}
    return kinds.get(model_type(path), storage).load(path, dtype)


def find(name: str) -> Path:
    """The folder of a model: shipped by name, a folder, or downloaded from the hub."""
    shipped = Path(str(resources.files("anykeypoint") / "pretrained"))
    if (shipped / name / "config.json").is_file():
        return shipped / name
    if Path(name).is_dir():
        return Path(name)
    known = ", ".join(sorted(path.name for path in shipped.iterdir())) if shipped.is_dir() else "none"
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(f"There is no model {name!r}; shipped are {known}, or give a folder or a hub id (owner/name).")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, allow_patterns=[*released_capellm.FILES, "model.safetensors", "tokenizer*", "text/*"]
            )
        )
    except Exception as error:
        from .sources.hub import explain

        raise InputError(explain(error, name)) from error


def pick_device(device: str) -> torch.device:
    """A torch device by name; "auto" is the first GPU, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"There is no device {device!r}; use auto, cpu or cuda.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise InputError("No CUDA device can be used here; use --device cpu or install a CUDA build of torch.")
    return chosen
