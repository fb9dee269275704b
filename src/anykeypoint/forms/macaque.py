"""MacaquePose: the authors' `annotations.csv`.

The table has one line per picture. Its column `keypoints` holds a JSON list of monkeys, each a list of points with a
`name` and a `position` [x, y] in image pixels, null where not labelled. Boxes are put round the points.
"""

import json
from pathlib import Path

import numpy as np

from ..category import plain_text
from ..errors import InputError
from ..library.lookup import category as library_category
from . import coco
from .document import Labels
from .form import CHOICE, LabelForm
from .reading import find_picture, number, read_table
from .writing import point_labels

_MACAQUE = "macaque_body"  # definition of the library that has MacaquePose's points

Places = dict[str, tuple[float, float] | None]  # name of a point -> its place in image pixels


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """The labels of the table, or of a COCO file (.json) of the same data, where selection is that of `coco.read`."""
    if path.suffix.lower() == ".json":
        return coco.read(path, images, selection)
    head, *rows = read_table(path)
    for column in ("image file name", "keypoints"):
        if column not in head:
            raise InputError(f"{path} has no column {column!r}; MacaquePose's annotations.csv has it.")
    columns = {name: i for i, name in enumerate(head)}
    monkeys: list[tuple[int, Places]] = []  # image id and points
    labels = Labels()
    for count, row in enumerate(rows, start=1):
        where = f"{path}: row {count} under the header"
        if len(row) != len(head):
            raise InputError(f"{where} has {len(row)} cells, but the header has {len(head)}.")
        name = row[columns["image file name"]]
        image = labels.add_image(find_picture(images, [name, f"images/{name}"]))
        monkeys += [(image, places) for places in _monkeys(row[columns["keypoints"]], where)]
    names = list(dict.fromkeys(plain_text(name) for _, places in monkeys for name in places))
    known = point_labels(library_category(_MACAQUE))
    if {plain_text(name) for name in known} == set(names):  # the table's cells list the points in any order
        names = [plain_text(name) for name in known]
    kind = labels.add_category("macaque", names)
    for image, places in monkeys:
        plain = {plain_text(name): place for name, place in places.items()}
        in_order = [plain.get(name) for name in names]
        points = np.array([(np.nan, np.nan) if place is None else place for place in in_order], dtype=np.float64)
        visibility = np.array([0 if place is None else 2 for place in in_order], dtype=int)
        labels.add_object(image, kind, points.reshape(-1, 2), visibility)
    return labels


def _monkeys(cell: str, where: str) -> list[Places]:
    """The monkeys in a cell of the column `keypoints`. where: the row, named in errors."""
    try:
        listed = json.loads(cell)
    except ValueError as error:
        raise InputError(f"{where}, column 'keypoints', is not valid JSON: {error}.") from error
    if not isinstance(listed, list) or not all(isinstance(points, list) for points in listed):
        raise InputError(f"{where}, column 'keypoints', must be a list of monkeys, each a list of points.")
    monkeys = []
    for points in listed:
        places: Places = {}
        for point in points:
            if not isinstance(point, dict) or not isinstance(point.get("name"), str):
                raise InputError(f"{where}, column 'keypoints', has a point without a name: {str(point)[:40]!r}.")
            name, place = point["name"], point.get("position")
            if place is not None and not (isinstance(place, list) and len(place) == 2):
                raise InputError(f"{where}, point {name!r}, must be at [x, y] or null, but got {place!r}.")
            places[name] = None if place is None else (number(place[0], name, where), number(place[1], name, where))
        monkeys.append(places)
    return monkeys


FORM = LabelForm(read, "MacaquePose (the authors' .csv, or .json)", CHOICE)
