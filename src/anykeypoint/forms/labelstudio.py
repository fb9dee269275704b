"""Label Studio's JSON export, read and written: keypoint regions in percent of the picture, grouped by rectangles.

A keypoint belongs to the rectangle that its `parentID` names, otherwise to the only rectangle it lies in. Where a
picture has no rectangle, its keypoints are one object. What the format has no field for goes where Label Studio keeps
data of other tools: the order of a category's points into the task's `data.keypoints`, and "hidden" into the note of a
region (`meta.text`).
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from ..errors import InputError
from .dataset import Dataset, LabelledObject
from .document import Labels, NamedObject, NamedPoints
from .form import NOUN, LabelForm
from .reading import find_picture, number, read_json
from .writing import check_names, json_text, needed_size, picture_name, point_labels

LOOSE = "object"  # name of objects without a rectangle, and of rectangles without a label
HIDDEN = "hidden"  # the note of a point that is labelled but not visible
_SIZE = ("width", "height")
_PICTURE = re.compile(r"\.(jpe?g|png|webp|bmp|tiff?)([?#].*)?$", re.IGNORECASE)

Rectangles = dict[str, tuple[str, list[float]]]  # id of a rectangle -> its label, and x, y, w, h in image pixels
Values = dict[str, dict[str, Any]]  # id of a region -> the `value` of another result about it


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of an export.

    word: the category of objects without a labelled rectangle, "object" by default.
    The first annotation of a task counts. Cancelled annotations, those of further annotators and rectangles without
    points are left out and counted.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list):
        raise InputError(f"{path} must hold a list of tasks; export from Label Studio as JSON.")
    labels = Labels()
    orders: dict[str, dict[str, None]] = {}  # category -> names of its points in order
    objects: list[NamedObject] = []
    for index, task in enumerate(tasks):
        with labels.catching():
            if not isinstance(task, dict) or not isinstance(task.get("data"), dict) or "annotations" not in task:
                raise InputError(f"{path}: task {index} has no 'data' and 'annotations'; export as JSON, not JSON-MIN.")
            where = f"{path}: task {task.get('id', index)}"
            regions = _regions(task, where, labels)
            first = next((region for region in regions if "original_width" in region), {})
            sizes = {key: int(number(first.get(f"original_{key}"), key, where)) for key in _SIZE if first}
            group = task["data"].get("group")
            image = labels.add_image(
                _picture(task["data"], images, where), **sizes, group=None if group is None else str(group)
            )
            known = task["data"].get("keypoints")  # of another tool it may be anything, which is ignored
            for kind, order in known.items() if isinstance(known, dict) else ():
                orders.setdefault(kind, {}).update(dict.fromkeys(map(str, order) if isinstance(order, list) else ()))
            objects += [(image, *entry) for entry in _objects(regions, where, word or LOOSE, labels)]
    labels.add_named_objects(objects, orders)
    return labels


def _regions(task: dict[str, Any], where: str, labels: Labels) -> list[dict]:
    """The regions of a task's first annotation that is not cancelled; the other annotations are counted."""
    done = [entry for entry in _list(task["annotations"], "annotations", where) if not entry.get("was_cancelled")]
    for _ in range(len(task["annotations"]) - len(done)):
        labels.leave_out("cancelled annotations")
    for _ in done[1:]:
        labels.leave_out("annotations by further annotators")
    return _list(done[0].get("result", []), "result", where) if done else []


