"""MP-100 as the released code has it: which objects of a split file count, their boxes, and the pairs to score.

Frames as in data.coco. A kept object's `box` is the released code's clean box: moved, not cut, to begin inside the
picture, and one pixel short on each side. Categories are keyed by id, as two are called "face".
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..category import MP100, Category, category, mp100_categories, plain_text
from ..errors import InputError
from ..geometry import Box
from . import coco
from .coco import CROWD, NO_IMAGE, UNLABELLED, Dataset, LabelledObject

PAIRS, CAPELLM = "pairs", "capellm"  # the two released loaders: the few-shot family's, and CapeLLM's and LocLLM's
SPLITS, ROLES = (1, 2, 3, 4, 5), ("train", "val", "test")
HELD_OUT = ("furniture", "human_body", "human_face", "vehicle")  # the cross-supercategory files: train and test
NO_BOX, NO_AREA, EMPTY_BOX, NONE_COUNTED = "no box", "area 0", "nothing of the box in the picture", "num_keypoints 0"
_SHOWN = 3  # missing pictures named in a sentence


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
    return second if not first.is_file() and second.is_file() else first


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
    if rules not in (PAIRS, CAPELLM):
        raise InputError(f"The rules must be {PAIRS!r} or {CAPELLM!r}, but got {rules!r}.")
    path = Path(annotations)
    data = coco.load_document(path)
    files = coco._image_files(data["images"], path)
    sizes = {entry["id"]: _size(entry, f"{path}: image {entry['id']}") for entry in data["images"]}
    categories = _categories(data["categories"], path)
    found: dict[int, list[LabelledObject]] = {identity: [] for identity in files}  # by picture, in the file's order
    skipped: Counter[str] = Counter()
    seen = set()
    for index, entry in enumerate(data["annotations"]):
        where = coco._entry(entry, f"{path}: annotations[{index}]")
        identity = coco._id(entry, "id", where)
        where = f"{path}: annotation {identity}"
        if identity in seen:
            raise InputError(f"{where} appears twice; give every annotation its own id.")
        seen.add(identity)
        image_id, category_id = coco._id(entry, "image_id", where), coco._id(entry, "category_id", where)
        if image_id not in files:
            raise InputError(f"{where} has image_id {image_id}, which is not under 'images'; add it or remove it.")
        if category_id not in categories:
            raise InputError(f"{where} has category_id {category_id}, which is not under 'categories'; add it there.")
        kept = _kept(entry, categories[category_id], sizes[image_id], rules, official, where)
        if isinstance(kept, str):
            skipped[kept] += 1
            continue
        box, points, visibility = kept
        file_name, group = files[image_id]
        item = LabelledObject(
            identity, Path(file_name), category_id, categories[category_id], box, points, visibility, group
        )
        found[image_id].append(item)
    objects, missing = [], []
    for image_id, items in found.items():
        if not items:
            continue
        place = files[image_id][0] if root is None else picture(root, files[image_id][0])
        if root is not None and not place.is_file():
            missing.append(files[image_id][0])
            skipped[NO_IMAGE] += len(items)
            continue
        objects += [replace(item, image=Path(place)) for item in items]
    if missing and not allow_missing:
        names = ", ".join(missing[:_SHOWN]) + (" ..." if len(missing) > _SHOWN else "")
        raise InputError(
            f"{len(missing)} of the pictures that {path} needs are neither under {Path(root) / 'images'} nor {root} "
            f"({names}); get them, or allow missing pictures to leave their objects out."
        )
    return Dataset(objects, categories, dict(skipped), tuple(missing))


# --- reading -------------------------------------------------------------------------------------------------------


def _kept(
    entry: dict, kind: Category, size: tuple[int, int], rules: str, official: bool, where: str
) -> str | tuple[Box, np.ndarray, np.ndarray]:
    """The clean box, points and visibility of an annotation, or why it does not count."""
    if entry.get("iscrowd", 0) not in (0, False):
        return CROWD
    if entry.get("bbox") is None:
        return NO_BOX
    box = entry["bbox"]
    if not isinstance(box, list) or len(box) != 4:
        raise InputError(f"{where}, key 'bbox', must be four numbers [x, y, w, h], but got {box!r}.")
    x, y, w, h = coco._numbers(box, "bbox", where)
    if min(w, h) < 0 and not official:
        raise InputError(f"{where}, key 'bbox', has a negative side: {box}; correct it or remove the object.")
    if entry.get("keypoints") is None:
        return UNLABELLED
    points, visibility = coco._keypoints(entry, kind, where)
    if "area" in entry and coco._numbers([entry["area"]], "area", where)[0] <= 0:
        return NO_AREA
    clean = clean_box((x, y, w, h), *size)
    if min(clean[2:]) < 0 or (rules == PAIRS and min(clean[2:]) == 0):
        return EMPTY_BOX
    if max(entry["keypoints"]) == 0:
        return UNLABELLED
    if rules == PAIRS and entry.get("num_keypoints") == 0:
        return NONE_COUNTED
    return clean, points, visibility


def _size(entry: dict, where: str) -> tuple[int, int]:
    size = entry.get("width"), entry.get("height")
    if not all(type(side) is int and side > 0 for side in size):
        raise InputError(f"{where}, keys 'width' and 'height', must be whole numbers above 0, but got {list(size)}.")
    return size  # type: ignore[return-value]


def _categories(entries: list, path: Path) -> dict[int, Category]:
    categories: dict[int, Category] = {}
    for index, entry in enumerate(entries):
        where = coco._entry(entry, f"{path}: categories[{index}]")
        identity = coco._id(entry, "id", where)
        where = f"{path}: category {identity}"
        if identity in categories:
            raise InputError(f"{where} appears twice; give every category its own id.")
        name, labels, skeleton = entry.get("name"), entry.get("keypoints") or [], entry.get("skeleton") or []
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{where}, key 'name', must be a text, but got {name!r}.")
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise InputError(f"{where} ({name}), key 'keypoints', must be a list of names.")
        if not isinstance(skeleton, list) or not all(coco._is_edge(edge) for edge in skeleton):
            raise InputError(f"{where} ({name}), key 'skeleton', must be a list of pairs of whole numbers.")
        edges = tuple((a, b) for a, b in skeleton)
        known = _library(identity, name, len(labels))
        if known is None and not labels:
            raise InputError(f"{where} ({name}), key 'keypoints', is empty; list the names of its points.")
        try:
            if known is None:
                categories[identity] = coco._category(name, labels, edges)
            else:
                categories[identity] = replace(known, skeleton=edges or known.skeleton)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    return categories


def _library(identity: int, name: str, points: int) -> Category | None:
    """MP-100's category of that id, if the file means it: the same name, and as many points where it lists them."""
    entry = mp100_categories().get(identity)
    if entry is None or plain_text(entry["name"]) != plain_text(name):
        return None
    known = category(f"{MP100}{identity}")
    return known if points in (0, len(known)) else None
