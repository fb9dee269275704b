"""The walk from a COCO document to labelled objects: strict, with file, key and annotation id in each fault.

What cannot be used is left out and costs nothing else: every fault is a sentence in `Dataset.faults`, and an object is
left out with it. Frames and the letter K as in `dataset`.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..category import Category, Keypoint, spoken
from ..errors import InputError
from ..geometry import LARGEST, Box
from ..library.lookup import lent
from .category_entry import CategoryEntry, category_entry, usable_edges
from .dataset import LISTED_TWICE, NO_IMAGE, POINTLESS, UNREADABLE, Dataset, LabelledObject
from .reading import catching, is_finite, leaves_folder, picture_key, whole_number
from .skeletons import guess_note, skeleton_bases, stated_base

_NAMED = 3  # number of missing pictures that an error names


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
    from_zero: skeletons count from 0 where the file does not say it; otherwise its own numbers decide.
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


def walk(document: Mapping[str, Any], annotations: Path, rules: Rules, allow_missing: bool = False) -> Dataset:
    """Every object of a COCO document that the rules keep; the others are counted by their reason.

    document: the lists `images`, `annotations` and `categories`, and perhaps `info`.
    annotations: the file it came from, named in errors.
    rules: how to read it.
    allow_missing: leave out objects whose picture is missing; otherwise a missing picture is an error.
    Entries that cannot be used are left out with their objects (see `Dataset.faults`). Raises InputError for missing
    pictures unless `allow_missing` is set, and for skeletons that count from both 0 and 1.
    """
    faults: list[str] = []
    pictures = _pictures(document["images"], annotations, rules, faults)
    categories = _categories(document["categories"], annotations, rules, _bases(document, annotations, rules), faults)
    pointless = _pointless(document["categories"], categories)
    skipped: Counter[str] = Counter()
    kept: list[tuple[int, LabelledObject]] = []  # image id and object
    known: set[int] = set()  # ids of annotations so far
    listed, notes = _Listed(), []
    for index, entry in enumerate(document["annotations"]):
        before = len(faults)
        with catching(faults):
            entry, where = _checked(entry, f"{annotations}: annotations[{index}]", annotations, known)
            if entry["category_id"] in pointless and not entry.get("keypoints"):
                skipped[POINTLESS] += 1
                continue
            picture, category = _owners(entry, where, pictures, categories)
            if picture is None or category is None:  # the fault of its picture or category is a sentence already
                skipped[UNREADABLE] += 1
                continue
            values = rules.keep(entry, picture, category, where)
            if isinstance(values, str):
                skipped[values] += 1
                continue
            box, points, visibility, area = values
            if not rules.by_picture and listed.again(entry["image_id"], picture, category, points, box):
                skipped[LISTED_TWICE] += 1
                continue
            labels = (box, points, visibility, picture.group, _outline(entry, where, notes), area)
            item = LabelledObject(entry["id"], Path(picture.file_name), entry["category_id"], category, *labels)
            item = replace(item, **_answers(entry, visibility, where))
            kept.append((entry["image_id"], item))
        skipped[UNREADABLE] += len(faults) - before
    note = None if rules.from_zero else guess_note(document, annotations)
    notes = (*notes, *(() if note is None else (note,)))
    skipped += Counter()  # drops reasons without an object
    used = {identity: category for identity, category in categories.items() if category is not None}
    if rules.by_picture:
        order = {image_id: place for place, image_id in enumerate(pictures)}
        kept.sort(key=lambda pair: order[pair[0]])  # stable: the order of annotations stays within a picture
    if rules.place is None:
        return Dataset([item for _, item in kept], used, dict(skipped), faults=tuple(faults), notes=notes)
    names = {i: picture.file_name for i, picture in pictures.items() if picture is not None}
    paths = {i: rules.place(names[i]) for i in dict.fromkeys(image_id for image_id, _ in kept)}
    there = {i for i, path in paths.items() if os.path.isfile(path)}  # unlike Path.is_file, refuses no name
    missing = tuple(dict.fromkeys(names[i] for i in paths if i not in there))
    if missing and not allow_missing:
        listed = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
        raise InputError(
            f"{len(missing)} of the pictures that {annotations} needs are not {rules.nowhere} ({listed}); "
            "give the right folder, or allow missing pictures to leave their objects out."
        )
    objects = [replace(item, image=paths[image_id]) for image_id, item in kept if image_id in there]
    if len(objects) < len(kept):
        skipped[NO_IMAGE] += len(kept) - len(objects)
    empty = _empty(document, names, rules.place)
    return Dataset(objects, used, dict(skipped), missing, faults=tuple(faults), notes=notes, empty=empty)


class _Listed:
    """The objects so far, to find those of a picture that is listed twice, with the same labels under each id."""

    def __init__(self) -> None:
        self._images: dict[tuple, int] = {}  # picture, category, points and box -> id of the entry of the picture

    def again(self, image_id: int, picture: Picture, category: Category, points: np.ndarray, box: Box) -> bool:
        """Whether another entry of the picture has this very object."""
        key = (picture.file_name, category.name, points.tobytes(), box)
        return self._images.setdefault(key, image_id) != image_id


def _empty(document: Mapping[str, list], names: Mapping[int, str], place: Callable[[str], Path]) -> tuple[Path, ...]:
    """The paths of the pictures that no annotation names, where they are there. names: id -> `file_name`."""
    entries = (entry for entry in document["annotations"] if isinstance(entry, dict))
    used = {whole_number(entry.get("image_id")) for entry in entries}
    paths = (place(name) for identity, name in names.items() if identity not in used)
    return tuple(path for path in paths if os.path.isfile(path))


def _checked(entry: Any, where: str, path: Path, known: set[int]) -> tuple[dict[str, Any], str]:
    """An annotation with whole numbers as ids, and its name for errors; its id is added to those `known`."""
    entry_of(entry, where)
    identity = _id(entry, "id", where)
    where = f"{path}: annotation {identity}"
    if identity in known:
        raise InputError(f"{where} appears twice; give every annotation its own id.")
    known.add(identity)
    ids = {"image_id": _id(entry, "image_id", where), "category_id": _id(entry, "category_id", where)}
    return {**entry, "id": identity, **ids}, where


def _owners(
    entry: Mapping, where: str, pictures: Mapping[int, Picture | None], categories: Mapping[int, Category | None]
) -> tuple[Picture | None, Category | None]:
    """The picture and the category of an annotation; None for one with a fault of its own."""
    image_id, category_id = entry["image_id"], entry["category_id"]
    if image_id not in pictures:
        raise InputError(f"{where} has image_id {image_id}, which is not under 'images'; add it or remove the object.")
    if category_id not in categories:
        raise InputError(
            f"{where} has category_id {category_id}, which 'categories' does not list with its 'keypoints'."
        )
    return pictures[image_id], categories[category_id]


# --- pictures and categories ---------------------------------------------------------------------------------------


def _pictures(entries: list, path: Path, rules: Rules, faults: list[str]) -> dict[int, Picture | None]:
    """The pictures by id; None for one that cannot be used, which is a sentence in `faults`.

    A picture that is listed under several ids is one picture, by the name and group of its first entry.
    """
    pictures: dict[int, Picture | None] = {}
    same: dict[str, Picture] = {}  # by `picture_key`, of the file where it is known
    for index, entry in enumerate(entries):
        with catching(faults):
            where = entry_of(entry, f"{path}: images[{index}]")
            identity = _id(entry, "id", where)
            where = f"{path}: image {identity}"
            before, again = pictures.get(identity), identity in pictures
            pictures[identity] = None  # until it is sure to be good
            if again:
                names = "" if before is None else f", as {before.file_name} and {str(entry.get('file_name'))[:200]}"
                raise InputError(f"{where} appears twice{names}; give every image its own id.")
            picture = _picture(entry, where, rules.sized)
            name = picture.file_name if rules.place is None else rules.place(picture.file_name).as_posix()
            first = same.setdefault(picture_key(name), picture)
            pictures[identity] = picture if rules.by_picture else first
    return pictures


def _picture(entry: Mapping, where: str, sized: bool) -> Picture:
    """An entry of `images`, checked. sized: its width and height must be stated."""
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}, key 'file_name', must be a file's path, but got {name!r}.")
    if leaves_folder(name):
        raise InputError(f"{where}, key 'file_name', leaves the images folder: {name!r}; use a path inside it.")
    group = entry.get("group")
    size = (entry.get("width"), entry.get("height")) if sized else None
    if size is not None and not all(type(side) is int and side > 0 for side in size):
        raise InputError(f"{where}, keys 'width' and 'height', must be whole numbers above 0, but got {list(size)}.")
    return Picture(name, None if group is None else str(group), size)  # type: ignore[arg-type]


def _bases(document: Mapping[str, Any], path: Path, rules: Rules) -> Mapping[int, int]:
    """Id of each category with a skeleton -> the index of its first keypoint, which must be the same for all."""
    if rules.from_zero and stated_base(document) is None:
        return {}
    found = skeleton_bases(document)
    if found.mixed:
        raise InputError(
            f"{path}, key 'skeleton': category {found.mixed[0]} counts keypoints from 0 but category {found.mixed[1]} "
            "reaches its number of keypoints, so counts from 1; use one way in the file."
        )
    return found.by_category


def _categories(
    entries: list, path: Path, rules: Rules, bases: Mapping[int, int], faults: list[str]
) -> dict[int, Category | None]:
    """The categories by id; None for one that cannot be used, which is a sentence in `faults`."""
    parsed: dict[int, CategoryEntry | None] = {}
    for index, entry in enumerate(entries):
        with catching(faults):
            where = entry_of(entry, f"{path}: categories[{index}]")
            identity = _id(entry, "id", where)
            where = f"{path}: category {identity}"
            again = identity in parsed
            parsed[identity] = None  # until it is sure to be good
            if again:
                raise InputError(f"{where} appears twice; give every category its own id.")
            parsed[identity] = category_entry(entry, where)
    categories: dict[int, Category | None] = {}
    for identity, one in parsed.items():
        if one is None:
            categories[identity] = None
            continue
        edges, odd = usable_edges(one, bases.get(identity, 0), f"{path}: category {identity}")
        faults += odd
        try:
            known = rules.category(identity, one.name, one.labels, edges)
            if known is not None:
                known = replace(known, keypoints=_described(known, one.descriptions), **one.sides)
        except InputError as error:
            faults.append(f"{path}: category {identity}: {error}")
            categories[identity] = None
            continue
        if known is not None:
            categories[identity] = known
    return categories


def _described(category: Category, descriptions: tuple[str, ...]) -> tuple[Keypoint, ...]:
    """A category's keypoints with the descriptions of the file, which come before those of the library."""
    if not descriptions:
        return category.keypoints
    return tuple(replace(point, description=text) for point, text in zip(category.keypoints, descriptions, strict=True))


