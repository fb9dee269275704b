"""What the edges of skeletons in a COCO document count from.

Every file of ours counts keypoints from 1, as COCO does, and says so under `info.skeleton_base`. Files of others do not
say it: COCO counts from 1, MP-100 and many others from 0, so that theirs is inferred from the numbers, and said.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..configs.doubled_keys import DoubledKeys
from .reading import whole_number

KEY = "skeleton_base"  # key of a document's `info`
BASE = 1  # what every file that we write counts from
_OURS = "keypoint_confidence"  # a key of `predict`, whose files count from 1 in every version, the first without KEY


class Bases(NamedTuple):
    """What a document's skeletons count from.

    by_category: id of each category with a skeleton -> the index of its first keypoint, 0 or 1.
    reason: what shows it, a phrase; "" where the file says it or has no edge.
    sure: no other reading fits the numbers.
    mixed: ids of a category that counts from 0 and of one that counts from 1; None where all count alike.
    """

    by_category: dict[int, int]
    reason: str = ""
    sure: bool = True
    mixed: tuple[int, int] | None = None


def written_edges(edges: Any) -> list[list[int]]:
    """Edges that count from 0, as a file has them."""
    return [[int(a) + BASE, int(b) + BASE] for a, b in edges]


def with_base(info: Any) -> dict[str, Any]:
    """The `info` of a document whose skeletons count from BASE. info: what it has besides."""
    return {**(info if isinstance(info, dict) else {}), KEY: BASE}


def stated_base(document: Mapping[str, Any]) -> int | None:
    """What a document says that it counts from, 0 or 1; None where it does not say it."""
    info = document.get("info")
    stated = info.get(KEY) if isinstance(info, dict) else None
    return stated if type(stated) is int and stated in (0, 1) else None


def skeleton_bases(document: Mapping[str, Any]) -> Bases:
    """What the skeletons of a document count from: what it says, otherwise what its numbers show.

    They count from 1 if an index reaches its category's number of keypoints and none is 0, or if the file is what an
    older version of `predict` wrote; otherwise from 0. It is decided for the whole file, or for each category by itself
    where the file mixes both.
    """
    reach: dict[int, tuple[bool, bool]] = {}  # id -> whether an index is 0, and whether one is the number of points
    for entry in document["categories"]:
        ambiguous = isinstance(entry, DoubledKeys) and entry.clashing
        identity = whole_number(entry.get("id")) if isinstance(entry, dict) and not ambiguous else None
        if identity is not None and isinstance(entry.get("skeleton"), list):
            count = len(entry["keypoints"]) if isinstance(entry.get("keypoints"), list) else 0
            flat = [i for edge in entry["skeleton"] if isinstance(edge, list) for i in edge if type(i) is int]
            if count and flat:
                reach[identity] = (0 in flat, count in flat)
    stated = stated_base(document)
    if stated is not None:
        return Bases(dict.fromkeys(reach, stated))
    from_zero = next((identity for identity, (zero, _) in reach.items() if zero), None)
    from_one = next((identity for identity, (_, one) in reach.items() if one), None)
    if from_zero is not None and from_one is not None:
        by_category = {identity: int(one and not zero) for identity, (zero, one) in reach.items()}
        return Bases(by_category, mixed=(from_zero, from_one))
    if from_one is not None:
        return Bases(dict.fromkeys(reach, 1), "one reaches its category's number of keypoints")
    if from_zero is not None:
        return Bases(dict.fromkeys(reach, 0), "one is 0")
    if any(isinstance(entry, dict) and _OURS in entry for entry in document["annotations"]):
        return Bases(dict.fromkeys(reach, BASE))
    unsure = "none is 0 and none reaches its category's number of keypoints, so it may be 1"
    return Bases(dict.fromkeys(reach, 0), unsure if reach else "", sure=False)


def guess_note(document: Mapping[str, Any], path: Path, sure_too: bool = False) -> str | None:
    """The sentence about a file that does not say what its skeletons count from; None where there is nothing to say.

    path: the file.
    sure_too: say it also where the numbers leave no doubt.
    """
    found = skeleton_bases(document)
    if not found.reason or (found.sure and not sure_too):
        return None
    base = next(iter(found.by_category.values()))
    return (
        f"{path} does not say whether its skeletons count keypoints from 0 or 1; read as from {base}: of their numbers "
        f'{found.reason} ("info": {{"{KEY}": ...}} in the file says it).'
    )
