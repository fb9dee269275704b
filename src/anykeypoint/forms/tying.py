"""Rectangles and points of one picture put together as objects, for forms that draw both one by one.

A point belongs to the rectangle with which it shares a tie (labelme's `group_id`, an attribute of VIA). Without a tie
it belongs to the only rectangle that it lies in, or to the only one there is. Points that share a tie with no rectangle
are an object without a box, and so are all points of a picture without rectangles.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ..errors import InputError
from .document import Labels, NamedObject, NamedPoints
from .point_names import check_spellings

NO_TIE = ""  # of shapes that name no object


def tie_text(value: Any) -> str:
    """A tie or an attribute as text, in which the numbers 1 and 1.0 are one."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


class DrawnRectangle(NamedTuple):
    """A rectangle that was drawn: its tie, the category it names ("" for none), and x, y, w, h in image pixels."""

    tie: str
    category: str
    box: list[float]


class DrawnPoint(NamedTuple):
    """A point that was drawn: its tie, name, place in image pixels, visibility as in COCO, and its name for errors."""

    tie: str
    name: str
    x: float
    y: float
    visibility: int
    where: str


def tied(
    image: int,
    rectangles: Sequence[DrawnRectangle],
    points: Sequence[DrawnPoint],
    where: str,
    loose: str,
    labels: Labels,
    broken: Collection[str] = (),
) -> list[NamedObject]:
    """The objects of a picture; those that cannot be told apart are left out, each with a fault.

    image: its id.
    where: its name, for errors.
    loose: the category of objects whose rectangle names none, and of those without a rectangle.
    labels: counts rectangles without points, and collects faults.
    broken: ties of shapes that could not be read, whose objects are left out, because they would lack a point or their
        box; all objects of the picture where a shape without a tie could not, because it is not known whose it was.
    """
    if NO_TIE in broken:
        return []
    rectangles = [rectangle for rectangle in rectangles if rectangle.tie not in broken]
    points = [point for point in points if point.tie not in broken]
    by_tie: dict[str, list[DrawnRectangle]] = {}
    for rectangle in rectangles:
        by_tie.setdefault(rectangle.tie, []).append(rectangle)
    owned: dict[int, list[DrawnPoint]] = {}  # place of a rectangle in `rectangles` -> its points
    others: dict[str, list[DrawnPoint]] = {}  # tie -> points without a rectangle
    for point in points:
        with labels.catching():
            owner = _owner(point, rectangles, by_tie)
            if owner is None:
                others.setdefault(point.tie, []).append(point)
            else:
                owned.setdefault(owner, []).append(point)
    objects: list[NamedObject] = []
    for place, rectangle in enumerate(rectangles):
        if place not in owned:
            labels.leave_out("rectangles without points")
            continue
        with labels.catching():
            objects.append((image, rectangle.category or loose, _named(owned[place]), rectangle.box))
    for free in others.values():
        with labels.catching():
            objects.append((image, loose, _named(free), None))
    return objects


def _owner(
    point: DrawnPoint, rectangles: Sequence[DrawnRectangle], by_tie: dict[str, list[DrawnRectangle]]
) -> int | None:
    """The place of the rectangle that a point belongs to; None for a point of an object without one."""
    if point.tie != NO_TIE:
        same = by_tie.get(point.tie, [])
        if len(same) > 1:
            raise InputError(
                f"{point.where} belongs to {point.tie!r}, which {len(same)} rectangles share; tie each to its own."
            )
        return rectangles.index(same[0]) if same else None
    if not rectangles:
        return None
    inside = holding([rectangle.box for rectangle in rectangles], point.x, point.y)
    if len(inside) == 1:
        return inside[0]
    if len(rectangles) == 1:
        return 0
    raise InputError(
        f"{point.where} is tied to no rectangle and lies in {len(inside) or 'none'} of the picture's "
        f"{len(rectangles)}, so it is not said whose it is; tie it to its rectangle."
    )


def holding(boxes: Sequence[Sequence[float]], x: float, y: float) -> list[int]:
    """The places in `boxes`, each x, y, w, h, of those that a place (x, y) lies in or on the edge of."""
    return [i for i, (left, top, w, h) in enumerate(boxes) if left <= x <= left + w and top <= y <= top + h]


def _named(points: Sequence[DrawnPoint]) -> NamedPoints:
    """The points of one object by name; InputError for a name that comes twice."""
    named: NamedPoints = {}
    for point in points:
        if point.name in named:
            raise InputError(
                f"{point.where} is the second point {point.name!r} of one object; draw a rectangle round each object "
                "and tie its points to it."
            )
        named[point.name] = (point.x, point.y, point.visibility)
    check_spellings(named, f"The object of {points[0].where}")
    return named