def _objects(
    regions: list[dict], where: str, loose: str, labels: Labels
) -> list[tuple[str, NamedPoints, list[float] | None]]:
    """The objects of a picture: category, points by name, and box or None.

    where: the task, named in errors.
    loose: the category of objects without a labelled rectangle.
    labels: counts regions that are left out, and collects faults; an object with one is left out.
    """
    # With the control tag Labels, the label of a plain rectangle or point is a result of its own with the same id.
    labelled = {
        str(region.get("id")): region["value"]
        for region in regions
        if region.get("type") == "labels" and isinstance(region.get("value"), dict)
    }
    boxes: Rectangles = {}
    bad: set[str] = set()  # ids of rectangles with a fault of their own or of one of their points; "" for none
    for region in regions:
        if region.get("type") in ("rectanglelabels", "rectangle"):
            bad.add(str(region.get("id")))  # until it is sure to be good
            with labels.catching():
                boxes[str(region.get("id"))] = _box(region, labelled, where, loose)
                bad.discard(str(region.get("id")))
        elif region.get("type") not in ("keypointlabels", "keypoint", "labels"):
            labels.leave_out(f"{region.get('type')} regions")
    objects: dict[str, NamedPoints] = {}  # id of a rectangle -> its points
    for region in regions:
        if region.get("type") in ("keypointlabels", "keypoint") and str(region.get("parentID") or "") not in bad:
            with labels.catching():
                _add_point(objects, bad, region, labelled, boxes, where)
    for _ in set(boxes) - set(objects) - bad:
        labels.leave_out("rectangles without points")
    owned = [(*boxes.get(key, (loose, None)), points) for key, points in objects.items() if key not in bad]
    return [(kind, points, box) for kind, box, points in owned]


def _box(region: dict, labelled: Values, where: str, loose: str) -> tuple[str, list[float]]:
    """The category of a rectangle, and its box in image pixels."""
    value, wide, high, at = _value(region, where)
    label = _label(value, "rectanglelabels", at) if "rectanglelabels" in value else loose
    if label == loose and str(region.get("id")) in labelled:
        label = _label(labelled[str(region.get("id"))], "labels", at)
    if value.get("rotation"):
        raise InputError(f"{at} is a turned rectangle, but a box has its sides along the picture's; set it upright.")
    x, y, w, h = (number(value.get(key), key, at) for key in ("x", "y", "width", "height"))
    if w <= 0 or h <= 0:
        raise InputError(f"{at} is a rectangle of {w:g} x {h:g} percent; it must have an area.")
    return label, [x * wide / 100, y * high / 100, w * wide / 100, h * high / 100]


def _add_point(
    objects: dict[str, NamedPoints],
    bad: set[str],
    region: dict,
    labelled: Values,
    boxes: Rectangles,
    where: str,
) -> None:
    """Add the point of a region to the object it belongs to.

    bad: ids of rectangles with a fault; that of the point's object is added where the point has one.
    """
    parent = str(region.get("parentID") or "")
    owner = parent if parent in boxes else None if boxes else ""
    try:
        value, wide, high, at = _value(region, where)
        x, y = number(value.get("x"), "x", at) * wide / 100, number(value.get("y"), "y", at) * high / 100
        if owner is None:
            owner = _rectangle_round(boxes, x, y, bad, at)
        if "keypointlabels" not in value and str(region.get("id")) in labelled:
            name = _label(labelled[str(region.get("id"))], "labels", at)
        else:
            name = _label(value, "keypointlabels", at)
        points = objects.setdefault(owner, {})
        if name in points:
            raise InputError(f"{at} is the second point {name!r} of one object; draw a rectangle round each object.")
    except InputError:
        if owner is not None:
            bad.add(owner)
        raise
    meta = region.get("meta")
    notes = meta.get("text") if isinstance(meta, dict) else ()
    points[name] = (x, y, 1 if isinstance(notes, list) and HIDDEN in notes else 2)


def _rectangle_round(boxes: Rectangles, x: float, y: float, bad: set[str], at: str) -> str:
    """The id of the rectangle that a point without a parent belongs to.

    x, y: its place in image pixels.
    bad: ids of rectangles with a fault, which the point may belong to.
    at: the region, named in errors.
    """
    inside = [key for key, (_, (left, top, w, h)) in boxes.items() if left <= x <= left + w and top <= y <= top + h]
    if len(inside) == 1:
        return inside[0]
    if len(boxes) == 1 and not bad - set(boxes):
        return next(iter(boxes))
    raise InputError(
        f"{at} has no parentID and lies in {len(inside) or 'none'} of the picture's {len(boxes)} rectangles, so it is "
        "not said whose it is; make it a child of its rectangle."
    )


def _value(region: dict, where: str) -> tuple[dict, float, float, str]:
    """A region's value, width and height of its picture in pixels, and its name for errors."""
    at = f"{where}, region {region.get('id')!r}"
    value = region.get("value")
    if not isinstance(value, dict):
        raise InputError(f"{at}, key 'value', must be a JSON object, but got {str(value)[:40]!r}.")
    if region.get("image_rotation"):
        raise InputError(
            f"{at} was drawn on the picture turned by {str(region['image_rotation'])[:9]}; set it upright."
        )
    wide, high = (number(region.get(key), key, at) for key in ("original_width", "original_height"))
    return value, wide, high, at


