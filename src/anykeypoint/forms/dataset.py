"""COCO-keypoints JSON, read strictly: what is wrong is named with its file, key and annotation id.

Frames: boxes are [x, y, w, h] and points (x, y), both in pixels of the picture, taken as written. `v` is 0 for a point
that is not labelled (it becomes NaN here), 1 for labelled but hidden, 2 for visible. Nothing is written to disk.
"""

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np

from ..category import Category, Keypoint, spoken
from ..errors import InputError
from ..geometry import Box
from ..library.lookup import described

MAX_BYTES = 2 << 30  # the largest public file of the format has a quarter of this

CROWD = "crowd"
UNLABELLED = "no labelled point"
NO_IMAGE = "image file missing"
_SHOWN = 3  # missing pictures that a sentence names


@dataclass(frozen=True)
class LabelledObject:
    """One object of a data set with its labels.

    image: the picture's path. box: [x, y, w, h] in image pixels.
    points: (K, 2) float64 in image pixels, NaN where not labelled. visibility: (K,) 0, 1 or 2 as in COCO.
    group: the video, person or session the picture belongs to, where the file says so (`images[].group`).
    segmentation: the object's outline as the file has it, unread (see data.outlines); None where there is none.
    area: the object's own in the file, in square pixels (COCO's is that of the outline, and what OKS asks for); None
        where the file has none.
    source: which of the data sets that were put together it is from (`joint:FILE`), "" where there is one.
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


@dataclass(frozen=True)
class Dataset:
    """The usable objects in the file's order, all its categories by id, and how many objects were left out and why.

    missing: the `file_name`s of pictures that usable objects need and the folder does not have.
    weights: of data sets that were put together, each source's share of the draws; empty where there is one.
    """

    objects: list[LabelledObject]
    categories: dict[int, Category]
    skipped: dict[str, int]
    missing: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)


class Picture(NamedTuple):
    """An entry of `images`: its path as the file has it, its group, and its size where the rules ask for one."""

    file_name: str
    group: str | None
    size: tuple[int, int] | None


Kept = tuple[Box, np.ndarray, np.ndarray, float | None]  # box, points (K, 2), visibility (K,), area


@dataclass(frozen=True)
class Rules:
    """What tells one way of reading a COCO document from another; `walk` is the way that they share.

    keep: what an object's entry gives, or the reason why the object does not count. Its picture, its category and how
        to name it in an error are told to it.
    category: the category of an id, a name, the points' labels and a skeleton; None for one that no object may have.
    place: the path of a picture by its `file_name`; None does not look for pictures, their paths are the names.
    nowhere: where `place` looks, for the sentence about pictures that are not there.
    from_zero: whether skeletons always count from 0. sized: whether each picture must state its width and height.
    by_picture: whether the objects come in the order of the pictures, and of the annotations within one.
    """

    keep: Callable[[Mapping, Picture, Category, str], str | Kept]
    category: Callable[[int, str, list[str], tuple[tuple[int, int], ...]], Category | None]
    place: Callable[[str], Path] | None
    nowhere: str
    from_zero: bool = False
    sized: bool = False
    by_picture: bool = False


def read_coco(annotations: str | Path, images: str | Path, allow_missing: bool = False) -> Dataset:
    """Read a COCO-keypoints file whose `file_name`s are relative to the folder `images`.

    A category whose ordered keypoint labels are in the library takes the library's names, descriptions, noun and pairs;
    any other keeps its own labels, with the category's name as noun. Skeletons become 0-based: a file is 1-based when
    an index reaches the number of keypoints and none is 0.
    Crowds and objects without a labelled point are left out and counted in `skipped`; so are objects whose picture is
    missing if `allow_missing` is set. Raises InputError for a missing picture otherwise, and for anything malformed.
    """
    return from_document(load_document(annotations), Path(annotations), Path(images), allow_missing)


def from_document(
    data: Mapping[str, list],
    annotations: Path,
    images: Path,
    allow_missing: bool = False,
    left_out: Mapping[str, int] | None = None,
) -> Dataset:
    """What `read_coco` makes of a COCO document in memory; every other format is turned into one first.

    annotations: the file it came from, named in errors. left_out: what its reader already left out, by reason.
    """
    rules = Rules(_keep, _category, images.joinpath, f"in {images}")
    return walk(data, annotations, rules, allow_missing, left_out)


def walk(
    data: Mapping[str, list],
    annotations: Path,
    rules: Rules,
    allow_missing: bool = False,
    left_out: Mapping[str, int] | None = None,
) -> Dataset:
    """Every object of a COCO document that the rules keep, the others counted by their reason.

    Raises InputError for what is malformed, and for missing pictures unless `allow_missing` is set.
    """
    pictures = _pictures(data["images"], annotations, rules.sized)
    categories = _categories(data["categories"], annotations, rules)
    found: list[tuple[int, LabelledObject]] = []
    skipped = Counter(left_out or {})
    seen = set()
    for index, entry in enumerate(data["annotations"]):
        where = entry_of(entry, f"{annotations}: annotations[{index}]")
        identity = _id(entry, "id", where)
        where = f"{annotations}: annotation {identity}"
        if identity in seen:
            raise InputError(f"{where} appears twice; give every annotation its own id.")
        seen.add(identity)
        image_id, category_id = _id(entry, "image_id", where), _id(entry, "category_id", where)
        if image_id not in pictures:
            raise InputError(
                f"{where} has image_id {image_id}, which is not under 'images'; add it or remove the object."
            )
        if category_id not in categories:
            raise InputError(
                f"{where} has category_id {category_id}, which 'categories' does not list with its 'keypoints'."
            )
        picture, category = pictures[image_id], categories[category_id]
        kept = rules.keep(entry, picture, category, where)
        if isinstance(kept, str):
            skipped[kept] += 1
            continue
        box, points, visibility, area = kept
        outline, path = entry.get("segmentation"), Path(picture.file_name)
        item = LabelledObject(
            identity, path, category_id, category, box, points, visibility, picture.group, outline, area
        )
        found.append((image_id, item))
    if rules.by_picture:
        order = {image_id: place for place, image_id in enumerate(pictures)}
        found.sort(key=lambda pair: order[pair[0]])  # which keeps the annotations' order within a picture
    objects, missing = [item for _, item in found], {}
    if rules.place is not None:
        places = {i: rules.place(pictures[i].file_name) for i in dict.fromkeys(image_id for image_id, _ in found)}
        there = {i for i, place in places.items() if os.path.isfile(place)}  # which, unlike Path's own, refuses no name
        missing = {pictures[i].file_name: None for i in places if i not in there}
        objects = [replace(item, image=places[image_id]) for image_id, item in found if image_id in there]
        if len(objects) < len(found):
            skipped[NO_IMAGE] += len(found) - len(objects)
    if missing and not allow_missing:
        names = ", ".join([*missing][:_SHOWN]) + (" ..." if len(missing) > _SHOWN else "")
        raise InputError(
            f"{len(missing)} of the pictures that {annotations} needs are not {rules.nowhere} ({names}); "
            "give the right folder, or allow missing pictures to leave their objects out."
        )
    return Dataset(objects, categories, dict(skipped), tuple(missing))


def without_descriptions(category: Category) -> Category:
    """The same category with names alone; InputError where only the descriptions told two points apart."""
    return replace(category, keypoints=tuple(replace(point, description="") for point in category.keypoints))


def load_document(annotations: str | Path) -> dict[str, Any]:
    """The JSON object of a COCO file, with its three lists; what they hold is not looked at.

    Raises InputError if the file cannot be read, is too large, is not JSON or lacks one of the lists.
    """
    path = Path(annotations)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES >> 30} GiB; split the annotations into several files.")
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"Cannot read the annotations {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not valid JSON: {str(error).splitlines()[0]}.") from error
    if not isinstance(data, dict):
        raise InputError(
            f"{path} must hold a JSON object with images, annotations and categories, not a list or value."
        )
    for key in ("images", "annotations", "categories"):
        if not isinstance(data.get(key), list):
            raise InputError(f"{path} has no list under {key!r}; a COCO file has images, annotations and categories.")
    return data


def leaves_folder(name: str) -> bool:
    """Does a file name, read as POSIX or Windows has it, lead out of the folder it is relative to?"""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    return ".." in {*posix.parts, *windows.parts} or posix.is_absolute() or bool(windows.anchor)


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
    base = 0 if rules.from_zero else _skeleton_base(parsed, path)
    categories = {}
    for identity, (name, labels, skeleton) in parsed.items():
        try:
            known = rules.category(identity, name, labels, tuple((a - base, b - base) for a, b in skeleton))
        except InputError as error:
            raise InputError(f"{path}: category {identity}: {error}") from error
        if known is not None:
            categories[identity] = known
    return categories


def _category(_: int, name: str, labels: list[str], edges: tuple[tuple[int, int], ...]) -> Category | None:
    """COCO's rule: None for a category without points, which is one of detection."""
    return own_category(name, labels, edges) if labels else None


