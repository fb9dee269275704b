"""The tidy table of `poses.csv_text`, one line per keypoint, read as labels and written from them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..geometry import Box
from .dataset import Dataset
from .document import Labels
from .form import LabelForm
from .poses import BOX_COLUMNS, CSV_COLUMNS, PRESENCE, csv_text
from .reading import is_missing, number, read_table
from .writing import check_names, picture_name, point_labels

Place = tuple[float, float, int, float]  # x, y, visibility and confidence of a point


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a table; an object without a box gets one put round its points.

    An object whose keypoints are others than those of most objects of its category is a fault. Raises InputError for
    other columns.
    """
    labels = Labels()
    objects: dict[tuple[str, str], _TableObject] = {}  # by picture and number in it
    bad: set[tuple[str, str]] = set()  # objects with a row that cannot be used
    for where, row, cells in rows_of(path):
        key = (row[0], row[1] if len(row) > 1 else "")
        if key not in bad:
            bad.add(key)  # until it is sure to be good
            with labels.catching():
                check_length(row, cells, where)
                _add_row(objects, row, where)
                bad.discard(key)
    good = {key: one for key, one in objects.items() if key not in bad}
    orders: dict[str, Counter[tuple[str, ...]]] = {}  # category -> names of its points -> number of objects with them
    for kind, names, _ in good.values():
        orders.setdefault(kind.category or "object", Counter())[tuple(names)] += 1
    usual = {name: counts.most_common(1)[0][0] for name, counts in orders.items()}  # one odd object decides nothing
    ids = {name: labels.add_category(name, names) for name, names in usual.items()}
    for (image, thing), (kind, names, places) in good.items():
        name = kind.category or "object"
        with labels.catching():
            if tuple(names) != usual[name]:
                raise InputError(f"{path}: object {thing} of {image} has other keypoints than most {name!r} objects.")
            points = np.array(places)
            known = [None if np.isnan(value) else value for value in points[:, 3].tolist()]
            labels.add_object(
                labels.add_image(image),
                ids[name],
                points[:, :2],
                points[:, 2].astype(int),
                kind.box,
                keypoint_confidence=known if any(value is not None for value in known) else None,
                box_score=kind.score,
                box_word=kind.word or None,
            )
    return labels


class _Kind(NamedTuple):
    """What all rows of one object share."""

    category: str
    box: Box | None
    score: float | None
    word: str


# Category and box, names of the points, and the place of each.
_TableObject = tuple[_Kind, list[str], list[Place]]


def _add_row(objects: dict[tuple[str, str], _TableObject], row: list[str], where: str) -> None:
    """Add the point of a row to its object. where: the row, named in errors."""
    image, thing, kind, name, x, y, confidence, present = row[: len(CSV_COLUMNS)]
    if present.strip().lower() not in ("true", "false"):  # spreadsheets write TRUE, pandas True
        raise InputError(f"{where}, column 'present', must be true or false, but got {present!r}.")
    score, word = (*row[len(CSV_COLUMNS) + 4 :], "", "")[:2]
    own = _Kind(kind, box_of(row, where), None if is_missing(score) else number(score, "box_score", where), word)
    known, names, places = objects.setdefault((image, thing), (own, [], []))
    if known.category != kind:
        raise InputError(
            f"{where} calls object {thing} of {image} {kind!r} and before {known.category!r}; number it anew."
        )
    if known != own:
        raise InputError(f"{where} has another box than the rows before it of object {thing} of {image}.")
    if name in names:
        raise InputError(f"{where} has the keypoint {name!r} of object {thing} of {image} again; keep one row for it.")
    there = present.strip().lower() == "true"
    sure = np.nan if is_missing(confidence) else number(confidence, "confidence", where)
    places.append((number(x, "x", where), number(y, "y", where), 2, sure) if there else (np.nan, np.nan, 0, np.nan))
    names.append(name)


def rows_of(path: Path) -> Iterator[tuple[str, list[str], int]]:
    """Each row under the header: its name for errors, its cells, and the number that it must have (`check_length`).

    Raises InputError for a header other than CSV_COLUMNS, with or without BOX_COLUMNS and then PRESENCE.
    """
    head, *rows = read_table(path)
    whole = (*CSV_COLUMNS, *BOX_COLUMNS, PRESENCE)
    if tuple(head) not in (CSV_COLUMNS, whole[:-1], whole):
        raise InputError(
            f"{path} must begin with the columns {', '.join(CSV_COLUMNS)}, and perhaps {', '.join(BOX_COLUMNS)}, and "
            f"{PRESENCE}, but has {', '.join(head)[:200]}."
        )
    for count, row in enumerate(rows, start=1):
        yield f"{path}: row {count} under the header", row, len(head)


def check_length(row: Sequence[str], cells: int, where: str) -> None:
    """Raise InputError for a row with another number of cells than its header. where: the row's name."""
    if len(row) != cells:
        raise InputError(f"{where} has {len(row)} cells, but the header has {cells}.")


def box_of(row: Sequence[str], where: str) -> Box | None:
    """The box of a row, [x, y, w, h] in image pixels; None where its cells are empty or the table has none."""
    start = len(CSV_COLUMNS)
    cells = row[start : start + 4]
    if all(map(is_missing, cells)):
        return None
    x, y, w, h = (number(cell, key, where) for cell, key in zip(cells, BOX_COLUMNS, strict=False))
    return x, y, w, h


@dataclass(frozen=True, eq=False)
class _Rows:
    """A labelled object with the fields that `poses.csv_text` writes; what it does not have of a point is NaN."""

    names: list[str]
    xy: np.ndarray
    confidence: np.ndarray
    present: np.ndarray
    presence: np.ndarray
    category: str
    image: str
    box: Box
    box_score: float | None
    box_word: str


def write(data: Dataset, images: Path) -> str:
    """The table that `predict` writes; the column for the confidence is empty for labels that a person drew.

    Raises InputError where the names of categories or points do not tell them apart.
    """
    check_names(data, "A CSV table")
    rows = [
        _Rows(
            names=point_labels(item.category),
            xy=item.points,
            confidence=np.full(len(item.points), np.nan) if item.confidence is None else item.confidence,
            present=item.visibility > 0,
            presence=np.full(len(item.points), np.nan),
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
    suffix=".csv",
    holds=frozenset({"boxes", "confidences", "detections"}),
)
