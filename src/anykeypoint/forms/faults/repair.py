"""A mended copy of labels: each fault is treated as its kind says, and nothing else is changed.

The original document stays as it is, and every change is noted in a `changes.Ledger`. Faults that only a person can
mend are counted. Entries are left out only where nothing says what they mean, or where they are there twice.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...category import plain_text
from ...configs.doubled_keys import DoubledKeys
from ..areas import box_area
from ..document import box_round
from ..pictures import Pictures
from ..reading import plain_number
from ..skeletons import BASE, skeleton_bases, stated_base, with_base
from .changes import SECTIONS, Change, Ledger, known_value
from .doctor import examine
from .fault import KINDS, Fault
from .sentinels import labelled

OWNERLESS = "objects of entries left out"
NO_NUMBER = "numbers that are none"
_PASSES = 8  # most rounds of mending: mending one fault, e.g. of a box, can reveal another
_ORDER = {kind: number for number, kind in enumerate(KINDS)}

# Kinds of faults whose entry is left out.
_DROPPED = ("broken entry", "unknown picture", "unknown category", "number of points", "same object")


class Mended(NamedTuple):
    """A mended copy.

    document: the copy.
    mended: kind of fault -> number of faults that were mended.
    left: kind of fault -> number of faults that are left as they are.
    changes: all changes, in the order in which they were made.
    """

    document: dict[str, list]
    mended: dict[str, int]
    left: dict[str, int]
    changes: list[Change]


def mend(document: Mapping[str, list], images: Path | Pictures) -> Mended:
    """A copy in which all is mended that has one meaning; it is examined again until nothing more can be mended.

    document: the COCO document.
    images: the folder of the pictures.
    """
    pictures = images if isinstance(images, Pictures) else Pictures(images)
    ledger, mended = Ledger(document), Counter()
    for _ in range(_PASSES):
        done, left = _once(ledger, examine(ledger.document, pictures).faults)
        mended.update(done)
        if not done:
            break
    return Mended(ledger.document, dict(mended), left, ledger.changes)


def count_from_one(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[Change]]:
    """A copy whose skeletons count from 1 and say so, as those of every file of ours; and the changes.

    document: the whole COCO document; without an edge it stays as it is.
    """
    ledger, bases = Ledger(document), skeleton_bases(document).by_category
    if bases and stated_base(document) != BASE:
        _shift(ledger, {identity: BASE - base for identity, base in bases.items()})
        ledger.set_whole("info", with_base(document.get("info")), "skeleton")
    return ledger.document, ledger.changes


def _once(ledger: Ledger, faults: Iterable[Fault]) -> tuple[dict[str, int], dict[str, int]]:
    """Mend a document's faults; the numbers of mended and left faults by kind."""
    mended, left = Counter(), Counter()
    faults = list(faults)
    bases = skeleton_bases(ledger.document).by_category
    dropped: dict[tuple[str, int], str] = {}  # entry -> kind of the fault for which it is left out
    moved: dict[int, int] = {}  # id of a picture that is listed twice -> that of its first entry
    edges: dict[int, set[Any]] = {}  # index of a category -> indices of edges to leave out, or "all"
    for fault in faults:  # in the order in which they were found, because each is one of what those before it left
        for rewrite in fault.rewrites:
            ledger.set(fault.key[0], rewrite.place, rewrite.key, rewrite.value, fault.kind)
    for fault in sorted(faults, key=lambda fault: _ORDER[fault.kind]):
        section, place = fault.key
        if not KINDS[fault.kind] or not fault.sure:
            left[fault.kind] += 1
            continue
        mended[fault.kind] += 1
        if fault.rewrites:
            continue
        if fault.kind == "key twice":
            ledger.write_once(section, place, fault.kind)
        elif fault.kind in _DROPPED:
            dropped.setdefault(fault.key, fault.kind)
        elif fault.kind == "skeleton":
            edges.setdefault(place, set()).add(fault.value)
        elif fault.kind == "picture twice":
            later, first = fault.value
            moved[later] = first
            dropped.setdefault(fault.key, fault.kind)
        elif _MENDERS[fault.kind](Entry(ledger, section, place, fault.kind), fault.value) is False:
            dropped.setdefault(fault.key, fault.kind)
    _move(ledger, moved)
    _edges(ledger, edges, bases)
    _drop(ledger, dropped, mended)
    _finite(ledger, mended)
    _keep_bases(ledger, bases)
    return dict(mended), dict(left)


