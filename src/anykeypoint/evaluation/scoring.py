"""From answers to figures: every pair's scores, and what a report says of them.

M pairs, K points (padded). Figures of a pair are those of `metrics.score_pairs`; None stands for a figure that does not
exist.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.pairs import Pair, padded, visible
from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject
from . import metrics
from .calibration import reliability, sparsification
from .oks import oks_statistics, sigmas
from .semantics import normalised

LEVEL, ROUNDS = 0.95, 2000
WITHIN = 0.1  # of the box's longer side: a point is right in the reliability curve, as in the models' confidence
CURVE = tuple(round(0.01 * step, 2) for step in range(51))
SAME, OTHER, UNKNOWN = "same group", "another group", "group unknown"
SEEN, NEW = "names seen in training", "new names"


@dataclass(frozen=True)
class Scored:
    """M pairs: what was to be found, and by which rules it is scored.

    points: (M, K, 2) labels in image pixels; mask: (M, K) the points that count; sides: (M,) of the queries' boxes.
    labels: each pair's category; queries, groups: see `of`. official: score as MP-100's released code does.
    """

    points: np.ndarray
    mask: np.ndarray
    sides: np.ndarray
    labels: list[str]
    queries: np.ndarray
    groups: list[str]
    official: bool = False

    @classmethod
    def of(cls, data: Dataset, pairs: Sequence[Pair], labels: Sequence[str], official: bool) -> "Scored":
        """labels: the category of each of the data's objects, by a name of its own."""
        objects, query = data.objects, np.array([pair.query for pair in pairs])
        return cls(
            padded([item.points for item in objects], np.nan)[query],
            metrics.common_points(visible(data), [(*pair.examples, pair.query) for pair in pairs]),
            np.array([max(item.box[2:]) for item in objects], dtype=np.float64)[query],
            [labels[row] for row in query],
            query,
            [_group(objects, pair) for pair in pairs],
            official,
        )

    def score(self, answers: Sequence[np.ndarray], thresholds: Sequence[float] = metrics.THRESHOLDS):
        """The scores of one answer (K_i, 2) per pair."""
        width = self.points.shape[1]
        table = np.full((len(answers), width, 2), np.nan)
        for row, answer in zip(table, answers, strict=True):
            row[: len(answer)] = answer
        return metrics.score_pairs(table, self.points, self.mask, self.sides, thresholds, self.official)


def _group(objects: Sequence[LabelledObject], pair: Pair) -> str:
    """Do the examples come from the query's own video, person or session?"""
    mine, theirs = objects[pair.query].group, [objects[row].group for row in pair.examples]
    if mine is None or None in theirs:
        return UNKNOWN
    return SAME if mine in theirs else OTHER


# --- figures -------------------------------------------------------------------------------------------------------


def means(scores: metrics.PairScores, labels: Sequence[str], rows: np.ndarray | None = None) -> dict[str, Any] | None:
    """`metrics.pair_means` of all pairs or some, None for NaN; None where no pair has a point to score on."""
    if rows is not None:
        scores = metrics.PairScores(*(column[rows] for column in vars(scores).values()))
        labels = [label for label, there in zip(labels, rows, strict=True) if there]
    if not len(labels) or np.isnan(scores.pck[:, 0]).all():
        return None
    return without_nan(metrics.pair_means(scores, labels))


def per_category(scores: metrics.PairScores, labels: Sequence[str], queries: np.ndarray) -> dict[str, dict]:
    """Each category's means, how many objects were asked about in it and how many points scored."""
    names = np.array(labels)
    found = {}
    for label in dict.fromkeys(labels):
        rows = names == label
        figures = means(scores, labels, rows)
        mean = dict.fromkeys(metrics.PAIR_KEYS) if figures is None else figures["object_mean"]
        found[label] = {**mean, "objects": len(set(queries[rows].tolist())), "points": int(scores.points[rows].sum())}
    return found


def split(scores: metrics.PairScores, labels: Sequence[str], parts: Sequence[str]) -> dict[str, dict]:
    """The means of each part of the pairs, in alphabetical order of the parts."""
    found = {}
    for part in sorted(set(parts)):
        rows = np.array([other == part for other in parts])
        figures = means(scores, labels, rows)
        found[part] = {"category_mean": figures and figures["category_mean"], "pairs": int(rows.sum())}
        found[part]["categories"] = len({label for label, there in zip(labels, rows, strict=True) if there})
    return found


def name_parts(objects: Sequence[LabelledObject], known: Collection[str]) -> list[str]:
    """For each object whether half of its category's names or more occur, normalised, among the known names."""
    said = {normalised(name) for name in known}
    shares = {}
    for item in objects:
        if item.category_id not in shares:
            names = item.category.names
            shares[item.category_id] = sum(normalised(name) in said for name in names) / len(names)
    return [SEEN if shares[item.category_id] >= 0.5 else NEW for item in objects]


