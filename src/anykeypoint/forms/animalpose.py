"""AnimalPose, 20 points on cats, dogs, sheep, cows and horses: a COCO file, or its authors' `keypoints.json`.

In the authors' file `images` maps ids to file names, boxes are left, top, right, bottom in pixels, and points are rows
[x, y, v] with v 0 (not labelled) or 1.
"""

from pathlib import Path
from typing import Any

from ..errors import InputError
from . import coco
from .document import Labels, json_objects
from .form import CHOICE, LabelForm
from .reading import number, read_json
from .selecting import select


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """The labels of a file of either kind. selection: see `coco.read`."""
    document = read_json(path)
    if not (isinstance(document, dict) and isinstance(document.get("images"), dict)):
        return coco.read(path, images, selection)
    labels = Labels()
    for key, name in document["images"].items():
        with labels.catching():
            labels.images.append({"id": int(number(key, "images", str(path))), "file_name": name})
    for key in ("annotations", "categories"):
        if not isinstance(document.get(key), list):
            raise InputError(f"{path} has no list under {key!r}; AnimalPose's file has both.")
    labels.categories = document["categories"]
    for index, entry in enumerate(json_objects(document["annotations"])):
        with labels.catching():
            labels.annotations.append(_annotation(entry, index, f"{path}: annotations[{index}]"))
    return select(labels, selection, path) if selection else labels


def _annotation(entry: dict[str, Any], index: int, where: str) -> dict[str, Any]:
    """An annotation of the authors' file as COCO has it; its place in the list is its id where it has none."""
    box, rows = entry.get("bbox"), entry.get("keypoints")
    if not (isinstance(box, list) and len(box) == 4 and isinstance(rows, list)):
        raise InputError(f"{where} must have a 'bbox' of four numbers and a list under 'keypoints'.")
    left, top, right, bottom = (number(value, "bbox", where) for value in box)
    flat: list[Any] = []
    for row in rows:
        if not (isinstance(row, list) and len(row) == 3):
            raise InputError(f"{where}, key 'keypoints', must hold rows [x, y, v], but has {str(row)[:40]!r}.")
        flat += [row[0], row[1], 2 if row[2] else 0]
    changed = {"id": entry.get("id", index + 1), "bbox": [left, top, right - left, bottom - top], "keypoints": flat}
    return {**entry, **changed}


FORM = LabelForm(read, "AnimalPose (.json, the authors' or COCO's form)", CHOICE)
