"""Faults of a document's objects: their points and boxes, one by one. K is the number of keypoints."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import InputError
from ...geometry import LARGEST
from ..areas import box_area, is_filler, stated_areas
from ..dataset import CROWD, IGNORED, POINTLESS, UNLABELLED
from ..document import box_round, within
from ..outlines import read_outline
from ..reading import plain_number
from . import box_orders, coincidences
from .fault import Fault, Rewrite
from .findings import SLACK, Findings, chosen_names, naming
from .sentinels import is_sentinel
from .spelling import id_number

EDGE = 2.0  # pixels that a box's sides may be short for an object's area, because boxes are often rounded


def objects(found: Findings) -> None:
    """Faults of annotations; fills `counts` and `labelled`."""
    known: dict[Any, int] = {}  # picture, category and points of an object -> its index
    entries = [entry for entry in found.document["images"] if isinstance(entry, dict)]
    listed = {entry["id"] for entry in entries if type(entry.get("id")) is int}
    for place, identity, entry in found.entries("annotations"):
        key, where = ("annotations", place), f"annotation {identity}"
        image, kind = entry.get("image_id"), entry.get("category_id")
        if not _owned(found, image, kind, listed, where, key):
            continue
        flags = {reason: entry.get(key) for key, reason in (("iscrowd", CROWD), ("ignore", IGNORED))}
        if any(value not in (None, 0, 1) for value in flags.values()):  # a fault of its own, see `spelling`
            continue
        if marks := [reason for reason, value in flags.items() if value]:
            found.left_out[marks[0]] += 1
            continue
        counts = found.counts[kind]
        if not found.names[kind] and not entry.get("keypoints"):  # a box or outline of a detector's category
            found.left_out[POINTLESS] += 1
            continue
        points = _points(found, entry, kind, where, key)
        if points is None:
            continue
        if np.isfinite(points).any():
            counts.objects += 1
            counts.images.add(image)
            if found.sizes.get(image) is None:
                counts.missing.add(image)
        else:
            found.left_out[UNLABELLED] += 1
        counts.visible += int(np.isfinite(points[:, 0]).sum())
        box = _box(found, entry, points, image, kind, where, key)
        _area(found, entry, box, where, key, counts.name)
        _outline(found, entry, image, where, key, counts.name)
        same = (image, kind, str(entry.get("keypoints")))
        if np.isfinite(points).any() and same in known:
            before = found.document["annotations"][known[same]]
            rests = [{name: value for name, value in one.items() if name != "id"} for one in (entry, before)]
            other = "" if rests[0] == rests[1] else ", but differs from it in other values"
            text = f"has the points of annotation {before['id']}{other}"
            found.say("same object", where, text, key, counts.name, sure=not other)
        known.setdefault(same, key[1])
    coincidences.tell(found)
    if found.boxless:
        rewrites = tuple(Rewrite(place, "bbox", list(box)) for place, box in found.boxless)
        where = naming(found.document, "annotations", [place for place, _ in found.boxless])
        count = len(found.boxless)
        text, place = f"{'has' if count == 1 else 'have'} no box", found.boxless[0][0] if count == 1 else -1
        found.faults.append(Fault("no box", "", where, text, ("annotations", place), None, rewrites))
    _constant_area(found)
    if not any(counts.objects for counts in found.counts.values()):
        found.say("no object", "the file", "has no object that can be used", ("annotations", -1))


def _owned(found: Findings, image: Any, kind: Any, listed: set[int], where: str, key: tuple[str, int]) -> bool:
    """Whether an object has a picture and a category that can be used.

    image, kind: its `image_id` and `category_id`. listed: ids of all pictures.
    """
    for owner, identity, ids in (
        ("picture", image, found.unusable["images"]),
        ("category", kind, found.unusable["categories"]),
    ):
        doubted = isinstance(identity, str) and id_number(identity) is not None  # `spelling` rewrites all others
        if doubted or (type(identity) is int and identity in ids):  # what is wrong with it is a fault of its own
            found.left_out[f"{owner} that cannot be used"] += 1
            return False
    if type(image) is not int or image not in listed:
        found.say("unknown picture", where, f"has image_id {str(image)[:30]!r}, which no picture has", key)
        return False
    if type(kind) is not int or kind not in found.counts:
        found.say("unknown category", where, f"has category_id {str(kind)[:30]!r}, which no usable category has", key)
        return False
    return True


def _points(found: Findings, entry: dict, kind: Any, where: str, key: tuple[str, int]) -> np.ndarray | None:
    """The points [K, 2] of an annotation, NaN where not labelled; None if their number is wrong."""
    name, labels = found.counts[kind].name, found.names[kind]
    values = entry.get("keypoints")
    if not isinstance(values, list) or len(values) != 3 * len(labels) or not labels:
        text = f"has {_points_as_written(values, len(labels))}, but {name!r} names {len(labels)}"
        found.say("number of points", where, text, key, name)
        return None
    table = np.array([plain_number(value) for value in values]).reshape(-1, 3)
    bad = ~np.isin(table[:, 2], (0, 1, 2))
    clear = all(_means_visibility(values[3 * i + 2]) for i in np.flatnonzero(bad))
    for i in np.flatnonzero(bad):
        text = f"has the visibility {repr(values[3 * i + 2])[:40]} at {labels[i]!r}"
        found.say("visibility", where, text, key, name, int(i), sure=clear)
    if not clear:  # the object cannot be used, and what else is wrong with it may come from the order of its numbers
        return None
    table[bad, 2] = 0
    # Points that are not labelled count too, because readers refuse their coordinates as well.
    lost = ~(np.abs(table[:, :2]) <= LARGEST).all(axis=1)
    for i in np.flatnonzero(lost):
        text = f"has {labels[i]!r} at {values[3 * i : 3 * i + 2]}, which is no place"
        found.say("coordinates", where, text, key, name, int(i))
    table[lost, 2] = 0
    labelled = int((table[:, 2] > 0).sum())
    if "num_keypoints" in entry and entry["num_keypoints"] != labelled:
        text = f"says num_keypoints {str(entry['num_keypoints'])[:20]}, but {labelled} are labelled"
        found.say("num_keypoints", where, text, key, name, labelled)
    return np.where(table[:, 2:] > 0, table[:, :2], np.nan)


def _points_as_written(values: Any, count: int) -> str:
    """What an annotation has in place of x, y, v for each of its points, a phrase. count: of these points."""
    if values in (None, [], {}, ""):
        return "no points"
    if not isinstance(values, list):
        kind = {str: "as a text", dict: "by names that are not its category's"}.get(type(values), "in no list")
        return f"its points {kind}, {repr(values)[:40]}"
    if any(isinstance(row, list | dict) for row in values):
        return f"{len(values)} rows of points" + (", not all of them x, y, v" if len(values) == count else "")
    return f"{len(values)} numbers" if len(values) % 3 else f"{len(values) // 3} points"


def _means_visibility(value: Any) -> bool:
    """Whether a value can stand for a visibility: null, NaN, true or false, a number from 0 to 3, or one like -1.

    Where numbers stand in another order, such as all x before all y, a coordinate stands in its place.
    """
    if type(value) not in (int, float):
        return value is None or isinstance(value, bool)
    return not np.isfinite(plain_number(value)) or 0 <= value <= 3 or is_sentinel(value, value)


def _box(
    found: Findings, entry: dict, points: np.ndarray, image: Any, kind: Any, where: str, key: tuple[str, int]
) -> list[float] | None:
    """The box of an annotation as written, and its faults; None for one that is none, or may be x1, y1, x2, y2.

    The faults are also those of where the points lie; fills `maybe_corners`.
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
    if values in (None, []):  # readers put one round the points
        if labelled.any():
            found.boxless.append((key[1], _made(points[labelled], size)))
        return None
    if wrong := _no_box(values):
        if labelled.any():  # readers leave an object without points out, whatever its box
            found.say("box", where, f"has the box {repr(values)[:60]}, which {wrong}", key, counts.name)
        return None
    x, y, w, h = numbers = [plain_number(value) for value in values]
    if size is not None and (x < -SLACK or y < -SLACK or x + w > size[0] + SLACK or y + h > size[1] + SLACK):
        counts.outside += 1
        text = f"has a box from ({x:g}, {y:g}) to ({x + w:g}, {y + h:g}) in a picture of {size[0]} x {size[1]} pixels"
        turned = bool(labelled.any()) and box_orders.may_be_corners(numbers, points[labelled], size)
        text += f", but as x1, y1, x2, y2 its numbers {values} fit picture and points" if turned else ""
        text += ", whose size the labels state otherwise" if image in found.in_doubt else ""
        cut = None if turned or image in found.in_doubt else _cut(numbers, points[labelled], size)
        found.maybe_corners |= {key[1]} if turned else set()
        found.say("box outside", where, text, key, counts.name, cut, sure=cut is not None)
    low, high = np.array([x, y]), np.array([x + w, y + h])
    off = labelled & ((points < low - SLACK) | (points > high + SLACK)).any(axis=1)
    if off.any():
        found.say("points outside the box", where, f"has {chosen_names(labels, off)} outside its box", key, counts.name)
    if labelled.any():
        found.labelled[kind].append((key[1], points, w))
    return None if key[1] in found.maybe_corners else numbers


