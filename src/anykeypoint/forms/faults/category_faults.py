"""Faults of a document's categories: names, points and skeletons."""

from collections import Counter
from typing import Any

from ...category import MAX_KEYPOINTS, MAX_TEXT, plain_text
from ..deepfashion2 import POINTS as DEEPFASHION2_POINTS
from ..skeletons import skeleton_bases
from .fault import CategoryCounts
from .findings import Findings
from .side_faults import lone_sides


def categories(found: Findings) -> None:
    """Faults of names, points and skeletons."""
    by_name: dict[str, Any] = {}
    bases = skeleton_bases(found.document)
    found.bases = bases.by_category
    if bases.mixed is not None:
        text = "counts the points of skeletons from 0 in some categories and from 1 in others"
        found.say("skeleton", "the file", text, ("categories", -1), "", "base")
    for place, identity, entry in found.entries("categories"):
        key, where = ("categories", place), f"category {identity}"
        name, labels = entry.get("name"), entry.get("keypoints", [])
        text = ""
        if not _is_text(name) or not isinstance(labels, list) or not all(map(_is_text, labels)):
            text = "must have a text as name and a list of texts as keypoints"
        elif len(labels) > MAX_KEYPOINTS:
            hint = " (read DeepFashion2 as deepfashion2:FILE)" if len(labels) == DEEPFASHION2_POINTS else ""
            text = f"has {len(labels)} keypoints; {MAX_KEYPOINTS} are the most{hint}"
        if text:
            found.unusable["categories"].add(identity)
            found.say("broken category", where, text, key, sure=False)
            continue
        found.counts[identity], found.names[identity] = CategoryCounts(name, len(labels)), labels
        if name in by_name:
            text = f"is called {name!r} like category {by_name[name]}; readers that go by name mix them up"
            found.say("same category name", where, text, key, name)
        by_name.setdefault(name, identity)
        counts = Counter(plain_text(label) for label in labels)
        for label in (label for label, count in counts.items() if count > 1):
            found.say("names of points", where, f"has {counts[label]} points called {label!r}", key, name)
        _skeleton(found, entry, identity, name, key)
        if labels:
            lone_sides(found, entry, identity, key)


def _skeleton(found: Findings, entry: dict, identity: Any, name: str, key: tuple[str, int]) -> None:
    """Edges that do not connect two different points.

    Cycles are no fault, because the trunk of nearly every public skeleton is one.
    """
    edges, count = entry.get("skeleton") or [], len(found.names[identity])
    if not isinstance(edges, list):
        found.say("skeleton", f"category {identity}", "must have a list of pairs as skeleton", key, name, "all")
        return
    base = found.bases.get(identity, 0)
    pairs = [edge for edge in edges if isinstance(edge, list) and len(edge) == 2 and all(type(i) is int for i in edge)]
    for i, edge in enumerate(edges):
        good = edge in pairs and edge[0] != edge[1] and all(base <= j < count + base for j in edge)
        if not good:
            text = f"has the edge {str(edge)[:30]}, which joins no two of its {count} points"
            found.say("skeleton", f"category {identity}", text, key, name, i)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.replace("_", " ").strip()) and len(value) <= MAX_TEXT
