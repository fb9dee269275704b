"""MacaquePose: the authors' `annotations.csv`.

The table has a line per picture; its column `keypoints` holds a JSON list of monkeys, each a list of points with a
`name` and a `position` [x, y], null where it is not labelled. It has no boxes; they are put round the points.
"""

import json
from pathlib import Path

import numpy as np

from ..category import plain_text
from ..errors import InputError
from . import coco
from .document import Labels
from .form import CHOICE, Form
from .reading import find_picture, number, read_table


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """Labels of the table, or of its COCO form (.json), where selection is that of `coco.read`."""
    if path.suffix.lower() == ".json":
        return coco.read(path, images, selection)
    head, *rows = read_table(path)
    for column in ("image file name", "keypoints"):
        if column not in head:
            raise InputError(f"{path} has no column {column!r}; MacaquePose's annotations.csv has it.")
    at = {name: i for i, name in enumerate(head)}
    monkeys: list[tuple[int, dict[str, tuple[float, float] | None]]] = []
    labels = Labels()
    for count, row in enumerate(rows, start=1):
        where = f"{path}: row {count} under the header"
        if len(row) != len(head):
            raise InputError(f"{where} has {len(row)} cells, but the header has {len(head)}.")
        name = row[at["image file name"]]
        image = labels.add_image(find_picture(images, [name, f"images/{name}"]))
        try:
            listed = json.loads(row[at["keypoints"]])
        except ValueError as error:
            raise InputError(f"{where}, column 'keypoints', is not valid JSON: {error}.") from error
        if not isinstance(listed, list) or not all(isinstance(points, list) for points in listed):
            raise InputError(f"{where}, column 'keypoints', must be a list of monkeys, each a list of points.")
        for points in listed:
            found: dict[str, tuple[float, float] | None] = {}
            for point in points:
                if not isinstance(point, dict) or not isinstance(point.get("name"), str):
                    raise InputError(f"{where}, column 'keypoints', has a point without a name: {str(point)[:40]!r}.")
                place = point.get("position")
                if place is not None and not (isinstance(place, list) and len(place) == 2):
                    raise InputError(f"{where}, point {point['name']!r}, must be at [x, y] or null, but got {place!r}.")
                x, y = (None, None) if place is None else (number(value, point["name"], where) for value in place)
                found[point["name"]] = None if place is None else (x, y)
            monkeys.append((image, found))
    names = list(dict.fromkeys(plain_text(name) for _, found in monkeys for name in found))
    kind = labels.add_category("macaque", names)
    for image, found in monkeys:
        plain = {plain_text(name): place for name, place in found.items()}
        places = [plain.get(name) for name in names]
        points = np.array([(np.nan, np.nan) if place is None else place for place in places], dtype=np.float64)
        visibility = np.array([0 if place is None else 2 for place in places], dtype=int)
        labels.add_object(image, kind, points.reshape(-1, 2), visibility)
    return labels


FORM = Form(read, "MacaquePose (the authors' .csv, or .json)", CHOICE)
