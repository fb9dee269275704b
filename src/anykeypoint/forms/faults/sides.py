"""Exchanged names of left and right: do all pairs of an object have the same order across the picture?

A subject that faces the camera has its left on the picture's right in every pair, and one that faces away has it on
the left. From the side, pairs lie close together or cross, and their order means nothing.
N is the number of objects, P of pairs, K of keypoints.
"""

from collections.abc import Iterator, Sequence

import numpy as np

SIDES = 0.1  # least distance of a pair, as a share of the box's width, for its order to count
FACING = 0.6  # least share of an object's pairs that must count and agree before another pair is odd


def orders(points: np.ndarray, widths: Sequence[float], pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """The order of each pair in each object [N, P]: 1 if its first point lies right of its second, -1 left, 0 unclear.

    points: [N, K, 2] in image pixels, NaN where not labelled.
    widths: [N] widths of the boxes in pixels.
    pairs: P pairs of indices.
    """
    first, second = ([pair[i] for pair in pairs] for i in (0, 1))
    gaps = points[:, first, 0] - points[:, second, 0]
    return np.where(np.abs(gaps) > SIDES * np.array(widths)[:, None], np.sign(gaps), 0)  # NaN compares as False


def opposed(table: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Whether the pairs fall into two sets that contradict each other in most objects.

    table: [N, P] of `orders`.
    Returns the pairs [P] bool of the smaller set; in how many objects it contradicts the larger one; and the number of
    objects in which both sets have an order. The set is empty unless more than two objects contradict.
    """
    votes = table.T @ table
    np.fill_diagonal(votes, 0)
    sides = np.ones(table.shape[1])  # 1 or -1 for each pair: the set that it is in
    while (agreed := sides * (votes @ sides)).min() < 0:
        sides[agreed.argmin()] *= -1  # the sum of all agreement grows with each change, so the loop ends
    fewer = sides != (1 if (sides > 0).sum() >= len(sides) / 2 else -1)
    both = np.sign(table[:, fewer].sum(axis=1)) * np.sign(table[:, ~fewer].sum(axis=1))
    against, compared = int((both < 0).sum()), int((both != 0).sum())
    if against > 2 and against > compared / 2:
        return fewer, against, compared
    return np.zeros_like(fewer), 0, 0


def odd(table: np.ndarray) -> Iterator[tuple[int, int]]:
    """Object and pair wherever one pair contradicts all others of the object, and these are most of its pairs.

    table: [N, P] of `orders`.
    """
    for row, order in enumerate(table):
        clear = np.flatnonzero(order)
        for i in clear:
            rest = order[clear[clear != i]]
            if len(rest) >= max(2, FACING * len(order)) and abs(rest.sum()) == len(rest) and order[i] != rest[0]:
                yield row, int(i)
