"""Rounds (CapeLLM, Sec. 3.3): which keypoints of an object share a conversation.

With the item "group", the paper's unit, each group is a training sample of its own: the picture is repeated and
cropped anew for each, an epoch has every group of every object, and steps count groups. All keypoints of the category
are grouped and those that the crop does not show are left out afterwards, as in the released code; a group of which
nothing is left gives way to another. Fixed groups are drawn once, dynamic ones in every epoch, and LocLLM's single
conversation for every crop.

With the item "object", which is ours and faster by the question, all groups of an object are packed behind one crop
and do not attend to each other, so that one pass of the image encoder serves them. A step of as many samples then
holds several times the conversations of the paper's, and all objects weigh the same in the loss, however many
keypoints they have. Visible keypoints alone are grouped, anew for every crop.
"""

import numpy as np

from ...configs.checks import near_names
from ...errors import InputError

GROUPINGS = ("fixed", "dynamic", "locllm")


def grouped(grouping: str, keypoints: list[int], k: int, longest: int, rng: np.random.Generator) -> list[list[int]]:
    """Draw the groups of one crop, each the keypoints of one conversation. Raises InputError for another grouping.

    grouping: one of GROUPINGS.
    keypoints: indices of the visible keypoints.
    k: number of questions to a conversation, for "fixed" and "locllm".
    longest: largest number of questions to a conversation, for "dynamic".
    rng: generator of the draw.
    """
    if grouping == "fixed":
        return fixed_rounds(keypoints, k, rng)
    if grouping == "dynamic":
        return dynamic_rounds(keypoints, longest, rng)
    if grouping == "locllm":
        return locllm_rounds(keypoints, k, rng)
    raise InputError(
        f"grouping must be one of {', '.join(GROUPINGS)}, but got {grouping!r}{near_names(grouping, GROUPINGS)}."
    )


def fixed_rounds(keypoints: list[int], k: int, rng: np.random.Generator) -> list[list[int]]:
    """Shuffle the keypoints and cut them into groups of k, so that every one is in some group.

    A last group with fewer than k is filled with keypoints of the other groups, each at most once. With fewer than k
    keypoints there is one group of all of them.
    """
    order = [keypoints[i] for i in rng.permutation(len(keypoints))]
    if len(order) <= k:
        return [order] if order else []
    missing = -len(order) % k
    if missing:
        rest = len(order) % k
        order += [order[i] for i in rng.choice(len(order) - rest, missing, replace=False)]
    return [order[i : i + k] for i in range(0, len(order), k)]


def dynamic_rounds(keypoints: list[int], longest: int, rng: np.random.Generator) -> list[list[int]]:
    """Shuffle the keypoints and cut them at random sizes, so that every one is in exactly one group.

    The paper gives no distribution of the sizes. Here each size is uniform from 1 to the number of keypoints left (at
    most `longest`), as the cycles of a random permutation are: a keypoint is in a group of any size from 1 to K with
    the same probability. Conversations about all K keypoints, as cumulative reasoning has them (Sec. 4.3), are thus as
    frequent for a keypoint as single questions, and every number of earlier answers occurs. About ln K + 0.6 questions
    of an object have no earlier answer (3.4 of 17; with fixed groups of 4 there are 5).
    """
    order = [keypoints[i] for i in rng.permutation(len(keypoints))]
    groups = []
    while order:
        size = int(rng.integers(1, min(len(order), longest) + 1))
        groups.append(order[:size])
        order = order[size:]
    return groups


def locllm_rounds(keypoints: list[int], k: int, rng: np.random.Generator) -> list[list[int]]:
    """LocLLM's rounds: a single conversation about k keypoints drawn at random, or all where there are fewer.

    LocLLM's k is 5. The other keypoints are left out until the object is drawn again.
    """
    order = [keypoints[i] for i in rng.permutation(len(keypoints))]
    return [order[:k]] if order else []


def pack(groups: list[list[int]], most: int) -> list[list[list[int]]]:
    """Pack groups, in their order, into as many sequences as it takes to hold at most `most` questions each.

    A group is never cut; one that is longer than `most` gets a sequence of its own.
    """
    packed: list[list[list[int]]] = []
    room = 0
    for group in groups:
        if not packed or len(group) > room:
            packed.append([])
            room = most
        packed[-1].append(group)
        room -= len(group)
    return packed
