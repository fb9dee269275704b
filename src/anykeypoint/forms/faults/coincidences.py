"""Points of an object that lie at the very same place though the file's other objects have them far apart.

Neighbours, such as the lips of a closed mouth, do coincide in good labels, so the distance of each pair in the other
objects of its category decides. K is the number of keypoints; places are in image pixels.
"""

from collections import defaultdict
from typing import Any

import numpy as np

from .findings import Findings, chosen_names

_APART = 0.15  # median distance of a pair, as a share of the longer side of the box of all points, of one that is apart
_FEW = 3  # number of other objects with both points below which nothing is known of their distance


def tell(found: Findings) -> None:
    """Add a fault for each place at which two or more points of an object lie that are apart in others."""
    for kind, objects in found.labelled.items():
        stacked = np.array([points for _, points, _ in objects])
        for place, points, _ in objects:
            same: dict[tuple[float, float], list[int]] = defaultdict(list)
            for i in np.flatnonzero(np.isfinite(points[:, 0])).tolist():
                same[(points[i, 0], points[i, 1])].append(i)
            for at, group in same.items():
                if len(group) > 1 and any(_apart(stacked, group[0], other) for other in group[1:]):
                    _say(found, kind, place, at, group)


def _say(found: Findings, kind: Any, place: int, at: tuple[float, float], group: list[int]) -> None:
    labels = found.names[kind]
    names = chosen_names(labels, np.isin(np.arange(len(labels)), group))
    where = f"annotation {found.document['annotations'][place]['id']}"
    text = f"has {names} at one place, ({at[0]:g}, {at[1]:g})"
    found.say("points on each other", where, text, ("annotations", place), found.counts[kind].name)


def _apart(stacked: np.ndarray, i: int, j: int) -> bool:
    """Whether two points are far apart in objects [N, K, 2] in which they do not coincide, or that is not known."""
    gaps = np.linalg.norm(stacked[:, i] - stacked[:, j], axis=1)
    known = np.isfinite(gaps) & (gaps > 0)
    if known.sum() < _FEW:
        return True
    sides = np.nanmax(np.nanmax(stacked[known], axis=1) - np.nanmin(stacked[known], axis=1), axis=1)
    return bool(np.median(gaps[known] / sides) >= _APART)
