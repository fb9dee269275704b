"""The labels of a project as a data set, and as the COCO JSON that is kept up to date in its folder."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..forms import coco
from ..forms.dataset import Dataset, LabelledObject
from ..forms.document import box_round, within
from ..forms.skeletons import with_base
from ..forms.writing import json_text
from ..pose import unique_names
from .records import ABSENT, VISIBLE, Label, ProjectPicture, StoredAnswer


def pictures_folder(folder: Path, pictures: Mapping[int, ProjectPicture]) -> Path:
    """The folder that file names in labels are relative to: the one that all pictures of a project lie below.

    folder: of the project.
    """
    parents = {os.path.dirname(folder / picture.file) for picture in pictures.values()}
    dropped = folder / "images"
    if not parents:
        return dropped
    common = Path(os.path.commonpath(parents))
    return dropped if common.is_relative_to(dropped) else common


def _named_apart(category: Category) -> Category:
    """The category with a number behind each name that came before: labels tell points apart by their names alone.

    Names that differ by nothing but capitals count as the same, as they do in a `Category`.
    """
    points, taken = [], set()
    for point in category.keypoints:
        label, number = point.label or point.name, 2
        shown = label
        while shown.casefold() in taken:
            shown, number = f"{label} ({number})", number + 1
        taken.add(shown.casefold())
        points.append(point if shown == label else replace(point, name=shown, label=""))
    return replace(category, keypoints=tuple(points))


def as_dataset(
    folder: Path,
    pictures: Mapping[int, ProjectPicture],
    labels: Mapping[int, Label],
    category: Category | None,
    answers: Mapping[int, StoredAnswer] | None = None,
) -> Dataset:
    """The labels of a project as objects.

    answers: stand for the points that nobody touched, of pictures that are not done; None leaves these points out.
    An object without a drawn box has the box round its points, as readers of COCO would make it. A point that nobody
    touched is not labelled; an absent one is not either, as COCO has no word for it.
    """
    named = None if category is None else _named_apart(category)
    categories = {} if named is None else {1: named}
    objects: list[LabelledObject] = []
    for number, picture in pictures.items() if category is not None else ():
        label, answer = labels.get(number, Label()), (answers or {}).get(number)
        points, confidence = _of_answer(StoredAnswer() if answer is None or label.done else answer, category)
        _put_labels(label, category, points, confidence)
        labelled = points[:, 2] > 0
        if not labelled.any():
            continue
        places = np.where(labelled[:, None], points[:, :2], np.nan)
        box = label.box or within(box_round(places[labelled]), picture.size, places[labelled])
        visibility = points[:, 2].astype(int)
        path = folder / picture.file
        sure = confidence if np.isfinite(confidence).any() else None
        item = LabelledObject(number, path, 1, named, box, places, visibility, None, confidence=sure)
        objects.append(item)
    return Dataset(objects, categories, {})


def coco_labels(
    folder: Path, pictures: Mapping[int, ProjectPicture], labels: Mapping[int, Label], category: Category | None
) -> str:
    """The text of labels.json. Its file names are relative to `pictures_folder`, which `info.pictures` names."""
    root = pictures_folder(folder, pictures)
    data = as_dataset(folder, pictures, labels, category)
    used: dict[str, dict[str, Any]] = {}
    annotations = []
    for item in data.objects:
        name = item.image.relative_to(root).as_posix()
        width, height = pictures[item.id].size
        used[name] = {"id": item.id, "file_name": name, "width": width, "height": height}
        annotations.append(coco.annotation(item, item.id))
    info = with_base({"description": "labels of an anykeypoint project", "pictures": _shown(root, folder)})
    entries = [coco.category_of(identity, one) for identity, one in data.categories.items()]
    document = {"info": info, "images": list(used.values()), "annotations": annotations, "categories": entries}
    return json_text(document)


def _shown(root: Path, folder: Path) -> str:
    """A path as labels.json says it: relative to the project where it is inside, so that the folder can be moved."""
    return root.relative_to(folder).as_posix() if root.is_relative_to(folder) else str(root)


def _put_labels(label: Label, category: Category, rows: np.ndarray, sure: np.ndarray) -> None:
    """Write what a person said into rows [K, 3] (x, y and COCO's visibility) and confidences [K], in place."""
    for k, name in enumerate(unique_names(category.names)):
        mark = label.points.get(name)
        if mark is not None:
            rows[k], sure[k] = [*(mark.place or (0.0, 0.0)), mark.visibility], np.nan


def _of_answer(answer: StoredAnswer, category: Category) -> tuple[np.ndarray, np.ndarray]:
    """[K, 3] x, y and COCO's visibility, and confidences [K]; a point that is more likely absent is not labelled."""
    rows, sure = np.zeros((len(category), 3)), np.full(len(category), np.nan)
    for k, name in enumerate(unique_names(category.names)):
        found = answer.points.get(name)
        if found is None:
            continue
        absent = found.presence is not None and found.presence < 0.5
        rows[k] = [*found.place, ABSENT if absent else VISIBLE]
        sure[k] = np.nan if found.confidence is None or absent else found.confidence
    return rows, sure
