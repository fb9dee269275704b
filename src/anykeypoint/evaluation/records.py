"""A run's folder: whose it is, what is written to it whole, and which lines of a killed run are left in it."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..errors import InputError
from ..forms.dataset import LabelledObject
from ..io import write_bytes

_PACKAGES = ("anykeypoint", "numpy", "pillow", "torch", "transformers")


def claim(
    out: Path,
    settings: Any,
    objects: Sequence[LabelledObject],
    asked: Mapping[int, Category],
    files: Sequence[str],
    name: str,
) -> None:
    """Make the folder this run's: it is new, or its `files` were made with the same settings, objects and words.

    settings: a dataclass of plain values, kept in the folder as `name`. files: names or patterns. Raises InputError,
    naming what differs, for a folder of another run.
    """
    digest = hashlib.sha256(json.dumps(vars(settings), sort_keys=True).encode())
    for item in objects:
        row = [item.id, item.category_id, item.image.name, item.box, np.nan_to_num(item.points, nan=-1e9).tolist()]
        digest.update(json.dumps(row).encode())
    for key in sorted(asked):
        digest.update(json.dumps([key, asked[key].to_dict()]).encode())
    mine = {"hash": digest.hexdigest(), "settings": vars(settings), "objects": len(objects)}
    path = out / name
    begun = out.exists() and (not out.is_dir() or any(any(out.glob(file)) for file in files))
    if begun and path.exists():
        theirs = _read_settings(path)
        if theirs.get("hash") != mine["hash"]:
            before = theirs.get("settings") if isinstance(theirs.get("settings"), dict) else {}
            changed = [key for key, value in mine["settings"].items() if before.get(key) != value]
            what = ", ".join(f"{key} {before.get(key)!r} there, {mine['settings'][key]!r} here" for key in changed)
            raise InputError(
                f"{out} holds predictions made with other settings ({what or 'other objects or words'}); "
                "give another folder or remove it."
            )
        return
    if begun:
        raise InputError(f"{out} holds predictions of unknown settings, as {name} is missing; give another folder.")
    out.mkdir(parents=True, exist_ok=True)
    write(path, json.dumps(mine, indent=2) + "\n")


def _read_settings(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {path}; give another folder or remove it.") from error
    return found if isinstance(found, dict) else {}


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file, none if there is no file; half a last line, left by a killed run, is cut off the file."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return whole.splitlines()


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    write_bytes(path, text.encode())


def write_results(path: Path, figures: Mapping[str, Any], settings: Any, command: str) -> dict[str, Any]:
    """Write figures as JSON, with what they were measured with and by; returns what was written."""
    results = {
        **figures,
        "data_sha256": settings.data,
        "settings": vars(settings),
        "command": command,
        "versions": versions(),
    }
    write(path, json.dumps(results, indent=2, allow_nan=False) + "\n")
    return results


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the figures; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