def _no_box(values: Any) -> str:
    """Why a value is no box x, y, w, h, a phrase; "" for one that is."""
    if not isinstance(values, list) or any(isinstance(value, list | dict) for value in values):
        return "is not four numbers in a row"
    if len(values) != 4:
        return f"has {len(values)} numbers, not four"
    numbers = [plain_number(value) for value in values]
    if not np.isfinite(numbers).all():
        return "is not four finite numbers"
    if min(numbers[2:]) < 0:
        return "has a width or height below 0"
    return "has no width or height" if max(numbers[2:]) == 0 else ""


def _cut(box: Sequence[float], points: np.ndarray, size: tuple[int, int]) -> list[float] | None:
    """A box cut to its picture, or where it lies beside it one round the points; None where those do so too.

    points: [N, 2], the labelled ones. size: (width, height) of the picture in pixels.
    """
    for x, y, w, h in (box, box_round(points)) if len(points) else (box,):
        low, high = np.clip([x, y], 0, size), np.clip([x + w, y + h], 0, size)
        if (high > low).all():
            return [*map(float, low), *map(float, high - low)]
    return None


def _made(points: np.ndarray, size: tuple[int, int] | None) -> tuple[float, float, float, float]:
    """The box that readers put round points [N, 2], cut at the picture where its size is known."""
    box = box_round(points, least=0)
    return box if size is None else within(box, size, points)


