"""Labelled objects, and the data set that holds them: what every label form is read into.

Frames: boxes are [x, y, w, h] and points (x, y), both in pixels of the upright picture, taken as written. The
visibility of a point is COCO's: 0 not labelled (its place becomes NaN here), 1 labelled but hidden, 2 visible.
K is the number of keypoints.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..errors import InputError
from ..geometry import Box
from ..io import common_folder

CROWD = "crowd"
IGNORED = "marked as to be ignored"
UNLABELLED = "no labelled point"
POINTLESS = "of a category without keypoints"
NO_IMAGE = "image file missing"
LISTED_TWICE = "the same object of a picture that is listed twice"
UNREADABLE = "cannot be used as written"  # each with a sentence in `Dataset.faults`, or by a fault of its picture


@dataclass(frozen=True)
class LabelledObject:
    """One object of a data set with its labels.

    id: of its annotation, unique in the data set.
    image: path of its picture.
    category_id, category: what it is, by its id in the file and in words.
    box: [x, y, w, h] in image pixels.
    points: [K, 2] float64 in image pixels, NaN where not labelled.
    visibility: [K] int, 0, 1 or 2 as in COCO.
    group: the video, person or session that the picture belongs to, where the file names one (`images[].group`).
    segmentation: the object's outline as the file has it, not parsed (see `outlines`); None where there is none.
    area: the object's area in square pixels, where the file has it (in COCO that of the outline, which OKS uses).
    source: name of the data set it is from, where several were joined (`joint:FILE`); "" otherwise.
    confidence: [K] float64, of the points, where the file holds a model's answers; NaN where unknown.
    score: of the whole object, where the file holds a model's answers.
    box_score, box_word: of the detector that found the box, and the word it was asked for, where there was one.
    scale: the length of a pixel in the unit that the file measures in (`SCALE` of TPS); None where it does not.
    """

    id: int
    image: Path
    category_id: int
    category: Category
    box: Box
    points: np.ndarray
    visibility: np.ndarray
    group: str | None
    segmentation: Any = None
    area: float | None = None
    source: str = ""
    confidence: np.ndarray | None = None
    score: float | None = None
    box_score: float | None = None
    box_word: str = ""
    scale: float | None = None


@dataclass(frozen=True)
class ListedPair:
    """A pair that a data set lists itself, as benchmarks of correspondence do.

    example, query: ids of its two objects; what is marked in the example is looked for in the query.
    points: indices of the keypoints that the pair is scored on.
    """

    example: int
    query: int
    points: tuple[int, ...]


@dataclass(frozen=True)
class Dataset:
    """The usable objects of labels.

    objects: in the file's order, or in the order of its pictures where the form's rules say so.
    categories: all categories of the file by id, those without an object too.
    skipped: reason -> how many objects were left out for it.
    faults: a sentence for each thing in the labels that cannot be used, with its file and place; its objects are left
        out and counted in `skipped` under UNREADABLE.
    missing: the `file_name`s of pictures that usable objects need and the folder does not have.
    weights: source -> its share of the training samples, where data sets were joined; empty otherwise.
    supplied: a sentence for each thing that the labels lack and the reader supplied, such as boxes; a strict reading
        refuses it.
    notes: a sentence for each thing that the user should know of how the labels were read.
    empty: paths of the pictures that the labels list without an object, where they are there.
    model: name of the model whose answers the labels are, where the file states it; "" otherwise.
    pairs: those that the data set lists itself, in its order.
    """

    objects: list[LabelledObject]
    categories: dict[int, Category]
    skipped: dict[str, int]
    missing: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    supplied: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    empty: tuple[Path, ...] = ()
    model: str = ""
    pairs: tuple[ListedPair, ...] = ()


def without_descriptions(category: Category) -> Category:
    """The same category with names alone; InputError if two points differ by nothing but their descriptions."""
    return replace(category, keypoints=tuple(replace(point, description="") for point in category.keypoints))


def picture_names(objects: Sequence[LabelledObject]) -> list[str]:
    """The names of the objects' pictures for reports: their paths from the folder that all of them are below.

    Whole paths where the pictures lie on several drives.
    """
    if not objects:
        return []
    paths = [os.path.abspath(item.image) for item in objects]  # joined data may mix absolute and relative ones
    folder = common_folder([os.path.dirname(path) for path in paths])
    return [Path(path if folder is None else os.path.relpath(path, folder)).as_posix() for path in paths]


def label_lines(objects: Sequence[LabelledObject], categories: Mapping[int, Category]) -> Iterator[bytes]:
    """Lines for a hash of labels: each object with its picture, box and points, and each category in its words.

    The folder that the pictures lie in has no part in it, so that data may be moved.
    """
    for item, name in zip(objects, picture_names(objects), strict=True):
        row = [item.id, item.category_id, name, item.box, np.nan_to_num(item.points, nan=-1e9).tolist()]
        yield json.dumps(row).encode()
    for key in sorted(categories):
        yield json.dumps([key, categories[key].to_dict()]).encode()


def check_faults(faults: Sequence[str], strict: bool, left: bool = True) -> None:
    """Raise InputError with the first of the faults where they forbid to use the labels.

    faults: as in `Dataset.faults`.
    strict: any fault forbids it; otherwise faults do only where no object is left.
    left: whether an object is left.
    """
    if faults and (strict or not left):
        more = len(faults) - 1
        also = f", and there are {more} more faults; `data check` lists all." if more else "."
        raise InputError(faults[0].removesuffix(".") + also)
