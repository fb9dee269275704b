"""MP-100's own files, read as its released loaders read them: which objects of a split count, and their boxes.

Frames as in `dataset`. The box of a kept object is the released code's clean box: moved, not cut, to begin inside the
picture, and one pixel short on each side. Categories are known by their ids, because two are called "face".

The word of a specification names the rules (pairs, which is the default, or capellm) and any of: categories, groups of
them, ids, and definitions of the library, as in mp100/capellm,person:FILE. An id or a definition tells the two
categories called "face" apart: mp100/18 (amur_tiger_body) and mp100/40 (human_face). The word without-hand leaves
out the hands, whose labels do not fit the pictures that OneHand10K gives out; `skipped` counts them.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..category import Category, plain_text
from ..errors import InputError
from ..geometry import Box
from ..library.lookup import MP100, category, mp100_categories
from . import walk
from .dataset import CROWD, UNLABELLED, Dataset, check_faults
from .document import Labels, json_objects, load_document
from .form import LabelForm
from .selecting import own_names, select
from .walk import Edges, Kept, Picture, Rules

PAIRS, CAPELLM = "pairs", "capellm"  # the two released loaders: of the few-shot family, and of CapeLLM and LocLLM
WITHOUT_HAND = "without-hand"  # leaves out the category whose labels do not fit its pictures
UNFITTING = "hand, whose labels do not fit the pictures"
SPLITS, ROLES = (1, 2, 3, 4, 5), ("train", "val", "test")
HELD_OUT = ("furniture", "human_body", "human_face", "vehicle")  # supercategories with files for train and test
FOLDERS = ("annotations", "cross_category_annotations")  # where the files of the splits and of HELD_OUT are
NO_BOX, NO_AREA, EMPTY_BOX, NONE_COUNTED = "no box", "area 0", "nothing of the box in the picture", "num_keypoints 0"


# --- the label form ------------------------------------------------------------------------------------------------


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of the categories that the word names, of all if it names none.

    images: the folder of the pictures, or the one above whose folder `images` has them.
    """
    labels = Labels.of(load_document(path))
    _, chosen = _split_word(word)
    if chosen:
        labels = select(labels, chosen, path, _names)
    for entry in labels.images:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if isinstance(name, str) and name:
            place = picture(images, name)
            if place != images / name and os.path.isfile(place):
                entry["file_name"] = place.relative_to(images).as_posix()
    return labels


def interpret(
    document: Mapping[str, list], path: Path, images: Path, word: str, allow_missing: bool, official: bool
) -> Dataset:
    """`from_document` by the rules that the word names."""
    rules, _ = _split_word(word)
    kept = _without_hand(document) if WITHOUT_HAND in _parts(word) else document
    data = from_document(kept, path, images, rules=rules, official=official, allow_missing=allow_missing)
    left_out = len(document["annotations"]) - len(kept["annotations"])
    return replace(data, skipped={**data.skipped, UNFITTING: left_out}) if left_out else data


def _without_hand(document: Mapping[str, list]) -> dict[str, list]:
    """The document without the category hand and its objects."""
    names = {entry.get("id"): plain_text(str(entry.get("name"))) for entry in json_objects(document["categories"])}
    hands = {identity for identity, name in names.items() if name in ("hand", "human hand")}
    return {
        **document,
        "categories": [entry for entry in json_objects(document["categories"]) if entry.get("id") not in hands],
        "annotations": [e for e in json_objects(document["annotations"]) if e.get("category_id") not in hands],
    }


def root(path: Path) -> Path | None:
    """ROOT of ROOT/annotations/FILE or ROOT/cross_category_annotations/FILE; None for a file elsewhere."""
    folder = path.absolute().parent
    return folder.parent if folder.name in FOLDERS else None


