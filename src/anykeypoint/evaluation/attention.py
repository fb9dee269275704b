"""Where a matcher's decoder looks: how much of its attention lies near the labels (fusion paper, Sec. 4.5 and Fig. 8).

The figure compares maps by eye; here the attention of the last decoder layer, the mean of its heads, is summed round
the labelled place. Attention that is spread evenly has as much there as the circle takes of the crop.

Letters: K keypoints, h x w cells of a crop.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..errors import InputError
from ..forms.dataset import LabelledObject
from ..geometry import Box
from ..pose import Explanation, Pose
from .protocols import EvaluationProtocol
from .queries import Query, predict_query
from .run_folder import Progress

WITHIN = (0.1, 0.2)  # fractions of the box's longer side
ATTENTION_KEYS = (*(f"attention@{within:g}" for within in WITHIN), "attention_distance")


def check_attention(model: Any, protocol: EvaluationProtocol) -> None:
    """InputError for a model that cannot say where it looks, and for a protocol without places."""
    if not hasattr(model, "explain"):
        raise InputError("Attention is of matchers with a decoder, which this model is not; leave attention out.")
    if protocol.identifies:
        raise InputError("Attention is of questions for places; leave it out, or take another protocol.")


def measure_attention(
    model: Any,
    queries: Sequence[Query],
    objects: Sequence[LabelledObject],
    labels: Sequence[str],
    protocol: EvaluationProtocol,
    options: Mapping[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    """Means of ATTENTION_KEYS over objects ("object_mean") and over categories, and the number of "points".

    attention@0.1 is the percent of the attention within a tenth of the box's longer side of the label,
    attention_distance the mean distance of the attention from the label as a fraction of that side.

    queries: that are asked again.
    objects: of the data set, with their labelled boxes. labels: the label of each one's category.
    options: further arguments of the model's `predict`.
    """
    known = {item.id: (max(item.box[2:]), label) for item, label in zip(objects, labels, strict=True)}
    explaining, rows, categories, points = _Explaining(model), [], [], 0
    for query in progress(queries, "attention"):
        side, label = known[query.item.id]
        explaining.last = None
        predict_query(explaining, query, protocol, options)
        if explaining.last is None:
            continue
        places = np.where(query.item.visibility[query.rows, None] > 0, query.item.points[query.rows], np.nan)
        found = near_labels(explaining.last, places, side)
        found = found[np.isfinite(found).all(axis=1)]
        if len(found):
            rows.append(found.mean(axis=0))
            categories.append(label)
            points += len(found)
    by_category = [
        np.mean([row for row, of in zip(rows, categories, strict=True) if of == one], axis=0)
        for one in dict.fromkeys(categories)
    ]
    means = {"object_mean": rows, "category_mean": by_category}
    return {
        **{name: _named(np.mean(values, axis=0)) if values else None for name, values in means.items()},
        "points": points,
    }


def near_labels(explanation: Explanation, places: np.ndarray, side: float) -> np.ndarray:
    """(K, 3): the values of ATTENTION_KEYS of each point, NaN where it has no label or no attention.

    places: (K, 2) labels in image pixels. side: longer side of the labelled box in pixels.
    """
    attention, crop = explanation.attention[-1], explanation.crop
    height, width = attention.shape[1:]
    centres = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    centres = crop.to_image(np.stack(centres, axis=-1))
    away = np.linalg.norm(centres[None] - places[:, None, None], axis=-1) / side
    shares = [100 * np.where(away < within, attention, 0).sum(axis=(1, 2)) for within in WITHIN]
    found = np.stack([*shares, (away * attention).sum(axis=(1, 2))], axis=1)
    known = np.isfinite(places).all(axis=1) & np.isfinite(attention).all(axis=(1, 2))
    return np.where(known[:, None], found, np.nan)


def _named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(ATTENTION_KEYS, values.tolist(), strict=True))


class _Explaining:
    """A model whose predictions are explained; `last` is the explanation of the last one."""

    def __init__(self, model: Any) -> None:
        self.model, self.last = model, None

    def predict(self, image: Path, category: Category, *, box: Box, **options: Any) -> Pose:
        """The model's pose for a picture."""
        self.last = self.model.explain(image, category, box, **options)
        return self.last.pose
