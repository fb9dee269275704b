"""Rounds (Sec. 3.3): which keypoints of an object share a conversation.

The paper makes one training item of each group, with the image repeated and an augmentation of its own. Here the groups
of an object are packed behind one crop, where they do not see each other: the same conversations for one pass of the
encoder. A step of so many images therefore holds several times the conversations of the paper's, and every object
weighs the same in the loss, however many keypoints it has. Only keypoints to be seen are grouped, anew at every visit;
the released code groups all of them once and drops the unseen ones later.
"""

import numpy as np

from ...errors import InputError

GROUPINGS = ("fixed", "dynamic", "locllm")


def grouped(grouping: str, keypoints: list[int], k: int, longest: int, rng: np.random.Generator) -> list[list[int]]:
    """One visit's groups, one conversation each, in one of the ways of GROUPINGS; InputError lists them.

    k: questions to a conversation, fixed and locllm. longest: no conversation is longer, dynamic.
    """
    if grouping == "fixed":
        return fixed_rounds(keypoints, k, rng)
    if grouping == "dynamic":
        return dynamic_rounds(keypoints, longest, rng)
    if grouping == "locllm":
        return locllm_rounds(keypoints, k, rng)
    raise InputError(f"grouping must be one of {', '.join(GROUPINGS)}, but got {grouping!r}.")


def fixed_rounds(keypoints: list[int], k: int, rng: np.random.Generator) -> list[list[int]]:
    """Shuffle the keypoints and cut them into groups of k, so that every one is in some group.

    A last group that would be short is filled with keypoints of the other groups, each at most once; with fewer than k
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

    The paper gives no distribution. Here each size is uniform over 1 .. what is left (at most `longest`), as the cycles
    of a random permutation are: of K keypoints each finds itself in a group of any size from 1 to K with the same
    chance. So conversations over all K, which cumulative reasoning asks for (Sec. 4.3), are as usual for a keypoint as
    being alone, and every depth of context occurs; about ln K + 0.6 questions of an object have none (3.4 of 17; with
    fixed groups of 4 it is 5), so that single questions stay in practice.
    """
    order = [keypoints[i] for i in rng.permutation(len(keypoints))]
    groups = []
    while order:
        size = int(rng.integers(1, min(len(order), longest) + 1))
        groups.append(order[:size])
        order = order[size:]
    return groups


def locllm_rounds(keypoints: list[int], k: int, rng: np.random.Generator) -> list[list[int]]:
    """LocLLM's way: one conversation about k keypoints drawn at random (all, where there are fewer), and no more.

    LocLLM's k is 5. What is not drawn waits for another visit of the object.
    """
    order = [keypoints[i] for i in rng.permutation(len(keypoints))]
    return [order[:k]] if order else []


def pack(groups: list[list[int]], most: int) -> list[list[list[int]]]:
    """The groups in their order, packed into as many sequences as it takes to hold at most `most` questions each.

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
