"""Everything that is wrong with labels at once: `examine` lists the faults, and `repair.repair` mends a copy.

`coco.from_document` stops at the first thing it cannot use. Here nothing stops: every fault is listed with its place,
and counts per category show how much of a data set is there. Coordinates are image pixels. K is the number of
keypoints.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...category import MAX_KEYPOINTS, MAX_TEXT, mirrored_pairs, plain_text
from ..deepfashion2 import POINTS as DEEPFASHION2_POINTS
from ..pictures import Pictures
from ..reading import leaves_folder, plain_number
from . import sides
from .fault import CategoryCounts, Fault, LabelReport, skeleton_bases
from .known import known_faults

SLACK = 1.0  # pixels that a point or box may lie outside without a fault, because labels are often rounded
NAMED = 3  # number of points or pairs that one sentence names


def examine(document: Mapping[str, list], images: Path | Pictures) -> LabelReport:
    """Everything that is wrong with a COCO document; nothing is raised for bad data.

    document: the lists `images`, `annotations` and `categories`.
    images: the folder of the pictures, of which only headers are read. A `Pictures` that is passed again remembers the
        headers that were read before.
    """
    pictures = images if isinstance(images, Pictures) else Pictures(images)
    doctor = _Doctor(document, pictures)
    doctor.categories()
    doctor.images()
    doctor.objects()
    doctor.sides()
    doctor.faults += known_faults(document, pictures.folder, doctor.counts)
    return LabelReport(doctor.counts, doctor.faults)


class _Doctor:
    """The faults of one document so far, and what later checks need of earlier ones.

    names: id of a category -> labels of its points.
    sizes: id of a picture -> (width, height) in pixels; None if its file is missing.
    labelled: id of a category -> index, points [K, 2] and width of the box of each object that has points and a box.
    """

    def __init__(self, document: Mapping[str, list], pictures: Pictures) -> None:
        self.document, self.pictures = document, pictures
        self.faults: list[Fault] = []
        self.counts: dict[Any, CategoryCounts] = {}
        self.names: dict[Any, list[str]] = {}
        self.sizes: dict[Any, tuple[int, int] | None] = {}
        self.labelled: dict[Any, list[tuple[int, np.ndarray, float]]] = defaultdict(list)

    def say(
        self, kind: str, where: str, text: str, key: tuple[str, int], category: str = "", value: Any = None
    ) -> None:
        """Add a fault; the arguments are the fields of `Fault`."""
        self.faults.append(Fault(kind, category, where, text, key, value))

    def entries(self, section: str) -> list[tuple[int, Any, dict[str, Any]]]:
        """Index, id and entry of each entry of a section that has an id of its own; the others are faults."""
        known, usable = set(), []
        for place, entry in enumerate(self.document[section]):
            identity = entry.get("id") if isinstance(entry, dict) else None
            if type(identity) is not int:
                self.say(
                    "broken entry",
                    f"{section}[{place}]",
                    "is no JSON object with a whole number as id",
                    (section, place),
                )
            elif identity in known:
                self.say("id twice", f"{section}[{place}]", f"has the id {identity} of one before it", (section, place))
            else:
                known.add(identity)
                usable.append((place, identity, entry))
        return usable

    # --- categories ------------------------------------------------------------------------------------------------

    def categories(self) -> None:
        """Faults of names, points and skeletons."""
        by_name: dict[str, Any] = {}
        self.bases = skeleton_bases(self.document["categories"])
        if len(set(self.bases.values())) > 1:
            text = "counts the points of skeletons from 0 in some categories and from 1 in others"
            self.say("skeleton", "the file", text, ("categories", -1), "", "base")
        for place, identity, entry in self.entries("categories"):
            key, where = ("categories", place), f"category {identity}"
            name, labels = entry.get("name"), entry.get("keypoints", [])
            if not _is_text(name) or not isinstance(labels, list) or not all(map(_is_text, labels)):
                self.say("broken entry", where, "must have a text as name and a list of texts as keypoints", key)
                continue
            if len(labels) > MAX_KEYPOINTS:
                hint = " (read DeepFashion2 as deepfashion2:FILE)" if len(labels) == DEEPFASHION2_POINTS else ""
                self.say("broken entry", where, f"has {len(labels)} keypoints; {MAX_KEYPOINTS} are the most{hint}", key)
                continue
            self.counts[identity], self.names[identity] = CategoryCounts(name, len(labels)), labels
            if name in by_name:
                text = f"is called {name!r} like category {by_name[name]}; readers that go by name mix them up"
                self.say("same category name", where, text, key, name)
            by_name.setdefault(name, identity)
            counts = Counter(plain_text(label) for label in labels)
            for label in (label for label, count in counts.items() if count > 1):
                self.say("names of points", where, f"has {counts[label]} points called {label!r}", key, name)
            self.skeleton(entry, identity, name, key)

    def skeleton(self, entry: dict, identity: Any, name: str, key: tuple[str, int]) -> None:
        """Edges that do not connect two different points.

        Cycles are no fault, because the trunk of nearly every public skeleton is one.
        """
        edges, count = entry.get("skeleton") or [], len(self.names[identity])
        if not isinstance(edges, list):
            self.say("skeleton", f"category {identity}", "must have a list of pairs as skeleton", key, name, "all")
            return
        base = self.bases.get(identity, 0)
        pairs = [
            edge for edge in edges if isinstance(edge, list) and len(edge) == 2 and all(type(i) is int for i in edge)
        ]
        for i, edge in enumerate(edges):
            good = edge in pairs and edge[0] != edge[1] and all(base <= j < count + base for j in edge)
            if not good:
                text = f"has the edge {str(edge)[:30]}, which joins no two of its {count} points"
                self.say("skeleton", f"category {identity}", text, key, name, i)

    # --- pictures --------------------------------------------------------------------------------------------------

    def images(self) -> None:
        """Faults of file names and sizes; fills `sizes`."""
        for place, identity, entry in self.entries("images"):
            key, where, name = ("images", place), f"image {identity}", entry.get("file_name")
            if not isinstance(name, str) or not name or leaves_folder(name):
                self.say(
                    "broken entry", where, f"has no path inside the folder as file_name, but {str(name)[:60]!r}", key
                )
                continue
            path = self.pictures.folder / name
            if not self.pictures.has(name):
                self.sizes[identity] = None
                self.missing_picture(entry, path, where, key)
                continue
            stored = self.pictures.size(path)
            if stored is None:
                self.sizes[identity] = None
                self.say("picture missing", where, f"{name} is no readable picture", key)
                continue
            self.sizes[identity] = stored
            stated = (entry.get("width"), entry.get("height"))
            if stated not in ((None, None), stored):
                turned = ", so it was labelled lying on its side" if stated == stored[::-1] else ""
                size = f"{str(stated[0])[:20]} x {str(stated[1])[:20]}"
                text = f"{name} is {stored[0]} x {stored[1]} pixels, but the labels say {size}{turned}"
                self.say("picture's size", where, text, key, "", stored)

    def missing_picture(self, entry: dict, path: Path, where: str, key: tuple[str, int]) -> None:
        """A picture that is not at its path: is there one file of its name, and of its size where stated, elsewhere?"""
        name, index = entry["file_name"], self.pictures.below
        candidates = index.get(path.name.lower(), []) or index.get(path.stem.lower(), [])
        stated = (entry.get("width"), entry.get("height"))
        if None not in stated:  # pictures of different data sets often have the same numbers as names
            candidates = [other for other in candidates if self.pictures.size(other) == stated]
        if len(candidates) == 1:
            here = candidates[0].relative_to(self.pictures.folder).as_posix()
            self.say("picture elsewhere", where, f"{name} is missing, but there is {here}", key, "", here)
        else:
            also = f"; {len(candidates)} files elsewhere have its name and size" if candidates else ""
            self.say("picture missing", where, f"{name} is missing{also}", key)

    # --- objects ---------------------------------------------------------------------------------------------------

    def objects(self) -> None:
        """Faults of annotations; fills `counts` and `labelled`."""
        known: dict[Any, Any] = {}  # picture, category and points of an object -> its id
        entries = [entry for entry in self.document["images"] if isinstance(entry, dict)]
        listed = {entry["id"] for entry in entries if type(entry.get("id")) is int}
        for place, identity, entry in self.entries("annotations"):
            key, where = ("annotations", place), f"annotation {identity}"
            image, kind = entry.get("image_id"), entry.get("category_id")
            if type(image) is not int or image not in listed:
                self.say("unknown picture", where, f"has image_id {str(image)[:30]!r}, which no picture has", key)
                continue
            if type(kind) is not int or kind not in self.counts:
                self.say(
                    "unknown category", where, f"has category_id {str(kind)[:30]!r}, which no usable category has", key
                )
                continue
            if entry.get("iscrowd", 0) not in (0, False):
                continue
            counts = self.counts[kind]
            counts.objects += 1
            counts.images.add(image)
            if self.sizes.get(image) is None:
                counts.missing.add(image)
            points = self.points(entry, kind, where, key)
            if points is None:
                continue
            counts.visible += int(np.isfinite(points[:, 0]).sum())
            area = entry.get("area")
            if area is not None and not 0 <= plain_number(area) < math.inf:
                text = f"has the area {str(area)[:30]!r}, which must be a number from 0"
                self.say("area", where, text, key, counts.name)
            self.box(entry, points, image, kind, where, key)
            same = (image, kind, str(entry.get("keypoints")))
            if np.isfinite(points).any() and same in known:
                self.say("same object", where, f"has the points of annotation {known[same]}", key, counts.name)
            known.setdefault(same, identity)

    def points(self, entry: dict, kind: Any, where: str, key: tuple[str, int]) -> np.ndarray | None:
        """The points [K, 2] of an annotation, NaN where not labelled; None if their number is wrong."""
        name, labels = self.counts[kind].name, self.names[kind]
        values = entry.get("keypoints")
        if not isinstance(values, list) or len(values) != 3 * len(labels) or not labels:
            got = f"{len(values) / 3:g}" if isinstance(values, list) else "no"
            self.say("number of points", where, f"has {got} points, but {name!r} names {len(labels)}", key, name)
            return None
        table = np.array([plain_number(value) for value in values]).reshape(-1, 3)
        bad = ~np.isin(table[:, 2], (0, 1, 2))
        for i in np.flatnonzero(bad):
            self.say(
                "visibility", where, f"has the visibility {values[3 * i + 2]!r} at {labels[i]!r}", key, name, int(i)
            )
        table[bad, 2] = 0
        # Points that are not labelled count too, because readers refuse their coordinates as well.
        lost = ~np.isfinite(table[:, :2]).all(axis=1)
        for i in np.flatnonzero(lost):
            text = f"has {labels[i]!r} at {values[3 * i : 3 * i + 2]}, which is no place"
            self.say("coordinates", where, text, key, name, int(i))
        table[lost, 2] = 0
        labelled = int((table[:, 2] > 0).sum())
        if "num_keypoints" in entry and entry["num_keypoints"] != labelled:
            text = f"says num_keypoints {str(entry['num_keypoints'])[:20]}, but {labelled} are labelled"
            self.say("num_keypoints", where, text, key, name, labelled)
        return np.where(table[:, 2:] > 0, table[:, :2], np.nan)

    def box(self, entry: dict, points: np.ndarray, image: Any, kind: Any, where: str, key: tuple[str, int]) -> None:
        """Faults of an annotation's box, and of its points in relation to the box and the picture.

        points: [K, 2], NaN where not labelled.
        image, kind: ids of its picture and category.
        """
        counts, size, labels = self.counts[kind], self.sizes.get(image), self.names[kind]
        labelled = np.isfinite(points[:, 0])
        if size is not None and labelled.any():
            off = labelled & ((points < -SLACK) | (points > np.array(size) + SLACK)).any(axis=1)
            if off.any():
                text = f"has {_names(labels, off)} outside its picture of {size[0]} x {size[1]} pixels"
                self.say("points outside the picture", where, text, key, counts.name)
        values = entry.get("bbox")
        numbers = [plain_number(value) for value in values] if isinstance(values, list) else []
        if len(numbers) != 4 or not np.isfinite(numbers).all() or min(numbers[2:]) <= 0:
            if labelled.any():  # readers leave an object without points out, whatever its box
                self.say("box", where, f"has the box {str(values)[:60]}, which has no area", key, counts.name)
            return
        x, y, w, h = numbers
        if size is not None and (x < -SLACK or y < -SLACK or x + w > size[0] + SLACK or y + h > size[1] + SLACK):
            counts.outside += 1
            text = (
                f"has a box from ({x:g}, {y:g}) to ({x + w:g}, {y + h:g}) in a picture of {size[0]} x {size[1]} pixels"
            )
            self.say("box outside", where, text, key, counts.name, size)
        low, high = np.array([x, y]), np.array([x + w, y + h])
        off = labelled & ((points < low - SLACK) | (points > high + SLACK)).any(axis=1)
        if off.any():
            self.say("points outside the box", where, f"has {_names(labels, off)} outside its box", key, counts.name)
        if labelled.any():
            self.labelled[kind].append((key[1], points, w))

    # --- left and right --------------------------------------------------------------------------------------------

    def sides(self) -> None:
        """Names of left and right that are exchanged.

        In a category the pairs may fall into two sets that contradict each other, and only a person can know which set
        is wrong. Apart from that, single objects may have one pair that contradicts all others.
        """
        for kind, objects in self.labelled.items():
            labels, name = self.names[kind], self.counts[kind].name
            pairs = [pair if _left(labels[pair[0]]) else pair[::-1] for pair in mirrored_pairs(labels)]
            if len(pairs) < 3 or not any(_left(labels[a]) for a, _ in pairs):
                continue
            names = [f"{labels[a]!r} and {labels[b]!r}" for a, b in pairs]
            places, points, widths = zip(*objects, strict=True)
            table = sides.orders(np.array(points), widths, pairs)
            fewer, against, compared = sides.opposed(table)
            if against:
                one, other = (_listed([names[i] for i in np.flatnonzero(chosen)]) for chosen in (fewer, ~fewer))
                text = (
                    f"has two sets of pairs that are the other way round than each other in {against} of {compared} "
                    f"objects, {one} against {other}; the names of one set are exchanged"
                )
                self.say("left and right", f"category {kind}", text, ("categories", -1), name)
            for row, i in sides.odd(np.where(fewer, -1, 1) * table):
                identity = self.document["annotations"][places[row]]["id"]
                text = f"has {names[i]} the other way round than all its other pairs"
                self.say("left and right", f"annotation {identity}", text, ("annotations", places[row]), name)


def _listed(texts: list[str]) -> str:
    return "; ".join(texts[:NAMED]) + (f"; and {len(texts) - NAMED} more" if len(texts) > NAMED else "")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.replace("_", " ").strip()) and len(value) <= MAX_TEXT


def _left(label: str) -> bool:
    return "left" in plain_text(label)


def _names(labels: list[str], chosen: np.ndarray) -> str:
    names = [labels[i] for i in np.flatnonzero(chosen)]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more
