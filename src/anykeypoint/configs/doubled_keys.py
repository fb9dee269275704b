"""JSON and YAML in which a key stands twice: Python's readers take the last value in silence, and these do not.

Small files are refused (`strict_json`, `strict_yaml`). A file of many objects is read (`open_json`), and only looking
into an object with such a key is an error, so that one bad object does not cost the file.
"""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import yaml

from ..errors import InputError

Pairs = list[tuple[str, Any]]


class DoubledKeys(dict):
    """A JSON object in which a key stands twice; to look up one that has two different values is an InputError.

    pairs: all keys and values as the file has them; `dump_json` writes them.
    clashing: keys with different values.
    place: where the object is, for the error.
    """

    def __init__(self, pairs: Pairs) -> None:
        super().__init__(pairs)
        self.pairs = pairs
        self.place = "A JSON object"
        first: dict[str, Any] = {}
        self.clashing = {key for key, value in pairs if not _same(first.setdefault(key, value), value)}

    @property
    def doubled(self) -> list[str]:
        """The keys that stand more than once."""
        return [key for key, count in Counter(key for key, _ in self.pairs).items() if count > 1]

    def sentence(self, key: str) -> str:
        """What is wrong with a doubled key."""
        values = " and ".join(str(value)[:40] for name, value in self.pairs if name == key)
        what = "keep the right one" if key in self.clashing else "keep one"
        return f"{self.place} has the key {key!r} twice, with {values}; {what}."

    def __getitem__(self, key: str) -> Any:
        if key in self.clashing:
            raise InputError(self.sentence(key))
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        if key not in self:
            return default
        return self[key]

    def __iter__(self) -> Iterator[str]:  # makes {**entry} look every key up
        return iter(list(super().keys()))

    def items(self) -> Any:
        return [(key, self[key]) for key in self]

    def values(self) -> Any:
        return [self[key] for key in self]

    def __deepcopy__(self, memo: dict) -> "DoubledKeys":
        copied = DoubledKeys(copy.deepcopy(self.pairs, memo))
        copied.place = self.place
        return copied


def _same(one: Any, other: Any) -> bool:
    return one is other or json.dumps(one) == json.dumps(other)


def open_json(text: str, origin: str) -> Any:
    """The value of a JSON text; an object with a doubled key is a `DoubledKeys` that knows its place.

    origin: the file, named in errors. Raises ValueError for what is no JSON.
    """
    found = False

    def build(pairs: Pairs) -> dict[str, Any]:
        nonlocal found
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        found = True
        return DoubledKeys(pairs)

    value = json.loads(text, object_pairs_hook=build)
    if found:
        for place, entry in doubled_objects(value):
            entry.place = f"{origin}: {place}" if place else f"{origin}"
    return value


def doubled_objects(value: Any, place: str = "") -> Iterator[tuple[str, DoubledKeys]]:
    """The objects with a doubled key inside a JSON value, and their places, as in "annotations[3].attributes"."""
    if isinstance(value, dict):
        if isinstance(value, DoubledKeys):
            yield place, value
        for key, inner in value.pairs if isinstance(value, DoubledKeys) else value.items():
            if isinstance(inner, dict | list):
                yield from doubled_objects(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            if isinstance(inner, dict | list):
                yield from doubled_objects(inner, f"{place}[{i}]")


class _Pairs(dict):
    """A `DoubledKeys` for the writer of JSON, which asks for `items`."""

    def __init__(self, pairs: Pairs) -> None:
        super().__init__(pairs)
        self.pairs = pairs

    def items(self) -> Any:
        return self.pairs


def dump_json(value: Any) -> str:
    """The JSON text of a value on one line, in which a doubled key stands twice again; NaN stays NaN."""
    return json.dumps(_writable(value) if any(True for _ in doubled_objects(value)) else value, ensure_ascii=False)


def _writable(value: Any) -> Any:
    if isinstance(value, DoubledKeys):
        return _Pairs([(key, _writable(inner)) for key, inner in value.pairs])
    if isinstance(value, dict):
        return {key: _writable(inner) for key, inner in value.items()}
    return [_writable(inner) for inner in value] if isinstance(value, list) else value


def strict_json(text: str) -> Any:
    """The value of a JSON text; ValueError for what is no JSON, and for an object with a doubled key."""
    value = open_json(text, "")
    for place, entry in doubled_objects(value):
        raise ValueError(f"{place or 'the object'} has the key {entry.doubled[0]!r} twice; keep one")
    return value


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, for which a doubled key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name in known:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice (line {key.start_mark.line + 1}); keep one"
                )
            if name is not None and key.tag != "tag:yaml.org,2002:merge":
                known.add(name)
        return super().construct_mapping(node, deep)


def strict_yaml(text: str) -> Any:
    """The value of a YAML text; yaml.YAMLError for what is no YAML, and for a mapping with a doubled key."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
