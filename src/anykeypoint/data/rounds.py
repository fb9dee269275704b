"""Fixed rounds (Sec. 3.3): which keypoints of an object share a conversation."""

import numpy as np


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
