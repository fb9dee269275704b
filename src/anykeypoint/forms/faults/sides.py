"""Left and right in labels: do the pairs of an object run the same way across its picture?

A subject turned to the camera has its left on the picture's right in every pair, one turned away the other way round;
seen from the side, pairs lie close together or cross, and say little.
"""

from collections.abc import Iterator, Sequence

import numpy as np

SIDES = 0.1  # of the box's width: how far apart a left and a right point must be for their order to say something
FACING = 0.6  # of an object's pairs must be told apart and agree before one against them is odd


def orders(points: np.ndarray, widths: Sequence[float], pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """(N, P): 1 where the first point of a pair lies right of the second in the picture, -1 left, 0 where that says
    nothing. points: (N, K, 2) image pixels, NaN where absent. widths: (N,) of the boxes, in pixels."""
    first, second = ([pair[i] for pair in pairs] for i in (0, 1))
    gaps = points[:, first, 0] - points[:, second, 0]
    return np.where(np.abs(gaps) > SIDES * np.array(widths)[:, None], np.sign(gaps), 0)  # NaN compares as False


def opposed(table: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Which pairs (P,) are the fewer of two sets that are against each other in most objects; in how many that is so,
    of how many that show both. None are, unless it is so in more than two. table: `orders`."""
    votes = table.T @ table
    np.fill_diagonal(votes, 0)
    sides = np.ones(table.shape[1])
    while (agreed := sides * (votes @ sides)).min() < 0:
        sides[agreed.argmin()] *= -1  # the sum of all agreement grows, so this ends
    fewer = sides != (1 if (sides > 0).sum() >= len(sides) / 2 else -1)
    both = np.sign(table[:, fewer].sum(axis=1)) * np.sign(table[:, ~fewer].sum(axis=1))
    against, shown = int((both < 0).sum()), int((both != 0).sum())
    if against > 2 and against > shown / 2:
        return fewer, against, shown
    return np.zeros_like(fewer), 0, 0


def odd(table: np.ndarray) -> Iterator[tuple[int, int]]:
    """Object and pair wherever one pair is against all the object's others, and these are most. table: `orders`."""
    for row, order in enumerate(table):
        clear = np.flatnonzero(order)
        for i in clear:
            rest = order[clear[clear != i]]
            if len(rest) >= max(2, FACING * len(order)) and abs(rest.sum()) == len(rest) and order[i] != rest[0]:
                yield row, int(i)
