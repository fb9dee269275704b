"""Faults of a document's objects: their points and boxes, one by one. K is the number of keypoints."""

import math
from typing import Any

import numpy as np

from ..reading import plain_number
from .findings import SLACK, Findings, chosen_names


def objects(found: Findings) -> None:
    """Faults of annotations; fills `counts` and `labelled`."""
    known: dict[Any, Any] = {}  # picture, category and points of an object -> its id
    entries = [entry for entry in found.document["images"] if isinstance(entry, dict)]
    listed = {entry["id"] for entry in entries if type(entry.get("id")) is int}
    for place, identity, entry in found.entries("annotations"):
        key, where = ("annotations", place), f"annotation {identity}"
        image, kind = entry.get("image_id"), entry.get("category_id")
        if type(image) is not int or image not in listed:
            found.say("unknown picture", where, f"has image_id {str(image)[:30]!r}, which no picture has", key)
            continue
        if type(kind) is not int or kind not in found.counts:
            found.say(
                "unknown category", where, f"has category_id {str(kind)[:30]!r}, which no usable category has", key
            )
            continue
        if entry.get("iscrowd", 0) not in (0, False):
            continue
        counts = found.counts[kind]
        counts.objects += 1
        counts.images.add(image)
        if found.sizes.get(image) is None:
            counts.missing.add(image)
        points = _points(found, entry, kind, where, key)
        if points is None:
            continue
        counts.visible += int(np.isfinite(points[:, 0]).sum())
        area = entry.get("area")
        if area is not None and not 0 <= plain_number(area) < math.inf:
            text = f"has the area {str(area)[:30]!r}, which must be a number from 0"
            found.say("area", where, text, key, counts.name)
        _box(found, entry, points, image, kind, where, key)
        same = (image, kind, str(entry.get("keypoints")))
        if np.isfinite(points).any() and same in known:
            found.say("same object", where, f"has the points of annotation {known[same]}", key, counts.name)
        known.setdefault(same, identity)


def _points(found: Findings, entry: dict, kind: Any, where: str, key: tuple[str, int]) -> np.ndarray | None:
    """The points [K, 2] of an annotation, NaN where not labelled; None if their number is wrong."""
    name, labels = found.counts[kind].name, found.names[kind]
    values = entry.get("keypoints")
    if not isinstance(values, list) or len(values) != 3 * len(labels) or not labels:
        got = f"{len(values) / 3:g}" if isinstance(values, list) else "no"
        found.say("number of points", where, f"has {got} points, but {name!r} names {len(labels)}", key, name)
        return None
    table = np.array([plain_number(value) for value in values]).reshape(-1, 3)
    bad = ~np.isin(table[:, 2], (0, 1, 2))
    for i in np.flatnonzero(bad):
        found.say("visibility", where, f"has the visibility {values[3 * i + 2]!r} at {labels[i]!r}", key, name, int(i))
    table[bad, 2] = 0
    # Points that are not labelled count too, because readers refuse their coordinates as well.
    lost = ~np.isfinite(table[:, :2]).all(axis=1)
    for i in np.flatnonzero(lost):
        text = f"has {labels[i]!r} at {values[3 * i : 3 * i + 2]}, which is no place"
        found.say("coordinates", where, text, key, name, int(i))
    table[lost, 2] = 0
    labelled = int((table[:, 2] > 0).sum())
    if "num_keypoints" in entry and entry["num_keypoints"] != labelled:
        text = f"says num_keypoints {str(entry['num_keypoints'])[:20]}, but {labelled} are labelled"
        found.say("num_keypoints", where, text, key, name, labelled)
    return np.where(table[:, 2:] > 0, table[:, :2], np.nan)


def _box(
    found: Findings, entry: dict, points: np.ndarray, image: Any, kind: Any, where: str, key: tuple[str, int]
) -> None:
    """Faults of an annotation's box, and of its points in relation to the box and the picture.

    points: [K, 2], NaN where not labelled.
    image, kind: ids of its picture and category.
    """
    counts, size, labels = found.counts[kind], found.sizes.get(image), found.names[kind]
    labelled = np.isfinite(points[:, 0])
    if size is not None and labelled.any():
        off = labelled & ((points < -SLACK) | (points > np.array(size) + SLACK)).any(axis=1)
        if off.any():
            text = f"has {chosen_names(labels, off)} outside its picture of {size[0]} x {size[1]} pixels"
            found.say("points outside the picture", where, text, key, counts.name)
    values = entry.get("bbox")
    numbers = [plain_number(value) for value in values] if isinstance(values, list) else []
    if len(numbers) != 4 or not np.isfinite(numbers).all() or min(numbers[2:]) <= 0:
        if labelled.any():  # readers leave an object without points out, whatever its box
            found.say("box", where, f"has the box {str(values)[:60]}, which has no area", key, counts.name)
        return
    x, y, w, h = numbers
    if size is not None and (x < -SLACK or y < -SLACK or x + w > size[0] + SLACK or y + h > size[1] + SLACK):
        counts.outside += 1
        text = f"has a box from ({x:g}, {y:g}) to ({x + w:g}, {y + h:g}) in a picture of {size[0]} x {size[1]} pixels"
        found.say("box outside", where, text, key, counts.name, size)
    low, high = np.array([x, y]), np.array([x + w, y + h])
    off = labelled & ((points < low - SLACK) | (points > high + SLACK)).any(axis=1)
    if off.any():
        found.say("points outside the box", where, f"has {chosen_names(labels, off)} outside its box", key, counts.name)
    if labelled.any():
        found.labelled[kind].append((key[1], points, w))
