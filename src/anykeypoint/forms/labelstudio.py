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
from .document import Labels, NamedObject
from .form import NOUN, LabelForm
from .labelstudio_regions import by_task_picture, objects_of
from .reading import find_picture, number, read_json
from .writing import by_picture, check_names, json_text, needed_size, point_labels

LOOSE = "object"  # name of objects without a rectangle, and of rectangles without a label
HIDDEN = "hidden"  # the note of a point that is labelled but not visible
_SIZE = ("width", "height")


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
            group = task["data"].get("group")
            known = task["data"].get("keypoints")  # of another tool it may be anything, which is ignored
            for kind, order in known.items() if isinstance(known, dict) else ():
                orders.setdefault(kind, {}).update(dict.fromkeys(map(str, order) if isinstance(order, list) else ()))
            for address, drawn in by_task_picture(task["data"], regions, where):
                first = next((region for region in drawn if "original_width" in region), {})
                sizes = {key: int(number(first.get(f"original_{key}"), key, where)) for key in _SIZE if first}
                name = _picture(address, images)
                image = labels.add_image(name, source=address, **sizes, group=None if group is None else str(group))
                objects += [(image, *entry) for entry in objects_of(drawn, word or LOOSE, labels, where)]
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


def _picture(value: str, images: Path) -> str:
    """The file name of a picture, relative to the folder of the pictures.

    value: an address of Label Studio's server or a path.
    """
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
    for name, picture in by_picture(data, images).items():
        size = needed_size(picture.path, "Label Studio's places are shares of its size")
        entry = {"image": name, "keypoints": {}} | ({} if picture.group is None else {"group": picture.group})
        tasks[name] = {"id": len(tasks) + 1, "data": entry, "annotations": [{"id": len(tasks) + 1, "result": []}]}
        for item in picture.objects:
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


FORM = LabelForm(
    read, "Label Studio's JSON export", NOUN, write=write, holds=frozenset({"boxes", "hidden", "groups", "empty"})
)
