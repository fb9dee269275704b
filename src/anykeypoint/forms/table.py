"""The tidy table of `formats.csv_text`, a line per keypoint, read as labels."""

from pathlib import Path

import numpy as np

from ..errors import InputError
from .document import Labels, number, read_table
from .poses import CSV_COLUMNS, without_detections


def read(path: Path, images: Path, word: str = "") -> Labels:
    """Labels of a table; boxes are put round the points, which the table has none of.

    Raises InputError for other columns, and if objects of one category have other keypoints.
    """
    head, *rows = without_detections(read_table(path))
    if tuple(head) != CSV_COLUMNS:
        raise InputError(
            f"{path} must begin with the columns {', '.join(CSV_COLUMNS)}, but has {', '.join(head)[:200]}."
        )
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
    kinds: dict[str, tuple[int, list[str]]] = {}
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