def _label(value: dict, key: str, at: str) -> str:
    """The label of a region, which must be one text under `key`."""
    labels = value.get(key)
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str) or not labels[0]:
        raise InputError(f"{at}, key {key!r}, must be a list of one text, but got {str(labels)[:40]!r}.")
    return labels[0]


def _picture(data: dict[str, Any], images: Path, where: str) -> str:
    """The file name of a task's picture, relative to the folder of the pictures.

    data: the task's data, where the picture is an address of Label Studio's server or a path.
    """
    given = [value for value in data.values() if isinstance(value, str) and _PICTURE.search(value)]
    value = data.get("image") if isinstance(data.get("image"), str) else given[0] if len(given) == 1 else None
    if value is None:
        raise InputError(f"{where}, key 'data', must name one picture, best under 'image', but has {len(given)}.")
    parts = urlsplit(value)
    local = parse_qs(parts.query).get("d")
    elsewhere = bool(parts.scheme) or value.startswith("/")  # an address of the server
    path = PurePosixPath(local[0] if local else unquote(parts.path) if elsewhere else value)
    pieces = [part for part in path.parts if part != "/"] or [""]
    bare = re.sub(r"^[0-9a-f]{8}-", "", pieces[-1])  # an upload puts 8 digits before the name
    tails = ["/".join(pieces[i:]) for i in range(len(pieces))]
    name = find_picture(images, [*tails, bare])
    return name if not elsewhere or os.path.isfile(images / name) else bare


def _list(value: Any, key: str, where: str) -> list[dict]:
    """The value, once it is sure to be a list of JSON objects."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InputError(f"{where}, key {key!r}, must be a list of JSON objects.")
    return value


# --- writing -------------------------------------------------------------------------------------------------------


def write(data: Dataset, images: Path) -> str:
    """Tasks to be imported into Label Studio: one rectangle per object, whose keypoints name it as `parentID`.

    Regions are called `bbox` and `kp` and belong to the picture `image`, as in a labelling setup with RectangleLabels,
    KeyPointLabels and Image of these names.
    """
    check_names(data, "Label Studio")
    tasks: dict[str, dict] = {}  # file name of a picture -> its task
    for item in data.objects:
        name = picture_name(item, images)
        size = needed_size(item.image, "Label Studio's places are shares of its size")
        if name not in tasks:
            entry = {"image": name, "keypoints": {}} | ({} if item.group is None else {"group": item.group})
            tasks[name] = {"id": len(tasks) + 1, "data": entry, "annotations": [{"id": len(tasks) + 1, "result": []}]}
        tasks[name]["data"]["keypoints"][item.category.name] = point_labels(item.category)
        tasks[name]["annotations"][0]["result"] += _written_regions(item, size)
    return json_text(list(tasks.values()))


def _written_regions(item: LabelledObject, size: tuple[int, int]) -> list[dict[str, Any]]:
    """The regions of one object: its rectangle, then its labelled points. size: (width, height) in pixels."""
    labels = point_labels(item.category)
    percent = 100 / np.array([*size, *size], dtype=np.float64)  # percent of the picture per pixel
    common = {"to_name": "image", "original_width": size[0], "original_height": size[1], "image_rotation": 0}
    parent = f"object{item.id}"
    x, y, w, h = (np.array(item.box) * percent).tolist()
    value = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [item.category.name]}
    regions = [{"id": parent, "type": "rectanglelabels", "from_name": "bbox", **common, "value": value}]
    for i in np.flatnonzero(item.visibility > 0):
        x, y = (item.points[i] * percent[:2]).tolist()
        value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [labels[i]]}
        region = {"id": f"{parent}_{i}", "type": "keypointlabels", "from_name": "kp", "parentID": parent, **common}
        note = {"meta": {"text": [HIDDEN]}} if item.visibility[i] == 1 else {}
        regions.append({**region, **note, "value": value})
    return regions


FORM = LabelForm(read, "Label Studio's JSON export", NOUN, write=write, holds=frozenset({"boxes", "hidden", "groups"}))
