"""Labelled objects, and the walk from a COCO document to them: strict, naming file, key and annotation id in errors.

Frames: boxes are [x, y, w, h] and points (x, y), both in pixels of the upright picture, taken as written. The
visibility of a point is COCO's: 0 not labelled (its place becomes NaN here), 1 labelled but hidden, 2 visible.
K is the number of keypoints.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..category import Category, Keypoint, spoken
from ..errors import InputError
from ..geometry import Box
from ..library.lookup import lent
from .reading import leaves_folder

CROWD = "crowd"
UNLABELLED = "no labelled point"
NO_IMAGE = "image file missing"
_NAMED = 3  # number of missing pictures that an error names


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
class Dataset:
    """The usable objects of labels.

    objects: in the file's order, or in the order of its pictures where the form's rules say so.
    categories: all categories of the file by id, those without an object too.
    skipped: reason -> how many objects were left out for it.
    missing: the `file_name`s of pictures that usable objects need and the folder does not have.
    weights: source -> its share of the training samples, where data sets were joined; empty otherwise.
    """

    objects: list[LabelledObject]
    categories: dict[int, Category]
    skipped: dict[str, int]
    missing: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)


class Picture(NamedTuple):
    """An entry of `images`: its path as written, its group, and (width, height) where the rules require a size."""

    file_name: str
    group: str | None
    size: tuple[int, int] | None


Edges = tuple[tuple[int, int], ...]  # skeleton edges as pairs of 0-based indices
Kept = tuple[Box, np.ndarray, np.ndarray, float | None]  # box, points [K, 2], visibility [K], area


@dataclass(frozen=True)
class Rules:
    """How one loader reads a COCO document; `walk` is what all of them share.

    keep: (annotation, its picture, its category, its name for errors) -> what is kept of the object, or the reason why
        it does not count.
    category: (id, name, labels of the points, skeleton) -> the category, or None for one that no object may have.
    place: `file_name` -> path of the picture; None does not look for pictures, and paths are the file names.
    nowhere: where `place` looks, as the error about missing pictures says it.
    from_zero: skeletons always count from 0; otherwise the file's own numbers decide.
    sized: each picture must state its width and height.
    by_picture: objects come in the order of the pictures, and within one in the order of the annotations.
    """

    keep: Callable[[Mapping, Picture, Category, str], str | Kept]
    category: Callable[[int, str, list[str], Edges], Category | None]
    place: Callable[[str], Path] | None
    nowhere: str
    from_zero: bool = False
    sized: bool = False
    by_picture: bool = False


def walk(
    document: Mapping[str, list],
    annotations: Path,
    rules: Rules,
    allow_missing: bool = False,
    left_out: Mapping[str, int] | None = None,
) -> Dataset:
    """Every object of a COCO document that the rules keep; the others are counted by their reason.

    document: the lists `images`, `annotations` and `categories`.
    annotations: the file it came from, named in errors.
    rules: how to read it.
    allow_missing: leave out objects whose picture is missing; otherwise a missing picture is an error.
    left_out: reason -> how many entries the reader of the label form left out before.
    Raises InputError for anything malformed, and for missing pictures unless `allow_missing` is set.
    """
    pictures = _pictures(document["images"], annotations, rules.sized)
    categories = _categories(document["categories"], annotations, rules)
    skipped = Counter(left_out or {})
    kept: list[tuple[int, LabelledObject]] = []  # image id and object
    for entry, picture, category, where in _annotations(document["annotations"], annotations, pictures, categories):
        values = rules.keep(entry, picture, category, where)
        if isinstance(values, str):
            skipped[values] += 1
            continue
        box, points, visibility, area = values
        path, outline = Path(picture.file_name), entry.get("segmentation")
        labels = (box, points, visibility, picture.group, outline, area)
        kept.append((entry["image_id"], LabelledObject(entry["id"], path, entry["category_id"], category, *labels)))
    if rules.by_picture:
        order = {image_id: place for place, image_id in enumerate(pictures)}
        kept.sort(key=lambda pair: order[pair[0]])  # stable: the order of annotations stays within a picture
    if rules.place is None:
        return Dataset([item for _, item in kept], categories, dict(skipped))
    paths = {i: rules.place(pictures[i].file_name) for i in dict.fromkeys(image_id for image_id, _ in kept)}
    there = {i for i, path in paths.items() if os.path.isfile(path)}  # unlike Path.is_file, refuses no name
    missing = tuple(dict.fromkeys(pictures[i].file_name for i in paths if i not in there))
    if missing and not allow_missing:
        names = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
        raise InputError(
            f"{len(missing)} of the pictures that {annotations} needs are not {rules.nowhere} ({names}); "
            "give the right folder, or allow missing pictures to leave their objects out."
        )
    objects = [replace(item, image=paths[image_id]) for image_id, item in kept if image_id in there]
    if len(objects) < len(kept):
        skipped[NO_IMAGE] += len(kept) - len(objects)
    return Dataset(objects, categories, dict(skipped), missing)


def _annotations(
    entries: list, path: Path, pictures: Mapping[int, Picture], categories: Mapping[int, Category]
) -> Iterator[tuple[dict[str, Any], Picture, Category, str]]:
    """Each annotation with its picture, its category and its name for errors, once its ids have been checked."""
    known = set()
    for index, entry in enumerate(entries):
        where = entry_of(entry, f"{path}: annotations[{index}]")
        identity = _id(entry, "id", where)
        where = f"{path}: annotation {identity}"
        if identity in known:
            raise InputError(f"{where} appears twice; give every annotation its own id.")
        known.add(identity)
        image_id, category_id = _id(entry, "image_id", where), _id(entry, "category_id", where)
        if image_id not in pictures:
            raise InputError(
                f"{where} has image_id {image_id}, which is not under 'images'; add it or remove the object."
            )
        if category_id not in categories:
            raise InputError(
                f"{where} has category_id {category_id}, which 'categories' does not list with its 'keypoints'."
            )
        yield entry, pictures[image_id], categories[category_id], where


def without_descriptions(category: Category) -> Category:
    """The same category with names alone; InputError if two points differ by nothing but their descriptions."""
    return replace(category, keypoints=tuple(replace(point, description="") for point in category.keypoints))


# --- pictures and categories ---------------------------------------------------------------------------------------


def _pictures(entries: list, path: Path, sized: bool) -> dict[int, Picture]:
    pictures: dict[int, Picture] = {}
    for index, entry in enumerate(entries):
        where = entry_of(entry, f"{path}: images[{index}]")
        identity = _id(entry, "id", where)
        where = f"{path}: image {identity}"
        if identity in pictures:
            raise InputError(f"{where} appears twice; give every image its own id.")
        name = entry.get("file_name")
        if not isinstance(name, str) or not name:
            raise InputError(f"{where}, key 'file_name', must be a file's path, but got {name!r}.")
        if leaves_folder(name):
            raise InputError(f"{where}, key 'file_name', leaves the images folder: {name!r}; use a path inside it.")
        group = entry.get("group")
        size = (entry.get("width"), entry.get("height")) if sized else None
        if size is not None and not all(type(side) is int and side > 0 for side in size):
            raise InputError(
                f"{where}, keys 'width' and 'height', must be whole numbers above 0, but got {list(size)}."
            )
        pictures[identity] = Picture(name, None if group is None else str(group), size)  # type: ignore[arg-type]
    return pictures


def _categories(entries: list, path: Path, rules: Rules) -> dict[int, Category]:
    parsed: dict[int, tuple[str, list[str], list[list[int]]]] = {}
    pairs: dict[int, Edges] = {}  # of the categories whose entry has them
    for index, entry in enumerate(entries):
        where = entry_of(entry, f"{path}: categories[{index}]")
        identity = _id(entry, "id", where)
        where = f"{path}: category {identity}"
        if identity in parsed:
            raise InputError(f"{where} appears twice; give every category its own id.")
        name, labels, skeleton = entry.get("name"), entry.get("keypoints"), entry.get("skeleton") or []
        labels = [] if labels is None else labels
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{where}, key 'name', must be a text, but got {name!r}.")
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise InputError(f"{where} ({name}), key 'keypoints', must be a list of names.")
        if not isinstance(skeleton, list) or not all(_is_edge(edge) for edge in skeleton):
            raise InputError(f"{where} ({name}), key 'skeleton', must be a list of pairs of whole numbers.")
        parsed[identity] = (name, labels, skeleton)
        if (mirrored := entry.get("pairs")) is not None:
            if not isinstance(mirrored, list) or not all(_is_edge(pair) for pair in mirrored):
                raise InputError(f"{where} ({name}), key 'pairs', must be a list of pairs of whole numbers.")
            pairs[identity] = tuple((a, b) for a, b in mirrored)
    base = 0 if rules.from_zero else _skeleton_base(parsed, path)
    categories = {}
    for identity, (name, labels, skeleton) in parsed.items():
        try:
            known = rules.category(identity, name, labels, tuple((a - base, b - base) for a, b in skeleton))
            if known is not None and identity in pairs:
                known = replace(known, pairs=pairs[identity])
        except InputError as error:
            raise InputError(f"{path}: category {identity}: {error}") from error
        if known is not None:
            categories[identity] = known
    return categories


def own_category(name: str, labels: list[str], edges: Edges) -> Category:
    """A category from its entry in a file.

    name, labels, edges: as the entry has them, the skeleton counted from 0.
    Where the library knows points with these labels in this order, it lends their names, descriptions and pairs;
    otherwise the points are called by their labels. The noun is the category's name (see `lookup.lent`).
    """
    known = lent(name, labels)
    if known is not None:
        return replace(known, name=name, skeleton=edges or known.skeleton)
    keypoints = []
    for label in labels:
        plain = spoken(label)
        keypoints.append(Keypoint(plain, label=label if label != plain else ""))
    return Category(name, tuple(keypoints), edges, noun=spoken(name))


def _skeleton_base(parsed: dict[int, tuple[str, list[str], list[list[int]]]], path: Path) -> int:
    """The index of the first keypoint in the file's skeletons, 0 or 1.

    COCO counts from 1, MP-100 and many others from 0, and a file does not say which. It counts from 1 if an index
    reaches its category's number of keypoints and none is 0.
    """
    from_one = from_zero = None
    for identity, (_, labels, skeleton) in parsed.items():
        if not labels:
            continue
        indices = [index for edge in skeleton for index in edge]
        if any(index == len(labels) for index in indices):
            from_one = identity
        if any(index == 0 for index in indices):
            from_zero = identity
    if from_one is not None and from_zero is not None:
        raise InputError(
            f"{path}, key 'skeleton': category {from_zero} counts keypoints from 0 but category {from_one} reaches its "
            "number of keypoints, so counts from 1; use one way in the file."
        )
    return 1 if from_one is not None else 0


# --- objects -------------------------------------------------------------------------------------------------------


def is_crowd(entry: Mapping) -> bool:
    """Whether an annotation marks a crowd (`iscrowd`), whose members are not labelled one by one."""
    return entry.get("iscrowd", 0) not in (0, False)


def keypoints_of(entry: Mapping, category: Category, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The points [K, 2] of an annotation in image pixels, NaN where not labelled, and their visibility [K]."""
    values = entry.get("keypoints")
    if not isinstance(values, list) or len(values) != 3 * len(category):
        got = f"{len(values)} numbers" if isinstance(values, list) else repr(values)
        raise InputError(
            f"{where}, key 'keypoints', must hold 3 numbers for each of the {len(category)} keypoints of "
            f"{category.name!r}, but got {got}."
        )
    table = np.array(numbers_of(values, "keypoints", where)).reshape(-1, 3)
    if not np.isin(table[:, 2], (0, 1, 2)).all():
        odd = table[~np.isin(table[:, 2], (0, 1, 2)), 2][0]
        raise InputError(f"{where}, key 'keypoints', has the visibility {odd:g}; it must be 0, 1 or 2.")
    visibility = table[:, 2].astype(int)
    return np.where(visibility[:, None] > 0, table[:, :2], np.nan), visibility


