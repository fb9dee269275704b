"""Write made-up objects to a folder as a COCO-keypoints file with its pictures, the same bytes for the same seed."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError
from .objects import draw_object

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
    """Write `count` objects, `per_category` poses of each kind, one a picture; returns the path of the JSON.

    The pictures are PNGs of `size` x `size` pixels under `images/`; `images[].group` is the kind. The category's
    `keypoints` are names alone, as COCO has no place for descriptions. The folder must be new or empty.

    progress: called with the numbers of the objects and a title; gives the numbers, and shows how far they are.
    """
    folder = Path(folder)
    if count < 1 or per_category < 1:
        raise InputError(f"A data set needs 1 or more objects and poses, but got {count} and {per_category}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder; give a new one for the made-up data.")
    (folder / IMAGES).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    images, annotations, categories = [], [], []
    for index in range(count) if progress is None else progress(range(count), "drawing"):
        if index % per_category == 0:
            kind = int(rng.integers(2**62))
        made = draw_object(kind, int(rng.integers(2**62)), size)
        if index % per_category == 0:
            categories.append(
                {
                    "id": len(categories) + 1,
                    "name": made.category.name,
                    "supercategory": made.family,
                    "keypoints": made.category.names,
                    "skeleton": [],
                }
            )
        name = f"{index:06d}.png"
        made.image.save(folder / IMAGES / name)
        group = made.category.name
        images.append({"id": index + 1, "file_name": name, "width": size, "height": size, "group": group})
        rows = np.concatenate([made.points.round(2), made.visibility[:, None]], axis=1)
        box = [round(value, 2) for value in made.box]
        annotations.append(
            {
                "id": index + 1,
                "image_id": index + 1,
                "category_id": len(categories),
                "bbox": box,
                "area": round(box[2] * box[3], 2),
                "iscrowd": 0,
                "num_keypoints": len(rows),
                "keypoints": [float(value) if i % 3 < 2 else int(value) for i, value in enumerate(rows.ravel())],
            }
        )
    data = {"images": images, "annotations": annotations, "categories": categories}
    path = folder / ANNOTATIONS
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return path
