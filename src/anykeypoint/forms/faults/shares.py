"""Points that are shares of their pictures' sides, from 0 to 1, where COCO has pixels; judged for a file as a whole.

Converters from YOLO's form forget to multiply. Read as pixels, such points all lie in the first pixel of their picture.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..reading import plain_number
from .fault import Fault, Rewrite
from .findings import Findings, naming
from .sentinels import labelled

_FEW = 2  # number of different places from which they are no coincidence
_LEAST = 16  # pixels of the longer side of a picture in which all points of a file would not lie in one pixel


def scale(found: Findings) -> None:
    """Add a fault if the file's points are shares, and go on with a document in which they are pixels."""
    items = list(_with_points(found))
    if not items or not all(_are_shares(points, found.extent(entry)) for _, entry, points in items):
        return
    places = np.unique(np.concatenate([points for *_, points in items]), axis=0)
    if len(places) < _FEW or not (places % 1).any():
        return
    rewrites = [
        rewrite for at, entry, _ in items if (size := found.extent(entry)) for rewrite in _in_pixels(at, entry, size)
    ]
    indices = [at for at, *_ in items]
    have = "has its points" if len(indices) == 1 else "have their points"
    text = f"{have} between 0 and 1, which are shares of the picture's sides and no pixels"
    where = naming(found.document, "annotations", indices)
    at = indices[0] if len(indices) == 1 else -1
    found.faults.append(Fault("shares of the picture", "", where, text, ("annotations", at), None, tuple(rewrites)))
    found.rewrite("annotations", rewrites)


def _with_points(found: Findings) -> Iterator[tuple[int, dict[str, Any], np.ndarray]]:
    """Index, entry and labelled points [N, 2] of each annotation that has some."""
    for at, entry in enumerate(found.document["annotations"]):
        values = entry.get("keypoints") if isinstance(entry, dict) else None
        if isinstance(values, list) and len(values) % 3 == 0 and len(points := labelled(values)):
            yield at, entry, points


def _are_shares(points: np.ndarray, size: tuple[int, int] | None) -> bool:
    """Whether points [N, 2] lie between 0 and 1, in a picture that is known and large."""
    return size is not None and max(size) >= _LEAST and bool(((points >= 0) & (points <= 1)).all())


def _in_pixels(at: int, entry: Mapping[str, Any], size: tuple[int, int]) -> Iterator[Rewrite]:
    """What makes points, box and area of an annotation pixels, as far as they are shares. size: of its picture."""
    width, height = size
    values = list(entry["keypoints"])
    for i in range(0, len(values), 3):
        values[i : i + 2] = [_times(values[i], width), _times(values[i + 1], height)]
    yield Rewrite(at, "keypoints", values)
    box = entry.get("bbox")
    sides = [plain_number(value) for value in box] if isinstance(box, list) and len(box) == 4 else []
    if sides and min(sides) >= 0 and max(sides) <= 1:
        yield Rewrite(at, "bbox", [side * by for side, by in zip(sides, (*size, *size), strict=True)])
        if 0 < plain_number(entry.get("area")) <= 1:
            yield Rewrite(at, "area", entry["area"] * width * height)


def _times(value: Any, side: int) -> Any:
    """A coordinate in pixels; one that is no number as it is."""
    return value * side if type(value) in (int, float) else value