class Entry(NamedTuple):
    """An entry that a mender changes, and the kind of fault that is noted with each change."""

    ledger: Ledger
    section: str
    place: int
    kind: str

    @property
    def value(self) -> dict[str, Any]:
        """The entry as it is now."""
        return self.ledger.document[self.section][self.place]

    def set(self, key: str, value: Any) -> None:
        self.ledger.set(self.section, self.place, key, value, self.kind)

    def remove(self, key: str) -> None:
        self.ledger.remove(self.section, self.place, key, self.kind)

    def labelled(self) -> np.ndarray:
        """The labelled points [N, 2] of an annotation."""
        return labelled(self.value["keypoints"])


# --- the document --------------------------------------------------------------------------------------------------


def _move(ledger: Ledger, moved: Mapping[int, int]) -> None:
    """Put the objects of pictures that are listed twice on the first entry. moved: later id -> first id."""
    for place, entry in enumerate(ledger.document["annotations"]) if moved else ():
        image = known_value(entry, "image_id")
        if type(image) is int and image in moved:
            ledger.set("annotations", place, "image_id", moved[image], "picture twice")


def _edges(ledger: Ledger, edges: Mapping[int, set[Any]], bases: Mapping[Any, int]) -> None:
    """Leave bad edges out of skeletons. A file that counts in two ways, key -1, gets skeletons that count from 0."""
    for place, bad in edges.items():
        if place >= 0:
            skeleton = ledger.document["categories"][place]["skeleton"]
            kept = [] if "all" in bad else [edge for i, edge in enumerate(skeleton) if i not in bad]
            ledger.set("categories", place, "skeleton", kept, "skeleton")
    if -1 in edges:
        _count_from_zero(ledger, bases)


def _drop(ledger: Ledger, dropped: dict[tuple[str, int], str], mended: Counter) -> None:
    """Leave entries out, and the objects of pictures and categories that are left out."""
    lost: dict[str, set[Any]] = {}
    for section, key in (("images", "image_id"), ("categories", "category_id")):
        entries = list(enumerate(ledger.document[section]))
        gone = [known_value(e, "id") for i, e in entries if (section, i) in dropped]
        kept = [known_value(e, "id") for i, e in entries if (section, i) not in dropped]
        lost[key] = {identity for identity in gone if type(identity) is int} - {i for i in kept if type(i) is int}
    for place, entry in enumerate(ledger.document["annotations"]):
        owners = {key: known_value(entry, key) for key in lost}
        owned = any(type(owner) is int and owner in lost[key] for key, owner in owners.items())
        if owned and ("annotations", place) not in dropped:
            dropped["annotations", place] = OWNERLESS
            mended[OWNERLESS] += 1
    for section, place in sorted(dropped, reverse=True):  # from the back, so that the other places stay
        ledger.drop(section, place, dropped[section, place])


def _finite(ledger: Ledger, mended: Counter) -> None:
    """Put null for infinite numbers and NaN, which JSON lacks; they may stand under keys that no reader uses."""
    for section in SECTIONS:
        for place, entry in enumerate(ledger.document[section]):
            for key, value in list(entry.items()) if type(entry) is dict else ():
                if (finite := _without_nan(value)) is not value:
                    mended[NO_NUMBER] += 1
                    ledger.set(section, place, key, finite, NO_NUMBER)


