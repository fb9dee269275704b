"""OneHand10K in its authors' form: Train/label_joint.txt and Test/label_joint.txt, each beside its pictures in source/.

A line is `picture,width,height,hands,x1,y1,...,x21,y21` in image pixels; a point that is not labelled is -1,-1.
"""

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..library.lookup import category as library_category
from .document import Labels
from .form import LabelForm
from .reading import number, read_text
from .writing import point_labels

_BEFORE = 4  # number of cells before the points


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a file, with the names of the library's hand, whose points are in the same order.

    Boxes are put round the points; MP-100 and the usual conversions take the boxes of the masks instead.
    """
    hand = library_category("human_hand")
    labels = Labels()
    kind = labels.add_category("hand", point_labels(hand), hand.skeleton)
    for count, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            with labels.catching():
                _add_line(labels, kind, len(hand), line, f"{path}: line {count}")
    return labels


def _add_line(labels: Labels, kind: int, points: int, line: str, where: str) -> None:
    """Add the hand of a line. kind, points: the hand's category and number of points; where: the line, for errors."""
    cells = line.strip().rstrip(",").split(",")
    if len(cells) != _BEFORE + 2 * points:
        raise InputError(
            f"{where} must be a picture, its width and height, a number of hands and x and y of {points} "
            f"points, but has {len(cells)} values."
        )
    width, height = (int(number(cell, key, where)) for cell, key in zip(cells[1:3], ("width", "height"), strict=True))
    places = np.array([number(cell, "point", where) for cell in cells[_BEFORE:]]).reshape(-1, 2)
    labelled = (places != -1).all(axis=1)
    image = labels.add_image(cells[0].strip(), width=width, height=height)
    labels.add_object(image, kind, places, np.where(labelled, 2, 0))


def pictures(path: Path) -> Path:
    """The folder of the pictures: `source` beside the file."""
    return path.parent / "source"


FORM = LabelForm(read, "OneHand10K (label_joint.txt)", pictures=pictures)
