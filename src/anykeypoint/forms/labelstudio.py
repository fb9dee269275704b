"""Label Studio's JSON export: keypoint regions in percent of the picture, put together by their rectangles.

A keypoint belongs to the rectangle that its `parentID` names, else to the only one it lies in; where a picture has no
rectangle, its keypoints are one object. What the format lacks goes where Label Studio keeps strangers' data: the order
of a category's points into the task's `data.keypoints`, "hidden" into a region's note (`meta.text`).
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from ..errors import InputError
from .dataset import Dataset
from .document import Labels, NamedObject, NamedPoints
from .form import NOUN, Form, Written
from .pictures import picture_size
from .reading import find_picture, number, read_json
from .writing import json_text, outlines_lost, picture_name, point_labels

LOOSE = "object"
HIDDEN = "hidden"
_SIZE = ("width", "height")
_PICTURE = re.compile(r"\.(jpe?g|png|webp|bmp|tiff?)([?#].*)?$", re.IGNORECASE)


def read(path: Path, images: Path, word: str = "") -> Labels:
    """Labels of an export. word: what objects without a rectangle are called.

    The first annotation of a task counts; cancelled ones and those of further annotators are left out and counted, and
    so are rectangles without points.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list):
        raise InputError(f"{path} must hold a list of tasks; export from Label Studio as JSON.")
    labels = Labels()
    names: dict[str, dict[str, None]] = {}
    found: list[NamedObject] = []
    for index, task in enumerate(tasks):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict) or "annotations" not in task:
            raise InputError(f"{path}: task {index} has no 'data' and 'annotations'; export as JSON, not JSON-MIN.")
        where = f"{path}: task {task.get('id', index)}"
        done = [entry for entry in _list(task["annotations"], "annotations", where) if not entry.get("was_cancelled")]
        for _ in range(len(task["annotations"]) - len(done)):
            labels.leave_out("cancelled annotations")
        for _ in done[1:]:
            labels.leave_out("annotations by further annotators")
        regions = _list(done[0].get("result", []), "result", where) if done else []
        first = next((region for region in regions if "original_width" in region), None)
        sizes = {} if first is None else {key: int(number(first.get(f"original_{key}"), key, where)) for key in _SIZE}
        group = task["data"].get("group")
        image = labels.add_image(
            _picture(task["data"], images, where), **sizes, group=None if group is None else str(group)
        )
        orders = task["data"].get("keypoints")  # which may be somebody else's and something else
        for kind, order in orders.items() if isinstance(orders, dict) else ():
            names.setdefault(kind, {}).update(dict.fromkeys(map(str, order) if isinstance(order, list) else ()))
        found += [(image, *entry) for entry in _objects(regions, where, word or LOOSE, labels)]
    labels.add_named_objects(found, names)
    return labels


def _objects(regions: list[dict], where: str, loose: str, labels: Labels) -> list[tuple]:
    apart = {  # labels of plain rectangles and points come as results of their own, with the same id
        str(region.get("id")): region["value"]
        for region in regions
        if region.get("type") == "labels" and isinstance(region.get("value"), dict)
    }
    boxes: dict[str, tuple[str, list[float]]] = {}
    for region in regions:
        if region.get("type") in ("rectanglelabels", "rectangle"):
            value, wide, high, at = _value(region, where)
            label = _label(value, "rectanglelabels", at) if "rectanglelabels" in value else loose
            if label == loose and str(region.get("id")) in apart:
                label = _label(apart[str(region.get("id"))], "labels", at)
            if value.get("rotation"):
                raise InputError(
                    f"{at} is a turned rectangle, but a box has its sides along the picture's; set it upright."
                )
            box = [number(value.get(key), key, at) for key in ("x", "y", "width", "height")]
            if box[2] <= 0 or box[3] <= 0:
                raise InputError(f"{at} is a rectangle of {box[2]:g} x {box[3]:g} percent; it must have an area.")
            scaled = [box[0] * wide / 100, box[1] * high / 100, box[2] * wide / 100, box[3] * high / 100]
            boxes[str(region.get("id"))] = (label, scaled)
        elif region.get("type") not in ("keypointlabels", "keypoint", "labels"):
            labels.leave_out(f"{region.get('type')} regions")
    objects: dict[str, NamedPoints] = {}
    for region in regions:
        if region.get("type") not in ("keypointlabels", "keypoint"):
            continue
        value, wide, high, at = _value(region, where)
        if "keypointlabels" not in value and str(region.get("id")) in apart:
            name = _label(apart[str(region.get("id"))], "labels", at)
        else:
            name = _label(value, "keypointlabels", at)
        x, y = number(value.get("x"), "x", at) * wide / 100, number(value.get("y"), "y", at) * high / 100
        owner = _owner(str(region.get("parentID") or ""), boxes, x, y, at)
        meta = region.get("meta")
        notes = meta.get("text") if isinstance(meta, dict) else ()
        points = objects.setdefault(owner, {})
        if name in points:
            raise InputError(f"{at} is the second point {name!r} of one object; draw a rectangle round each object.")
        points[name] = (x, y, 1 if isinstance(notes, list) and HIDDEN in notes else 2)
    for _ in set(boxes) - set(objects):
        labels.leave_out("rectangles without points")
    found = []
    for owner, points in objects.items():
        kind, box = boxes.get(owner, (loose, None))
        found.append((kind, points, box))
    return found


