"""CUB-200-2011 in its authors' form: a folder of text files with one fact per line.

images.txt (id, file), classes.txt (id, species), image_class_labels.txt (image, class), bounding_boxes.txt (image, x,
y, w, h), parts/parts.txt (id, name) and parts/part_locs.txt (image, part, x, y, visible); places in image pixels.
"""

from pathlib import Path

import numpy as np

from ..category import plain_text
from ..errors import InputError
from .document import Labels
from .form import LabelForm
from .reading import number, read_text
from .selecting import split_names


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """The labels of the folder.

    path: the folder, whose folder `images` has the pictures.
    selection: species, or kinds of bird, which are the last word of a species' name (Grebe), separated by commas.
    Parts that are not visible have no place in the files and count as not labelled.
    """
    if not (path / "parts" / "part_locs.txt").is_file():
        raise InputError(f"{path} has no parts/part_locs.txt; give the folder CUB_200_2011.")
    files, species = _facts(path / "images.txt"), _facts(path / "classes.txt")
    kinds, boxes = _facts(path / "image_class_labels.txt"), _facts(path / "bounding_boxes.txt")
    parts = _facts(path / "parts" / "parts.txt")
    order = {identity: i for i, identity in enumerate(parts)}
    wanted = split_names(selection)
    labels = Labels()
    chosen: dict[str, int] = {}  # id of a species -> its category
    for identity, name in species.items():
        plain = plain_text(name.split(".", 1)[-1])
        if not wanted or wanted & {plain, plain.rsplit(" ", 1)[-1]}:
            chosen[identity] = labels.add_category(plain, list(parts.values()))
    if not chosen:
        raise InputError(f"{path} has no species {selection!r}; names are as in classes.txt, kinds their last word.")
    points = {key: np.full((len(parts), 2), np.nan) for key in files if kinds.get(key) in chosen}
    file = path / "parts" / "part_locs.txt"
    for count, line in enumerate(read_text(file).splitlines(), start=1):
        cells = line.split()
        where = f"{file}: line {count}"
        before = len(labels.faults)
        with labels.catching():
            if len(cells) != 5 or cells[1] not in order or cells[0] not in files:
                raise InputError(f"{where} must be a picture's id, a part's id, x, y and 0 or 1, but is {line[:40]!r}.")
            if cells[4] != "0" and cells[0] in points:
                points[cells[0]][order[cells[1]]] = number(cells[2], "x", where), number(cells[3], "y", where)
        if len(labels.faults) > before and cells:
            points.pop(cells[0], None)  # the bird lacks a point that the line may hold
    for key, places in points.items():
        where = f"{path / 'bounding_boxes.txt'}: picture {key}"
        with labels.catching():
            box = [number(value, "box", where) for value in boxes.get(key, "").split()]
            if len(box) != 4:
                raise InputError(f"{where} must have a box x y w h, but has {boxes.get(key, '')!r}.")
            visibility = np.where(np.isfinite(places[:, 0]), 2, 0)
            labels.add_object(labels.add_image(files[key]), chosen[kinds[key]], places, visibility, box)
    return labels


def _facts(path: Path) -> dict[str, str]:
    """A file's facts: the id that begins a line -> the rest of the line."""
    facts = {}
    for count, line in enumerate(read_text(path).splitlines(), start=1):
        key, _, rest = line.strip().partition(" ")
        if not rest or key in facts:
            raise InputError(
                f"{path}: line {count} must be an id of its own and what it stands for, but is {line[:40]!r}."
            )
        facts[key] = rest.strip()
    return facts


FORM = LabelForm(
    read,
    "CUB-200-2011 (its folder)",
    "species or kinds of bird, parted by commas",
    pictures=lambda path: path / "images",
)
