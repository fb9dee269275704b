"""Splits of labels into train, val and test, by whole categories or by whole groups of pictures.

A group is a video, a person or a session (`images[].group`). Its pictures are nearly copies of each other, so a test on
a group that was trained on overestimates the model. A picture without a group is a group of its own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..configs.checks import near_names
from ..errors import InputError
from ..forms.reading import picture_key
from .parts import part

NAMES = ("train", "val", "test")
WAYS = ("category", "group")
_OTHERWISE = {  # what to do where there are too few of a kind
    "category": "to divide the pictures of one kind, split them --by group",
    "group": "give parts the share 0, as in --shares .8,.2,0, or part the objects, as by --share .8",
}


def split(document: Mapping[str, list], by: str, shares: Sequence[float], seed: int) -> list[dict[str, list]]:
    """Split a COCO document into three: train, val and test. No object is in two of them.

    Pictures without objects are left out. Split by "group" each part lists all categories, by "category" its own. The
    same seed gives the same parts for any order of the file. Raises InputError for other shares or ways, and where
    there are fewer categories or groups than parts.

    document: the COCO document.
    by: what stays whole, "category" or "group".
    shares: shares of train, val and test, which sum to 1; a part with the share 0 is empty. They are shares of the
        categories, or of the objects as closely as whole groups allow.
    seed: seed of the draw.
    """
    if by not in WAYS:
        raise InputError(f"Labels are split by {' or '.join(WAYS)}, but got {by!r}{near_names(by, WAYS)}.")
    if len(shares) != len(NAMES) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(
            f"Shares must be three numbers from 0 that sum to 1, for {', '.join(NAMES)}, but got {list(shares)}."
        )
    units = _units(document, by)
    weights = dict(Counter(units))
    if by == "category":
        weights = dict.fromkeys(weights, 1)
    part_of = _assign(weights, shares, seed, by)
    parts = []
    for number in range(len(NAMES)):
        annotations = [e for e, unit in zip(document["annotations"], units, strict=True) if part_of[unit] == number]
        parts.append(part(document, annotations, whole=by == "group"))
    return parts


def _units(document: Mapping[str, list], by: str) -> list[str]:
    """For each annotation the unit that it must stay with: its category, or the group of its picture."""
    if by == "category":
        return [str(entry["category_id"]) for entry in document["annotations"]]
    groups: dict[Any, str] = {}
    of_picture: dict[str, str] = {}
    for entry in document["images"]:
        key = picture_key(str(entry["file_name"]))
        known = f"picture {entry['file_name']}" if entry.get("group") is None else f"group {entry['group']}"
        groups[entry["id"]] = of_picture.setdefault(key, known)  # a picture that is listed twice is in one part
    return [groups[entry["image_id"]] for entry in document["annotations"]]


def _assign(weights: Mapping[str, int], shares: Sequence[float], seed: int, by: str) -> dict[str, int]:
    """The part of each unit, by its number. Units are assigned one by one to the part that lacks most of its share.

    The heaviest units come first. When as many units are left as parts are empty, they go to the empty parts.

    weights: weight of each unit.
    """
    parts = [number for number, share in enumerate(shares) if share > 0]
    if len(weights) < len(parts):
        kinds = {"category": "categories", "group": "groups of pictures"}[by]
        raise InputError(
            f"The labels have too few {kinds} for {len(parts)} parts, namely {len(weights)}; {_OTHERWISE[by]}."
        )
    names = sorted(weights)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    ordered = sorted(shuffled, key=lambda name: -weights[name])
    total, filled = sum(weights.values()), dict.fromkeys(parts, 0)
    part_of = {}
    for place, name in enumerate(ordered):
        empty = [number for number in parts if not filled[number]]
        candidates = empty if len(ordered) - place <= len(empty) else parts
        chosen = max(candidates, key=lambda number: (shares[number] * total - filled[number], -number))
        part_of[name] = chosen
        filled[chosen] += weights[name]
    return part_of
