"""From predicted points to metrics: the scores of every pair, and what the results hold of them.

Letters: M pairs, K points (padded). Scores of a pair are those of `metrics.score_pairs`. None stands for a metric that
does not exist.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.pairs import Pair, labelled, padded
from ..errors import InputError
from ..forms.areas import box_area, stated_areas
from ..forms.dataset import Dataset, LabelledObject, picture_names
from ..geometry import CONFIDENCE_RADIUS
from . import metrics
from .calibration import reliability, sparsification
from .oks import sigmas, statistics_and_matches
from .oks_matches import MatchLine
from .pair_pictures import PredictedPair
from .semantics import normalised

LEVEL = 0.95  # probability that the bootstrap interval covers
ROUNDS = 2000  # number of bootstrap rounds
CORRECT_WITHIN = CONFIDENCE_RADIUS  # fraction of the box's longer side within which a point counts as correct
CURVE = tuple(round(0.01 * step, 2) for step in range(51))  # thresholds of the PCK curve
SAME_GROUP, OTHER_GROUP, UNKNOWN_GROUP = "same group", "another group", "group unknown"
VISIBILITY = {"labelled": (1, 2), "visible": (2,), "hidden": (1,)}  # which points count -> their v in COCO's labels
TRAINED_NAMES, NEW_NAMES = "names seen in training", "new names"


@dataclass(frozen=True)
class Measurement:
    """What a protocol measures on one run.

    results: the entries of results.json that depend on the protocol.
    rows: the rows of per_object.csv, one mapping of column to value for each pair.
    best, worst: pairs that the report draws.
    matches: what each detection hit, where OKS is measured; none elsewhere.
    """

    results: dict[str, Any]
    rows: list[dict[str, Any]]
    best: Sequence[PredictedPair] = ()
    worst: Sequence[PredictedPair] = ()
    matches: Sequence[MatchLine] = ()


@dataclass(frozen=True)
class ScoringTargets:
    """The true points of M pairs and the rules by which predictions are scored.

    points: (M, K, 2) labels in pixels of the query's picture, NaN where there is none.
    mask: (M, K) bool, the points that count.
    sides: (M,) longer side in pixels of each query's box.
    labels: the category label of each pair.
    queries: (M,) index of each query among the data set's objects.
    groups: SAME_GROUP, OTHER_GROUP or UNKNOWN_GROUP for each pair.
    official: score as MP-100's released code does.
    """

    points: np.ndarray
    mask: np.ndarray
    sides: np.ndarray
    labels: list[str]
    queries: np.ndarray
    groups: list[str]
    official: bool = False

    @classmethod
    def from_pairs(
        cls, data: Dataset, pairs: Sequence[Pair], labels: Sequence[str], official: bool, counted: str = "labelled"
    ) -> "ScoringTargets":
        """The targets of a data set's pairs.

        labels: the category label of each object, unique to its category.
        counted: which points count, one of VISIBILITY.
        """
        objects, query = data.objects, np.array([pair.query for pair in pairs])
        return cls(
            padded([item.points for item in objects], np.nan)[query],
            scored_points(data, pairs, counted),
            np.array([max(item.box[2:]) for item in objects], dtype=np.float64)[query],
            [labels[row] for row in query],
            query,
            [_group(objects, pair) for pair in pairs],
            official,
        )

    def score(
        self, points: Sequence[np.ndarray], thresholds: Sequence[float] = metrics.THRESHOLDS
    ) -> metrics.PairScores:
        """The scores of predicted points, one array (K_i, 2) in pixels of the picture for each pair."""
        table = np.full((len(points), self.points.shape[1], 2), np.nan)
        for row, predicted in zip(table, points, strict=True):
            row[: len(predicted)] = predicted
        return metrics.score_pairs(table, self.points, self.mask, self.sides, thresholds, self.official)


def scored_points(data: Dataset, pairs: Sequence[Pair], counted: str = "labelled") -> np.ndarray:
    """The points that each of M pairs is scored on: (M, K) bool, those that all of its objects show and it names.

    counted: which points of the query count, one of VISIBILITY.
    """
    mask = metrics.common_points(labelled(data), [(*pair.examples, pair.query) for pair in pairs])
    for row, pair in zip(mask, pairs, strict=True):
        if pair.points is not None:
            row &= np.isin(np.arange(len(row)), pair.points)
        visibility = data.objects[pair.query].visibility
        row[: len(visibility)] &= np.isin(visibility, VISIBILITY[counted])
    return mask


def _group(objects: Sequence[LabelledObject], pair: Pair) -> str:
    """Whether an example comes from the query's own video, person or session."""
    query, examples = objects[pair.query].group, [objects[row].group for row in pair.examples]
    if query is None or None in examples:
        return UNKNOWN_GROUP
    return SAME_GROUP if query in examples else OTHER_GROUP


