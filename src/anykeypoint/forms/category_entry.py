"""An entry of `categories` in a COCO document, once its values are sure to have the right types."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InputError


class CategoryEntry(NamedTuple):
    """An entry of `categories` whose values have the right types; its skeleton counts as the file does.

    sides: `pairs` and `alone` of `Category`, where the entry has them.
    """

    name: str
    labels: list[str]
    skeleton: list[list[int]]
    sides: dict[str, tuple]


def category_entry(entry: Mapping, where: str) -> CategoryEntry:
    """The checked values of an entry. where: its name for the InputError about a value of another type."""
    name, labels, skeleton = entry.get("name"), entry.get("keypoints"), entry.get("skeleton") or []
    labels = [] if labels is None else labels
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{where}, key 'name', must be a text, but got {name!r}.")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"{where} ({name}), key 'keypoints', must be a list of names.")
    if not isinstance(skeleton, list) or not all(_is_edge(edge) for edge in skeleton):
        raise InputError(f"{where} ({name}), key 'skeleton', must be a list of pairs of whole numbers.")
    sides: dict[str, tuple] = {}
    if (pairs := entry.get("pairs")) is not None:
        if not isinstance(pairs, list) or not all(_is_edge(pair) for pair in pairs):
            raise InputError(f"{where} ({name}), key 'pairs', must be a list of pairs of whole numbers.")
        sides["pairs"] = tuple((a, b) for a, b in pairs)
    if (alone := entry.get("alone")) is not None:
        if not isinstance(alone, list) or not all(type(index) is int for index in alone):
            raise InputError(f"{where} ({name}), key 'alone', must be a list of whole numbers.")
        sides["alone"] = tuple(alone)
    return CategoryEntry(name, labels, skeleton, sides)


def _is_edge(edge: Any) -> bool:
    return isinstance(edge, list) and len(edge) == 2 and all(type(index) is int for index in edge)