def _owner(parent: str, boxes: dict[str, tuple[str, list[float]]], x: float, y: float, at: str) -> str:
    if parent in boxes or not boxes:
        return parent if parent in boxes else ""
    inside = [key for key, (_, (left, top, w, h)) in boxes.items() if left <= x <= left + w and top <= y <= top + h]
    if len(inside) == 1:
        return inside[0]
    if len(boxes) == 1:
        return next(iter(boxes))
    raise InputError(
        f"{at} has no parentID and lies in {len(inside) or 'none'} of the picture's {len(boxes)} rectangles, so it is "
        "not said whose it is; make it a child of its rectangle."
    )


def _value(region: dict, where: str) -> tuple[dict, float, float, str]:
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
    """The one label of a region."""
    labels = value.get(key)
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str) or not labels[0]:
        raise InputError(f"{at}, key {key!r}, must be a list of one text, but got {str(labels)[:40]!r}.")
    return labels[0]


def _picture(data: dict[str, Any], images: Path, where: str) -> str:
    given = [value for value in data.values() if isinstance(value, str) and _PICTURE.search(value)]
    value = data.get("image") if isinstance(data.get("image"), str) else given[0] if len(given) == 1 else None
    if value is None:
        raise InputError(f"{where}, key 'data', must name one picture, best under 'image', but has {len(given)}.")
    parts = urlsplit(value)
    local = parse_qs(parts.query).get("d")
    elsewhere = bool(parts.scheme) or value.startswith("/")  # an address of the server, not a path under the images
    path = PurePosixPath(local[0] if local else unquote(parts.path) if elsewhere else value)
    pieces = [part for part in path.parts if part != "/"] or [""]
    bare = re.sub(r"^[0-9a-f]{8}-", "", pieces[-1])  # what an upload puts before the name
    tails = ["/".join(pieces[i:]) for i in range(len(pieces))]
    found = find_picture(images, [*tails, bare])
    return found if not elsewhere or os.path.isfile(images / found) else bare


def _list(value: Any, key: str, where: str) -> list[dict]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InputError(f"{where}, key {key!r}, must be a list of JSON objects.")
    return value


# --- writing -------------------------------------------------------------------------------------------------------


def write(dataset: Dataset, images: Path) -> Written:
    """Label Studio's tasks, to be imported: a rectangle per object, its keypoints below it (`parentID`).

    Regions are named `bbox` and `kp` and belong to the picture `image`, as in a labelling setup with RectangleLabels,
    KeyPointLabels and Image of these names.
    """
    tasks: dict[str, dict] = {}
    for item in dataset.objects:
        name = picture_name(item, images)
        size = picture_size(item.image)
        if size is None:
            raise InputError(f"{item.image} is no readable picture, and Label Studio's places are shares of its size.")
        if name not in tasks:
            data = {"image": name, "keypoints": {}} | ({} if item.group is None else {"group": item.group})
            tasks[name] = {"id": len(tasks) + 1, "data": data, "annotations": [{"id": len(tasks) + 1, "result": []}]}
        category = item.category
        labels = point_labels(category)
        tasks[name]["data"]["keypoints"][category.name] = labels
        scale = 100 / np.array([*size, *size], dtype=np.float64)
        common = {"to_name": "image", "original_width": size[0], "original_height": size[1], "image_rotation": 0}
        parent = f"object{item.id}"
        x, y, w, h = (np.array(item.box) * scale).tolist()
        value = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [category.name]}
        regions = [{"id": parent, "type": "rectanglelabels", "from_name": "bbox", **common, "value": value}]
        for i in np.flatnonzero(item.visibility > 0):
            x, y = (item.points[i] * scale[:2]).tolist()
            value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [labels[i]]}
            region = {"id": f"{parent}_{i}", "type": "keypointlabels", "from_name": "kp", "parentID": parent, **common}
            note = {"meta": {"text": [HIDDEN]}} if item.visibility[i] == 1 else {}
            regions.append({**region, **note, "value": value})
        tasks[name]["annotations"][0]["result"] += regions
    lost = ["skeletons"] if any(item.category.skeleton for item in dataset.objects) else []
    return json_text(list(tasks.values())), [*lost, *outlines_lost(dataset.objects), "the objects' ids"]


FORM = Form(read, "Label Studio's JSON export", NOUN, write=write)
