"""COCO keypoints JSON: the form that all others are turned into.

Its skeletons count from 1 in COCO's own files and in ours, and from 0 in many others (see `skeletons`).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..errors import InputError
from ..geometry import Box
from ..io import file_digest
from . import walk
from .areas import box_area
from .dataset import CROWD, IGNORED, UNLABELLED, Dataset, LabelledObject, check_faults
from .document import MARGIN, Labels, box_round, load_document, within
from .form import CHOICE, LabelForm
from .losses import ALL
from .pictures import Pictures, picture_size
from .selecting import select
from .skeletons import with_base, written_edges
from .walk import Edges, Kept, Picture, Rules
from .writing import by_picture, json_text, picture_name, point_labels

_ROBOFLOW = "_annotations.coco.json"  # what Roboflow calls its files
_HEAD = 1 << 16  # bytes at the start of a file in which `info` is looked for
_INFO = re.compile(r'\s*\{\s*"info"\s*:\s*(\{.*)', re.DOTALL)


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """The labels of a COCO file, and of every form that is COCO's in all but name.

    selection: names of categories or of their groups (`supercategory`), separated by commas. AP-10K's groups are the
        families of animals, so `coco/Bovidae:FILE` is one side of CLAMP's zero-shot settings (Bovidae to Canidae
        across orders, Canidae to Felidae within one).
    """
    document = load_document(path)
    _check_origin(document, path)
    labels = Labels.of(document)
    return select(labels, selection, path) if selection else labels


def _check_origin(document: Mapping[str, Any], path: Path) -> None:
    """Refuse Label Studio's own COCO export: its points have lost their objects, and stand on whole pixels."""
    info = document.get("info")
    if isinstance(info, dict) and info.get("contributor") == "Label Studio":
        raise InputError(
            f"{path} is Label Studio's COCO export, in which points are of no object; export as JSON and read it as "
            "labelstudio:FILE."
        )


def read_coco(
    annotations: str | Path, images: str | Path, allow_missing: bool = False, strict: bool = False
) -> Dataset:
    """The objects of a COCO keypoints file.

    annotations: the file.
    images: the folder that its `file_name`s are relative to.
    allow_missing: leave out objects whose picture is missing; otherwise a missing picture is an error.
    strict: refuse a file with a fault.

    A category whose labels are in the library, in the same order, takes the library's names, descriptions, noun and
    pairs; every other keeps its labels as names, and its own name is the noun. Skeletons become 0-based. The key
    `descriptions` of an entry, a text for each label, comes before the library's.
    Crowds and objects without a labelled point are left out and counted in `skipped`.
    What is malformed is left out, with a sentence in `faults`.
    """
    data = from_document(load_document(annotations), Path(annotations), Path(images), allow_missing)
    check_faults(data.faults, strict, left=bool(data.objects))
    return data


def from_document(
    document: Mapping[str, list],
    annotations: Path,
    images: Path,
    allow_missing: bool = False,
) -> Dataset:
    """What `read_coco` gives, of a COCO document in memory.

    annotations: the file it came from, named in errors.
    """
    pictures = Pictures(images)
    boxes = _Boxes(pictures)
    rules = Rules(partial(_keep, boxes), _category, pictures.path, f"in {images}")
    data = walk.walk(document, annotations, rules, allow_missing)
    if not boxes.made:
        return data
    count, share = f"{boxes.made} object{'s have' if boxes.made > 1 else ' has'}", f"{100 * MARGIN:g} %"
    sentence = (
        f"{annotations}: {count} no 'bbox'; it is the box of the points, {share} of its longer side wider each way."
    )
    return replace(data, supplied=(*data.supplied, sentence))


class _Boxes:
    """Boxes for objects without one, and how many were made."""

    def __init__(self, pictures: Pictures) -> None:
        self.made, self._pictures = 0, pictures

    def round(self, points: np.ndarray, name: str) -> Box:
        """The box x, y, w, h of the labelled points [N, 2], cut at its picture where the size is known."""
        self.made += 1
        box, size = box_round(points, least=0), self._pictures.size(self._pictures.path(name))
        return box if size is None else within(box, size, points)


def write(data: Dataset, images: Path) -> str:
    """A COCO file with labels and ids as read and skeletons that count from 1, as COCO has them; nothing is lost.

    A category has the keys `pairs` and `alone` (see `Labels.add_category`) and `descriptions`, a text for each point,
    where its labels would give others.
    """
    ids: dict[str, int] = {}  # file name of a picture -> its id
    pictures = []
    for name, picture in by_picture(data, images).items():
        ids[name] = len(ids) + 1
        size = picture_size(picture.path)
        more = {} if size is None else {"width": size[0], "height": size[1]}
        group = {} if picture.group is None else {"group": picture.group}
        pictures.append({"id": ids[name], "file_name": name, **more, **group})
    annotations = [annotation(item, ids[picture_name(item, images)]) for item in data.objects]
    categories = [category_of(identity, category) for identity, category in data.categories.items()]
    info = with_base({"model": data.model} if data.model else {})
    return json_text({"info": info, "images": pictures, "annotations": annotations, "categories": categories})


