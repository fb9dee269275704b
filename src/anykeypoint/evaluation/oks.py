"""OKS: COCO's ten keypoint statistics through pycocotools, with each data set's own sigmas.

The OKS (object keypoint similarity) of a detection and an object is the mean over the labelled points of
exp(-d^2 / (8 * area * sigma^2)), where d is the distance in pixels, area that of the object in square pixels, and sigma
how far annotators disagree about that point. An object without an area of its own has that of its box, as it is: not
times 0.53, as xtcocotools has it for data sets without outlines (`use_area=False`).
"""

import contextlib
import copy
import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..configs.checks import near_names
from ..configs.doubled_keys import strict_json
from ..errors import InputError, first_line
from ..forms.areas import box_area, is_filler
from .oks_matches import MatchLine, match_lines

STATISTICS = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR", "AR50", "AR75", "AR_medium", "AR_large")
MAX_DETECTIONS = 20  # number of detections of a picture that count, the most confident ones


def sigmas(name: str, category: Category | None = None) -> np.ndarray:
    """The sigmas (K,) of a data set or of a file, in the order of its keypoints.

    name: a data set of `oks_sigmas.json`, or the path of a .json file: a list of numbers, or name of a point -> number.
    category: the K points, by whose names, or by what the data call them, a file of names is put in order.
    Raises InputError that lists the known data sets for another name, and for a file that does not fit.
    """
    if name.lower().endswith(".json"):
        return _sigmas_of_file(Path(name), category)
    known = _shipped_sigmas()
    if name not in known:
        raise InputError(
            f"There are no sigmas of {name!r}{near_names(name, known)}; "
            f"known are {', '.join(known)}, or give a .json file with the numbers."
        )
    return np.array(known[name])


def _sigmas_of_file(path: Path, category: Category | None) -> np.ndarray:
    try:
        content = strict_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read the sigmas in {path}: {first_line(error)}.") from error
    if isinstance(content, dict):
        if category is None:
            raise InputError(f"{path} has sigmas by name, but the names of the points are not known; give a list.")
        placed = {category.index_of(name): value for name, value in content.items()}
        if missing := [point for place, point in enumerate(category.keypoints) if place not in placed]:
            name = missing[0].label or missing[0].name
            raise InputError(f"{path} has no sigma of the point {name!r}; name every point, or give a list.")
        content = [placed[place] for place in range(len(category))]
    fits = isinstance(content, list) and all(type(value) in (int, float) for value in content)
    if not fits or not content or not all(0 < value < math.inf for value in content):
        raise InputError(f"{path} must hold numbers above 0, as a list or by the names of points, but does not.")
    return np.array(content, dtype=np.float64)


def oks_statistics(
    labels: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], sigmas: Sequence[float]
) -> dict[str, float]:
    """AP and AR in [0, 1] by COCO's rules, with the keys of STATISTICS; NaN where no object has that size.

    labels: content of a COCO-keypoints file. Crowds and objects without a labelled point are neither hits nor misses;
        points are counted, whatever num_keypoints states.
        The ids of annotations have no effect. `iscrowd: null` is 0; an area that is missing, null or a filler (see
        `areas`) is that of the box.
    detections: COCO results with image_id, category_id, keypoints [x, y, score] * K in pixels of the picture, and a
        score. The area of a detection is that of the box round all of its points. Their order has no effect.
    sigmas: (K,), as `sigmas` gives them.
    Raises InputError for labels, detections and sigmas that do not fit together.
    """
    return statistics_and_matches(labels, detections, sigmas)[0]


def statistics_and_matches(
    labels: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], sigmas: Sequence[float]
) -> tuple[dict[str, float], list[MatchLine]]:
    """The `oks_statistics`, and the lines of `match_lines` that they are of, in which objects have numbers from 1."""
    evaluation = _evaluated(labels, detections, sigmas)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress and its table
        evaluation.accumulate()
        evaluation.summarize()
    statistics = {
        name: float(value) if value >= 0 else math.nan for name, value in zip(STATISTICS, evaluation.stats, strict=True)
    }
    return statistics, match_lines(evaluation)


def oks_matrices(
    labels: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], sigmas: Sequence[float]
) -> dict[tuple[int, int], np.ndarray]:
    """OKS of each detection and each object of a picture and category.

    Returns (image id, category id) -> (D, G): detections by falling score, at most MAX_DETECTIONS of them, and objects
    in the labels' order.
    """
    matrices = _evaluated(labels, detections, sigmas).ious
    return {key: np.asarray(matrix) for key, matrix in matrices.items() if len(matrix)}


