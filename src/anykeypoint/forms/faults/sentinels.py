"""Places that stand for "not labelled": (-1, -1), (0, 0), NaN and the like at points that are marked as labelled.

Which places do is judged for the file as a whole, because a true point may lie in the corner of its picture. K is the
number of keypoints; places are in image pixels.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..document import box_round, within
from ..reading import plain_number
from .fault import Fault, Rewrite
from .findings import SLACK, Findings, naming

_KNOWN = {-1.0, -9.0, -10.0, -99.0, -100.0, -999.0, -1000.0, -9999.0, -10000.0}  # both x and y of a sentinel
_MANY = 3  # number of points at one place from which a place that no picture has is no coincidence
_FEW = 2  # the same for points without any place, and for corners that are far from their objects
_CLEAR = 0.05  # share of the picture's sides that an object's points keep away from its left and upper side
_MISSING = ("", "nan", "none", "null", "na", "n/a", "inf", "-inf")  # texts that are no number

Place = tuple[float, float] | str  # a place that points share, or LOST
Point = tuple[int, int]  # index of an annotation, and of a point in it
LOST = "lost"


def is_sentinel(x: float, y: float) -> bool:
    """Whether a place alone, such as (-1, -1), says that a point is not labelled; of (0, 0) only the file can tell."""
    return x == y and x in _KNOWN


def mark(found: Findings) -> None:
    """Add a fault for each sentinel of a document, and go on with a document in which its points are not labelled."""
    places = _places(found)
    corner = places.pop((0.0, 0.0), [])
    chosen = {place: points for place, points in places.items() if _stands_for_nothing(place, points)}
    if corner := _corners(found, corner, bool(chosen)):
        chosen[(0.0, 0.0)] = corner
    for place, points in chosen.items():
        rewrites = [rewrite for at, own in _by_object(points).items() for rewrite in _unlabelled(found, at, own)]
        places_of = sorted({at for at, _ in points})
        where = naming(found.document, "annotations", places_of)
        have = "has" if len(places_of) == 1 else "have"
        what = "without a place" if place == LOST else f"at ({place[0]:g}, {place[1]:g})"
        count = f"{len(points)} labelled point{'s' if len(points) > 1 else ''}"
        text = f"{have} {count} {what}, which is how tools say 'not labelled'"
        at = places_of[0] if len(places_of) == 1 else -1
        found.faults.append(Fault("sentinel", "", where, text, ("annotations", at), None, tuple(rewrites)))
        found.rewrite("annotations", rewrites)


def _places(found: Findings) -> dict[Place, list[Point]]:
    """The places that may be sentinels, with the points there."""
    places: dict[Place, list[Point]] = defaultdict(list)
    for at, entry, _ in _objects(found):
        size = found.reach(entry)
        values = entry["keypoints"]
        for i in range(0, len(values), 3):
            x, y, v = values[i : i + 3]
            if type(x) in (int, float) and type(y) in (int, float) and x == x and y == y:
                outside = x < -SLACK or y < -SLACK or (size and (x > size[0] + SLACK or y > size[1] + SLACK))
                if plain_number(v) > 0 and (outside or (x == y and x <= 0)):
                    places[(float(x), float(y))].append((at, i // 3))
            elif _is_missing(x) and _is_missing(y):
                places[LOST].append((at, i // 3))
    return places


def _objects(found: Findings) -> Iterator[tuple[int, dict[str, Any], list[str]]]:
    """Index, entry and names of the points of each annotation whose number of points is right."""
    for at, entry in enumerate(found.document["annotations"]):
        kind = entry.get("category_id") if isinstance(entry, dict) else None
        labels = found.names.get(kind) if type(kind) is int else None
        if labels and isinstance(entry.get("keypoints"), list) and len(entry["keypoints"]) == 3 * len(labels):
            yield at, entry, labels


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _MISSING
    return value is None or (type(value) is float and not np.isfinite(value))


def _by_object(points: list[Point]) -> dict[int, list[int]]:
    grouped: dict[int, list[int]] = defaultdict(list)
    for at, i in points:
        grouped[at].append(i)
    return grouped


def _stands_for_nothing(place: Place, points: list[Point]) -> bool:
    """Whether a place other than the corner is a sentinel."""
    if place == LOST:
        return len(points) >= _FEW
    if not isinstance(place, str) and is_sentinel(*place):
        return True
    twice = max(len(own) for own in _by_object(points).values()) > 1  # two points of one object at one place outside
    return twice or len(points) >= _MANY


def _corners(found: Findings, points: list[Point], others: bool) -> list[Point]:
    """The points at (0, 0) that are sentinels.

    points: all labelled points there.
    others: whether the file has other sentinels.
    A point there is one for certain if its object has another there or a box that does not reach the corner. If it is
    farther from the nearest other point than these are from one another, it is one where the file has a second such
    point or another sentinel; and if its object's other points keep clear of both sides of that corner, where the file
    has two more. A point that is there in three pictures is one too, whatever its distance (`_again_and_again`). Where
    three are sentinels, the others are too.
    """
    certain, likely, possible = [], [], []
    for at, own in _by_object(points).items():
        entry = found.document["annotations"][at]
        if len(own) > 1 or _beyond_box(entry):
            certain += [(at, i) for i in own]
        elif _far(entry, own[0]):
            likely.append((at, own[0]))
        elif (size := found.reach(entry)) and len(_others(entry, own[0])) >= 2 and all(_clear(entry, own[0], size)):
            possible.append((at, own[0]))
    if likely and len(certain) + len(likely) + others >= _FEW:
        certain += likely
    if possible and len(certain) + len(possible) >= _MANY:
        certain += possible
    certain = sorted({*certain, *_again_and_again(found, points)})
    return points if len(certain) >= _MANY else certain


def _again_and_again(found: Findings, points: list[Point]) -> list[Point]:
    """Those of the points at (0, 0) whose name is there in three or more pictures while the other points move.

    A part that is cut off by the picture is at its sides more often than just in the corner, and where the other points
    reach both sides of the corner, as those of a sheet that fills its scan do, the corner is a place like any other.
    """
    named: dict[tuple[int, int], list[Point]] = defaultdict(list)  # category and index of a point -> where it is
    for at, i in points:
        entry = found.document["annotations"][at]
        if any(_clear(entry, i, found.reach(entry))):
            named[entry["category_id"], i].append((at, i))
    many = {one: own for one, own in named.items() if len(own) >= _MANY}
    at_sides = _at_sides(found, set(many))
    chosen = []
    for one, own in many.items():
        entries = [found.document["annotations"][at] for at, _ in own]
        pictures = {str(entry.get("image_id")) for entry in entries}
        places = {_others(entry, i).tobytes() for entry, (_, i) in zip(entries, own, strict=True)}
        if min(len(pictures), len(places)) >= _MANY and at_sides[one] < len(own):
            chosen += own
    return chosen


def _at_sides(found: Findings, wanted: set[tuple[int, int]]) -> Counter[tuple[int, int]]:
    """How often points are labelled on the left or upper side of the picture, but not in the corner.

    wanted: category and index of each such point.
    """
    counts: Counter[tuple[int, int]] = Counter()
    for _, entry, labels in _objects(found) if wanted else ():
        for i in range(len(labels)):
            x, y, v = map(plain_number, entry["keypoints"][3 * i : 3 * i + 3])
            counts[entry["category_id"], i] += v > 0 and (x == 0) != (y == 0)
    return counts


def _beyond_box(entry: Mapping[str, Any]) -> bool:
    """Whether the corner (0, 0) lies outside an annotation's box."""
    box = entry.get("bbox")
    numbers = [plain_number(value) for value in box] if isinstance(box, list) else []
    return len(numbers) == 4 and min(numbers[2:]) > 0 and max(numbers[:2]) > SLACK


