"""CarFusion in its authors' form: each sequence has a folder `gt` with one text file per picture.

SEQUENCE/gt/CAMERA_FRAME.txt has one line per point, `x,y,point,car,visibility`: the point is 1 to 14, the car is its
number in the picture, and the visibility is 0 not labelled, 1 visible, 2 hidden, or 3, which the authors' own
conversion takes as visible. The picture is SEQUENCE/images_jpg/CAMERA_FRAME.jpg (or SEQUENCE/images/...).
"""

from pathlib import Path

import numpy as np

from ..category import plain_text
from ..configs.checks import near_names
from ..errors import InputError
from ..library.lookup import category as library_category
from .document import Labels
from .form import LabelForm
from .reading import files_below, find_picture, number, read_text
from .writing import point_labels

_COLUMNS = ("x", "y", "point", "car", "visibility")
_CAR = "field_05_car"  # definition of the library whose points are in CarFusion's order
_VISIBILITY = {0: 0, 1: 2, 2: 1, 3: 2}  # CarFusion's number -> COCO's
SIZE = (1920, 1080)  # width and height of every picture, in pixels
TWICE = "lines of a point that a later line gives again"


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of all sequences in a folder and below it.

    path: the folder.
    word: names of sequences, separated by commas, as in carfusion/car_penn1:DIR; "" takes all.
    Points outside the picture count as not labelled, as in the authors' conversion; unlike there, places are not
    rounded, and boxes are put round the points. A sequence is one group, because its cameras film the same cars.
    """
    labels = Labels()
    car = library_category(_CAR)
    kind = labels.add_category("car", point_labels(car), car.skeleton)
    for file in files(path, word):
        sequence = file.parent.parent
        stems = [(sequence / folder / f"{file.stem}.jpg").relative_to(path) for folder in ("images_jpg", "images")]
        cars: dict[int, np.ndarray] = {}
        with labels.catching():  # all cars of a picture, since a line that cannot be read may belong to any of them
            for count, line in enumerate(read_text(file).splitlines(), start=1):
                if line.strip():
                    _add_point(cars, line, f"{file}: line {count}", len(car), labels)
            if cars:
                name = find_picture(images, [stem.as_posix() for stem in stems])
                image = labels.add_image(name, group=sequence.name)
                for table in cars.values():
                    labels.add_object(image, kind, table[:, :2], table[:, 2].astype(int))
    return labels


def files(path: Path, word: str) -> list[Path]:
    """The label files of the sequences that the word names, of all if it names none."""
    listed = files_below(path, "**/gt/*.txt")
    if not listed:
        raise InputError(f"{path} has no folder gt with .txt files; give the folder with CarFusion's sequences.")
    wanted = {plain_text(part) for part in word.split(",") if part.strip()}
    names = {plain_text(file.parent.parent.name) for file in listed}
    if unknown := sorted(wanted - names):
        near = near_names(unknown[0], names)
        raise InputError(f"{path} has no sequence {unknown[0]!r}{near}; there are {', '.join(sorted(names))}.")
    return [file for file in listed if not wanted or plain_text(file.parent.parent.name) in wanted]


def _add_point(cars: dict[int, np.ndarray], line: str, where: str, points: int, labels: Labels) -> None:
    """Put the point of a line into the table of its car.

    cars: number of the car -> [points, 3] x, y and visibility, changed in place.
    line, where: the line, and its name for errors.
    points: number of points of a car.
    labels: counts points that are given twice.
    """
    cells = line.split(",")
    if len(cells) != 5:
        raise InputError(f"{where} must be 'x,y,point,car,visibility', but is {line[:40]!r}.")
    x, y, point, car, code = (number(cell, key, where) for cell, key in zip(cells, _COLUMNS, strict=True))
    if point not in range(1, points + 1) or not car.is_integer() or code not in _VISIBILITY:
        raise InputError(
            f"{where} must have a point from 1 to {points}, a whole number for the car and a visibility from 0 to 3, "
            f"but is {line[:40]!r}."
        )
    table = cars.setdefault(int(car), np.zeros((points, 3)))
    if table[int(point) - 1].any():
        labels.leave_out(TWICE)
    inside = 0 < x <= SIZE[0] and 0 < y <= SIZE[1]
    table[int(point) - 1] = x, y, _VISIBILITY[int(code)] if inside else 0


FORM = LabelForm(
    read,
    "CarFusion (its folder of sequences)",
    "sequences, parted by commas",
    pictures=lambda path: path,
    files=files,
)
