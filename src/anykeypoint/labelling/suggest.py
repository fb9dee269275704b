"""Which pictures are worth labelling first: those that are spread out over all that the pictures look like, and among
these the ones of which the model is unsure.

Letters: N pictures, D numbers of a vector.
"""

from collections.abc import Sequence

import numpy as np

# Squared distance of two unit vectors (`nearest.pooled`) below which two pictures count as one: a photo that is saved
# again as a poor JPEG, or cut by a fiftieth, is some 0.03 away, two photos of one snail 0.1 and more.
NEAR = 0.06
POOL = 3  # pictures that are spread out for each one that is suggested, where the model's doubt chooses among them


def spread(vectors: np.ndarray, count: int, known: Sequence[int] = ()) -> list[int]:
    """The numbers of `count` pictures that are far from one another, by farthest-point selection (k-center greedy).

    vectors: [N, D] of unit length, as `nearest.pooled` gives them.
    known: numbers of pictures that are labelled already; none of them is chosen, nor one that looks like them.

    The first is the most typical picture, the one with the largest mean cosine with all, unless there are known ones;
    each next one is the furthest from all before it. Fewer than `count` are given where all others are near to one of
    the chosen ones (NEAR); of equal pictures the first.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    chosen: list[int] = []
    nearest = np.full(len(vectors), np.inf, dtype=np.float32)  # squared distance to the chosen and the known ones
    for number in known:
        nearest = np.minimum(nearest, 2 - 2 * (vectors @ vectors[number]))
    while len(chosen) < min(count, len(vectors)):
        if np.isinf(nearest).all():
            number = int(np.argmax(vectors @ vectors.mean(axis=0)))
        else:
            number = int(np.argmax(nearest))
            if nearest[number] < NEAR:
                break
        chosen.append(number)
        nearest = np.minimum(nearest, 2 - 2 * (vectors @ vectors[number]))
    return chosen


def most_unsure(candidates: Sequence[int], doubts: Sequence[float], count: int) -> list[int]:
    """Of pictures that are spread out, the `count` with the largest doubts, these first; of equal ones the first.

    candidates: numbers of pictures. doubts: of each of them, from 0 to 1.
    """
    order = sorted(range(len(candidates)), key=lambda place: -doubts[place])
    return [candidates[place] for place in order[:count]]
