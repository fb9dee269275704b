"""`anykeypoint info`: versions, devices, threads, fetched weights, shipped models, and where disk space goes."""

import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from . import console

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers", "numpy", "pillow", "typer")
EXTRAS = ("tensorboard", "sleap-io", "h5py", "onnx", "onnxruntime")
HASH_DIGITS = 16  # hexadecimal digits of a SHA-256 that are printed


def run() -> None:
    """Print versions, devices, fetched weights and where disk space goes. Nothing is fetched."""
    for title, lines in (
        ("versions", _versions()),
        ("devices", _devices()),
        ("shipped models", _shipped()),
        ("fetched weights", _weights()),
        ("disk space", _space()),
    ):
        print(title)
        for name, fact in lines:
            print(f"  {name:20} {fact}")


def _versions() -> Iterator[tuple[str, str]]:
    from .. import __version__

    yield "anykeypoint", __version__
    yield "python", platform.python_version()
    for library in LIBRARIES:
        yield library, _version(library) or "not installed"
    for library in EXTRAS:
        yield library, _version(library) or "not installed (optional)"


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> Iterator[tuple[str, str]]:
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield "cpu", f"{usable} cores can be used, torch takes {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        yield "cuda", f"none (torch was built {'for CUDA ' + torch.version.cuda if torch.version.cuda else 'for CPUs'})"
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield f"cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"


def _shipped() -> Iterator[tuple[str, str]]:
    from ..models.loading import find
    from ..models.needed_weights import needed_weights
    from ..models.shipped import SHIPPED, held_out_names

    for name, model in SHIPPED.items():
        yield name, f"{_size(find(name))}, on {' and '.join(needed_weights(name))}; {model.what}"
    yield "held-out checkpoints", ", ".join(held_out_names()) or "none; they are in the repository alone"


def _weights() -> Iterator[tuple[str, str]]:
    from ..io import file_digest
    from ..models.sources.packages import PACKAGES, cache_folder, fetched

    for name, package in PACKAGES.items():
        if not fetched(name):
            yield name, f"not fetched ({package.megabytes} MB to download)"
            continue
        folder = cache_folder() / name
        with console.waiting(f"hashing {name}"):
            digest = file_digest(folder / "model.safetensors")[:HASH_DIGITS]
        yield name, f"{_size(folder)}, SHA-256 of model.safetensors {digest}..., {folder}"


def _space() -> Iterator[tuple[str, str]]:
    from ..models.loading import find
    from ..models.shipped import DEFAULT
    from ..models.sources.packages import cache_folder

    hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub"
    places = {
        "fetched weights": cache_folder(),
        "models of the hub": Path(hub).expanduser(),
        "shipped models": find(DEFAULT).parent,
    }
    for name, folder in places.items():
        yield name, f"{_size(folder)} in {folder}" if folder.is_dir() else f"nothing in {folder}"


def _size(folder: Path) -> str:
    """The size of a folder's files in megabytes; links count as nothing."""
    total = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return f"{total / 1e6:.0f} MB"
