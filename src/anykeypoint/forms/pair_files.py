"""What the files of benchmarks of correspondence share: one JSON object a file, boxes by corners, names in paths."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError
from .reading import leaves_folder, number, read_json


def json_object(file: Path) -> Mapping[str, Any]:
    """The JSON object that a file holds; InputError for a file that cannot be read, and for another value."""
    entry = read_json(file)
    if not isinstance(entry, dict):
        raise InputError(f"{file} must hold a JSON object, but holds {str(entry)[:40]!r}.")
    return entry


def list_of(entry: Mapping[str, Any], key: str, file: Path) -> list:
    """The list under a key; InputError for another value. file: the entry's file, named in errors."""
    value = entry.get(key)
    if not isinstance(value, list):
        raise InputError(f"{file}, key {key!r}, must be a list, but is {str(value)[:40]!r}.")
    return value


def file_name(entry: Mapping[str, Any], key: str, file: Path) -> str:
    """The name under a key, which is one part of a path and leads nowhere else; InputError for another value."""
    value = entry.get(key)
    if not isinstance(value, str) or leaves_folder(value) or len(PurePosixPath(value.replace("\\", "/")).parts) != 1:
        raise InputError(f"{file}, key {key!r}, must be the name of a file or folder, but is {str(value)[:40]!r}.")
    return value


def place_of(value: Any, key: str, file: Path) -> tuple[float, float]:
    """x and y from a JSON value; InputError for another value. key: where it stands, named in errors."""
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{file}, key {key!r}, must be x and y, but is {str(value)[:40]!r}.")
    return number(value[0], key, str(file)), number(value[1], key, str(file))


def corner_box(entry: Mapping[str, Any], key: str, file: Path) -> list[float]:
    """The box [x, y, w, h] of the corners (left, top, right, bottom) under a key."""
    corners = [number(value, key, str(file)) for value in list_of(entry, key, file)]
    if len(corners) != 4:
        raise InputError(f"{file}, key {key!r}, must be left, top, right and bottom, but has {len(corners)} numbers.")
    left, top, right, bottom = corners
    return [left, top, right - left, bottom - top]