def _split_word(word: str) -> tuple[str, str]:
    """The rules that the word names, and what else it holds."""
    parts = _parts(word)
    rules = [part for part in parts if part in (PAIRS, CAPELLM)]
    if len(rules) > 1:
        raise InputError(f"MP-100 is read by one set of rules, {PAIRS} or {CAPELLM}, but got mp100/{word}; name one.")
    return (rules or [PAIRS])[0], ",".join(part for part in parts if part not in (*rules, WITHOUT_HAND))


def _parts(word: str) -> list[str]:
    return [part.strip() for part in word.split(",") if part.strip()]


def _names(entry: Mapping[str, Any]) -> set[str]:
    """What a category may be chosen by: its name, its group, its id, and its definition in the library."""
    names = own_names(entry) | {str(entry.get("id"))}
    known = _meant(entry)
    if known is not None:
        names.add(plain_text(known["definition"]))
    return names


def supercategory(entry: Mapping[str, Any]) -> str:
    """The benchmark's supercategory of an entry of `categories`, such as "human_face"; "" where it is unknown.

    It is that of the library where the entry is MP-100's own, as the files' `supercategory` has other names (a human
    face is called a face, and birds are a group of their own). Otherwise it is the file's.
    """
    known = _meant(entry)
    return known["supercategory"] if known is not None else str(entry.get("supercategory") or "")


def _meant(entry: Mapping[str, Any]) -> Mapping[str, str] | None:
    """What the library has of the category that an entry means: one of MP-100's ids under MP-100's name."""
    known = mp100_categories().get(entry["id"]) if type(entry.get("id")) is int else None
    same = known is not None and plain_text(known["name"]) == plain_text(str(entry.get("name")))
    return known if same else None


# --- reading as released -------------------------------------------------------------------------------------------


def annotation_file(root: str | Path, split: int | str, role: str) -> Path:
    """The label file of a part of the benchmark.

    root: the folder of the benchmark.
    split: 1 to 5, or a held-out supercategory (HELD_OUT).
    role: train, val or test; a held-out supercategory has train and test.
    """
    if split in SPLITS and role in ROLES:
        return Path(root) / FOLDERS[0] / f"mp100_split{split}_{role}.json"
    if split in HELD_OUT and role in ("train", "test"):
        return Path(root) / FOLDERS[1] / f"{split}_{role}.json"
    raise InputError(
        f"MP-100 has splits 1 to 5 with {', '.join(ROLES)}, and {', '.join(HELD_OUT)} held out with train, test, "
        f"but got split {split!r}, role {role!r}."
    )


def picture(root: str | Path, file_name: str) -> Path:
    """The path of a picture: ROOT/images/FILE_NAME, or ROOT/FILE_NAME as CapeFormer has it; the first by default."""
    first, second = Path(root) / "images" / file_name, Path(root) / file_name
    return second if not os.path.isfile(first) and os.path.isfile(second) else first


def clean_box(box: Box, width: int, height: int) -> Box:
    """The box as the released code has it: its corner moved inside the picture, its sides one pixel shorter and cut.

    box: x, y, w, h in image pixels.
    width, height: of the picture, in pixels.
    """
    x, y, w, h = box
    left, top = max(0, x), max(0, y)
    right, bottom = min(width - 1, left + max(0, w - 1)), min(height - 1, top + max(0, h - 1))
    return left, top, right - left, bottom - top


