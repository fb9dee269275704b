"""Results of the protocols that predict points: metrics of the model and of every baseline on the same pairs."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..data.pairs import Pair
from ..errors import InputError
from ..forms.dataset import Dataset, picture_names
from . import metrics, scoring
from .evaluation_config import EvaluationConfig
from .left_right import left_right
from .pair_pictures import PredictedPair, choose_pairs
from .protocols import EvaluationProtocol
from .queries import Prediction
from .run_folder import Progress
from .scoring import Measurement, ScoringTargets


def check_points(config: EvaluationConfig, protocol: EvaluationProtocol) -> None:
    """InputError where visible or hidden points alone are to count in what is of all labelled points."""
    if config.points == "labelled":
        return
    if protocol.identifies:
        raise InputError(f"The protocol {config.protocol!r} names all labelled points; leave out which points count.")
    for what, asked in (("OKS", config.oks is not None), ("Attention", config.attention)):
        if asked:
            raise InputError(
                f"{what} is of all labelled points, but got the points {config.points!r}; leave one of the two out."
            )


def measure_points(
    dataset: Dataset,
    pairs: Sequence[Pair],
    labels: Sequence[str],
    predictions: Sequence[Prediction],
    baselines: dict[str, list[Prediction]],
    config: EvaluationConfig,
    known_names: Collection[str] | None,
    progress: Progress,
    mirrored: Sequence[Prediction] | None = None,
) -> Measurement:
    """The results of a model's points, with a row for each pair and the best and worst pairs.

    labels: the category label of each object of the data set.
    predictions: the model's, one for each pair. baselines: name -> the predictions of a baseline.
    known_names: keypoint names of the training data; results by text are split by them.
    mirrored: the model's for the mirrored pictures (`left_right.MirroredPictures`); None where not requested.
    Raises InputError where no object has a labelled point.
    """
    targets = ScoringTargets.from_pairs(dataset, pairs, labels, config.official, config.points)
    points = [prediction.xy for prediction in predictions]
    confidences = [prediction.confidence for prediction in predictions]
    scores = targets.score(points)
    overall = scoring.means(scores, targets.labels)
    if overall is None:
        raise InputError("No object has a labelled point to measure on; check the data file.")
    baseline_means, curves = {}, {}
    for name, of_baseline in progress(list(baselines.items()), "scores of baselines"):
        baseline_points = [prediction.xy for prediction in of_baseline]
        scored = scoring.means(targets.score(baseline_points), targets.labels)
        baseline_means[name] = {key: scored[key] for key in ("category_mean", "object_mean")}
        curves[name] = scoring.pck_curve(targets, baseline_points)
    protocol = EvaluationProtocol.parse(config.protocol)
    queries = [dataset.objects[pair.query] for pair in pairs]
    by_name = None
    if known_names is not None and not protocol.examples:
        by_name = scoring.means_per_part(scores, targets.labels, scoring.name_parts(queries, known_names))
    oks, matches = None, []
    if config.oks is not None:
        oks, matches = scoring.oks(config.oks, queries, points, confidences)
    results = {
        **overall,
        "interval": scoring.interval(scores, targets.labels, targets.queries, config.seed),
        "baselines": baseline_means,
        "curve": {"thresholds": scoring.CURVE, "model": scoring.pck_curve(targets, points), "baselines": curves},
        "per_category": scoring.means_per_category(scores, targets.labels, targets.queries),
        "groups": scoring.means_per_part(scores, targets.labels, targets.groups) if protocol.drawn else None,
        "names": by_name,
        "calibration": scoring.calibration(targets, points, confidences),
        "oks": oks,
        "semantics": None,
        "left_right": left_right(
            [query.category for query in queries],
            targets.labels,
            targets.points,
            targets.mask,
            targets.sides,
            points,
            None if mirrored is None else [prediction.xy for prediction in mirrored],
        ),
    }
    rows = _rows(dataset, pairs, targets, scores, confidences)
    worst, best = choose_pairs([row["pck@0.2"] for row in rows], targets.labels)

    def drawn(chosen: Sequence[int]) -> list[PredictedPair]:
        return [_predicted_pair(queries[i], targets.mask[i], points[i], rows[i]) for i in chosen]

    return Measurement(results, rows, drawn(best), drawn(worst), matches)


def _rows(
    dataset: Dataset,
    pairs: Sequence[Pair],
    targets: ScoringTargets,
    scores: metrics.PairScores,
    confidences: Sequence[np.ndarray],
) -> list[dict[str, Any]]:
    """The rows of per_object.csv."""
    rows = []
    names = picture_names(dataset.objects)
    for number, pair in enumerate(pairs):
        query = dataset.objects[pair.query]
        known = confidences[number][np.isfinite(confidences[number])]
        pck = scores.pck[number].tolist()
        rows.append(
            {
                "pair": number,
                "id": query.id,
                "examples": " ".join(str(dataset.objects[row].id) for row in pair.examples),
                "category": targets.labels[number],
                "group": targets.groups[number] if pair.examples else "",
                "image": names[pair.query],
                "points": int(scores.points[number]),
                "unanswered": int(scores.unanswered[number]),
                **dict(zip(metrics.KEYS, [*pck, float(np.mean(pck))], strict=True)),
                "auc": float(scores.auc[number]),
                "nme": float(scores.nme[number]),
                "epe": float(scores.epe[number]),
                "confidence": float(known.mean()) if len(known) else np.nan,
            }
        )
    return rows


def _predicted_pair(query: Any, mask: np.ndarray, xy: np.ndarray, row: dict[str, Any]) -> PredictedPair:
    """A pair for the report, without the true points that do not count."""
    used = mask[: len(xy)]
    item = replace(query, points=np.where(used[:, None], query.points, np.nan))
    note = f"examples {row['examples']}" if row["examples"] else ""
    return PredictedPair(item, xy, row["pck@0.2"], note)
