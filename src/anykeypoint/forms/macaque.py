"""MacaquePose: the authors' `annotations.csv`.

The table has one line per picture. Its column `keypoints` holds a JSON list of monkeys, each a list of points with a
`name` and a `position` [x, y] in image pixels, null where not labelled. Boxes are put round the points.

The authors give no test set. The usual one is the published macaque_train.json and macaque_test.json, in COCO's form:
12,500 pictures drawn at random, and the rest. Whoever has the table alone splits it by name: macaque/test:FILE.csv has
the HELD_OUT pictures whose names have the smallest SHA-256, macaque/train:FILE.csv all others.
"""

import hashlib
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

HELD_OUT = 500  # number of pictures of the table that "test" means
HALVES = ("train", "test")

Places = dict[str, tuple[float, float] | None]  # name of a point -> its place in image pixels


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """The labels of the table, or of a COCO file (.json) of the same data.

    selection: of the table "train" or "test" (see above), "" for all of it; of a COCO file that of `coco.read`.
    """
    if path.suffix.lower() == ".json":
        return coco.read(path, images, selection)
    head, *rows = read_table(path)
    for column in ("image file name", "keypoints"):
        if column not in head:
            raise InputError(f"{path} has no column {column!r}; MacaquePose's annotations.csv has it.")
    columns = {name: i for i, name in enumerate(head)}
    labels = Labels()
    whole: list[tuple[str, str, str]] = []  # name for errors, picture and cell of the points of each row
    for count, row in enumerate(rows, start=1):
        where = f"{path}: row {count} under the header"
        with labels.catching():
            if len(row) != len(head):
                raise InputError(f"{where} has {len(row)} cells, but the header has {len(head)}.")
            whole.append((where, row[columns["image file name"]], row[columns["keypoints"]]))
    chosen = _half([name for _, name, _ in whole], selection, path)
    monkeys: list[tuple[int, Places]] = []  # image id and points
    for where, name, cell in whole:
        if name in chosen:
            with labels.catching():
                found = _monkeys(cell, where)
                image = labels.add_image(find_picture(images, [name, f"images/{name}"]))
                monkeys += [(image, places) for places in found]
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


def _half(names: list[str], selection: str, path: Path) -> set[str]:
    """The pictures of the table that a selection means: those of "train" or "test", or all of them."""
    if selection not in ("", *HALVES):
        raise InputError(
            f"The table {path} is chosen from by {' or '.join(HALVES)}, as in macaque/test:FILE, but got {selection!r}."
        )
    pictures = set(names)
    if not selection:
        return pictures
    if len(pictures) <= HELD_OUT:
        raise InputError(
            f"{path} has {len(pictures)} pictures, too few to hold out {HELD_OUT}; give MacaquePose's whole table."
        )
    held = set(
        sorted(pictures, key=lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest())[:HELD_OUT]
    )
    return held if selection == "test" else pictures - held


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


FORM = LabelForm(read, "MacaquePose (the authors' .csv, or .json)", f"train or test of the .csv; of a .json {CHOICE}")