def annotation(item: LabelledObject, image_id: int) -> dict[str, Any]:
    """The annotation of an object; what the object does not have is no key."""
    labelled = item.visibility > 0
    rows = np.column_stack([np.where(labelled[:, None], item.points, 0.0), item.visibility]).tolist()
    known = [] if item.confidence is None else item.confidence.tolist()
    more = {
        "segmentation": item.segmentation or [],  # CVAT refuses an object without the key
        "keypoint_confidence": [None if np.isnan(value) else value for value in known] or None,
        "score": item.score,
        "box_score": item.box_score,
        "box_word": item.box_word or None,
        "scale": item.scale,
    }
    return {
        "id": item.id,
        "image_id": image_id,
        "category_id": item.category_id,
        "keypoints": [value for x, y, v in rows for value in (x, y, int(v))],
        "num_keypoints": int(labelled.sum()),
        "bbox": list(item.box),
        "area": box_area(item.box) if item.area is None else item.area,
        "iscrowd": 0,
        **{key: value for key, value in more.items() if value is not None},
    }


def category_of(identity: int, category: Category) -> dict[str, Any]:
    """A category's entry."""
    labels = point_labels(category)
    entry = {
        "id": identity,
        "name": category.name,
        "supercategory": "",
        "keypoints": labels,
        "skeleton": written_edges(category.skeleton),
    }
    own = walk.own_category(category.name, labels, category.skeleton)
    if own.pairs != category.pairs:
        entry["pairs"] = [list(pair) for pair in category.pairs or ()]
    if own.alone != category.alone:
        entry["alone"] = list(category.alone)
    texts = [point.description for point in category.keypoints]
    if texts != [point.description for point in own.keypoints]:
        entry["descriptions"] = texts
    return entry


def _keep(boxes: _Boxes, entry: Mapping, picture: Picture, category: Category, where: str) -> str | Kept:
    """COCO's rule: an object counts if it is no crowd and has a labelled point; its box is taken as written.

    boxes: makes the box of an object without one.
    """
    if walk.is_crowd(entry, where):
        return CROWD
    if walk.is_flag(entry, "ignore", where):
        return IGNORED
    points, visibility = walk.keypoints_of(entry, category.name, len(category), where)
    if not visibility.any():
        return UNLABELLED
    if entry.get("bbox") in (None, []):
        box = boxes.round(points[visibility > 0], picture.file_name)
    else:
        box = walk.box_of(entry, where)
    if min(box[2:]) < 0 or max(box[2:]) <= 0:
        raise InputError(
            f"{where}, key 'bbox', must have a width or height above 0, and neither below, but got {entry['bbox']}."
        )
    area = None if entry.get("area") is None else walk.numbers_of([entry["area"]], "area", where)[0]
    if area is not None and area < 0:
        raise InputError(f"{where}, key 'area', must not be below 0, but got {area:g}.")
    return box, points, visibility, area


def _category(_: int, name: str, labels: list[str], edges: Edges) -> Category | None:
    """COCO's rule: a category without keypoints is one of detection, and no object may have it."""
    return walk.own_category(name, labels, edges) if labels else None


def folder_of(path: Path) -> Path | None:
    """The folder that `info.pictures` states, as labels.json of a project does; None where there is no such folder.

    Only what a file begins with is looked at, as it may be large. Roboflow's files lie among their pictures.
    """
    if path.name == _ROBOFLOW:
        return path.parent
    try:
        with path.open("rb") as file:
            begun = _INFO.match(file.read(_HEAD).decode("utf-8", "replace"))
        info = json.JSONDecoder().raw_decode(begun[1])[0] if begun else {}
    except (OSError, ValueError, RecursionError):
        return None
    stated = info.get("pictures") if isinstance(info, dict) else None
    folder = path.parent / stated if isinstance(stated, str) and stated else None
    return folder if folder is not None and folder.is_dir() else None


def _digest(path: Path, word: str, _: Callable[[str], str]) -> str | None:
    """Without a word the file's own SHA-256, as the results of earlier versions have it."""
    return None if word else file_digest(path)


FORM = LabelForm(
    read,
    "COCO keypoints (.json), and data sets in its form",
    CHOICE,
    write=write,
    suffix=".json",
    holds=ALL,
    pictures=folder_of,
    digest=_digest,
)
AP10K = LabelForm(read, "AP-10K (.json)", "species or families, parted by commas")
