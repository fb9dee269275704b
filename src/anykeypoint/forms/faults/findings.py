"""What an examination has found so far: the faults, the counts, and what later checks need of earlier ones."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..pictures import Pictures
from .fault import CategoryCounts, Fault

SLACK = 1.0  # pixels that a point or box may lie outside without a fault, because labels are often rounded
NAMED = 3  # number of points, pairs or entries that one sentence names


class Findings:
    """The faults of one document so far.

    document: the COCO document that is examined.
    pictures: the folder of its pictures, and what is known of their files.
    faults, counts: what the report will hold.
    names: id of a category -> labels of its points.
    bases: id of a category -> the index that its skeleton counts from.
    sizes: id of a picture -> (width, height) in pixels; None if its file is missing.
    labelled: id of a category -> index, points [K, 2] and width of the box of each object that has points and a box.
    """

    def __init__(self, document: Mapping[str, list], pictures: Pictures) -> None:
        self.document, self.pictures = document, pictures
        self.faults: list[Fault] = []
        self.counts: dict[Any, CategoryCounts] = {}
        self.names: dict[Any, list[str]] = {}
        self.bases: dict[Any, int] = {}
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
            key, where = (section, place), f"{section}[{place}]"
            if type(identity) is not int:
                self.say("broken entry", where, "is no JSON object with a whole number as id", key)
            elif identity in known:
                self.say("id twice", where, f"has the id {identity} of one before it", key)
            else:
                known.add(identity)
                usable.append((place, identity, entry))
        return usable


def listed(texts: list[str], between: str = "; ") -> str:
    """The first few texts, and how many more there are."""
    return between.join(texts[:NAMED]) + (f"{between}and {len(texts) - NAMED} more" if len(texts) > NAMED else "")


def chosen_names(labels: list[str], chosen: np.ndarray) -> str:
    """The labels of the chosen points [K] bool, for a sentence."""
    names = [labels[i] for i in np.flatnonzero(chosen)]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more
