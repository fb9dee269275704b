"""Faults of left and right, judged for a whole category; `sides` has the arithmetic."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...category import plain_text
from ...errors import InputError
from ...sides.mirroring import is_left, mirrored_pairs
from ..category_entry import category_entry
from ..mp100 import library_category
from ..walk import own_category
from . import sides
from .findings import Findings, listed


def lone_sides(found: Findings, entry: Mapping, identity: Any, key: tuple[str, int]) -> None:
    """Names of a category that have a side and no partner on the other one: training with flips stops at them.

    entry, identity, key: the category's entry, its id, and its place in the document. Names that the library lends, or
    that the entry lists under `alone`, are no faults.
    """
    labels, name = found.names[identity], found.counts[identity].name
    if library_category(identity, name, len(labels)) is not None:
        return
    where = f"category {identity}"
    try:
        own = own_category(name, labels, ()) if len(set(map(plain_text, labels))) == len(labels) else None
        given = category_entry({**entry, "skeleton": []}, where).sides
        kind = None if own is None else replace(own, **given)
    except InputError as error:
        found.unusable["categories"].add(identity)
        found.say("broken category", where, str(error).removesuffix("."), key, name, sure=False)
        return
    lone = [] if kind is None else [labels[i] for i in kind.unpaired if i not in kind.alone]
    if lone:
        names = listed([repr(label) for label in lone], ", ")
        text = f"has {names} without a partner on the other side; training with flips stops there"
        found.say("side without a partner", where, text, key, name)


def left_and_right(found: Findings) -> None:
    """Names of left and right that are exchanged.

    In a category the pairs may fall into two sets that contradict each other, and only a person can know which set
    is wrong. Apart from that, single objects may have one pair that contradicts all others.
    """
    for kind, objects in found.labelled.items():
        labels, name = found.names[kind], found.counts[kind].name
        pairs = [(a, b) if is_left(labels[a], labels[b]) else (b, a) for a, b in mirrored_pairs(labels)]
        if len(pairs) < 3:
            continue
        names = [f"{labels[a]!r} and {labels[b]!r}" for a, b in pairs]
        places, points, widths = zip(*objects, strict=True)
        table = sides.orders(np.array(points), widths, pairs)
        fewer, against, compared = sides.opposed(table)
        if against:
            one, other = (listed([names[i] for i in np.flatnonzero(chosen)]) for chosen in (fewer, ~fewer))
            text = (
                f"has two sets of pairs that are the other way round than each other in {against} of {compared} "
                f"objects, {one} against {other}; the names of one set are exchanged"
            )
            found.say("left and right", f"category {kind}", text, ("categories", -1), name)
        for row, i in sides.odd(np.where(fewer, -1, 1) * table):
            identity = found.document["annotations"][places[row]]["id"]
            text = f"has {names[i]} the other way round than all its other pairs"
            found.say("left and right", f"annotation {identity}", text, ("annotations", places[row]), name)
