"""A label form in one file: a line `PICTURE x y x y ...` for each object, under a line `CATEGORY name name ...`.

A point that is not labelled is `- -`; a box is put round the points. It holds none of `losses.DETAILS`, so all that
labels have of these is said to be lost. The line that registers it is
`"toy": "toys.toy_form:FORM"` in `anykeypoint.forms.registry.FORMS`.
"""

from pathlib import Path

import numpy as np

from anykeypoint.errors import InputError
from anykeypoint.forms.dataset import Dataset
from anykeypoint.forms.document import Labels
from anykeypoint.forms.form import NOUN, LabelForm
from anykeypoint.forms.reading import number, read_text
from anykeypoint.forms.writing import picture_name, point_labels


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a file. word: the name of the category, in place of the file's."""
    head, *lines = read_text(path).splitlines()
    name, *points = head.split()
    labels = Labels()
    category = labels.add_category(word or name, points)
    for count, line in enumerate(lines, start=2):
        picture, *cells = line.split()
        if len(cells) != 2 * len(points):
            raise InputError(f"{path}: line {count} must have x and y of {len(points)} points, but got {line!r}.")
        values = [np.nan if cell == "-" else number(cell, picture, f"{path}: line {count}") for cell in cells]
        places = np.array(values).reshape(-1, 2)
        visibility = np.where(np.isfinite(places).all(axis=1), 2, 0)
        labels.add_object(labels.add_image(picture), category, places, visibility)
    return labels


def write(data: Dataset, images: Path) -> str:
    """The text of a file. A name in it is one word, so spaces of names become underscores."""
    category = data.objects[0].category
    if any(item.category is not category for item in data.objects):
        raise InputError("A toy file is for one category; choose one, as in coco/NAME:FILE.")
    lines = [" ".join([category.name, *(label.replace(" ", "_") for label in point_labels(category))])]
    for item in data.objects:
        cells = ["-" if np.isnan(value) else repr(value) for value in item.points.ravel().tolist()]
        lines.append(" ".join([picture_name(item, images), *cells]))
    return "\n".join([*lines, ""])


FORM = LabelForm(read, "the toy form of the tests (.toy)", NOUN, write=write, suffix=".toy")
