"""A mended copy of labels: each fault is treated as `fault.KINDS` says, and nothing else is changed.

The original document stays as it is; the copy's skeletons count from 0. Faults that only a person can mend are counted.
"""

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ...category import plain_text
from ..document import box_round
from ..reading import plain_number
from .fault import KINDS, Fault, skeleton_bases

# Kinds of faults whose entry is left out.
_DROPPED = ("broken entry", "id twice", "unknown picture", "unknown category", "number of points", "same object")


def repair(
    document: Mapping[str, list], faults: Iterable[Fault]
) -> tuple[dict[str, list], dict[str, int], dict[str, int]]:
    """The mended copy, the number of mended faults by kind, and the number of faults left as they are by kind.

    document: the COCO document.
    faults: those of `doctor.examine`.
    """
    mended, left = Counter(), Counter()
    data = {key: copy.deepcopy(document[key]) for key in ("images", "annotations", "categories")}
    dropped: set[tuple[str, int]] = set()
    edges: dict[int, set[Any]] = {}  # index of a category -> indices of edges to leave out, or "all"
    for fault in sorted(faults, key=lambda fault: list(KINDS).index(fault.kind)):
        section, place = fault.key
        if not KINDS[fault.kind]:
            left[fault.kind] += 1
            continue
        mended[fault.kind] += 1
        if fault.kind in _DROPPED:
            dropped.add(fault.key)
        elif fault.kind == "skeleton":
            edges.setdefault(place, set()).add(fault.value)
        elif _MENDERS[fault.kind](data[section][place], fault.value) is False:
            dropped.add(fault.key)
    bases = skeleton_bases(data["categories"])
    for place, entry in enumerate(data["categories"]):
        if ("categories", place) not in dropped and entry.get("skeleton"):
            bad, base = edges.get(place, set()), bases.get(entry.get("id"), 0)
            kept = [] if "all" in bad else [edge for i, edge in enumerate(entry["skeleton"]) if i not in bad]
            entry["skeleton"] = [[a - base, b - base] for a, b in kept]
    for section in data:
        data[section] = [entry for i, entry in enumerate(data[section]) if (section, i) not in dropped]
    known = {section: {entry["id"] for entry in data[section]} for section in ("images", "categories")}
    kept = []
    for entry in data["annotations"]:
        if entry["image_id"] in known["images"] and entry["category_id"] in known["categories"]:
            kept.append(entry)
    if len(kept) < len(data["annotations"]):
        mended["objects of entries left out"] += len(data["annotations"]) - len(kept)
        data["annotations"] = kept
    data = {section: [_finite(entry, mended) for entry in data[section]] for section in data}
    return data, dict(mended), dict(left)


def _finite(value: Any, mended: Counter) -> Any:
    """The value with null for infinite numbers and NaN, which JSON lacks; they may stand under keys no reader uses."""
    if isinstance(value, dict):
        return {key: _finite(inner, mended) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner, mended) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        mended["numbers that are none"] += 1
        return None
    return value


def _file_name(entry: dict[str, Any], value: str) -> None:
    entry["file_name"] = value


def _size(entry: dict[str, Any], value: tuple[int, int]) -> None:
    entry["width"], entry["height"] = value


def _point_names(entry: dict[str, Any], _: Any) -> None:
    counts: Counter = Counter()
    taken = {plain_text(name) for name in entry["keypoints"]}
    for i, name in enumerate(entry["keypoints"]):
        counts[plain_text(name)] += 1
        if (number := counts[plain_text(name)]) > 1:
            while plain_text(f"{name} {number}") in taken:
                number += 1
            entry["keypoints"][i] = f"{name} {number}"
            taken.add(plain_text(f"{name} {number}"))


def _unlabel(entry: dict[str, Any], value: int) -> None:
    entry["keypoints"][3 * value : 3 * value + 3] = [0, 0, 0]
    entry["num_keypoints"] = int(_labelled(entry).shape[0])


def _count(entry: dict[str, Any], _: Any) -> None:
    entry["num_keypoints"] = int(_labelled(entry).shape[0])


def _box(entry: dict[str, Any], _: Any) -> bool:
    points = _labelled(entry)
    if len(points):
        entry["bbox"] = list(box_round(points))
    return bool(len(points))


def _cut(entry: dict[str, Any], size: tuple[int, int]) -> bool:
    x, y, w, h = entry["bbox"]
    low, high = np.clip([x, y], 0, size), np.clip([x + w, y + h], 0, size)
    if (high <= low).any():
        return _box(entry, None)  # the whole box lies outside the picture
    entry["bbox"] = [*map(float, low), *map(float, high - low)]
    return True


def _no_area(entry: dict[str, Any], _: Any) -> None:
    del entry["area"]


def _labelled(entry: dict[str, Any]) -> np.ndarray:
    """The labelled points [N, 2] of an annotation."""
    table = np.array([plain_number(value) for value in entry["keypoints"]]).reshape(-1, 3)
    return table[(table[:, 2] > 0) & np.isfinite(table).all(axis=1), :2]


# Kind of fault -> function that changes the entry; it returns False where the entry must be left out.
_MENDERS: dict[str, Callable[[dict[str, Any], Any], bool | None]] = {
    "picture elsewhere": _file_name,
    "picture's size": _size,
    "names of points": _point_names,
    "coordinates": _unlabel,
    "visibility": _unlabel,
    "num_keypoints": _count,
    "area": _no_area,
    "box": _box,
    "box outside": _cut,
}
