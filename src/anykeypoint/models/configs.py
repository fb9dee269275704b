"""Configs read strictly: unknown keys are refused by name."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..errors import InputError


def known_fields(kind: type, data: Mapping[str, Any], what: str) -> dict[str, Any]:
    """`data` as a dict, or InputError where it is no mapping or has a key that the dataclass `kind` does not have."""
    if not isinstance(data, Mapping):
        raise InputError(f"{what} must be a mapping, but got {data!r}.")
    known = [field.name for field in fields(kind)]
    if unknown := [key for key in data if key not in known]:
        raise InputError(f"{what} have the unknown key {unknown[0]!r}; known keys are {', '.join(known)}.")
    return dict(data)
