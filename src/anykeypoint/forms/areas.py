"""Areas of objects: which of those that a file states can be one, and the area of a box that takes their place.

COCO's `area` is that of the object's outline. Converters that have no outline fill the key with 0, 1 or one number for
all objects; OKS divides by it, so that every answer but a perfect one is then wrong.
"""

from collections.abc import Sequence

import numpy as np

from ..geometry import Box

FILLER = 1.0  # square pixels, the largest area that stands for "unknown" in a box that is larger
_LEAST_BOX = 4.0  # square pixels of a box above which an object cannot cover FILLER alone
_MANY = 3  # number of objects from which one number for all of them is a constant and no coincidence
_SPREAD = 2.0  # ratio of the largest to the smallest box from which objects cannot have one area


def box_area(box: Box) -> float:
    """The area in square pixels of a box [x, y, w, h]; of one without a width or height, that of its longer side's
    square, which is also what models see of it."""
    w, h = box[2:]
    return w * h if min(w, h) > 0 else max(w, h) ** 2


def is_filler(area: float, box: Box) -> bool:
    """Whether an area in square pixels, such as 0 or 1, is too small to be that of the object in a box."""
    return area <= FILLER and box_area(box) > _LEAST_BOX


def stated_areas(areas: Sequence[float | None], boxes: Sequence[Box]) -> np.ndarray:
    """Which of N objects have an area of their own, [N] bool.

    areas: N areas as the file states them, in square pixels; None where it states none.
    boxes: N boxes [x, y, w, h] in pixels.
    A filler is none (see `is_filler`), and neither is one number for all of several objects whose boxes differ by a
    factor of two or more.
    """
    stated = np.array([np.nan if area is None else area for area in areas], dtype=np.float64)
    sides = np.array([box_area(box) for box in boxes], dtype=np.float64)
    known = np.array([area is not None and not is_filler(area, box) for area, box in zip(areas, boxes, strict=True)])
    if known.sum() >= _MANY and len(set(stated[known])) == 1 and sides[known].max() >= _SPREAD * sides[known].min():
        known[:] = False
    return known
