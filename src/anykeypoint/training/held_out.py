"""Pictures that are held out of a training, whole groups at a time, and how near predictions come to their labels.

Letters: N objects, K keypoints, T thresholds.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..forms.dataset import LabelledObject

THRESHOLDS = (0.025, 0.05, 0.1, 0.2)  # fractions of the longer side of the object's box


def group_numbers(objects: Sequence[LabelledObject]) -> np.ndarray:
    """(N,) the number of each object's group; a picture without a group is a group by itself."""
    names = [f"group {item.group}" if item.group is not None else f"picture {item.image}" for item in objects]
    known = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([known[name] for name in names])


def fold_numbers(objects: Sequence[LabelledObject], folds: int, seed: int) -> tuple[np.ndarray, bool]:
    """(N,) the fold of each object, with whole groups in one fold, and whether groups could be kept whole.

    Groups are dealt out from the largest to the smallest, each to the fold with the fewest objects. With fewer groups
    than folds, pictures are dealt out instead, so that neighbours of a video are on both sides.

    Raises InputError for fewer pictures than folds.
    """
    groups = group_numbers(objects)
    whole = len(set(groups.tolist())) >= folds
    if not whole:
        pictures = [str(item.image) for item in objects]
        groups = np.unique(pictures, return_inverse=True)[1]
    sizes = np.bincount(groups)
    if len(sizes) < folds:
        raise InputError(
            f"{folds} parts of the data need as many pictures or more, but there are {len(sizes)}; label more."
        )
    shuffled = np.random.default_rng([seed, 10]).permutation(len(sizes))
    filled, fold_of = np.zeros(folds, dtype=int), np.zeros(len(sizes), dtype=int)
    for group in sorted(shuffled.tolist(), key=lambda number: -sizes[number]):
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    return fold_of[groups], whole


def shares_within(
    predicted: np.ndarray, labelled: np.ndarray, sides: np.ndarray, thresholds: Sequence[float] = THRESHOLDS
) -> np.ndarray:
    """(T,) the mean over objects of the share of their points that lie nearer than a threshold to the label (PCK).

    predicted: (N, K, 2); NaN where the point is absent, which is wrong.
    labelled: (N, K, 2) in the same unit; NaN where there is no label. Objects without one are left out.
    sides: (N,) longer side of each object's box in that unit.
    """
    distance = np.linalg.norm(predicted - labelled, axis=-1) / sides[:, None]
    known = np.isfinite(labelled).all(axis=-1)
    counted = known.any(axis=1)
    near = known[..., None] & (np.nan_to_num(distance, nan=np.inf)[..., None] < np.asarray(thresholds))
    return (near.sum(axis=1)[counted] / known.sum(axis=1)[counted, None]).mean(axis=0)