def interval(scores: metrics.PairScores, labels: Sequence[str], queries: np.ndarray, seed: int) -> dict[str, Any]:
    """The bootstrap interval of PCK@0.2's category mean; objects are drawn, with all pairs they are the query of."""
    at = scores.pck[:, metrics.THRESHOLDS.index(0.2)]
    there = ~np.isnan(at)
    labels = [label for label, used in zip(labels, there, strict=True) if used]
    low, high = metrics.bootstrap_interval(at[there], labels, seed, ROUNDS, LEVEL, queries[there])
    return {"pck@0.2": [low, high], "level": LEVEL, "rounds": ROUNDS, "over": "objects within category"}


def curve(scored: Scored, answers: Sequence[np.ndarray]) -> list[float]:
    """Category-mean PCK in percent at the thresholds of CURVE."""
    shares = scored.score(answers, CURVE).pck
    by_category = []
    for label in dict.fromkeys(scored.labels):
        rows = shares[np.array([other == label for other in scored.labels])]
        rows = rows[~np.isnan(rows[:, 0])]
        if len(rows):
            by_category.append([math.fsum(column) / len(rows) for column in rows.T])
    return [100 * math.fsum(column) / len(by_category) for column in zip(*by_category, strict=True)]


def calibration(scored: Scored, answers: Sequence[np.ndarray], confidence: Sequence[np.ndarray]) -> dict | None:
    """Reliability, ECE and AUSE over all points that count and have an answer and a confidence; None without any.

    A point is right within WITHIN of the box's longer side. `ause` is None where all errors are 0.
    """
    errors, sure = [], []
    for row, (xy, values) in enumerate(zip(answers, confidence, strict=True)):
        used = scored.mask[row, : len(xy)] & np.isfinite(xy).all(axis=1) & np.isfinite(values)
        errors.append(np.linalg.norm(xy[used] - scored.points[row, : len(xy)][used], axis=1) / scored.sides[row])
        sure.append(values[used])
    error, values = np.concatenate(errors), np.concatenate(sure)
    if not len(error):
        return None
    found = reliability(values, error < WITHIN)
    figures: dict[str, Any] = {"within": WITHIN, **vars(found), "ece": found.error, "points": len(error), "ause": None}
    if (error > 0).any():
        order = sparsification(values, error)
        steps = np.unique(np.linspace(0, len(error) - 1, min(len(error), 101)).astype(int))  # enough for a drawing
        figures |= {"ause": order.area, **{name: column[steps] for name, column in vars(order).items()}}
    return without_nan(figures)


def check_oks(name: str, objects: Sequence[LabelledObject]) -> np.ndarray:
    """The sigmas of a data set; InputError if there are none, or for another number of points than an object has."""
    spread = sigmas(name)
    for item in objects:
        if len(item.category) != len(spread):
            raise InputError(
                f"The sigmas of {name!r} are for {len(spread)} points, but {item.category.name!r} has "
                f"{len(item.category)}; leave OKS out, or measure a part of the data."
            )
    return spread


def oks(
    name: str, objects: Sequence[LabelledObject], answers: Sequence[np.ndarray], sure: Sequence[np.ndarray]
) -> dict:
    """COCO's ten statistics in percent with a data set's sigmas, one detection per object in its labelled box.

    The detection's score is the mean confidence of its points. An absent point is put at the box's centre, as COCO's
    results have no way to leave one out. The area is the file's, or the box's where it has none.
    """
    spread = check_oks(name, objects)
    labels: dict[str, list] = {"images": [], "annotations": [], "categories": []}
    images: dict[Any, int] = {}
    detections = []
    for item, xy, values in zip(objects, answers, sure, strict=True):
        image = images.setdefault(item.image, len(images) + 1)
        x, y, w, h = item.box
        numbers = np.column_stack([np.nan_to_num(item.points), item.visibility])
        labels["annotations"].append(
            {
                "id": item.id,
                "image_id": image,
                "category_id": item.category_id,
                "bbox": [x, y, w, h],
                "area": w * h if item.area is None else item.area,
                "iscrowd": 0,
                "keypoints": numbers.ravel().tolist(),
                "num_keypoints": int((item.visibility > 0).sum()),
            }
        )
        placed = np.where(np.isnan(xy), (x + w / 2, y + h / 2), xy)
        known = values[np.isfinite(values)]
        detections.append(
            {
                "image_id": image,
                "category_id": item.category_id,
                "keypoints": np.column_stack([placed, np.ones(len(xy))]).ravel().tolist(),
                "score": math.fsum(known) / len(known) if len(known) else 0.0,
            }
        )
    labels["images"] = [{"id": number} for number in images.values()]
    labels["categories"] = [{"id": key} for key in sorted({item.category_id for item in objects})]
    found = oks_statistics(labels, detections, spread)
    return without_nan({"sigmas": name, **{key: 100 * value for key, value in found.items()}})


def without_nan(value: Any) -> Any:
    """Arrays as lists and NaN as None, all the way down."""
    if isinstance(value, Mapping):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
