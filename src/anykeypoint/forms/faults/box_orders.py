"""Boxes whose four numbers stand in another order than x, y, width, height, judged for a file as a whole.

Every box x1, y1, x2, y2 holds its points when it is read as x, y, width, height too, so that single boxes seldom give
themselves away: those that then reach out of their picture do, and many together that are far too large on the right
and below. Where a file has both orders, those that reach out are left to a person. Boxes whose numbers have names have
no say, for their order is known. Places are in image pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..reading import plain_number
from .fault import Fault, Rewrite
from .findings import SLACK, Findings, naming
from .sentinels import labelled
from .spelling import NamedBox


def _sides(boxes: np.ndarray) -> np.ndarray:
    """Boxes x, y, w, h [N, 4] as x1, y1, x2, y2."""
    return np.column_stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])


def _centred(boxes: np.ndarray) -> np.ndarray:
    """Boxes of centre x, centre y, w, h [N, 4] as x1, y1, x2, y2."""
    return np.column_stack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2])


# Order -> from boxes as written [N, 4] and the sizes of their pictures twice over [N, 4] to x1, y1, x2, y2 in pixels.
ORDERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "x, y, width, height": lambda boxes, _: _sides(boxes),
    "x1, y1, x2, y2": lambda boxes, _: boxes,
    "centre x, centre y, width, height": lambda boxes, _: _centred(boxes),
    "y, x, height, width": lambda boxes, _: _sides(boxes[:, [1, 0, 3, 2]]),
    "y1, x1, y2, x2": lambda boxes, _: boxes[:, [1, 0, 3, 2]],
    "x, y, width, height as shares of the picture": lambda boxes, sizes: _sides(boxes * sizes),
    "centre x, centre y, width, height as shares of the picture": lambda boxes, sizes: _centred(boxes * sizes),
    "x1, y1, x2, y2 as shares of the picture": lambda boxes, sizes: boxes * sizes,
}
_COCO, _CORNERS = list(ORDERS)[:2]
_MANY = 3  # number of boxes from which a whole file may be judged without one that reaches out of its picture
_OFFSET = 0.25  # share of a box's side that x1 or y1 must have for the two orders to differ there
_FAR = 0.5  # the same for boxes in their pictures: a third of each side, on the right and below, is then without points
_OUT = 0.2  # least share of the boxes that must reach out of their pictures
_LARGE, _NEARLY = 20, 0.95  # in a file of that many boxes, this share of them may decide
_SURE = 0.8  # share of the boxes that must lie better round their points in the other order


@dataclass(frozen=True)
class _Boxes:
    """The boxes of N annotations with points.

    places: [N] indices of the annotations.
    numbers: [N, 4] as the file has them.
    low, high: [N, 2] corners of the points of each.
    sizes: [N, 2] width and height of each picture, infinite where not known.
    """

    places: list[int]
    numbers: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sizes: np.ndarray

    def corners(self, order: str) -> np.ndarray:
        """The boxes [N, 4] as x1, y1, x2, y2, if their numbers stand in that order."""
        with np.errstate(invalid="ignore"):  # sizes that are not known are infinite, and no share of them fits
            return ORDERS[order](self.numbers, np.tile(self.sizes, 2))

    def inside(self, order: str) -> np.ndarray:
        """Whether each box [N] has a width and height and lies in its picture."""
        c = self.corners(order)
        return (c[:, 2:] > c[:, :2]).all(axis=1) & (c[:, :2] >= -SLACK).all(axis=1) & self._within(c)

    def _within(self, corners: np.ndarray) -> np.ndarray:
        return (corners[:, 2:] <= self.sizes + SLACK).all(axis=1)

    def holds(self, order: str) -> np.ndarray:
        """Whether each box [N] has its points in it."""
        c = self.corners(order)
        return ((self.low >= c[:, :2] - SLACK) & (self.high <= c[:, 2:] + SLACK)).all(axis=1)

    def fits(self, order: str) -> np.ndarray:
        return self.inside(order) & self.holds(order)


def turn(found: Findings) -> None:
    """Add a fault if the file's boxes stand in another order, and go on with a document in which they are turned."""
    boxes = _read(found)
    order = None if boxes is None else _order(boxes)
    if boxes is None or order is None:
        return
    corners = boxes.corners(order).tolist()
    rewrites = []
    for place, (x1, y1, x2, y2) in zip(boxes.places, corners, strict=True):
        if x2 > x1 and y2 > y1:
            rewrites.append(Rewrite(place, "bbox", [_short(x1), _short(y1), _short(x2 - x1), _short(y2 - y1)]))
    count, odd = len(boxes.places), int((~boxes.fits(_COCO)).sum())
    where = naming(found.document, "annotations", boxes.places)
    have, their = ("has a box that fits its", "it is") if count == 1 else ("have boxes that fit their", "they are")
    text = f"{have} points and picture only if {their} {order}; as {_COCO} {odd} of {count} do not fit"
    at = boxes.places[0] if count == 1 else -1
    found.faults.append(Fault("order of the box", "", where, text, ("annotations", at), None, tuple(rewrites)))
    found.rewrite("annotations", rewrites)


