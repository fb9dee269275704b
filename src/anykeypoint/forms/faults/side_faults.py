"""Faults of left and right, judged for a whole category; `sides` has the arithmetic."""

import numpy as np

from ...sides.mirroring import is_left, mirrored_pairs
from . import sides
from .findings import Findings, listed


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