def _far(entry: Mapping[str, Any], own: int) -> bool:
    """Whether the point at (0, 0) is farther from all other labelled points than these are from one another."""
    places = _others(entry, own)
    return len(places) >= 2 and bool(np.hypot(*places.T).min() > np.hypot(*np.ptp(places, axis=0)))


def _clear(entry: Mapping[str, Any], own: int, size: tuple[int, int] | None) -> tuple[bool, bool]:
    """Whether all other labelled points keep clear of the left, and of the upper side of the picture.

    size: of the picture; where it is not known, that of the points stands for it.
    """
    places = _others(entry, own)
    if not len(places):
        return False, False
    left, upper = places.min(axis=0) > _CLEAR * (places.max(axis=0) if size is None else np.array(size))
    return bool(left), bool(upper)


def _others(entry: Mapping[str, Any], own: int) -> np.ndarray:
    """The other labelled points [N, 2] of an annotation, without those that are sentinels themselves."""
    table = np.array([plain_number(value) for value in entry["keypoints"]]).reshape(-1, 3)
    others = (table[:, 2] > 0) & np.isfinite(table).all(axis=1) & (np.arange(len(table)) != own)
    others &= ~((table[:, 0] == table[:, 1]) & (table[:, 0] < 0))
    return table[others, :2]


def _unlabelled(found: Findings, at: int, own: list[int]) -> list[Rewrite]:
    """What makes points of an annotation not labelled; a box that was put round them is put round the others."""
    entry = found.document["annotations"][at]
    values = list(entry["keypoints"])
    before = labelled(values)
    for i in own:
        values[3 * i : 3 * i + 3] = [0, 0, 0]
    after = labelled(values)
    rewrites = [Rewrite(at, "keypoints", values)]
    if "num_keypoints" in entry and entry["num_keypoints"] != len(after):
        rewrites.append(Rewrite(at, "num_keypoints", len(after)))
    box, size = entry.get("bbox"), found.reach(entry)
    numbers = np.array([plain_number(value) for value in box] if isinstance(box, list) else [])
    if len(after) and len(after) < len(before) and len(numbers) == 4:
        for rule in (box_round, _tight, _hull):
            cut = [rule(points) if size is None else within(rule(points), size, points) for points in (before, after)]
            if min(np.abs(numbers - box).max() for box in (rule(before), cut[0])) <= SLACK:
                rewrites.append(Rewrite(at, "bbox", [float(value) for value in cut[1]]))
                if plain_number(entry.get("area")) == numbers[2] * numbers[3]:
                    rewrites.append(Rewrite(at, "area", rewrites[-1].value[2] * rewrites[-1].value[3]))
                break
    return rewrites


def labelled(values: list) -> np.ndarray:
    """The labelled points [N, 2] of an annotation's `keypoints`, those with a place."""
    table = np.array([plain_number(value) for value in values]).reshape(-1, 3)
    return table[(table[:, 2] > 0) & np.isfinite(table).all(axis=1), :2]


def _tight(points: np.ndarray) -> tuple[float, float, float, float]:
    """The box that readers put round the points [N, 2] of an object without one."""
    return box_round(points, least=0)


def _hull(points: np.ndarray) -> tuple[float, float, float, float]:
    """The box x, y, w, h that just holds points [N, 2]."""
    (x, y), (w, h) = points.min(axis=0), np.ptp(points, axis=0)
    return float(x), float(y), float(w), float(h)