def _without_nan(value: Any) -> Any:
    """The value with null for infinite numbers and NaN; the same object if there is none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, DoubledKeys):
        return value
    if isinstance(value, dict):
        inner = {key: _without_nan(one) for key, one in value.items()}
        return inner if any(inner[key] is not one for key, one in value.items()) else value
    if isinstance(value, list):
        items = [_without_nan(one) for one in value]
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


def _keep_bases(ledger: Ledger, bases: Mapping[Any, int]) -> None:
    """Count all skeletons from 0 where leaving something out has changed what readers take them to count from."""
    now = skeleton_bases(ledger.document).by_category
    if any(bases.get(identity, base) != base for identity, base in now.items()):
        _count_from_zero(ledger, bases)


def _count_from_zero(ledger: Ledger, bases: Mapping[Any, int]) -> None:
    _shift(ledger, {identity: -base for identity, base in bases.items()})


def _shift(ledger: Ledger, steps: Mapping[Any, int]) -> None:
    """Add a number to the indices in skeletons. steps: id of a category -> the number."""
    for place, entry in enumerate(ledger.document["categories"]):
        step, edges = steps.get(known_value(entry, "id"), 0), known_value(entry, "skeleton")
        if step and isinstance(edges, list):
            counted = [[i + step if type(i) is int else i for i in e] if isinstance(e, list) else e for e in edges]
            ledger.set("categories", place, "skeleton", counted, "skeleton")


# --- single entries ------------------------------------------------------------------------------------------------


def _file_name(entry: Entry, value: str) -> None:
    entry.set("file_name", value)


def _size(entry: Entry, value: tuple[int, int]) -> None:
    entry.set("width", value[0])
    entry.set("height", value[1])


def _new_id(entry: Entry, again: bool) -> bool:
    if not again:
        entry.set("id", entry.ledger.new_id(entry.section))
    return not again


def _point_names(entry: Entry, _: Any) -> None:
    names, counts = list(entry.value["keypoints"]), Counter()
    taken = {plain_text(name) for name in names}
    for i, name in enumerate(names):
        counts[plain_text(name)] += 1
        if (number := counts[plain_text(name)]) > 1:
            while plain_text(f"{name} {number}") in taken:
                number += 1
            names[i] = f"{name} {number}"
            taken.add(plain_text(names[i]))
    entry.set("keypoints", names)


def _unlabel(entry: Entry, value: int) -> None:
    values = list(entry.value["keypoints"])
    values[3 * value : 3 * value + 3] = [0, 0, 0]
    entry.set("keypoints", values)
    _count(entry, None)


def _visibility(entry: Entry, value: int) -> None:
    values = list(entry.value["keypoints"])
    place, seen = [plain_number(number) for number in values[3 * value : 3 * value + 2]], values[3 * value + 2]
    if not ((seen is True or plain_number(seen) > 0) and np.isfinite(place).all()):
        return _unlabel(entry, value)
    values[3 * value + 2] = 2
    entry.set("keypoints", values)
    return _count(entry, None)


def _count(entry: Entry, _: Any) -> None:
    if "num_keypoints" in entry.value:
        entry.set("num_keypoints", len(entry.labelled()))


def _box(entry: Entry, _: Any) -> bool:
    points = entry.labelled()
    if len(points):
        entry.set("bbox", list(box_round(points)))
    return bool(len(points))


def _other_box(entry: Entry, box: list[float]) -> None:
    entry.set("bbox", box)


def _area(entry: Entry, box: list[float] | None) -> None:
    if box is None:
        entry.remove("area")
    else:
        entry.set("area", box_area(tuple(box)))


# Kind of fault -> function that changes the entry; it returns False where the entry must be left out.
_MENDERS: dict[str, Callable[[Entry, Any], bool | None]] = {
    "id twice": _new_id,
    "picture elsewhere": _file_name,
    "picture's size": _size,
    "names of points": _point_names,
    "coordinates": _unlabel,
    "visibility": _visibility,
    "num_keypoints": _count,
    "area": _area,
    "box": _box,
    "box outside": _other_box,
}
