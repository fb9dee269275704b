"""The folder of a run: whose it is, how its files are written, and what a killed run has left in it.

Since schema version 1 every JSON file and every line of predictions carries "schema_version". Files of version 0.1.0
of the library have none; they count as version 0 and are read like version 1, which only added the key.
"""

import hashlib
import json
import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import Any

from ..category import Category
from ..errors import InputError
from ..forms.dataset import LabelledObject, label_lines
from ..io import check_folder, write_bytes

SCHEMA_VERSION = 1  # version of the files that this version of the library writes into the folder of a run
Progress = Callable[[Iterable, str], Iterable]  # wraps an iterable of known length and a title, to show a bar
_PACKAGES = ("anykeypoint", "numpy", "pillow", "torch", "transformers")


def no_progress(items: Iterable, title: str) -> Iterable:
    """The Progress that shows nothing."""
    return items


def finite_or_none(value: float) -> float | None:
    """A number as JSON can hold it: None for NaN and for infinite ones."""
    return float(value) if math.isfinite(value) else None


def check_entry(entry: Mapping[str, Any], what: str) -> None:
    """Raise InputError for a JSON object of a newer schema than this version of the library knows.

    what: subject of the error's sentence, such as the file's path.
    """
    version = entry.get("schema_version", 0)
    if type(version) is not int or not 0 <= version <= SCHEMA_VERSION:
        raise InputError(
            f"{what} has the schema version {version!r}, but this version of anykeypoint reads versions up to "
            f"{SCHEMA_VERSION}; update anykeypoint, or give another folder."
        )


def claim(
    out: Path,
    config: Any,
    objects: Sequence[LabelledObject],
    categories: Mapping[int, Category],
    files: Sequence[str],
    settings_name: str,
    weights: str = "",
) -> None:
    """Make the folder this run's: it is new, or its files were made with the same config, objects and categories.

    out: the folder, which is made where it does not exist.
    config: dataclass of plain values that decides the run. Options that its class lists as `later`, those of newer
        versions than 0.1.0, count where they are set, so that a run of an older version goes on.
    objects: the objects that are measured, with their labels.
    categories: category id -> the category as the model gets it.
    files: names or patterns of the files that a run leaves in its folder.
    settings_name: name of the JSON file that holds the config.
    weights: digest of the model's files (`models.folders.model_digest`), as a model may be trained further under one
        name; "" where it is not known, which fits every folder.
    Raises InputError, naming what differs, for a folder of another run or of a newer schema.
    """
    unset = {field.name for field in fields(config) if getattr(config, field.name) == field.default}
    decisive = {key: value for key, value in vars(config).items() if key not in unset & getattr(config, "later", set())}
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode())
    for line in label_lines(objects, categories):
        digest.update(line)
    mine = {
        "schema_version": SCHEMA_VERSION,
        "hash": digest.hexdigest(),
        "settings": vars(config),
        "objects": len(objects),
        "weights": weights,
    }
    check_folder(out)
    path = out / settings_name
    begun = any(any(out.glob(file)) for file in files)
    if not begun:
        out.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(mine, indent=2) + "\n")
        return
    if not path.exists():
        raise InputError(
            f"{out} holds predictions of unknown settings, as {settings_name} is missing; give another folder."
        )
    theirs = _read_settings(path)
    check_entry(theirs, str(path))
    if theirs.get("hash") != mine["hash"]:
        before = theirs.get("settings") if isinstance(theirs.get("settings"), dict) else {}
        changed = [key for key, value in vars(config).items() if before.get(key) != value]
        what = ", ".join(f"{key} {before.get(key)!r} there, {vars(config)[key]!r} here" for key in changed)
        raise InputError(
            f"{out} holds predictions made with other settings ({what or 'other objects or words'}); "
            "give another folder or remove it."
        )
    if weights and theirs.get("weights") and theirs["weights"] != weights:
        raise InputError(
            f"{out} holds predictions that the model made before its files changed; give another folder or remove it."
        )


def _read_settings(path: Path) -> dict:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {path}; give another folder or remove it.") from error
    return settings if isinstance(settings, dict) else {}


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file, none if there is no file.

    A last line without its end, which a killed run leaves, is cut off the file.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return whole.splitlines()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; bytes of file names that are not UTF-8 are kept."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_results(path: Path, results: Mapping[str, Any], config: Any, command: str) -> dict[str, Any]:
    """Write results as JSON, with the config, command and package versions behind them; returns what was written."""
    whole = {
        "schema_version": SCHEMA_VERSION,
        **results,
        "data_sha256": config.data,
        "settings": vars(config),
        "command": command,
        "versions": package_versions(),
    }
    write_text(path, json.dumps(whole, indent=2, allow_nan=False) + "\n")
    return whole


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the results; packages that are not installed are left out."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
