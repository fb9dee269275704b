"""What this room shares: a fault, the kinds of faults, counts per category, and what skeletons count from."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    kind: one of `KINDS`. category: its name, "" where it is of the file. where: the entry, e.g. "annotation 12".
    text: what is wrong, to be read after `where`. key: the entry's section and place in it, for `repair`.
    """

    kind: str
    category: str
    where: str
    text: str
    key: tuple[str, int] = ("", -1)
    value: Any = None


# kind -> what a repaired copy does about it; "" means that only a person can tell what is right.
KINDS: dict[str, str] = {
    "broken entry": "leaves it out",
    "id twice": "leaves the later one out",
    "unknown picture": "leaves the object out",
    "unknown category": "leaves the object out",
    "picture missing": "",
    "picture elsewhere": "gives the path where it is",
    "picture's size": "gives the size of the file",
    "names of points": "numbers the later ones",
    "same category name": "",
    "number of points": "leaves the object out",
    "coordinates": "marks the point as not labelled",
    "visibility": "marks the point as not labelled",
    "num_keypoints": "counts again",
    "area": "leaves it out",
    "box": "puts a box round the points, or leaves the object out where there are none",
    "box outside": "cuts it to the picture",
    "points outside the picture": "",
    "points outside the box": "",
    "same object": "leaves the later one out",
    "skeleton": "leaves the edge out",
    "left and right": "",
    "known fault": "",
}


@dataclass
class CategoryCounts:
    """What there is of one category."""

    name: str
    points: int = 0
    images: set[Any] = field(default_factory=set)
    missing: set[Any] = field(default_factory=set)
    objects: int = 0
    visible: int = 0
    outside: int = 0  # boxes that reach beyond their picture


@dataclass
class LabelReport:
    """Sums by category id, in the file's order, and the faults in the order of their finding."""

    sums: dict[Any, CategoryCounts]
    faults: list[Fault]


def skeleton_bases(categories: list) -> dict[Any, int]:
    """Category id -> 0 or 1, what its skeleton counts from: as `coco` tells it, of the whole file where that is
    possible, else of each category for itself."""
    reach: dict[Any, tuple[bool, bool]] = {}  # does it hold a 0, does it hold the number of points
    for entry in categories:
        if isinstance(entry, dict) and type(entry.get("id")) is int and isinstance(entry.get("skeleton"), list):
            count = len(entry["keypoints"]) if isinstance(entry.get("keypoints"), list) else 0
            flat = [i for edge in entry["skeleton"] if isinstance(edge, list) for i in edge if type(i) is int]
            reach[entry["id"]] = (0 in flat, count in flat)
    some_zero, some_one = (any(pair[i] for pair in reach.values()) for i in (0, 1))
    if some_zero and some_one:
        return {identity: int(one and not zero) for identity, (zero, one) in reach.items()}
    return dict.fromkeys(reach, int(some_one))