def _order(boxes: _Boxes) -> str | None:
    """The order in which all boxes fit, if it is another than COCO's; None otherwise."""
    ours, count = boxes.fits(_COCO), len(boxes.places)
    theirs = boxes.fits(_CORNERS)
    if theirs.all() or (count >= _LARGE and theirs.mean() >= _NEARLY):
        return _CORNERS if _reaches_out(boxes) or _loose(boxes) else None
    if ours.mean() > 0.5 or count < _MANY:
        return None
    others = [order for order in ORDERS if order != _COCO and boxes.fits(order).all()]
    return others[0] if len(others) == 1 else None  # where two fit, only a person can tell


def may_be_corners(box: Sequence[float], points: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether one box may be x1, y1, x2, y2 among others: as x, y, width, height it reaches out, and so it fits.

    points: [N, 2], the labelled ones of its object. size: (width, height) of its picture.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    one = _Boxes([0], *(np.array([row], dtype=float) for row in (box, low, high, size)))
    return bool((_reaching_out(one) & one.fits(_CORNERS)).any())


def _reaches_out(boxes: _Boxes) -> bool:
    """Whether many boxes reach out of their pictures."""
    return bool(_reaching_out(boxes).mean() >= _OUT)


def _reaching_out(boxes: _Boxes) -> np.ndarray:
    """Which boxes [N] reach out of their pictures as x, y, width, height, on a side where the two orders differ."""
    out = boxes.corners(_COCO)[:, 2:] > boxes.sizes + SLACK
    return (out & _differ(boxes, _OFFSET)).any(axis=1)


def _differ(boxes: _Boxes, share: float) -> np.ndarray:
    """Whether the two orders differ by this share of a box's sides across and down, [N, 2]."""
    return boxes.numbers[:, :2] > share * (boxes.numbers[:, 2:] - boxes.numbers[:, :2])


def _loose(boxes: _Boxes) -> bool:
    """Whether boxes that lie in their pictures in both orders lie round their points only as x1, y1, x2, y2."""
    differ = _differ(boxes, _FAR).all(axis=1)
    if differ.sum() < _MANY:
        return False
    lean = []  # how much farther the box reaches on the right and below than on the left and above, [N, 2]
    for order in (_COCO, _CORNERS):
        corners = boxes.corners(order)
        lean.append(np.abs((corners[:, 2:] - boxes.high) - (boxes.low - corners[:, :2])))
    return bool((lean[1] < lean[0]).all(axis=1)[differ].mean() >= _SURE)


def _read(found: Findings) -> _Boxes | None:
    """The boxes of all annotations that have labelled points and four finite numbers without names; None for none."""
    named = {one.place for fault in found.faults for one in fault.rewrites if isinstance(one, NamedBox)}
    places, numbers, low, high, sizes = [], [], [], [], []
    for at, entry, points in _with_points(found):
        box = None if at in named else entry.get("bbox")
        values = [plain_number(value) for value in box] if isinstance(box, list) and len(box) == 4 else []
        if not values or not np.isfinite(values).all() or min(values[2:]) <= 0:
            continue
        size = found.reach(entry)
        places.append(at)
        numbers.append(values)
        low.append(points.min(axis=0))
        high.append(points.max(axis=0))
        sizes.append(size or (np.inf, np.inf))
    return _Boxes(places, *map(np.array, (numbers, low, high, sizes))) if places else None


def _with_points(found: Findings) -> Iterator[tuple[int, dict[str, Any], np.ndarray]]:
    """Index, entry and labelled points [N, 2] of each annotation that has some."""
    for at, entry in enumerate(found.document["annotations"]):
        values = entry.get("keypoints") if isinstance(entry, dict) else None
        if isinstance(values, list) and len(values) % 3 == 0 and not entry.get("iscrowd"):
            points = labelled(values)
            if len(points):
                yield at, entry, points


def _short(value: float) -> int | float:
    """A whole number as int, so that a box stays spelled as it was."""
    return int(value) if value == int(value) else value
