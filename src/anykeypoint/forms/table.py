"""The tidy table of `poses.csv_text`, one line per keypoint, read as labels and written from them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..geometry import Box
from .dataset import Dataset
from .document import Labels
from .form import LabelForm
from .poses import CSV_COLUMNS, csv_text, without_detections
from .reading import number, read_table
from .writing import picture_name, point_labels


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a table; it has no boxes, so they are put round the points.

    Raises InputError for other columns, and if two objects of one category have different keypoints.
    """
    head, *rows = without_detections(read_table(path))
    if tuple(head) != CSV_COLUMNS:
        raise InputError(
            f"{path} must begin with the columns {', '.join(CSV_COLUMNS)}, but has {', '.join(head)[:200]}."
        )
    # (picture, number in it) -> category, names of the points, and (x, y, visibility) of each
    objects: dict[tuple[str, str], tuple[str, list[str], list[tuple[float, float, int]]]] = {}
    for count, row in enumerate(rows, start=1):
        where = f"{path}: row {count} under the header"
        if len(row) != len(head):
            raise InputError(f"{where} has {len(row)} cells, but the header has {len(head)}.")
        image, thing, kind, name, x, y, _, present = row
        if present not in ("true", "false"):
            raise InputError(f"{where}, column 'present', must be true or false, but got {present!r}.")
        known, names, places = objects.setdefault((image, thing), (kind, [], []))
        if known != kind:
            raise InputError(f"{where} calls object {thing} of {image} {kind!r} and before {known!r}; number it anew.")
        names.append(name)
        there = present == "true"
        places.append((number(x, "x", where), number(y, "y", where), 2) if there else (np.nan, np.nan, 0))
    labels = Labels()
    kinds: dict[str, tuple[int, list[str]]] = {}  # category -> its id and the names of its points
    for (image, thing), (kind, names, places) in objects.items():
        name = kind or "object"
        if name not in kinds:
            kinds[name] = (labels.add_category(name, names), names)
        identity, first = kinds[name]
        if names != first:
            raise InputError(f"{path}: object {thing} of {image} has other keypoints than the {name!r} before it.")
        points = np.array(places)
        labels.add_object(labels.add_image(image), identity, points[:, :2], points[:, 2].astype(int))
    return labels


@dataclass(frozen=True, eq=False)
class _Rows:
    """A labelled object with the fields that `poses.csv_text` writes; confidences that it does not have are NaN."""

    names: list[str]
    xy: np.ndarray
    confidence: np.ndarray
    present: np.ndarray
    category: str
    image: str
    box: Box
    box_score: float | None
    box_word: str


def write(data: Dataset, images: Path) -> str:
    """The table that `predict` writes; the column for the confidence is empty for labels that a person drew."""
    rows = [
        _Rows(
            names=point_labels(item.category),
            xy=item.points,
            confidence=np.full(len(item.points), np.nan) if item.confidence is None else item.confidence,
            present=item.visibility > 0,
            category=item.category.name,
            image=picture_name(item, images),
            box=item.box,
            box_score=item.box_score,
            box_word=item.box_word,
        )
        for item in data.objects
    ]
    return csv_text(rows)


FORM = LabelForm(
    read,
    "the table that `predict` and `data convert` write (.csv)",
    write=write,
    holds=frozenset({"confidences", "detections"}),
)
