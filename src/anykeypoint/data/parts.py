"""Parts of labels: held-out supercategories and the others, a share of the objects, and several files as one.

`splits` divides labels into train, val and test.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..configs.checks import near_names
from ..errors import InputError
from ..forms.reading import picture_key

_SAME = {  # list of a document -> the fields in which entries of one id must agree
    "images": ("file_name",),
    "annotations": ("image_id", "category_id", "keypoints", "bbox"),
    "categories": ("name", "keypoints"),
}


def part(document: Mapping[str, list], annotations: list[dict], whole: bool = False) -> dict[str, list]:
    """The part of a COCO document with these annotations, and the pictures and categories that they need.

    whole: list categories without an object too.
    """
    pictures = {entry["image_id"] for entry in annotations}
    kinds = {entry["category_id"] for entry in annotations}
    return {
        "images": [entry for entry in document["images"] if entry["id"] in pictures],
        "annotations": annotations,
        "categories": [entry for entry in document["categories"] if whole or entry["id"] in kinds],
    }


def hold_out(
    document: Mapping[str, list], names: Collection[str], supercategory: Callable[[Mapping[str, Any]], str]
) -> tuple[dict[str, list], dict[str, list]]:
    """A COCO document in two, (train, test): test has the objects of the named supercategories, train all others.

    names: the supercategories that are held out (KptLLM++, Sec. 4.3, cross-supercategory evaluation).
    supercategory: tells that of an entry of `categories`; "" where there is none.
    A category is listed where it has objects, and pictures without objects of a part are left out of it. Raises
    InputError for a name that no category with objects has, and where nothing is left to train on.
    """
    used = {entry["category_id"] for entry in document["annotations"]}
    groups = {entry["id"]: supercategory(entry) for entry in document["categories"] if entry["id"] in used}
    known = sorted(set(groups.values()) - {""})
    if unknown := sorted(set(names) - set(known)):
        raise InputError(
            f"No category with objects is of the supercategory {unknown[0]!r}{near_names(unknown[0], known)}; "
            f"there are "
            f"{', '.join(known) or 'none'}."
        )
    held = {identity for identity, group in groups.items() if group in names}
    parts = []
    for wanted in (False, True):
        annotations = [e for e in document["annotations"] if (e["category_id"] in held) is wanted]
        parts.append(part(document, annotations))
    if not parts[0]["annotations"]:
        raise InputError(f"Without {', '.join(sorted(names))} there is nothing left to train on; hold out fewer.")
    return parts[0], parts[1]


def take_share(
    document: Mapping[str, list], share: float, seed: int, per_category: bool
) -> tuple[dict[str, list], dict[str, list]]:
    """A COCO document in two, (part, rest): a share of its objects, drawn by the seed, and all others.

    share: of the objects, above 0 and below 1.
    per_category: take the share of each category's objects (fusion paper, Sec. 4.3), not of all objects together.
    Of n objects n * share are taken, rounded to the nearest number and half a one up, but one at least. The draw of a
    category depends on the seed, its id and its own objects alone; the order of the file has no effect. Every category
    is listed in both parts. Raises InputError for another share, and where there is no object.
    """
    if not 0 < share < 1:
        raise InputError(f"The share of objects must be above 0 and below 1, as in 0.5, but got {share}.")
    if not document["annotations"]:
        raise InputError("There is no labelled object to take a share of; check the data with `data check`.")
    pools: dict[str, list] = {}
    for entry in document["annotations"]:
        pools.setdefault(str(entry["category_id"]) if per_category else "", []).append(entry["id"])
    taken: set[Any] = set()
    for pool, members in pools.items():
        count = max(1, math.floor(len(members) * share + 0.5))
        key = int.from_bytes(hashlib.sha256(pool.encode()).digest()[:8])
        order = np.random.default_rng([seed, key]).permutation(len(members))
        ordered = sorted(members, key=lambda identity: (str(type(identity)), identity))
        taken |= {ordered[i] for i in order[:count].tolist()}
    halves = [[e for e in document["annotations"] if (e["id"] in taken) is wanted] for wanted in (True, False)]
    return part(document, halves[0], whole=True), part(document, halves[1], whole=True)


def in_several(parts: Sequence[Mapping[str, list]], copies: Mapping[str, str] | None = None) -> int:
    """The number of pictures, by their names, that have objects in more than one of these parts.

    copies: name of a picture -> name of another one that is the same picture.
    """
    names = [{str(entry["file_name"]) for entry in one["images"]} for one in parts]
    counts = Counter(key for one in names for key in {picture_key((copies or {}).get(name, name)) for name in one})
    return sum(count > 1 for count in counts.values())


def merge(documents: Sequence[Mapping[str, list]]) -> dict[str, list]:
    """Several COCO documents of one data set as one, such as the train, val and test files of an MP-100 split.

    Entries with the same id are the same entry and are kept once. Raises InputError where two entries of one id differ
    in the picture, the object or the names: the documents are then of different data sets.
    """
    merged: dict[str, list] = {}
    for key, fields in _SAME.items():
        kept: dict[Any, Mapping[str, Any]] = {}
        for document in documents:
            for entry in document[key]:
                other = kept.setdefault(entry["id"], entry)
                if odd := [field for field in fields if entry.get(field) != other.get(field)]:
                    raise InputError(
                        f"Two label files have {key} of the id {entry['id']!r} that differ in {odd[0]!r}; only files "
                        "of one data set can be put together."
                    )
        merged[key] = list(kept.values())
    return merged