def _area(
    found: Findings, entry: dict, box: list[float] | None, where: str, key: tuple[str, int], category: str
) -> None:
    """An area that cannot be that of the object in its box."""
    area = entry.get("area")
    if area is None:
        return
    number, most = plain_number(area), math.inf if box is None else (box[2] + EDGE) * (box[3] + EDGE)
    if not 0 <= number < math.inf:
        text = f"has the area {str(area)[:30]!r}, which must be a number from 0"
    elif box is not None and is_filler(number, tuple(box)):
        text = f"has the area {number:g} in a box of {box[2]:g} x {box[3]:g} pixels"
    elif number > most and box is not None and min(box[2:]) > 0:
        text = f"has the area {number:g}, but its box of {box[2]:g} x {box[3]:g} pixels has {box[2] * box[3]:g}"
    else:
        return
    found.say("area", where, text, key, category, box)


def _constant_area(found: Findings) -> None:
    """One area for all objects though their boxes differ, as a converter fills the key."""
    places, areas, boxes = [], [], []
    for place, entry in enumerate(found.document["annotations"]):
        box = entry.get("bbox") if isinstance(entry, dict) else None
        numbers = [plain_number(value) for value in box] if isinstance(box, list) and len(box) == 4 else []
        area = plain_number(entry.get("area")) if isinstance(entry, dict) else math.nan
        known = bool(numbers) and place not in found.maybe_corners
        if known and np.isfinite([*numbers, area]).all() and min(numbers[2:]) > 0 and area > 0:
            places.append(place)
            areas.append(area)
            boxes.append(tuple(numbers))
    if not places or stated_areas(areas, boxes).any() or all(map(is_filler, areas, boxes)):
        return
    rewrites = tuple(
        Rewrite(place, "area", box_area(box))
        for place, area, box in zip(places, areas, boxes, strict=True)
        if not is_filler(area, box)
    )
    where = naming(found.document, "annotations", [rewrite.place for rewrite in rewrites])
    text = f"have the area {areas[0]:g} each, though their boxes differ"
    found.faults.append(Fault("area", "", where, text, ("annotations", -1), None, rewrites))


def _outline(found: Findings, entry: dict, image: Any, where: str, key: tuple[str, int], category: str) -> None:
    """An outline that is neither polygons nor a mask, or a mask of another size than the picture."""
    try:
        outline = read_outline(entry.get("segmentation"), "")
    except InputError as error:
        text = str(error).partition("'segmentation', ")[2].rstrip(".")
        found.say("outline", where, text, key, category)
        return
    size = found.sizes.get(image)
    if outline is not None and outline.mask is not None and size is not None and outline.mask.shape != size[::-1]:
        high, wide = outline.mask.shape
        text = f"has a mask of {wide} x {high} pixels, but its picture has {size[0]} x {size[1]}"
        found.say("outline", where, text, key, category)