# --- means -----------------------------------------------------------------------------------------------------------


def means(scores: metrics.PairScores, labels: Sequence[str], rows: np.ndarray | None = None) -> dict[str, Any] | None:
    """`metrics.pair_means` with None for NaN; None where no pair has a point to score on.

    rows: (M,) bool, the pairs to average; None takes all.
    """
    if rows is not None:
        scores = metrics.PairScores(*(column[rows] for column in vars(scores).values()))
        labels = [label for label, used in zip(labels, rows, strict=True) if used]
    if not len(labels) or np.isnan(scores.pck[:, 0]).all():
        return None
    return without_nan(metrics.pair_means(scores, labels))


def means_per_category(scores: metrics.PairScores, labels: Sequence[str], queries: np.ndarray) -> dict[str, dict]:
    """The means of each category, with its number of query objects and of points that were scored."""
    all_labels = np.array(labels)
    table = {}
    for label in dict.fromkeys(labels):
        rows = all_labels == label
        scored = means(scores, labels, rows)
        mean = dict.fromkeys(metrics.PAIR_KEYS) if scored is None else scored["object_mean"]
        table[label] = {**mean, "objects": len(set(queries[rows].tolist())), "points": int(scores.points[rows].sum())}
    return table


def means_per_part(scores: metrics.PairScores, labels: Sequence[str], parts: Sequence[str]) -> dict[str, dict]:
    """The means of each part of the pairs, in alphabetical order. parts: the name of the part of each pair."""
    table = {}
    for part in sorted(set(parts)):
        rows = np.array([other == part for other in parts])
        scored = means(scores, labels, rows)
        table[part] = {"category_mean": scored and scored["category_mean"], "pairs": int(rows.sum())}
        table[part]["categories"] = len({label for label, used in zip(labels, rows, strict=True) if used})
    return table


def name_parts(objects: Sequence[LabelledObject], known_names: Collection[str]) -> list[str]:
    """TRAINED_NAMES for each object of whose category half of the names or more are known, NEW_NAMES for the others.

    Names are compared as `semantics.normalised` gives them.
    """
    known = {normalised(name) for name in known_names}
    shares = {}
    for item in objects:
        if item.category_id not in shares:
            names = item.category.names
            shares[item.category_id] = sum(normalised(name) in known for name in names) / len(names)
    return [TRAINED_NAMES if shares[item.category_id] >= 0.5 else NEW_NAMES for item in objects]


def interval(scores: metrics.PairScores, labels: Sequence[str], queries: np.ndarray, seed: int) -> dict[str, Any]:
    """The bootstrap interval of PCK@0.2's category mean. Objects are drawn, each with all pairs whose query it is."""
    pck = scores.pck[:, metrics.THRESHOLDS.index(0.2)]
    scored = ~np.isnan(pck)
    labels = [label for label, used in zip(labels, scored, strict=True) if used]
    low, high = metrics.bootstrap_interval(pck[scored], labels, seed, ROUNDS, LEVEL, queries[scored])
    return {"pck@0.2": [low, high], "level": LEVEL, "rounds": ROUNDS, "over": "objects within category"}


def pck_curve(targets: ScoringTargets, points: Sequence[np.ndarray]) -> list[float]:
    """Category mean of PCK in percent at the thresholds of CURVE."""
    shares = targets.score(points, CURVE).pck
    labels = np.array(targets.labels)
    by_category = []
    for label in dict.fromkeys(targets.labels):
        rows = shares[labels == label]
        rows = rows[~np.isnan(rows[:, 0])]
        if len(rows):
            by_category.append([math.fsum(column) / len(rows) for column in rows.T])
    return [100 * math.fsum(column) / len(by_category) for column in zip(*by_category, strict=True)]


# --- confidence and OKS ----------------------------------------------------------------------------------------------


def calibration(
    targets: ScoringTargets, points: Sequence[np.ndarray], confidences: Sequence[np.ndarray]
) -> dict[str, Any] | None:
    """Reliability, ECE and AUSE over all points that count and have a prediction and a confidence; None without any.

    points: one array (K_i, 2) in pixels for each pair. confidences: one array (K_i,) for each pair.
    A point is correct within CORRECT_WITHIN of the box's longer side. "ause" is None where all errors are 0.
    """
    errors, kept = [], []
    for row, (xy, confidence) in enumerate(zip(points, confidences, strict=True)):
        used = targets.mask[row, : len(xy)] & np.isfinite(xy).all(axis=1) & np.isfinite(confidence)
        errors.append(np.linalg.norm(xy[used] - targets.points[row, : len(xy)][used], axis=1) / targets.sides[row])
        kept.append(confidence[used])
    error, confidence = np.concatenate(errors), np.concatenate(kept)
    if not len(error):
        return None
    curve = reliability(confidence, error < CORRECT_WITHIN)
    table: dict[str, Any] = {"within": CORRECT_WITHIN, **vars(curve), "ece": curve.error, "points": len(error)}
    table["ause"] = None
    if (error > 0).any():
        sparse = sparsification(confidence, error)
        steps = np.unique(np.linspace(0, len(error) - 1, min(len(error), 101)).astype(int))  # enough for a drawing
        table |= {"ause": sparse.area, **{name: column[steps] for name, column in vars(sparse).items()}}
    return without_nan(table)


