"""Configs in YAML files: every key must be known and every value of the type that the dataclass declares."""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError, first_line
from .checks import near_names
from .doubled_keys import strict_yaml


def read_config(kind: type, path: str | Path) -> Any:
    """Read a YAML file as a frozen dataclass. Raises InputError with the file's name and the key that does not fit."""
    return from_mapping(kind, load_yaml(path), str(path))


def load_yaml(path: str | Path) -> Any:
    """The content of a YAML file, {} for an empty one. Raises InputError for a file that cannot be read."""
    try:
        return strict_yaml(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"Cannot read the config {path}: {first_line(error)}.") from error


def from_mapping(kind: type, data: Any, origin: str) -> Any:
    """Build a frozen dataclass from a mapping, with the type of every value checked.

    Keys of older versions are read as the fields that they mean today, see `strict.Config.former_keys`.
    Raises InputError for what is no mapping, for unknown and missing keys and for values of another type.

    kind: the dataclass.
    data: its fields by name, as YAML or JSON hold them.
    origin: subject of the errors' sentences, for instance the file's name.
    """
    if not isinstance(data, dict):
        raise InputError(f"{origin} must be a mapping of settings, but got {data!r}.")
    known = {field.name: field for field in fields(kind)}
    former_keys = getattr(kind, "former_keys", {})
    data = {former_keys.get(key, key): value for key, value in data.items()}
    if unknown := [key for key in data if key not in known]:
        raise InputError(
            f"{origin} has the unknown key {unknown[0]!r}{near_names(unknown[0], known)}; known are {', '.join(known)}."
        )
    missing = [name for name, field in known.items() if name not in data and _is_required(field)]
    if missing:
        raise InputError(f"{origin} lacks the key {missing[0]!r}.")
    hints = typing.get_type_hints(kind)
    return kind(**{key: _value(hints[key], value, f"{origin}: {key}") for key, value in data.items()})


def _is_required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _value(hint: Any, value: Any, origin: str) -> Any:
    """The value as the type hint has it: nested dataclasses built, lists as tuples, whole numbers as floats."""
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    nested = [option for option in allowed if is_dataclass(option)]
    if len(nested) == 1 and (isinstance(value, dict) or len(allowed) == 1):
        return from_mapping(nested[0], value, origin)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise InputError(f"{origin} must be a list, but got {value!r}.")
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, item, origin) for item in value)
    if typing.get_origin(hint) is Mapping:
        if not isinstance(value, dict):
            raise InputError(f"{origin} must be a mapping, but got {value!r}.")
        return value
    if float in allowed and type(value) is int:
        return float(value)
    if type(value) not in allowed:
        names = " or ".join(getattr(option, "__name__", str(option)) for option in allowed)
        raise InputError(f"{origin} must be of type {names}, but got {value!r}.")
    return value
