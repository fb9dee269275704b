"""OKS: COCO's ten keypoint statistics through pycocotools, with each data set's own sigmas.

OKS of a detection and an object is the mean over the labelled points of exp(-d^2 / (8 * area * sigma^2)): d in pixels,
area the object's, sigma how far people disagree about that point.
"""

import contextlib
import copy
import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from ..errors import InputError

STATISTICS = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR", "AR50", "AR75", "AR_medium", "AR_large")
MOST = 20  # detections of a picture that count, the surest


def sigmas(name: str) -> np.ndarray:
    """A data set's sigmas (K,), in the order of its keypoints. Raises InputError, listing what is known."""
    known = _table()
    if name not in known:
        raise InputError(f"There are no sigmas of {name!r}; known are {', '.join(known)}, or give the numbers.")
    return np.array(known[name])


def oks_statistics(
    labels: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], sigmas: Sequence[float]
) -> dict[str, float]:
    """AP and AR in [0, 1] by COCO's rules, keys as in STATISTICS; NaN where there is no object of that size.

    labels: a COCO-keypoints file as read. detections: COCO results: image_id, category_id, keypoints [x, y, score] * K
    in image pixels, score. Their area is taken from their points, all of them. Crowds and objects without a labelled
    point are neither hits nor misses. sigmas: (K,), as `sigmas` gives. The order of the detections has no part.
    Raises InputError for what does not fit together.
    """
    evaluation = _evaluated(labels, detections, sigmas)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress and its table
        evaluation.accumulate()
        evaluation.summarize()
    return {
        name: float(value) if value >= 0 else math.nan for name, value in zip(STATISTICS, evaluation.stats, strict=True)
    }


def oks_matrices(
    labels: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], sigmas: Sequence[float]
) -> dict[tuple[int, int], np.ndarray]:
    """OKS (D, G) by picture and category: detections by falling score (at most MOST), objects in the labels' order."""
    found = _evaluated(labels, detections, sigmas).ious
    return {key: np.asarray(matrix) for key, matrix in found.items() if len(matrix)}


def _evaluated(labels: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], sigmas: Sequence[float]) -> Any:
    from pycocotools.coco import COCO  # late: nothing else needs it
    from pycocotools.cocoeval import COCOeval

    spread = np.asarray(sigmas, dtype=np.float64)
    if spread.ndim != 1 or not len(spread) or not (np.isfinite(spread).all() and (spread > 0).all()):
        raise InputError(f"Sigmas must be K numbers above 0, but got {spread.tolist()}.")
    for key in ("images", "annotations", "categories"):
        if not isinstance(labels.get(key), list):
            raise InputError(f"The labels have no list under {key!r}; a COCO file has images, annotations, categories.")
    for entry in labels["annotations"]:
        if len(entry.get("keypoints", ())) != 3 * len(spread):
            raise InputError(
                f"Annotation {entry.get('id')}, key 'keypoints', has {len(entry.get('keypoints', ()))} numbers, but "
                f"{len(spread)} sigmas need {3 * len(spread)}; give the sigmas of this data set."
            )
    images, kinds = ({entry["id"] for entry in labels[key]} for key in ("images", "categories"))
    for index, found in enumerate(detections):
        if found.get("image_id") not in images or found.get("category_id") not in kinds:
            raise InputError(
                f"Detection {index} has image_id {found.get('image_id')!r} and category_id "
                f"{found.get('category_id')!r}, which the labels do not both list."
            )
        numbers = np.array([*found.get("keypoints", ()), found.get("score", math.nan)], dtype=np.float64)
        if len(numbers) != 3 * len(spread) + 1 or not np.isfinite(numbers).all():
            raise InputError(
                f"Detection {index} must have {3 * len(spread)} finite 'keypoints' numbers and a finite 'score'."
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth, results = COCO(), COCO()
        truth.dataset = {**copy.deepcopy(dict(labels))}  # pycocotools writes into it
        for entry in truth.dataset["annotations"]:
            entry.setdefault("iscrowd", 0)
            entry.setdefault("num_keypoints", sum(v > 0 for v in entry["keypoints"][2::3]))
        truth.createIndex()
        if detections:
            # Among equal scores the first counts first, so they get an order of their own.
            ordered = sorted(detections, key=lambda found: (-found["score"], *found["keypoints"]))
            results = truth.loadRes([dict(found) for found in ordered])
        else:
            results.dataset = {**truth.dataset, "annotations": []}
            results.createIndex()
        evaluation = COCOeval(truth, results, "keypoints")
        evaluation.params.kpt_oks_sigmas = spread
        evaluation.params.maxDets = [MOST]
        evaluation.evaluate()
    return evaluation


@cache
def _table() -> dict[str, list[float]]:
    text = (resources.files("anykeypoint.evaluation") / "oks_sigmas.json").read_text(encoding="utf-8")
    return json.loads(text)["sigmas"]
