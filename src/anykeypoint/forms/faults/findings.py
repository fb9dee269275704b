"""What an examination has found so far: the faults, the counts, and what later checks need of earlier ones."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import first_few
from ..pictures import Pictures
from ..reading import whole_number
from .changes import known_value
from .fault import CategoryCounts, Fault, Rewrite

SLACK = 1.0  # pixels that a point or box may lie outside without a fault, because labels are often rounded
NAMED = 3  # number of points, pairs or entries that one sentence names


@dataclass(frozen=True)
class Ambiguous:
    """An entry whose keys have several values, which stands at its place in the document that is examined.

    ids: the ids that it may have.
    """

    ids: set[Any]


class Findings:
    """The faults of one document so far.

    document: the COCO document that is examined.
    pictures: the folder of its pictures, and what is known of their files.
    faults, counts: what the report will hold.
    names: id of a category -> labels of its points.
    unusable: section -> ids of entries that are listed, but cannot be used.
    bases: id of a category -> the index that its skeleton counts from.
    sizes: id of a picture -> (width, height) in pixels; None if its file is missing.
    stated: id of a picture -> (width, height) in pixels as the labels state them, where they do.
    in_doubt: ids of pictures whose file has another size than the labels state, which may be the frame of the points.
    left_out: reason -> number of objects that readers leave out for it, without a fault.
    boxless: index of each object with points but without a box, and the box of its points.
    maybe_corners: index of each object whose box may be x1, y1, x2, y2 among boxes x, y, width, height.
    labelled: id of a category -> index, points [K, 2] and width of the box of each object that has points and a box.
    """

    def __init__(self, document: Mapping[str, list], pictures: Pictures) -> None:
        self.document, self.pictures = document, pictures
        self.faults: list[Fault] = []
        self.counts: dict[Any, CategoryCounts] = {}
        self.names: dict[Any, list[str]] = {}
        self.unusable: dict[str, set[int]] = defaultdict(set)
        self.bases: dict[Any, int] = {}
        self.sizes: dict[Any, tuple[int, int] | None] = {}
        self.stated: dict[Any, tuple[int, int]] = {}
        self.in_doubt: set[int] = set()
        self.left_out: Counter[str] = Counter()
        self.boxless: list[tuple[int, tuple[float, float, float, float]]] = []
        self.maybe_corners: set[int] = set()
        self.labelled: dict[Any, list[tuple[int, np.ndarray, float]]] = defaultdict(list)

    def say(
        self,
        kind: str,
        where: str,
        text: str,
        key: tuple[str, int],
        category: str = "",
        value: Any = None,
        sure: bool = True,
    ) -> None:
        """Add a fault; the arguments are the fields of `Fault`."""
        self.faults.append(Fault(kind, category, where, text, key, value, (), sure))

    def rewrite(self, section: str, rewrites: Sequence[Rewrite]) -> None:
        """Go on with a document in which these values are rewritten; entries that are not stay shared."""
        entries = list(self.document[section])
        for rewrite in rewrites:
            entries[rewrite.place] = {**entries[rewrite.place], rewrite.key: rewrite.value}
        self.document = {**self.document, section: entries}

    def extent(self, entry: Mapping[str, Any]) -> tuple[int, int] | None:
        """(width, height) of an annotation's picture in pixels, from its file or as stated; None where not known."""
        image = entry.get("image_id")
        if type(image) is not int:
            return None
        return self.sizes.get(image) or self.stated.get(image)

    def reach(self, entry: Mapping[str, Any]) -> tuple[int, int] | None:
        """The `extent` of an annotation's picture; where that is in doubt, the larger width and height of the two."""
        size, image = self.extent(entry), entry.get("image_id")
        if size is None or image not in self.in_doubt or image not in self.stated:
            return size
        return max(size[0], self.stated[image][0]), max(size[1], self.stated[image][1])

    def entries(self, section: str) -> list[tuple[int, Any, dict[str, Any]]]:
        """Index, id and entry of each entry of a section that has an id of its own; the others are faults."""
        known: dict[int, dict[str, Any]] = {}
        usable = []
        for place, entry in enumerate(self.document[section]):
            identity = entry.get("id") if isinstance(entry, dict) else None
            key, where = (section, place), f"{section}[{place}]"
            if isinstance(entry, Ambiguous):
                self.unusable[section] |= {one for one in map(whole_number, entry.ids) if one is not None}
            elif type(identity) is not int:
                self.say("broken entry", where, "is no JSON object with a whole number as id", key)
            elif identity in known and (section == "annotations" or known[identity] == entry):
                again = ", and all its values" if known[identity] == entry else ""
                self.say("id twice", where, f"has the id {identity} of one before it{again}", key, value=bool(again))
                if not again:
                    usable.append((place, identity, entry))
            elif identity in known:
                text = f"has the id {identity} of another one before it, so that it is not clear which of them is meant"
                self.say("id of two things", where, text, key)
                self.unusable[section].add(identity)
            else:
                known[identity] = entry
                usable.append((place, identity, entry))
        return [one for one in usable if one[1] not in self.unusable[section]]


def naming(document: Mapping[str, list], section: str, places: Sequence[int]) -> str:
    """What a sentence calls the entries at some places: by their ids, "annotation 3" or "annotations 3, 5 and 9"."""
    names = entry_ids(document, section, places)
    singular = "category" if section == "categories" else section.removesuffix("s")
    return f"{singular if len(names) == 1 else section} {listed(names, ', ')}"


def entry_ids(document: Mapping[str, list], section: str, places: Sequence[int]) -> list[str]:
    """The ids of the entries at some places, for a sentence; the place of one without an id."""
    names = []
    for place in places:
        identity = known_value(document[section][place], "id")
        known = isinstance(identity, int | float | str)
        names.append(str(identity)[:30] if known else f"at place {place}")
    return names


def pictures_of_objects(document: Mapping[str, list]) -> list[str]:
    """The file name of the picture of each annotation; "" where it is not known."""
    names: dict[str, str] = {}
    for entry in document["images"]:
        names.setdefault(str(known_value(entry, "id")), str(known_value(entry, "file_name") or ""))
    return [names.get(str(known_value(entry, "image_id")), "") for entry in document["annotations"]]


def listed(texts: list[str], between: str = "; ") -> str:
    """The first few texts, and how many more there are."""
    return between.join(texts[:NAMED]) + (f"{between}and {len(texts) - NAMED} more" if len(texts) > NAMED else "")


def chosen_names(labels: list[str], chosen: np.ndarray) -> str:
    """The labels of the chosen points [K] bool, for a sentence."""
    return first_few([repr(labels[i]) for i in np.flatnonzero(chosen)], NAMED)
