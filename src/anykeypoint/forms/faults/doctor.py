"""What is wrong with labelled data, all of it at once: `examine` finds, `repair` mends a copy.

`coco.from_document` stops at the first thing it cannot use. Here nothing stops: every fault is a `Fault` with its
place, and the sums per category show how much of a data set is there. Frames: image pixels, as in `coco`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...category import MAX_KEYPOINTS, MAX_TEXT, mirrored_pairs, plain_text
from ..pictures import Pictures
from ..reading import leaves_folder, plain_number
from . import sides
from .fault import CategoryCounts, Fault, LabelReport, skeleton_bases
from .known import known_faults

SLACK = 1.0  # pixels that a point or a box may be outside before it is told; labels are often rounded
DEEPFASHION2 = 294  # points of all its garments, which its files give to each


def examine(document: Mapping[str, list], images: Path | Pictures) -> LabelReport:
    """Everything that is wrong with a COCO document whose pictures are in the folder `images`.

    Only headers of pictures are read, those of `Pictures` that were asked for before not again. Raises nothing for bad
    data.
    """
    pictures = images if isinstance(images, Pictures) else Pictures(images)
    doctor = _Doctor(document, pictures)
    doctor.categories()
    doctor.images()
    doctor.objects()
    doctor.sides()
    doctor.faults += known_faults(document, pictures.folder, doctor.sums)
    return LabelReport(doctor.sums, doctor.faults)


class _Doctor:
    def __init__(self, document: Mapping[str, list], pictures: Pictures) -> None:
        self.document, self.pictures = document, pictures
        self.faults: list[Fault] = []
        self.sums: dict[Any, CategoryCounts] = {}
        self.names: dict[Any, list[str]] = {}
        self.sizes: dict[Any, tuple[int, int] | None] = {}  # image id -> size, None if its file is missing
        self.labelled: dict[Any, list[tuple[int, np.ndarray, float]]] = defaultdict(list)

    def say(
        self, kind: str, where: str, text: str, key: tuple[str, int], category: str = "", value: Any = None
    ) -> None:
        self.faults.append(Fault(kind, category, where, text, key, value))

    def entries(self, section: str) -> list[tuple[int, Any, dict[str, Any]]]:
        """Place, id and entry of each that has one of its own; the others are told of."""
        seen, found = set(), []
        for place, entry in enumerate(self.document[section]):
            identity = entry.get("id") if isinstance(entry, dict) else None
            if type(identity) is not int:
                self.say(
                    "broken entry",
                    f"{section}[{place}]",
                    "is no JSON object with a whole number as id",
                    (section, place),
                )
            elif identity in seen:
                self.say("id twice", f"{section}[{place}]", f"has the id {identity} of one before it", (section, place))
            else:
                seen.add(identity)
                found.append((place, identity, entry))
        return found

    # --- categories ------------------------------------------------------------------------------------------------

    def categories(self) -> None:
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
                hint = " (read DeepFashion2 as deepfashion2:FILE)" if len(labels) == DEEPFASHION2 else ""
                self.say("broken entry", where, f"has {len(labels)} keypoints; {MAX_KEYPOINTS} are the most{hint}", key)
                continue
            self.sums[identity], self.names[identity] = CategoryCounts(name, len(labels)), labels
            if name in by_name:
                text = f"is called {name!r} like category {by_name[name]}; readers that go by name mix them up"
                self.say("same category name", where, text, key, name)
            by_name.setdefault(name, identity)
            counts = Counter(plain_text(label) for label in labels)
            for label in (label for label, count in counts.items() if count > 1):
                self.say("names of points", where, f"has {counts[label]} points called {label!r}", key, name)
            self.skeleton(entry, identity, name, key)

    def skeleton(self, entry: dict, identity: Any, name: str, key: tuple[str, int]) -> None:
        """Edges that lead nowhere. Cycles are no fault: the trunk of nearly every public skeleton is one; and an edge
        from a point to itself only matters to graph models, which would count it twice."""
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
                index = self.pictures.below
                found = index.get(path.name.lower(), []) or index.get(path.stem.lower(), [])
                said = (entry.get("width"), entry.get("height"))
                if None not in said:  # many data sets number their pictures alike
                    found = [other for other in found if self.pictures.size(other) == said]
                if len(found) == 1:
                    here = found[0].relative_to(self.pictures.folder).as_posix()
                    self.say("picture elsewhere", where, f"{name} is missing, but there is {here}", key, "", here)
                else:
                    also = f"; {len(found)} files elsewhere have its name and size" if found else ""
                    self.say("picture missing", where, f"{name} is missing{also}", key)
                continue
            stored = self.pictures.size(path)
            if stored is None:
                self.sizes[identity] = None
                self.say("picture missing", where, f"{name} is no readable picture", key)
                continue
            self.sizes[identity] = stored
            said = (entry.get("width"), entry.get("height"))
            if said not in ((None, None), stored):
                turned = ", so it was labelled lying on its side" if said == stored[::-1] else ""
                told = f"{str(said[0])[:20]} x {str(said[1])[:20]}"
                text = f"{name} is {stored[0]} x {stored[1]} pixels, but the labels say {told}{turned}"
                self.say("picture's size", where, text, key, "", stored)

    # --- objects ---------------------------------------------------------------------------------------------------

    def objects(self) -> None:
        seen: dict[Any, Any] = {}
        entries = [entry for entry in self.document["images"] if isinstance(entry, dict)]
        listed = {entry["id"] for entry in entries if type(entry.get("id")) is int}
        for place, identity, entry in self.entries("annotations"):
            key, where = ("annotations", place), f"annotation {identity}"
            image, kind = entry.get("image_id"), entry.get("category_id")
            if type(image) is not int or image not in listed:
                self.say("unknown picture", where, f"has image_id {str(image)[:30]!r}, which no picture has", key)
                continue
            if type(kind) is not int or kind not in self.sums:
                self.say(
                    "unknown category", where, f"has category_id {str(kind)[:30]!r}, which no usable category has", key
                )
                continue
            if entry.get("iscrowd", 0) not in (0, False):
                continue
            sums = self.sums[kind]
            sums.objects += 1
            sums.images.add(image)
            if self.sizes.get(image) is None:
                sums.missing.add(image)
            points = self.points(entry, kind, where, key)
            if points is None:
                continue
            sums.visible += int(np.isfinite(points[:, 0]).sum())
            area = entry.get("area")
            if area is not None and not 0 <= plain_number(area) < math.inf:
                text = f"has the area {str(area)[:30]!r}, which must be a number from 0"
                self.say("area", where, text, key, sums.name)
            self.box(entry, points, image, kind, where, key)
            same = (image, kind, str(entry.get("keypoints")))
            if np.isfinite(points).any() and same in seen:
                self.say("same object", where, f"has the points of annotation {seen[same]}", key, sums.name)
            seen.setdefault(same, identity)

    def points(self, entry: dict, kind: Any, where: str, key: tuple[str, int]) -> np.ndarray | None:
        """(K, 2), NaN where not labelled; None if the object cannot be used."""
        name, labels = self.sums[kind].name, self.names[kind]
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
        lost = ~np.isfinite(table[:, :2]).all(axis=1)  # of points that are not labelled too: readers refuse them
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
        sums, size, labels = self.sums[kind], self.sizes.get(image), self.names[kind]
        there = np.isfinite(points[:, 0])
        if size is not None and there.any():
            off = there & ((points < -SLACK) | (points > np.array(size) + SLACK)).any(axis=1)
            if off.any():
                text = f"has {_names(labels, off)} outside its picture of {size[0]} x {size[1]} pixels"
                self.say("points outside the picture", where, text, key, sums.name)
        values = entry.get("bbox")
        numbers = [plain_number(value) for value in values] if isinstance(values, list) else []
        if len(numbers) != 4 or not np.isfinite(numbers).all() or min(numbers[2:]) <= 0:
            if there.any():  # an object without points is left out by all readers, whatever its box
                self.say("box", where, f"has the box {str(values)[:60]}, which has no area", key, sums.name)
            return
        x, y, w, h = numbers
        if size is not None and (x < -SLACK or y < -SLACK or x + w > size[0] + SLACK or y + h > size[1] + SLACK):
            sums.outside += 1
            text = (
                f"has a box from ({x:g}, {y:g}) to ({x + w:g}, {y + h:g}) in a picture of {size[0]} x {size[1]} pixels"
            )
            self.say("box outside", where, text, key, sums.name, size)
        low, high = np.array([x, y]), np.array([x + w, y + h])
        off = there & ((points < low - SLACK) | (points > high + SLACK)).any(axis=1)
        if off.any():
            self.say("points outside the box", where, f"has {_names(labels, off)} outside its box", key, sums.name)
        if there.any():
            self.labelled[kind].append((key[1], points, w))

    # --- left and right --------------------------------------------------------------------------------------------

    def sides(self) -> None:
        """Categories whose pairs fall into two sets that contradict each other, of which only a person can tell the
        wrong one; and, that apart, objects with one pair against all the others."""
        for kind, objects in self.labelled.items():
            labels, name = self.names[kind], self.sums[kind].name
            pairs = [pair if _left(labels[pair[0]]) else pair[::-1] for pair in mirrored_pairs(labels)]
            if len(pairs) < 3 or not any(_left(labels[a]) for a, _ in pairs):
                continue
            said = [f"{labels[a]!r} and {labels[b]!r}" for a, b in pairs]
            places, points, widths = zip(*objects, strict=True)
            table = sides.orders(np.array(points), widths, pairs)
            fewer, against, shown = sides.opposed(table)
            if against:
                one, other = (_listed([said[i] for i in np.flatnonzero(chosen)]) for chosen in (fewer, ~fewer))
                text = (
                    f"has two sets of pairs that are the other way round than each other in {against} of {shown} "
                    f"objects, {one} against {other}; the names of one set are exchanged"
                )
                self.say("left and right", f"category {kind}", text, ("categories", -1), name)
            for row, i in sides.odd(np.where(fewer, -1, 1) * table):
                identity = self.document["annotations"][places[row]]["id"]
                text = f"has {said[i]} the other way round than all its other pairs"
                self.say("left and right", f"annotation {identity}", text, ("annotations", places[row]), name)


def _listed(texts: list[str]) -> str:
    return "; ".join(texts[:3]) + (f"; and {len(texts) - 3} more" if len(texts) > 3 else "")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.replace("_", " ").strip()) and len(value) <= MAX_TEXT


def _left(label: str) -> bool:
    return "left" in plain_text(label)


def _names(labels: list[str], chosen: np.ndarray) -> str:
    names = [labels[i] for i in np.flatnonzero(chosen)]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more