def _pointless(entries: list, categories: Mapping[int, Category | None]) -> set[int | None]:
    """The ids of categories that are sound and have no keypoints: those of a detector. categories: all others."""
    ids = {whole_number(entry.get("id")) for entry in entries if isinstance(entry, dict) and not entry.get("keypoints")}
    return ids - {None, *categories}


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


# --- objects -------------------------------------------------------------------------------------------------------


def is_crowd(entry: Mapping, where: str) -> bool:
    """Whether an annotation marks a crowd (`iscrowd`), whose members are not labelled one by one."""
    return is_flag(entry, "iscrowd", where)


def is_flag(entry: Mapping, key: str, where: str) -> bool:
    """Whether a flag of an annotation is set; null and a missing key are 0, and InputError for anything but 0 and 1."""
    value = entry.get(key)
    if value is not None and not (isinstance(value, bool | int | float) and value in (0, 1)):
        raise InputError(f"{where}, key {key!r}, must be 0 or 1, but got {str(value)[:40]!r}.")
    return bool(value)


def keypoints_of(entry: Mapping, kind: str, count: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Points [K, 2] of an annotation in image pixels, NaN where not labelled, and visibility [K]; K is `count`."""
    values = entry.get("keypoints")
    if isinstance(values, list) and values and all(isinstance(row, list) and len(row) == 3 for row in values):
        values = [value for row in values for value in row]  # rows [x, y, v] have one meaning
    if not isinstance(values, list) or len(values) != 3 * count:
        got = f"{len(values)} numbers" if isinstance(values, list) else repr(values)
        raise InputError(
            f"{where}, key 'keypoints', must hold 3 numbers for each of the {count} keypoints of {kind!r}, "
            f"but got {got}."
        )
    table = np.array(numbers_of(values, "keypoints", where, LARGEST)).reshape(-1, 3)
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
    x, y, w, h = numbers_of(values, "bbox", where, LARGEST)
    return x, y, w, h


def numbers_of(values: list, key: str, where: str, most: float = math.inf) -> list[float]:
    """The values as floats; InputError, naming `key`, for one that is no finite number or lies beyond `most`."""
    numbers = []
    for value in values:
        try:
            number = float(value) if type(value) in (int, float) else math.nan
        except OverflowError:
            number = math.inf
        if not math.isfinite(number) or abs(number) > most:
            kind = f"finite numbers{'' if most == math.inf else f' of at most {most:.0e}'}"
            raise InputError(f"{where}, key {key!r}, must hold {kind}, but has {str(value)[:40]!r}.")
        numbers.append(number)
    return numbers


def entry_of(entry: Any, where: str) -> str:
    """`where`, once it is sure that the entry is a JSON object."""
    if not isinstance(entry, dict):
        raise InputError(f"{where} must be a JSON object, but got {str(entry)[:40]!r}.")
    return where


def _outline(entry: Mapping, where: str, notes: list[str]) -> Any:
    """What an annotation has under `segmentation`; None, which is noted, where a number in it is none."""
    outline = entry.get("segmentation")
    if is_finite(outline):
        return outline
    notes.append(f"{where}, key 'segmentation', has a number that is not finite; the object counts as without outline.")
    return None


def _answers(entry: Mapping, visibility: np.ndarray, where: str) -> dict[str, Any]:
    """The fields of an object that files of a model's answers have, and the scale; those that are null are left out.

    visibility: of its K points. One that is not labelled has no confidence, as it has no place.
    """
    found: dict[str, Any] = {}
    points = len(visibility)
    if (values := entry.get("keypoint_confidence")) is not None:
        if not isinstance(values, list) or len(values) != points:
            raise InputError(f"{where}, key 'keypoint_confidence', must hold a number for each of {points} keypoints.")
        known = [value for value in values if value is not None]
        numbers = iter(numbers_of(known, "keypoint_confidence", where))
        confidence = np.array([math.nan if value is None else next(numbers) for value in values])
        found["confidence"] = np.where(visibility > 0, confidence, math.nan)
    for key in ("score", "box_score", "scale"):
        if entry.get(key) is not None:
            found[key] = numbers_of([entry[key]], key, where)[0]
    if isinstance(entry.get("box_word"), str):
        found["box_word"] = entry["box_word"]
    return found


def _id(entry: Mapping, key: str, where: str) -> int:
    value = whole_number(entry.get(key))
    if value is None:
        raise InputError(f"{where}, key {key!r}, must be a whole number, but got {entry.get(key)!r}.")
    return value
