"""Fitting a model's presence: for each kind of prompt the logistic function that tells visible points from others.

A point is present where its label says that it is visible (2). It is not where it is hidden (1) or not labelled (0),
and where it is one of another kind of object (`other_kinds`). Each object counts alike, whatever its number of points;
what is asked about another kind counts FOREIGN of what is asked about the own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..density.presence import PRESENT_FROM, Presence, PresenceCurve, terms
from ..errors import InputError
from ..forms.dataset import Dataset
from ..geometry import Box
from .evaluation_config import EvaluationConfig
from .other_kinds import foreign_queries
from .presence_figures import area_under_curve
from .protocols import EvaluationProtocol
from .queries import Prediction, Query, predict_query
from .run import chosen_pairs, queries_of
from .run_folder import Progress, no_progress
from .temperatures import PROTOCOLS, prompts_to_fit

# What questions about another kind of object weigh, to 1 for those about the own: a fifth of all. With more weight,
# more of what is there is called absent on kinds that a model was not trained on.
FOREIGN = 0.25
_LEAST = 20  # number of points of either sort below which nothing is fitted
_RIDGE = 1e-6  # keeps the solution finite where the two sorts are parted by a line
_ROUNDS = 100


@dataclass(frozen=True)
class FittedPresence:
    """The curve of one kind of prompt.

    prompt: "text", "example" or "both".
    curve: its coefficients.
    auroc: area under the ROC curve of presence over all points that it is fitted on.
    visible, unseen, foreign: number of visible points, of hidden and not labelled ones, and of another kind's.
    present: shares of these three that have a presence of 0.5 or more; None where there are none.
    """

    prompt: str
    curve: PresenceCurve
    auroc: float
    visible: int
    unseen: int
    foreign: int
    present: tuple[float | None, float | None, float | None]


def fit_presence(
    model: Any,
    dataset: Dataset,
    prompts: Sequence[str] | None = None,
    *,
    max_per_category: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[FittedPresence]:
    """Fit the presence by each kind of prompt.

    model: has `presence_cues` and a config with a `presence`.
    dataset: the labelled objects, of several kinds, or with hidden or absent points.
    prompts, max_per_category, seed: as in `temperatures.fit_temperatures`.

    Raises InputError for a prompt that the model does not take, for a model without a distribution, and, before the
    model is asked, where there are too few points that are visible, or that are not.
    """
    if not hasattr(model, "presence_cues"):
        raise InputError("This model has no distribution of places, so there is no presence to fit; take another.")
    asked = {prompt: _questions(dataset, prompt, max_per_category, seed) for prompt in prompts_to_fit(model, prompts)}
    return [_fit(model, prompt, *questions, progress or no_progress) for prompt, questions in asked.items()]


def with_presence(own: Presence, fitted: Sequence[FittedPresence]) -> Presence:
    """A model's own presence with the fitted curves in their place."""
    return replace(own, **{one.prompt: one.curve for one in fitted})


class _Recorder:
    """A model that keeps the cues of its last prediction: [K, 2], None where it made none."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.last: np.ndarray | None = None

    def predict(self, image: Path, category: Category, *, box: Box, **asked: Any) -> Prediction:
        self.last = self.model.presence_cues(image, category, box=box, **asked)
        unknown = np.full(len(category), np.nan)
        return Prediction(np.column_stack([unknown, unknown]), unknown)


def _questions(
    dataset: Dataset, prompt: str, max_per_category: int | None, seed: int
) -> tuple[list[Query], list[Query]]:
    """The queries about objects' own points, and about those of another kind."""
    config = EvaluationConfig(protocol=PROTOCOLS[prompt], max_per_category=max_per_category, seed=seed)
    protocol = EvaluationProtocol.parse(config.protocol)
    dataset, pairs, _ = chosen_pairs(dataset, config, protocol)
    own = queries_of(dataset, pairs, config, protocol)
    others = foreign_queries(own, dataset.categories, protocol, None, seed)
    visible = sum(int((query.item.visibility == 2).sum()) for query in own)
    _check_enough(prompt, visible, sum(len(query.category) for query in (*own, *others)) - visible)
    return own, others