def _evaluated(labels: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], sigmas: Sequence[float]) -> Any:
    """pycocotools' COCOeval of the detections after its `evaluate`, with the OKS of every pair."""
    from pycocotools.coco import COCO  # imported late, as only OKS needs pycocotools
    from pycocotools.cocoeval import COCOeval

    sigmas = np.asarray(sigmas, dtype=np.float64)
    _check_labels(labels, sigmas)
    _check_detections(labels, detections, len(sigmas))
    # pycocotools marks a detection without a match by the id 0, so that objects are counted from 1 here.
    objects = [_annotation(entry, number) for number, entry in enumerate(labels["annotations"], 1)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth, results = COCO(), COCO()
        truth.dataset = {**labels, "annotations": objects}
        truth.createIndex()
        if detections:
            # Among equal scores pycocotools takes the first, so detections are sorted by their points too.
            ordered = sorted(detections, key=lambda one: (-one["score"], *one["keypoints"]))
            results = truth.loadRes([dict(one) for one in ordered])
        else:
            results.dataset = {**truth.dataset, "annotations": []}
            results.createIndex()
        evaluation = COCOeval(truth, results, "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.evaluate()
    return evaluation


def _annotation(entry: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A copy of an annotation, into which pycocotools writes, with `number` as id and all that it needs."""
    where, crowd = f"Annotation {entry.get('id')}", entry.get("iscrowd") or 0
    if crowd not in (0, 1):
        raise InputError(f"{where}, key 'iscrowd', must be 0 or 1, but got {crowd!r}.")
    points, box, area = entry["keypoints"], entry.get("bbox"), entry.get("area")
    if box is None and (area is None or crowd or not any(v > 0 for v in points[2::3])):
        raise InputError(f"{where} has no 'bbox'; OKS needs it where there is no 'area' or no labelled point.")
    box = [0.0] * 4 if box is None else list(box)  # pycocotools reads it without need where points are labelled
    if area is None or is_filler(area, box):
        area = box_area(box)
    return {
        **copy.deepcopy(dict(entry)),
        "id": number,
        "bbox": box,
        "area": area,
        "iscrowd": int(crowd),
        "num_keypoints": sum(v > 0 for v in points[2::3]),  # pycocotools passes over objects that state 0
    }


def _check_labels(labels: Mapping[str, Any], sigmas: np.ndarray) -> None:
    if sigmas.ndim != 1 or not len(sigmas) or not (np.isfinite(sigmas).all() and (sigmas > 0).all()):
        raise InputError(f"Sigmas must be K numbers above 0, but got {sigmas.tolist()}.")
    for key in ("images", "annotations", "categories"):
        if not isinstance(labels.get(key), list):
            raise InputError(f"The labels have no list under {key!r}; a COCO file has images, annotations, categories.")
    for entry in labels["annotations"]:
        if len(entry.get("keypoints", ())) != 3 * len(sigmas):
            raise InputError(
                f"Annotation {entry.get('id')}, key 'keypoints', has {len(entry.get('keypoints', ()))} numbers, but "
                f"{len(sigmas)} sigmas need {3 * len(sigmas)}; give the sigmas of this data set."
            )


def _check_detections(labels: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], points: int) -> None:
    images, categories = ({entry["id"] for entry in labels[key]} for key in ("images", "categories"))
    for index, detection in enumerate(detections):
        if detection.get("image_id") not in images or detection.get("category_id") not in categories:
            raise InputError(
                f"Detection {index} has image_id {detection.get('image_id')!r} and category_id "
                f"{detection.get('category_id')!r}, which the labels do not both list."
            )
        numbers = np.array([*detection.get("keypoints", ()), detection.get("score", math.nan)], dtype=np.float64)
        if len(numbers) != 3 * points + 1 or not np.isfinite(numbers).all():
            raise InputError(
                f"Detection {index} must have {3 * points} finite 'keypoints' numbers and a finite 'score'."
            )


@cache
def _shipped_sigmas() -> dict[str, list[float]]:
    text = (resources.files("anykeypoint.evaluation") / "oks_sigmas.json").read_text(encoding="utf-8")
    return json.loads(text)["sigmas"]