def check_oks(name: str, objects: Sequence[LabelledObject]) -> np.ndarray:
    """The sigmas (K,) for all objects; InputError if there are none, or where they are not the same for all.

    name: a data set or a file, see `oks.sigmas`.
    objects: the labelled objects, of which a file of names orders the points.
    """
    values = sigmas(name, objects[0].category if objects else None)
    seen: set[tuple[str, ...]] = set()
    for item in objects:
        names = tuple(item.category.names)
        if names in seen:
            continue
        seen.add(names)
        if len(item.category) != len(values):
            raise InputError(
                f"The sigmas of {name!r} are for {len(values)} points, but {item.category.name!r} has "
                f"{len(item.category)}; leave OKS out, or measure a part of the data."
            )
        if not np.array_equal(sigmas(name, item.category), values):
            raise InputError(
                f"{name} gives the points of {item.category.name!r} other sigmas than those of "
                f"{objects[0].category.name!r}; COCO's statistics take one list for all, so measure a part of the data."
            )
    return values


def oks(
    name: str,
    objects: Sequence[LabelledObject],
    points: Sequence[np.ndarray],
    confidences: Sequence[np.ndarray],
) -> tuple[dict[str, Any], list[MatchLine]]:
    """COCO's ten statistics in percent, with one detection for each object, in its labelled box.

    name: the data set or the file whose sigmas are taken.
    objects: N labelled objects. points: N arrays (K, 2) in pixels. confidences: N arrays (K,).
    The detection's score is the mean confidence of its points. An absent point is put at the box's centre, as COCO's
    results cannot leave one out. The object's area is that of the file, or of the box where the file has none or a
    filler (see `stated_areas`); "areas" counts both. Besides, what each detection hit, with the pictures' names and the
    objects' ids (`oks_matches.match_lines`).
    """
    values = check_oks(name, objects)
    stated = stated_areas([item.area for item in objects], [item.box for item in objects])
    labels: dict[str, list] = {"images": [], "annotations": [], "categories": []}
    images: dict[Any, int] = {}
    detections = []
    for item, xy, confidence, own in zip(objects, points, confidences, stated.tolist(), strict=True):
        image = images.setdefault(item.image, len(images) + 1)
        labels["annotations"].append(_annotation(item, image, own))
        x, y, w, h = item.box
        placed = np.where(np.isnan(xy), (x + w / 2, y + h / 2), xy)
        known = confidence[np.isfinite(confidence)]
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
    statistics, matches = statistics_and_matches(labels, detections, values)
    areas = {"stated": int(stated.sum()), "box": int((~stated).sum())}
    percent = {key: 100 * value for key, value in statistics.items()}
    names = dict(zip([images[item.image] for item in objects], picture_names(objects), strict=True))
    matches = [
        {**line, "image": names[line["image"]], "objects": [objects[number - 1].id for number in line["objects"]]}
        for line in matches
    ]
    return without_nan({"sigmas": name, "values": values, "areas": areas, **percent}), matches


def describe_areas(areas: Mapping[str, int]) -> str:
    """A phrase that says whose areas OKS was computed with. areas: the "areas" of `oks`."""
    stated, box = areas["stated"], areas["box"]
    if not box:
        return "areas as the file states them"
    whose = "all objects" if not stated else f"{box} of {stated + box} objects"
    return f"the area of {whose} is width x height of the box, as the file states none that can be theirs"


def _annotation(item: LabelledObject, image_id: int, own_area: bool) -> dict[str, Any]:
    """A labelled object as an annotation of a COCO file. own_area: whether its area is that of the file."""
    x, y, w, h = item.box
    return {
        "id": item.id,
        "image_id": image_id,
        "category_id": item.category_id,
        "bbox": [x, y, w, h],
        "area": item.area if own_area else box_area(item.box),
        "iscrowd": 0,
        "keypoints": np.column_stack([np.nan_to_num(item.points), item.visibility]).ravel().tolist(),
        "num_keypoints": int((item.visibility > 0).sum()),
    }


def without_nan(value: Any) -> Any:
    """The value with arrays as lists and NaN as None, at any depth."""
    if isinstance(value, Mapping):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
