"""An entry of `categories` in a COCO document, once its values are sure to have the right types."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import InputError


class CategoryEntry(NamedTuple):
    """An entry of `categories` whose values have the right types.

    skeleton: as written, counted as the file does; see `usable_edges`.
    sides: `pairs` and `alone` of `Category`, where the entry has them.
    descriptions: one for each label, where the entry has them, else none.
    """

    name: str
    labels: list[str]
    skeleton: Any
    sides: dict[str, tuple]
    descriptions: tuple[str, ...] = ()


def category_entry(entry: Mapping, where: str) -> CategoryEntry:
    """The checked values of an entry. where: its name for the InputError about a value of another type."""
    name, labels = entry.get("name"), entry.get("keypoints")
    labels = [] if labels is None else labels
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{where}, key 'name', must be a text, but got {name!r}.")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"{where} ({name}), key 'keypoints', must be a list of names.")
    sides: dict[str, tuple] = {}
    if (pairs := entry.get("pairs")) is not None:
        if not isinstance(pairs, list) or not all(_is_edge(pair) for pair in pairs):
            raise InputError(f"{where} ({name}), key 'pairs', must be a list of pairs of whole numbers.")
        sides["pairs"] = tuple((a, b) for a, b in pairs)
    if (alone := entry.get("alone")) is not None:
        if not isinstance(alone, list) or not all(type(index) is int for index in alone):
            raise InputError(f"{where} ({name}), key 'alone', must be a list of whole numbers.")
        sides["alone"] = tuple(alone)
    descriptions = entry.get("descriptions") or []
    if not isinstance(descriptions, list) or not all(isinstance(text, str) for text in descriptions):
        raise InputError(f"{where} ({name}), key 'descriptions', must be a list of texts.")
    if descriptions and len(descriptions) != len(labels):
        raise InputError(
            f"{where} ({name}), key 'descriptions', must have a text for each of {len(labels)} keypoints, "
            f"but has {len(descriptions)}."
        )
    return CategoryEntry(name, labels, entry.get("skeleton"), sides, tuple(descriptions))


def usable_edges(one: CategoryEntry, base: int, where: str) -> tuple[tuple[tuple[int, int], ...], list[str]]:
    """The edges of a skeleton that join two points, from 0, and a sentence for what else it has, which costs no object.

    base: the index of the first keypoint in the file.
    where: the entry's name, for the sentences.
    """
    if one.skeleton in (None, []) or not one.labels:
        return (), []
    at = f"{where}: {one.name!r}, key 'skeleton',"
    if not isinstance(one.skeleton, list):
        return (), [f"{at} must be a list of pairs of whole numbers; it is left out."]
    edges, faults = [], []
    for edge in one.skeleton:
        edge = numbered(edge, one.labels, base)
        a, b = (edge[0] - base, edge[1] - base) if _is_edge(edge) else (-1, -1)
        if a != b and min(a, b) >= 0 and max(a, b) < len(one.labels):
            edges.append((a, b))
        else:
            span = f"indices from {base} to {base + len(one.labels) - 1}"
            faults.append(f"{at} has the edge {str(edge)[:40]}, which joins no two {span}; it is left out.")
    return tuple(edges), faults


def numbered(edge: Any, labels: list[str], base: int) -> Any:
    """An edge with numbers for the names of two points; any other as it is. base: the number of the first keypoint."""
    if not isinstance(edge, list) or len(edge) != 2 or not all(isinstance(end, str) for end in edge):
        return edge
    known = all(labels.count(end) == 1 for end in edge)
    return [labels.index(end) + base for end in edge] if known else edge


def _is_edge(edge: Any) -> bool:
    return isinstance(edge, list) and len(edge) == 2 and all(type(index) is int for index in edge)
