"""Faults that are put into good labels, one injector for each kind: `COCO` for documents, `FILES` for every other form.

An injector changes labels in a place that a random generator draws, and says which kinds of faults must be found: the
first of its kinds for certain, the others perhaps, because one wrong value can show in several ways.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from seeded_labels import NAMES, SIZE, Opened

Document = dict[str, Any]
Random = np.random.Generator


@dataclass(frozen=True)
class Injector:
    """A way of spoiling labels.

    kinds: the kind of fault that must be found, and others that may be found with it.
    spoil: changes a document, or the opened files of a form.
    fits: whether it can spoil the files of a form.
    costs: whether the object can no longer be read.
    """

    kinds: tuple[str, ...]
    spoil: Callable[[Any, Random], None]
    fits: Callable[[type[Opened]], bool] = lambda form: True
    costs: bool = False


# --- COCO documents ------------------------------------------------------------------------------------------------


def _one(rng: Random, entries: list) -> Any:
    return entries[int(rng.integers(len(entries)))]


def _object(document: Document, rng: Random) -> dict[str, Any]:
    return _one(rng, document["annotations"])


def _seen(entry: dict[str, Any], rng: Random) -> int:
    """The index of a labelled point of an object."""
    return _one(rng, [i for i in range(len(NAMES)) if entry["keypoints"][3 * i + 2] > 0])


def _edit(**edits: Callable[[Any], Any]) -> Callable[[Document, Random], None]:
    """An injector that changes keys of one object."""

    def spoil(document: Document, rng: Random) -> None:
        entry = _object(document, rng)
        for key, change in edits.items():
            entry[key] = change(entry.get(key))

    return spoil


def _move(*rows: list, all_of: bool = False) -> Callable[[Document, Random], None]:
    """An injector that puts as many points as there are rows at these rows x, y, v, in one object or in several."""

    def spoil(document: Document, rng: Random) -> None:
        entry = _object(document, rng)
        spots = [i for i in range(len(NAMES)) if entry["keypoints"][3 * i + 2] > 0]
        for row, i in zip(rows, rng.permutation(spots).tolist(), strict=False):
            if not all_of:
                entry = _object(document, rng)
                i = _seen(entry, rng)
            entry["keypoints"][3 * i : 3 * i + 3] = row
            if row[0] is None or row[0] != row[0]:
                entry.pop("num_keypoints", None)

    return spoil


def _exchange(document: Document, rng: Random) -> None:
    entry = _object(document, rng)
    a, b = _one(rng, [(1, 2), (3, 4), (5, 6)])
    values = entry["keypoints"]
    if values[3 * a + 2] and values[3 * b + 2] and all(values[3 * i + 2] for i in range(1, 7)):
        values[3 * a : 3 * a + 3], values[3 * b : 3 * b + 3] = values[3 * b : 3 * b + 3], values[3 * a : 3 * a + 3]
    else:  # a point of a pair is not labelled here
        _exchange(document, rng)


def _onto(document: Document, rng: Random) -> None:
    entry = _object(document, rng)
    values = entry["keypoints"]
    values[15:17] = values[18:20]  # the paws, which are always labelled and apart


def _again(document: Document, rng: Random) -> None:
    document["annotations"].append({**copy.deepcopy(_object(document, rng)), "id": 77})


def _corners(document: Document, rng: Random) -> None:
    for entry in document["annotations"]:
        x, y, w, h = entry["bbox"]
        entry["bbox"] = [x, y, x + w, y + h]


def _shares(document: Document, rng: Random) -> None:
    for entry in document["annotations"]:
        entry["keypoints"] = [v / (*SIZE, 1)[i % 3] for i, v in enumerate(entry["keypoints"])]
        entry["bbox"] = [v / side for v, side in zip(entry["bbox"], SIZE * 2, strict=True)]
        if "area" in entry:
            entry["area"] /= SIZE[0] * SIZE[1]


def _constant_area(document: Document, rng: Random) -> None:
    for i, entry in enumerate(document["annotations"]):
        entry["area"] = 777
        if i == 0:  # the boxes of real objects differ by far
            x, y, w, h = entry["bbox"]
            entry["bbox"] = [x - 45, y - 45, w + 45, h + 45]


def _doubled(value: Callable[[Any], Any]) -> Callable[[Document, Random], None]:
    """Marks an object whose box stands twice; the test writes it so."""

    def spoil(document: Document, rng: Random) -> None:
        entry = _object(document, rng)
        entry["bbox "] = value(entry["bbox"])

    return spoil


def _picture(**edits: Any) -> Callable[[Document, Random], None]:
    return lambda document, rng: _one(rng, document["images"]).update(edits)


def _moved_picture(document: Document, rng: Random) -> None:
    picture = _one(rng, document["images"])
    picture["file_name"] = f"in/{picture['file_name'].upper()}"


def _picture_above(document: Document, rng: Random) -> None:
    picture = _one(rng, document["images"])
    picture["file_name"] = f"../set/{picture['file_name']}"


def _picture_again(document: Document, rng: Random) -> None:
    first = _one(rng, document["images"])
    spelling = _one(rng, ["{}", "./{}", ".//{}"]).format(first["file_name"])
    document["images"].append({**first, "id": 99, "file_name": spelling})
    _one(rng, [e for e in document["annotations"] if e["image_id"] == first["id"]])["image_id"] = 99


def _text_ids(document: Document, rng: Random) -> None:
    for picture in document["images"]:
        picture["id"] = f"frame {picture['id']}"
    for entry in document["annotations"]:
        entry["image_id"] = f"frame {entry['image_id']}"


def _category(**edits: Any) -> Callable[[Document, Random], None]:
    return lambda document, rng: document["categories"][0].update(edits)


def _rows(values: list) -> list:
    return [values[i : i + 3] for i in range(0, len(values), 3)]


def _texts(values: list) -> list:
    return [str(value) for value in values]


NAN = float("nan")
SENTINEL = ("sentinel",)
OUTLINE = [[30, 30, 130, 110]]
COCO: dict[str, Injector] = {
    "id with a point": Injector(("id as text",), _edit(id=float)),
    "id as a text": Injector(("id as text",), _edit(id=str)),
    "no id": Injector(("id as text",), _edit(id=lambda _: None)),
    "ids that are names": Injector(("id as text",), _text_ids),
    "image_id as a text": Injector(("id as text",), _edit(image_id=str)),
    "category_id with a point": Injector(("id as text",), _edit(category_id=float)),
    "box of texts": Injector(("number as text",), _edit(bbox=_texts)),
    "points of texts": Injector(("number as text",), _edit(keypoints=_texts)),
    "area as a text": Injector(("number as text",), _edit(area=str)),
    "name of a category as a number": Injector(("number as text",), _category(name=7)),
    "points in rows": Injector(("shape of values",), _edit(keypoints=_rows)),
    "points by name": Injector(
        ("shape of values",), _edit(keypoints=lambda v: dict(zip(NAMES, _rows(v), strict=True)))
    ),
    "outline in no list": Injector(("shape of values",), _edit(segmentation=lambda _: [50, 40, 140, 40, 140, 110])),
    "crowd flag as a text": Injector(("crowd flag",), _edit(iscrowd=lambda _: "0")),
    "crowd flag without a meaning": Injector(("crowd flag",), _edit(iscrowd=lambda _: "perhaps"), costs=True),
    "minus one": Injector(SENTINEL, _move([-1, -1, 2])),
    "-999": Injector(SENTINEL, _move([-999, -999, 2], [-999, -999, 1])),
    "NaN": Injector(SENTINEL, _move([NAN, NAN, 2], [NAN, NAN, 2], all_of=True)),
    "null": Injector(SENTINEL, _move([None, None, 2], [None, None, 0], all_of=True)),
    "corner": Injector(SENTINEL, _move([0, 0, 2], [0, 0, 2], all_of=True)),
    "one corner": Injector(SENTINEL, _move([0, 0, 2])),
    "shares": Injector(("shares of the picture",), _shares),
    "boxes of two corners": Injector(("order of the box",), _corners),
    "id twice": Injector(("id twice",), lambda d, rng: _one(rng, d["annotations"][1:]).update(id=1)),
    "unknown picture": Injector(("unknown picture",), _edit(image_id=lambda _: 99), costs=True),
    "unknown category": Injector(("unknown category",), _edit(category_id=lambda _: 99), costs=True),
    "picture missing": Injector(("picture missing",), _picture(file_name="gone.png")),
    "picture elsewhere": Injector(("picture elsewhere",), _moved_picture),
    "picture in a folder above": Injector(("picture elsewhere",), _picture_above, costs=True),
    "picture's size": Injector(("picture's size",), _picture(width=SIZE[1], height=SIZE[0])),
    "picture without a size": Injector(("picture's size",), _picture(width=0, height=None)),
    "picture twice": Injector(("picture twice",), _picture_again),
    "picture out of the folder": Injector(("broken entry",), _picture(file_name="../gone.png"), costs=True),
    "broken entry": Injector(("broken entry",), lambda d, rng: d["annotations"].append(["no object"])),
    "names of points": Injector(("names of points",), _category(keypoints=["nose", "Nose", *NAMES[2:]])),
    "category without a name": Injector(("broken category", "no object"), _category(name=None), costs=True),
    "side without a partner": Injector(
        ("side without a partner",), _category(keypoints=[*NAMES[:5], "left hoof", *NAMES[6:]])
    ),
    "one name for two categories": Injector(
        ("same category name",),
        lambda d, rng: d["categories"].append({"id": 2, "name": "cat", "keypoints": ["a"], "skeleton": []}),
    ),
    "skeleton": Injector(("skeleton",), _category(skeleton=[[1, 2], [3, 3], [1, 99]])),
    "number of points": Injector(("number of points",), _edit(keypoints=lambda v: v[:-3]), costs=True),
    "coordinates": Injector(("coordinates", "num_keypoints"), _move(["here", 5, 2])),
    "visibility": Injector(("visibility", "num_keypoints"), _move([100, 100, 3])),
    "num_keypoints": Injector(("num_keypoints",), _edit(num_keypoints=lambda n: n + 2)),
    "area of nothing": Injector(("area",), _edit(area=lambda _: 0)),
    "area of one": Injector(("area",), _edit(area=lambda _: 1)),
    "area larger than the box": Injector(("area",), _edit(area=lambda a: 3 * a)),
    "area that is none": Injector(("area",), _edit(area=lambda _: "large")),
    "one area for all": Injector(("area",), _constant_area),
    "box without sides": Injector(("box",), _edit(bbox=lambda b: [*b[:2], 0, 0])),
    "no box": Injector(("no box",), _edit(bbox=lambda _: None)),
    "box drawn backwards": Injector(("box",), _edit(bbox=lambda b: [*b[:2], -b[2], b[3]])),
    "box outside": Injector(("box outside",), _edit(bbox=lambda b: [*b[:2], 300, b[3]], area=lambda a: a)),
    "points outside the picture": Injector(
        ("points outside the picture", "points outside the box", "left and right"), _move([SIZE[0] + 50, 90, 2])
    ),
    "points outside the box": Injector(("points outside the box", "left and right"), _move([12.5, 14.25, 2])),
    "object twice": Injector(("same object",), _again),
    "points on each other": Injector(("points on each other",), _onto),
    "outline of four numbers": Injector(("outline",), _edit(segmentation=lambda _: OUTLINE)),
    "outline of another size": Injector(("outline",), _edit(segmentation=lambda _: {"size": [2, 2], "counts": [4]})),
    "left and right": Injector(("left and right",), _exchange),
    "key with two values": Injector(("key with two values",), _doubled(lambda box: [1, 2, *box[2:]]), costs=True),
    "key twice": Injector(("key twice",), _doubled(list)),
}


# --- files of every other form -------------------------------------------------------------------------------------


def _spot(opened: Opened, rng: Random) -> tuple[int, int]:
    """The numbers of an object, and of a point of it."""
    things = opened.objects()
    thing = int(rng.integers(len(things)))
    return thing, int(rng.integers(len(things[thing])))


def _put(x: float, y: float) -> Callable[[Opened, Random], None]:
    def spoil(opened: Opened, rng: Random) -> None:
        thing, spot = _spot(opened, rng)
        opened.objects()[thing][spot].put(x, y)

    return spoil


def _no_number(opened: Opened, rng: Random) -> None:
    thing, spot = _spot(opened, rng)
    opened.objects()[thing][spot].spoil(_one(rng, ["abc", "1;5", "--3"]))


def _on_each_other(opened: Opened, rng: Random) -> None:
    thing, _ = _spot(opened, rng)
    spots = opened.objects()[thing]
    far = max(range(len(spots)), key=lambda i: np.hypot(*np.subtract(spots[i].place, spots[0].place)))
    spots[far].put(*spots[0].place)


def _exchanged(opened: Opened, rng: Random) -> None:
    things = [{spot.name: spot for spot in thing} for thing in opened.objects()]
    (whole,) = [_one(rng, [thing for thing in things if set(NAMES[1:7]) <= set(thing)])]
    side = _one(rng, ["ear", "eye", "paw"])
    left, right = whole[f"left {side}"], whole[f"right {side}"]
    a, b = left.place, right.place
    left.put(*b)
    right.put(*a)


def _repeated(opened: Opened, rng: Random) -> None:
    opened.repeat(*_spot(opened, rng))


def _copied(opened: Opened, rng: Random) -> None:
    opened.copy(_spot(opened, rng)[0])


def _renamed(opened: Opened, rng: Random) -> None:
    opened.rename(_spot(opened, rng)[0], "gone.png")


OUTSIDE = ("points outside the picture", "points outside the box", "box outside", "left and right")
FILES: dict[str, Injector] = {
    "minus one": Injector(SENTINEL, _put(-1, -1), lambda form: form.sentinels),
    "no number": Injector(("cannot be read", "box"), _no_number, costs=True),
    "point outside the picture": Injector(OUTSIDE, _put(SIZE[0] + 50, 100)),
    "points on each other": Injector(("points on each other", "points outside the box"), _on_each_other),
    "left and right": Injector(("left and right",), _exchanged, lambda form: form.sided),
    "point twice": Injector(("cannot be read",), _repeated, lambda form: form.repeats, costs=True),
    "object twice": Injector(("same object",), _copied, lambda form: form.copies),
    "picture missing": Injector(("picture missing",), _renamed, lambda form: form.renames),
}


def write_document(document: Document) -> str:
    """The JSON text of a document, in which "bbox " stands for a second key "bbox"."""
    return json.dumps(document).replace('"bbox "', '"bbox"')