def read_mp100(
    annotations: str | Path,
    root: str | Path | None = None,
    *,
    rules: str = PAIRS,
    official: bool = False,
    allow_missing: bool = False,
    strict: bool = False,
) -> Dataset:
    """The objects of a split file that a released loader keeps; the others are counted in `skipped`.

    root: the folder of the pictures (see `picture`); None does not look for them.
    rules: "pairs" wants a box inside the picture with an area and num_keypoints above 0 (where stated), for training,
        pairs and single queries alike; "capellm" also keeps boxes without an area and num_keypoints 0, for its figures
        as published. Both keep an object whose points are all unlabelled if num_keypoints does not say so.
    official: take a box with a negative side as empty, as the released code does; otherwise it is refused.
    allow_missing: leave out objects whose picture is missing; otherwise a missing picture is an error.
    strict: refuse a file with a fault.

    A category that the file lists under MP-100's own id, name and number of points has the library's names and
    descriptions, and the library's skeleton where the file has none. Skeletons count from 0.
    The objects come in the released order: by the file's pictures, then its annotations.
    What is malformed is left out, with a sentence in `faults`.
    """
    path = Path(annotations)
    document = load_document(path)
    data = from_document(document, path, root, rules=rules, official=official, allow_missing=allow_missing)
    check_faults(data.faults, strict, left=bool(data.objects))
    return data


def from_document(
    document: Mapping[str, list],
    annotations: Path,
    root: str | Path | None = None,
    *,
    rules: str = PAIRS,
    official: bool = False,
    allow_missing: bool = False,
) -> Dataset:
    """What `read_mp100` gives, of a document in memory. annotations: the file it came from, named in errors."""
    if rules not in (PAIRS, CAPELLM):
        raise InputError(f"The rules must be {PAIRS!r} or {CAPELLM!r}, but got {rules!r}.")
    released = Rules(
        keep=partial(_keep, rules, official),
        category=_category,
        place=None if root is None else partial(picture, root),
        nowhere="" if root is None else f"under {Path(root) / 'images'} or {root}",
        from_zero=True,
        sized=True,
        by_picture=True,
    )
    return walk.walk(document, annotations, released, allow_missing)


def _keep(rules: str, official: bool, entry: Mapping, picture: Picture, kind: Category, where: str) -> str | Kept:
    """The clean box, points, visibility and area of an annotation, or the reason why it does not count."""
    if walk.is_crowd(entry, where):
        return CROWD
    if entry.get("bbox") is None:
        return NO_BOX
    box = walk.box_of(entry, where)
    if min(box[2:]) < 0 and not official:
        raise InputError(f"{where}, key 'bbox', has a negative side: {entry['bbox']}; correct it or remove the object.")
    if entry.get("keypoints") is None:
        return UNLABELLED
    points, visibility = walk.keypoints_of(entry, kind.name, len(kind), where)
    area = walk.numbers_of([entry["area"]], "area", where)[0] if "area" in entry else None
    if area is not None and area <= 0:
        return NO_AREA
    clean = clean_box(box, *picture.size)
    if min(clean[2:]) < 0 or (rules == PAIRS and min(clean[2:]) == 0):
        return EMPTY_BOX
    if box[2] == box[3] == 0:
        raise InputError(f"{where}, key 'bbox', has neither width nor height: {entry['bbox']}; correct or remove it.")
    if max(entry["keypoints"]) == 0:
        return UNLABELLED
    if rules == PAIRS and entry.get("num_keypoints") == 0:
        return NONE_COUNTED
    return clean, points, visibility, area


def _category(identity: int, name: str, labels: list[str], edges: Edges) -> Category:
    """The library's category of that id where the file means it, otherwise one of the file's own words."""
    known = library_category(identity, name, len(labels))
    if known is not None:
        return replace(known, skeleton=edges or known.skeleton)
    if not labels:
        raise InputError(f"key 'keypoints' of {name!r} is empty; list the names of its points.")
    return walk.own_category(name, labels, edges)


def library_category(identity: int, name: str, points: int) -> Category | None:
    """MP-100's category of that id, if the file means it: the same name, and as many points where it lists them."""
    entry = mp100_categories().get(identity)
    if entry is None or plain_text(entry["name"]) != plain_text(name):
        return None
    known = category(f"{MP100}{identity}")
    return known if points in (0, len(known)) else None


FORM = LabelForm(
    read,
    "MP-100 by the released rules (.json)",
    "pairs or capellm, the rules, without-hand, and categories or groups, parted by commas",
    pictures=root,
    interpret=interpret,
)
