"""MP-100 as the released code has it: which objects of a split file count, their boxes, and the pairs to score.

Frames as in data.coco. A kept object's `box` is the released code's clean box: moved, not cut, to begin inside the
picture, and one pixel short on each side. Categories are keyed by id, as two are called "face".
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..category import Category, plain_text
from ..errors import InputError
from ..geometry import Box
from ..library.lookup import MP100, category, mp100_categories
from . import dataset
from .dataset import CROWD, UNLABELLED, Dataset, Kept, Picture, Rules

PAIRS, CAPELLM = "pairs", "capellm"  # the two released loaders: the few-shot family's, and CapeLLM's and LocLLM's
SPLITS, ROLES = (1, 2, 3, 4, 5), ("train", "val", "test")
HELD_OUT = ("furniture", "human_body", "human_face", "vehicle")  # the cross-supercategory files: train and test
NO_BOX, NO_AREA, EMPTY_BOX, NONE_COUNTED = "no box", "area 0", "nothing of the box in the picture", "num_keypoints 0"


def annotation_file(root: str | Path, split: int | str, role: str) -> Path:
    """The file of a split (1 to 5; train, val, test) or of a held-out supercategory (HELD_OUT; train, test)."""
    if split in SPLITS and role in ROLES:
        return Path(root) / "annotations" / f"mp100_split{split}_{role}.json"
    if split in HELD_OUT and role in ("train", "test"):
        return Path(root) / "cross_category_annotations" / f"{split}_{role}.json"
    raise InputError(
        f"MP-100 has splits 1 to 5 with {', '.join(ROLES)}, and {', '.join(HELD_OUT)} held out with train, test, "
        f"but got split {split!r}, role {role!r}."
    )


def picture(root: str | Path, file_name: str) -> Path:
    """The picture: ROOT/images/<file_name>, or ROOT/<file_name> as CapeFormer has it; the first if in neither."""
    first, second = Path(root) / "images" / file_name, Path(root) / file_name
    return second if not os.path.isfile(first) and os.path.isfile(second) else first


def clean_box(box: Box, width: int, height: int) -> Box:
    """The released code's box: its corner moved inside the picture, its sides one pixel shorter and cut at the edge."""
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
) -> Dataset:
    """Read a split file and keep the objects that a released loader keeps; the others are counted in `skipped`.

    root: the folder of the pictures (see `picture`); None does not look for them.
    rules: "pairs" wants a box inside the picture with an area and num_keypoints above 0 (where stated), for training,
        pairs and single queries alike; "capellm" also keeps boxes without an area and num_keypoints 0, for its figures
        as published. Both keep an object whose points are all unlabelled if num_keypoints does not say so.
    official: take a box with a negative side as empty, as the released code does; else it is refused.
    A category that the file lists under MP-100's own id, name and number of points has the library's words, and the
    library's skeleton where the file has none. Skeletons count from 0.
    The objects come in the released order: by the file's pictures, then its annotations.
    Raises InputError for pictures that are missing, unless `allow_missing`, and for anything malformed.
    """
    path = Path(annotations)
    data = dataset.load_document(path)
    return from_document(data, path, root, rules=rules, official=official, allow_missing=allow_missing)


def from_document(
    data: Mapping[str, list],
    annotations: Path,
    root: str | Path | None = None,
    *,
    rules: str = PAIRS,
    official: bool = False,
    allow_missing: bool = False,
) -> Dataset:
    """What `read_mp100` makes of a document in memory. annotations: the file it came from, named in errors."""
    if rules not in (PAIRS, CAPELLM):
        raise InputError(f"The rules must be {PAIRS!r} or {CAPELLM!r}, but got {rules!r}.")
    ours = Rules(
        keep=partial(_keep, rules, official),
        category=_category,
        place=None if root is None else partial(picture, root),
        nowhere="" if root is None else f"under {Path(root) / 'images'} or {root}",
        from_zero=True,
        sized=True,
        by_picture=True,
    )
    return dataset.walk(data, annotations, ours, allow_missing)


# --- the rules -----------------------------------------------------------------------------------------------------


def _keep(rules: str, official: bool, entry: Mapping, picture: Picture, kind: Category, where: str) -> str | Kept:
    """The clean box, points and visibility of an annotation, or why it does not count."""
    if dataset.is_crowd(entry):
        return CROWD
    if entry.get("bbox") is None:
        return NO_BOX
    box = dataset.box_of(entry, where)
    if min(box[2:]) < 0 and not official:
        raise InputError(f"{where}, key 'bbox', has a negative side: {entry['bbox']}; correct it or remove the object.")
    if entry.get("keypoints") is None:
        return UNLABELLED
    points, visibility = dataset.keypoints_of(entry, kind, where)
    area = dataset.numbers_of([entry["area"]], "area", where)[0] if "area" in entry else None
    if area is not None and area <= 0:
        return NO_AREA
    clean = clean_box(box, *picture.size)
    if min(clean[2:]) < 0 or (rules == PAIRS and min(clean[2:]) == 0):
        return EMPTY_BOX
    if max(entry["keypoints"]) == 0:
        return UNLABELLED
    if rules == PAIRS and entry.get("num_keypoints") == 0:
        return NONE_COUNTED
    return clean, points, visibility, area


def _category(identity: int, name: str, labels: list[str], edges: tuple[tuple[int, int], ...]) -> Category:
    """The library's by its id, else the file's own."""
    known = _library(identity, name, len(labels))
    if known is not None:
        return replace(known, skeleton=edges or known.skeleton)
    if not labels:
        raise InputError(f"key 'keypoints' of {name!r} is empty; list the names of its points.")
    return dataset.own_category(name, labels, edges)


def _library(identity: int, name: str, points: int) -> Category | None:
    """MP-100's category of that id, if the file means it: the same name, and as many points where it lists them."""
    entry = mp100_categories().get(identity)
    if entry is None or plain_text(entry["name"]) != plain_text(name):
        return None
    known = category(f"{MP100}{identity}")
    return known if points in (0, len(known)) else None
