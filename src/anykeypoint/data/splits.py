"""Labels cut into train, val and test, with whole categories or whole groups on one side.

A group is a video, a person or a session (`images[].group`); pictures of one group are near copies of each other, so a
test on the group that was trained on says too much. A picture without a group is one by itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError

NAMES = ("train", "val", "test")
WAYS = ("category", "group")


def split(document: Mapping[str, list], by: str, shares: Sequence[float], seed: int) -> list[dict[str, list]]:
    """A COCO document in three: train, val and test, None of their objects in two.

    by: "category" or "group". shares: of train, val and test, summing to 1; of the categories, or of the objects, as
    near as whole groups allow. A share of 0 gives no objects. Every category is listed in each part by "group", those
    of the part by "category"; pictures without objects are left out. The same seed gives the same parts, whatever the
    order of the file.
    Raises InputError for other shares or ways, and if there are fewer categories or groups than parts.
    """
    if by not in WAYS:
        raise InputError(f"Labels are split by {' or '.join(WAYS)}, but got {by!r}.")
    if len(shares) != len(NAMES) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError(
            f"Shares must be three numbers from 0 that sum to 1, for {', '.join(NAMES)}, but got {list(shares)}."
        )
    owners = _owners(document, by)
    weights: dict[str, int] = {}
    for owner in owners:
        weights[owner] = weights.get(owner, 0) + 1
    if by == "category":
        weights = dict.fromkeys(weights, 1)
    side = _sides(weights, shares, seed, by)
    parts = []
    for number in range(len(NAMES)):
        annotations = [e for e, owner in zip(document["annotations"], owners, strict=True) if side[owner] == number]
        pictures = {entry["image_id"] for entry in annotations}
        kinds = {entry["category_id"] for entry in annotations}
        categories = [e for e in document["categories"] if by == "group" or e["id"] in kinds]
        images = [entry for entry in document["images"] if entry["id"] in pictures]
        parts.append({"images": images, "annotations": annotations, "categories": categories})
    return parts


def _owners(document: Mapping[str, list], by: str) -> list[str]:
    """For each annotation what it goes with: its category's id, or its picture's group."""
    if by == "category":
        return [str(entry["category_id"]) for entry in document["annotations"]]
    groups: dict[Any, str] = {}
    for entry in document["images"]:
        alone = f"picture {entry['file_name']}"
        groups[entry["id"]] = alone if entry.get("group") is None else f"group {entry['group']}"
    return [groups[entry["image_id"]] for entry in document["annotations"]]


def _sides(weights: Mapping[str, int], shares: Sequence[float], seed: int, by: str) -> dict[str, int]:
    """Each owner's part: dealt one by one, heaviest first, to the part that lacks most of its share."""
    wanted = [number for number, share in enumerate(shares) if share > 0]
    if len(weights) < len(wanted):
        raise InputError(f"There are {len(weights)} different values of {by!r}, too few for {len(wanted)} parts.")
    names = sorted(weights)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    ordered = sorted(shuffled, key=lambda name: -weights[name])
    total, given = sum(weights.values()), dict.fromkeys(wanted, 0)
    side = {}
    for place, name in enumerate(ordered):
        empty = [number for number in wanted if not given[number]]
        open_ = empty if len(ordered) - place <= len(empty) else wanted
        number = max(open_, key=lambda number: (shares[number] * total - given[number], -number))
        side[name], given[number] = number, given[number] + weights[name]
    return side