def _check_enough(prompt: str, visible: int, others: int) -> None:
    """InputError for fewer points of either sort than are fitted."""
    if min(visible, others) < _LEAST:
        raise InputError(
            f"To fit the presence by {prompt} takes {_LEAST} visible points and {_LEAST} that are hidden, absent or of "
            f"another kind of object, but there are {visible} and {others}; add objects, or other kinds."
        )


def _fit(model: Any, prompt: str, own: list[Query], others: list[Query], progress: Progress) -> FittedPresence:
    protocol = EvaluationProtocol.parse(PROTOCOLS[prompt])
    recorder = _Recorder(model)

    def cues_of(query: Query) -> np.ndarray | None:
        recorder.last = None
        predict_query(recorder, query, protocol, {})
        return recorder.last

    titled = {f"presence by {prompt}": own, f"presence by {prompt}, other kinds": others}
    found = [(query, cues_of(query)) for title, queries in titled.items() for query in progress(queries, title)]
    parts = []
    for number, (query, cues) in enumerate(found):
        if cues is None:
            continue
        foreign = number >= len(own)
        labels = np.full(len(cues), -1) if foreign else query.item.visibility
        counted = np.isfinite(cues[:, 0])
        weight = (FOREIGN if foreign else 1.0) / max(int(counted.sum()), 1)
        parts.append(np.column_stack([terms(cues), labels, np.full(len(cues), weight)])[counted])
    rows = np.concatenate(parts) if parts else np.zeros((0, 7))
    return fitted_curve(prompt, rows[:, :5], rows[:, 5].astype(int), rows[:, 6])


def fitted_curve(prompt: str, values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> FittedPresence:
    """The curve that fits P points best: the greatest likelihood of their labels.

    values: [P, 5], of `density.presence.terms`; the scores are NaN for models without.
    labels: [P] visibility of each, -1 for a point of another kind.
    weights: [P].

    Raises InputError where there are too few points that are visible, or that are not.
    """
    parts = (labels == 2, (labels == 0) | (labels == 1), labels == -1)
    visible = parts[0]
    _check_enough(prompt, int(visible.sum()), int((~visible).sum()))
    used = [0, 1, 2, 3, 4] if np.isfinite(values).all() else [0, 1, 3]  # without scores
    factors = np.zeros(5)
    factors[used] = _logistic(values[:, used], visible.astype(float), weights / weights.mean())
    constant, entropy, score, mean_entropy, mean_score = (float(value) for value in factors)
    curve = PresenceCurve(constant, entropy, mean_entropy, score, mean_score)
    sums = values[:, used] @ factors[used]
    present = sums >= np.log(PRESENT_FROM / (1 - PRESENT_FROM))
    shares = tuple(float(present[part].mean()) if part.any() else None for part in parts)
    auroc = area_under_curve(sums[visible], sums[~visible])
    return FittedPresence(prompt, curve, auroc, *(int(part.sum()) for part in parts), shares)


def _logistic(values: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The coefficients [F] of the logistic regression of targets [P] on values [P, F], by Newton's method."""
    spread = values.std(axis=0)
    spread[spread == 0] = 1
    scaled, found = values / spread, np.zeros(values.shape[1])
    for _ in range(_ROUNDS):
        likely = 1 / (1 + np.exp(-np.clip(scaled @ found, -30, 30)))
        slope = scaled.T @ (weights * (targets - likely)) - _RIDGE * found
        curvature = (scaled * (weights * likely * (1 - likely))[:, None]).T @ scaled + _RIDGE * np.eye(len(found))
        step = np.linalg.solve(curvature, slope)
        found = found + step
        if np.abs(step).max() < 1e-9:
            break
    return found / spread
