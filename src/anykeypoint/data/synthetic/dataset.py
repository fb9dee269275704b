"""Writing of synthetic objects as a COCO file with its pictures. The same seed gives the same bytes."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...forms.skeletons import with_base
from ...io import check_new_folder
from .objects import SyntheticObject, draw_object

ANNOTATIONS = "annotations.json"
IMAGES = "images"


def write_dataset(
    folder: str | Path,
    count: int,
    seed: int = 0,
    per_category: int = 4,
    size: int = 256,
    progress: Callable[[Sequence, str], Iterable] | None = None,
) -> Path:
    """Write synthetic objects, one to a picture. Returns the path of the JSON file.

    The pictures are PNG files under `images/`, and `images[].group` is the kind of the object. The categories have the
    keypoints' names alone, as COCO has no place for descriptions. Raises InputError for a folder that is not empty and
    for counts below 1.

    folder: the folder, new or empty.
    count: number of objects.
    seed: seed of all kinds and poses.
    per_category: number of poses of each kind.
    size: side of a picture in pixels.
    progress: called with the numbers of the objects and a title; gives the numbers, and shows how far they are.
    """
    folder = Path(folder)
    if count < 1 or per_category < 1:
        raise InputError(f"A data set needs 1 or more objects and poses, but got {count} and {per_category}.")
    check_new_folder(folder)
    (folder / IMAGES).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    images, annotations, categories = [], [], []
    for index in range(count) if progress is None else progress(range(count), "drawing"):
        if index % per_category == 0:
            kind = int(rng.integers(2**62))
        made = draw_object(kind, int(rng.integers(2**62)), size)
        if index % per_category == 0:
            categories.append(_category(made, len(categories) + 1))
        name = f"{index:06d}.png"
        made.image.save(folder / IMAGES / name)
        group = made.category.name
        images.append({"id": index + 1, "file_name": name, "width": size, "height": size, "group": group})
        annotations.append(_annotation(made, index + 1, len(categories)))
    data = {"info": with_base({}), "images": images, "annotations": annotations, "categories": categories}
    path = folder / ANNOTATIONS
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return path


def _category(made: SyntheticObject, key: int) -> dict[str, Any]:
    """The entry of an object's kind in `categories`, with the id `key`.

    A kind has some of the points that its whole has, so one side of a pair may be missing: that point is `alone`.
    """
    alone = list(made.category.unpaired)
    return {
        "id": key,
        "name": made.category.name,
        "supercategory": made.family,
        "keypoints": made.category.names,
        "skeleton": [],
        **({"alone": alone} if alone else {}),
    }


def _annotation(made: SyntheticObject, key: int, category: int) -> dict[str, Any]:
    """The entry of an object in `annotations`; `key` is its id and that of its picture."""
    rows = np.concatenate([made.points.round(2), made.visibility[:, None]], axis=1)
    box = [round(value, 2) for value in made.box]
    return {
        "id": key,
        "image_id": key,
        "category_id": category,
        "bbox": box,
        "area": round(box[2] * box[3], 2),
        "iscrowd": 0,
        "num_keypoints": len(rows),
        "keypoints": [float(value) if i % 3 < 2 else int(value) for i, value in enumerate(rows.ravel())],
    }
