"""Configs: frozen dataclasses that are read strictly from YAML or JSON and written back.

A config is read from a mapping of its fields. The type hints say how a value is read:

    field: SomeConfig                  a mapping is read as a SomeConfig
    field: SomeConfig | None           the same, and null stays None
    field: str | SomeConfig            a mapping is read as a SomeConfig, a text stays as it is
    field: FirstConfig | SecondConfig  `config_type` says which of them a mapping is read as
    field: tuple[SomeConfig, ...]      a list of mappings
    field: tuple[...]                  a list becomes a tuple
    any other                          the value as it is; `__post_init__` checks it

`to_dict` writes the same form: mappings, lists and plain values.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from ..errors import InputError
from .checks import near_names


class Config:
    """Base of a frozen dataclass whose fields are options.

    called: subject of the sentences about wrong keys, a plural: "The options of a matcher".
    former_keys: key of an older version -> the field that it is read as.
    former_values: field that version 0.1.0 did not have -> the value that means what it did, where that is no default.
    """

    called: ClassVar[str] = "The options"
    former_keys: ClassVar[Mapping[str, str]] = {}
    former_values: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build from the form of `to_dict`; what is left out takes its default.

        Raises InputError for what is no mapping, for unknown keys, for missing options without a default, and for
        values that `__post_init__` refuses.
        """
        values = known_fields(cls, _renamed(cls, data), cls.called)
        for field in fields(cls):  # type: ignore[arg-type]
            if field.name not in values and _is_required(field):
                raise InputError(f"{cls.called} must have a {field.name}; give one.")
        hints = get_type_hints(cls)
        return cls(**{name: cls._read(name, hints[name], value, values) for name, value in values.items()})

    @classmethod
    def keys(cls) -> frozenset[str]:
        """All keys that `from_dict` reads, those of older versions among them."""
        return frozenset([*(field.name for field in fields(cls)), *cls.former_keys])  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON or YAML hold them; `from_dict` reads them back."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def config_type(cls, field: str, values: Mapping[str, Any]) -> "type[Config]":
        """The class that a mapping is read as where the hint of `field` names several Config classes.

        field: the name of the field.
        values: all options that are being read, by field, before any of them is converted.
        """
        raise NotImplementedError(f"{cls.__name__}.config_type must say how {field} is read")

    @classmethod
    def _read(cls, name: str, hint: Any, value: Any, values: Mapping[str, Any]) -> Any:
        options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        configs = [option for option in options if isinstance(option, type) and issubclass(option, Config)]
        if isinstance(value, Config) or (value is None and type(None) in options):
            return value
        if isinstance(value, str) and str in options:
            return value
        if configs:
            kind = configs[0] if len(configs) == 1 else cls.config_type(name, values)
            return kind.from_dict(value)
        for option in options:
            if get_origin(option) is tuple and isinstance(value, list | tuple):
                items = get_args(option)
                inner = items[0] if len(items) == 2 and items[1] is Ellipsis else None
                return tuple(value if inner is None else [cls._read(name, inner, one, values) for one in value])
        return value


def known_fields(kind: type, data: Mapping[str, Any], what: str) -> dict[str, Any]:
    """`data` as a dict, or InputError where it is no mapping or has a key that the dataclass `kind` does not have."""
    _check_mapping(data, what)
    known = [field.name for field in fields(kind)]
    if unknown := [key for key in data if key not in known]:
        near = near_names(unknown[0], known)
        raise InputError(f"{what} have the unknown key {unknown[0]!r}{near}; known keys are {', '.join(known)}.")
    return dict(data)


def _renamed(kind: type[Config], data: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with the keys of older versions under their present names; InputError where both are given."""
    _check_mapping(data, kind.called)
    values = {}
    for key, value in data.items():
        name = kind.former_keys.get(key, key)
        if name in values or (name != key and name in data):
            raise InputError(f"{kind.called} have both {key!r} and {name!r}, which mean the same; give {name!r} alone.")
        values[name] = value
    return values


def _check_mapping(data: Any, what: str) -> None:
    if not isinstance(data, Mapping):
        raise InputError(f"{what} must be a mapping, but got {data!r}.")


def _is_required(field: Field) -> bool:
    return field.init and field.default is MISSING and field.default_factory is MISSING


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.to_dict()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
