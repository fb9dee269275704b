"""The labels of a project as a data set, and as the COCO JSON that is kept up to date in its folder."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..forms import coco
from ..forms.dataset import Dataset, LabelledObject
from ..forms.document import box_round, within
from ..forms.skeletons import with_base
from ..io import common_folder, write_bytes
from ..pose import unique_names
from .records import ABSENT, VISIBLE, Label, ProjectPicture, StoredAnswer

LABELS = "labels.json"


def pictures_folder(folder: Path, pictures: Mapping[int, ProjectPicture]) -> Path | None:
    """The folder that file names in labels are relative to: the one that all pictures of a project lie below.

    folder: of the project.
    None where the pictures lie on several drives.
    """
    parents = {os.path.dirname(folder / picture.file) for picture in pictures.values()}
    dropped = folder / "images"
    if not parents:
        return dropped
    common = common_folder(parents)
    if common is None:
        return None
    return dropped if Path(common).is_relative_to(dropped) else Path(common)


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
    objects: list[LabelledObject] = []
    for picture in pictures.values() if named is not None else ():
        answer = (answers or {}).get(picture.id)
        item = _object_of(folder, picture, labels.get(picture.id, Label()), category, named, answer)
        objects += [] if item is None else [item]
    return Dataset(objects, {} if named is None else {1: named}, {})


def _object_of(
    folder: Path,
    picture: ProjectPicture,
    label: Label,
    category: Category,
    named: Category,
    answer: StoredAnswer | None = None,
) -> LabelledObject | None:
    """The object of a picture; None where no point of it has a label. named: of `_named_apart`."""
    shown = StoredAnswer() if answer is None or label.done else answer
    points, confidence = _of_answer(shown, category, picture.size)
    _put_labels(label, category, points, confidence)
    labelled = points[:, 2] > 0
    if not labelled.any():
        return None
    places = np.where(labelled[:, None], points[:, :2], np.nan)
    box = label.box or within(box_round(places[labelled]), picture.size, places[labelled])
    visibility = points[:, 2].astype(int)
    sure = confidence if np.isfinite(confidence).any() else None
    path = folder / picture.file
    return LabelledObject(picture.id, path, 1, named, box, places, visibility, None, confidence=sure)


class CocoLabels:
    """labels.json of a project with one category, in which only the pictures that changed are written anew.

    folder: of the project. category: None until it was said.
    """

    def __init__(self, folder: Path, category: Category | None) -> None:
        self.folder, self.category = folder, category
        self._named = None if category is None else _named_apart(category)
        self._root, self._rooted = folder, -1  # `pictures_folder`, and of how many pictures it is that
        self._entries: dict[int, tuple[str, str]] = {}  # id -> the JSON of its image and of its annotation
        self._outdated: set[int] = set()
        self.behind = False  # whether the file lacks something, as it could not be written

    def write(self, pictures: Mapping[int, ProjectPicture], labels: Mapping[int, Label], new: Iterable[int]) -> None:
        """Write the file; NotWritten where it cannot be, which leaves it `behind`. new: as `changed` of `text`."""
        self.behind = True
        text = self.text(pictures, labels, new)
        write_bytes(self.folder / LABELS, text.encode("utf-8", "backslashreplace"))
        self.behind = False

    def text(self, pictures: Mapping[int, ProjectPicture], labels: Mapping[int, Label], changed: Iterable[int]) -> str:
        """The text of the file. Its file names are relative to `pictures_folder`, which `info.pictures` names.

        Where there is no such folder they are relative to the project's, and whole paths of what lies elsewhere.
        changed: the pictures whose label is another one than at the last call; all with a label at the first.
        """
        self._outdated.update(changed)
        if self._rooted != len(pictures):
            root, self._rooted = pictures_folder(self.folder, pictures) or self.folder, len(pictures)
            if root != self._root:
                self._root = root
                self._outdated.update(labels)
        for number in sorted(self._outdated):
            entry = self._entry(pictures[number], labels.get(number, Label()))
            self._entries.pop(number, None)
            if entry is not None:
                self._entries[number] = entry
            self._outdated.discard(number)
        known = [self._entries[number] for number in sorted(self._entries)]
        images = ", ".join(dict.fromkeys(image for image, _ in known))  # that of several objects stands once
        annotations = ", ".join(annotation for _, annotation in known)
        info = {"description": "labels of an anykeypoint project", "pictures": _shown(self._root, self.folder)}
        kinds = [] if self._named is None else [coco.category_of(1, self._named)]
        return (
            f'{{"info": {_json(with_base(info))}, "images": [{images}], "annotations": [{annotations}], '
            f'"categories": {_json(kinds)}}}\n'
        )

    def _entry(self, picture: ProjectPicture, label: Label) -> tuple[str, str] | None:
        """The JSON of a picture and of its object; None where no point has a label."""
        if self.category is None or self._named is None:
            return None
        item = _object_of(self.folder, picture, label, self.category, self._named)
        if item is None:
            return None
        width, height = picture.size
        inside = item.image.is_relative_to(self._root)
        name = (item.image.relative_to(self._root) if inside else item.image).as_posix()
        image = {"id": picture.image_id, "file_name": name, "width": width, "height": height}
        return _json(image), _json(coco.annotation(item, picture.image_id))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _shown(root: Path, folder: Path) -> str:
    """A path as labels.json says it: relative to the project where it is inside, so that the folder can be moved."""
    return root.relative_to(folder).as_posix() if root.is_relative_to(folder) else str(root)


def _put_labels(label: Label, category: Category, rows: np.ndarray, sure: np.ndarray) -> None:
    """Write what a person said into rows [K, 3] (x, y and COCO's visibility) and confidences [K], in place."""
    for k, name in enumerate(unique_names(category.names)):
        mark = label.points.get(name)
        if mark is not None:
            rows[k], sure[k] = [*(mark.place or (0.0, 0.0)), mark.visibility], np.nan


def _of_answer(answer: StoredAnswer, category: Category, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """[K, 3] x, y and COCO's visibility, and confidences [K]. As on the page, a point that is more likely absent is not
    labelled, nor one beside the picture of (width, height) pixels, where models may answer within a box.
    """
    rows, sure = np.zeros((len(category), 3)), np.full(len(category), np.nan)
    for k, name in enumerate(unique_names(category.names)):
        found = answer.points.get(name)
        if found is None:
            continue
        inside = all(0 <= at <= side for at, side in zip(found.place, size, strict=True))
        absent = not inside or (found.presence is not None and found.presence < 0.5)
        rows[k] = [*found.place, ABSENT if absent else VISIBLE]
        sure[k] = np.nan if found.confidence is None or absent else found.confidence
    return rows, sure
