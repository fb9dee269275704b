"""A folder of `.pts` files, one per face: AnimalWeb (9 points), and 300W in its authors' form (68 points).

A file has `version: 1`, `n_points: K`, then K lines `x y` between braces, in image pixels.
"""

import re
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..images import SUFFIXES
from ..library.lookup import category as library_category
from .document import Labels
from .form import NOUN, LabelForm
from .reading import files_below, find_picture, read_text
from .writing import point_labels

FIRST = 1  # number of the first pixel of a row and of a column in .pts files
_FACES = {9: "animal_face", 68: "human_face"}  # number of points -> definition of the library


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of all .pts files in a folder and below it.

    path: the folder.
    images: the picture of a label file has the same relative path in this folder, with a picture's suffix.
    word: the name of the category. By default it is the file's name without its number, which gives the names of
        MP-100 (camel_12.pts: camel_face).
    The files count pixels from 1, as Matlab does, so 1 is taken off, and that is noted. Points get the names of the
    library's definition with as many points; boxes are put round them.
    """
    if not path.is_dir():
        raise InputError(f"There is no folder {path}; give the folder with the .pts files.")
    files = files_below(path, "**/*.pts")
    if not files:
        raise InputError(f"There is no .pts file in {path}; give the folder with the labels.")
    labels = Labels()
    kinds: dict[tuple[str, int], int] = {}
    for file in files:
        with labels.catching():
            points = _points(file)
            if len(points) not in _FACES:
                raise InputError(f"{file} has {len(points)} points; known are {', '.join(map(str, _FACES))}, of faces.")
            known = library_category(_FACES[len(points)])
            species = re.sub(r"[\s_-]*\d*$", "", file.stem)
            kind = word or (f"{species}_face" if len(points) == 9 and species else known.name)
            key = (kind, len(points))
            if key not in kinds:
                kinds[key] = labels.add_category(kind, point_labels(known), known.skeleton)
            stem = file.relative_to(path).with_suffix("").as_posix()
            names = [stem + suffix for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES))]
            image = labels.add_image(find_picture(images, names))
            labels.add_object(image, kinds[key], points - FIRST, np.full(len(points), 2))
    labels.notes.append(f"{path}: places in .pts files count from {FIRST}, so {FIRST} pixel was taken off x and y.")
    return labels


def _points(file: Path) -> np.ndarray:
    """The points [K, 2] of a .pts file, as written there; InputError if the file is anything else."""
    match = re.fullmatch(r"\s*version:\s*\d+\s*n_points:\s*(\d+)\s*\{([^{}]*)\}\s*", read_text(file))
    if match is None:
        raise InputError(f"{file} is not a .pts file: 'version: 1', 'n_points: K', then K lines 'x y' between braces.")
    try:
        points = np.array([[float(part) for part in line.split()] for line in match[2].strip().splitlines()])
    except ValueError:
        points = np.full((1, 1), np.nan)
    if points.shape != (int(match[1]), 2) or not np.isfinite(points).all():
        raise InputError(f"{file} must hold {match[1]} lines of two finite numbers, as its n_points says.")
    return points


FORM = LabelForm(read, "a folder of .pts files (AnimalWeb, 300W)", NOUN, pictures=lambda path: path)