def box_of(entry: Mapping, where: str) -> Box:
    """The box of an annotation as written: x, y, w, h, four finite numbers."""
    values = entry.get("bbox")
    if not isinstance(values, list) or len(values) != 4:
        raise InputError(f"{where}, key 'bbox', must be four numbers [x, y, w, h], but got {values!r}.")
    x, y, w, h = numbers_of(values, "bbox", where)
    return x, y, w, h


def numbers_of(values: list, key: str, where: str) -> list[float]:
    """The values as floats; InputError, naming `key`, for one that is no finite number."""
    numbers = []
    for value in values:
        try:
            number = float(value) if type(value) in (int, float) else math.nan
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise InputError(f"{where}, key {key!r}, must hold finite numbers, but has {str(value)[:40]!r}.")
        numbers.append(number)
    return numbers


def entry_of(entry: Any, where: str) -> str:
    """`where`, once it is sure that the entry is a JSON object."""
    if not isinstance(entry, dict):
        raise InputError(f"{where} must be a JSON object, but got {str(entry)[:40]!r}.")
    return where


def _id(entry: Mapping, key: str, where: str) -> int:
    value = entry.get(key)
    if type(value) is not int:
        raise InputError(f"{where}, key {key!r}, must be a whole number, but got {value!r}.")
    return value


def _is_edge(edge: Any) -> bool:
    return isinstance(edge, list) and len(edge) == 2 and all(type(index) is int for index in edge)
