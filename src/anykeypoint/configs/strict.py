"""Configs: frozen dataclasses that are read strictly from YAML or JSON and written back."""

import types
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from ..errors import InputError


class Config:
    """Base of a frozen dataclass with options.

    A field whose type is another Config, or a Config or None, is read from a mapping. Tuples are written as lists; a
    class whose field is a tuple makes one of the list it is given (`__post_init__`).
    """

    called: ClassVar[str] = "The options"  # subject of the sentences about unknown keys; a plural

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build from the form of `to_dict`. Raises InputError for what is no mapping and for unknown keys."""
        values = known_fields(cls, data, cls.called)
        hints = get_type_hints(cls)
        for name, value in values.items():
            kind = _config_type(hints[name])
            if kind is not None and isinstance(value, Mapping):
                values[name] = kind.from_dict(value)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON or YAML hold them; `from_dict` reads them back."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]


def known_fields(kind: type, data: Mapping[str, Any], what: str) -> dict[str, Any]:
    """`data` as a dict, or InputError where it is no mapping or has a key that the dataclass `kind` does not have."""
    if not isinstance(data, Mapping):
        raise InputError(f"{what} must be a mapping, but got {data!r}.")
    known = [field.name for field in fields(kind)]
    if unknown := [key for key in data if key not in known]:
        raise InputError(f"{what} have the unknown key {unknown[0]!r}; known keys are {', '.join(known)}.")
    return dict(data)


def _config_type(hint: Any) -> type[Config] | None:
    """The one Config class that a type hint names, by itself or in a union; None for any other hint."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    configs = [option for option in options if isinstance(option, type) and issubclass(option, Config)]
    return configs[0] if len(configs) == 1 else None


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
