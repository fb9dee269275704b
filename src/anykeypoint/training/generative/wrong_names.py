"""The name by which a misnamed conversation calls a keypoint: its own, or that of another keypoint of the category.

People confuse sides more often than parts, so half of the wrong names are those of the keypoint on the other side,
where there is one; the rest are drawn evenly.
"""

import numpy as np

from ...category import Category

OTHER_SIDE = 0.5  # share of the wrong names that are the partner's, where the keypoint has one


def has_wrong_name(category: Category, keypoint: int) -> bool:
    """Whether some keypoint of the category has another name than the one of this index."""
    return len(_others(category, keypoint)) > 0


def draw_given_name(category: Category, keypoint: int, wrong: float, rng: np.random.Generator) -> str:
    """Draw the name that the user calls a keypoint by.

    category: the keypoint's category, of which some keypoint has another name.
    keypoint: index of the keypoint.
    wrong: probability that the name is wrong.
    rng: generator of the draw.
    """
    if rng.random() >= wrong:
        return category.keypoints[keypoint].name
    names = _others(category, keypoint)
    partner = _partner(category, keypoint)
    if partner in names and rng.random() < OTHER_SIDE:
        return partner
    return names[int(rng.integers(len(names)))]


def _others(category: Category, keypoint: int) -> list[str]:
    """The names of the category, in its order and each once, but the keypoint's own."""
    own = category.keypoints[keypoint].name
    return [name for name in dict.fromkeys(category.names) if name != own]


def _partner(category: Category, keypoint: int) -> str | None:
    """The name of the keypoint on the other side; None where there is none."""
    for a, b in category.pairs:
        if keypoint in (a, b):
            return category.names[b if keypoint == a else a]
    return None