def own_category(name: str, labels: list[str], edges: tuple[tuple[int, int], ...]) -> Category:
    """A category with the library's words where it knows the labels, else with the labels themselves."""
    known = described(name, labels)
    if known is not None:
        return replace(known, name=name, skeleton=edges or known.skeleton)
    keypoints = []
    for label in labels:
        plain = spoken(label)
        keypoints.append(Keypoint(plain, label=label if label != plain else ""))
    return Category(name, tuple(keypoints), edges, noun=name.replace("_", " "))


def _skeleton_base(parsed: dict[int, tuple[str, list[str], list[list[int]]]], path: Path) -> int:
    """0 or 1: COCO itself counts from 1, MP-100 and many others from 0, and the file does not say."""
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


def _keep(entry: Mapping, _: Picture, category: Category, where: str) -> str | Kept:
    """COCO's rule: an object that is no crowd and has a labelled point, with its box as written."""
    if is_crowd(entry):
        return CROWD
    points, visibility = keypoints_of(entry, category, where)
    if not visibility.any():
        return UNLABELLED
    box = box_of(entry, where)
    if min(box[2:]) <= 0:
        raise InputError(f"{where}, key 'bbox', must have a width and height above 0, but got {entry['bbox']}.")
    area = None if entry.get("area") is None else numbers_of([entry["area"]], "area", where)[0]
    if area is not None and area < 0:
        raise InputError(f"{where}, key 'area', must not be below 0, but got {area:g}.")
    return box, points, visibility, area


def is_crowd(entry: Mapping) -> bool:
    return entry.get("iscrowd", 0) not in (0, False)


def keypoints_of(entry: Mapping, category: Category, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(K, 2) points in image pixels, NaN where not labelled, and (K,) visibility 0, 1 or 2."""
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
    """x, y, w, h as written: four finite numbers."""
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
