"""Pictures of the best and worst pairs of an evaluation: true points as crosses, predicted points as dots."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..data.contact import CONTEXT
from ..drawing.panels import paint_cross, paint_dot
from ..drawing.shapes import DARK, colours, stroke
from ..forms.dataset import LabelledObject
from ..geometry import square_crop
from ..images import crop_pixels, read_picture

MAX_PICTURES = 12  # number of pictures of the best pairs, and of the worst pairs
PER_CATEGORY = 2  # number of these from one category, so that no category fills the page
SIDE = 320  # side of a picture in pixels


@dataclass(frozen=True)
class PredictedPair:
    """A scored pair that is to be drawn.

    item: the query object, with NaN for true points that do not count.
    xy: (K, 2) predicted points in pixels of the picture, NaN where absent.
    score: PCK@0.2 of the pair, in [0, 1].
    note: further text for the caption, such as the ids of its examples.
    """

    item: LabelledObject
    xy: np.ndarray
    score: float
    note: str = ""


def choose_pairs(
    scores: Sequence[float], categories: Sequence[str], count: int = MAX_PICTURES
) -> tuple[list[int], list[int]]:
    """Indices of the worst pairs, the worst first, and of the best pairs, the best first; up to `count` of each.

    scores: one number for each pair. A score of NaN is in neither list; ties go by position.
    categories: the category label of each pair. A list has at most PER_CATEGORY pairs of one category.
    No pair is in both lists: the two take turns, as there may be few pairs.
    """
    known = [i for i, score in enumerate(scores) if not math.isnan(score)]
    queues = [iter(sorted(known, key=lambda i: sign * scores[i])) for sign in (1, -1)]
    counts: list[Counter[str]] = [Counter(), Counter()]
    chosen: tuple[list[int], list[int]] = [], []
    taken: set[int] = set()
    for _ in range(count):
        for queue, of_category, picks in zip(queues, counts, chosen, strict=True):
            for i in queue:
                if i not in taken and of_category[categories[i]] < PER_CATEGORY:
                    of_category[categories[i]] += 1
                    taken.add(i)
                    picks.append(i)
                    break
    return chosen


def draw_pair(pair: PredictedPair, side: int = SIDE) -> Image.Image:
    """The object in its surroundings, RGB: each true point a white cross, its prediction a dot, a thin line between.

    side: width and height of the picture in pixels.
    A line to a prediction outside the picture ends at its border. Predictions of points without a label are not drawn,
    as nothing says whether they are right. Raises InputError for a picture that cannot be read.
    """
    item = pair.item
    crop = square_crop(item.box, CONTEXT)
    canvas = crop_pixels(read_picture(item.image), crop, side)
    truth, predicted = crop.normalise(item.points) * side, crop.normalise(pair.xy) * side
    labelled = np.isfinite(truth).all(axis=1)
    answered = labelled & np.isfinite(predicted).all(axis=1)
    inks, size = colours(len(truth)), side / 320
    for i in np.flatnonzero(answered):
        stroke(canvas, truth[i], predicted[i], 1.6 * size, DARK, DARK, 0.5)
        stroke(canvas, truth[i], predicted[i], 0.9 * size, inks[i], inks[i], 1.0)
    for i in np.flatnonzero(labelled):
        paint_cross(canvas, truth[i], 0.75 * size)
    for i in np.flatnonzero(answered):
        paint_dot(canvas, predicted[i], inks[i], 0.8 * size)
    return Image.fromarray(canvas)
