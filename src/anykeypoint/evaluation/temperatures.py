"""Fitting a model's temperatures: for each kind of prompt the one whose confidences hold best on labelled objects.

A confidence is the chance that a point is right. For every temperature of a ladder, the expected calibration error
(ECE) of the confidences is computed as `evaluate` does, and the one with the least is taken. Points do not depend on
the temperature, so a model is asked once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..category import Category
from ..density.presence import Presence
from ..density.temperature import Temperature
from ..errors import InputError
from ..forms.dataset import Dataset
from ..geometry import Box
from ..io import write_folder
from ..models.folders import check_type, read_settings
from . import scoring
from .evaluation_config import EvaluationConfig
from .protocols import EvaluationProtocol
from .queries import Prediction, predict_query
from .run import chosen_pairs, queries_of
from .run_folder import Progress, no_progress
from .selection import category_labels

LADDER = tuple(round(float(value), 3) for value in np.geomspace(0.2, 20, 97))  # steps of 5 percent
PROTOCOLS = {"text": "text", "example": "1-shot", "both": "both"}  # kind of prompt -> how it is asked to fit
MODEL_TYPES = ("matcher", "capellm", "kptllm", "few_shot")  # those whose config has temperatures


@dataclass(frozen=True)
class FittedTemperature:
    """The temperature of one kind of prompt.

    prompt: "text", "example" or "both".
    temperature: the one with the least ECE.
    before: ECE at the model's own temperature, a fraction.
    after: ECE at the fitted one.
    points: number of points that it is fitted on.
    objects: number of objects with these points.
    """

    prompt: str
    temperature: float
    before: float
    after: float
    points: int
    objects: int

    @property
    def at_an_end(self) -> bool:
        """Whether it is an end of the ladder, beyond which a better one may lie."""
        return self.temperature in (LADDER[0], LADDER[-1])


def fit_temperatures(
    model: Any,
    dataset: Dataset,
    prompts: Sequence[str] | None = None,
    *,
    max_per_category: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[FittedTemperature]:
    """Fit the temperature of each kind of prompt.

    model: has `confidences_at` and a config with a `temperature`. It must not have been trained on the objects.
    dataset: the labelled objects; with examples each is asked about with one other object of its kind.
    prompts: kinds of prompt; None takes all that the model takes.
    max_per_category, seed: as in `EvaluationConfig`.

    Raises InputError for a prompt that the model does not take, for a model without temperatures, and where no labelled
    point gets a confidence.
    """
    if not hasattr(model, "confidences_at"):
        raise InputError("This model has no distribution of places, so there is no temperature to fit; take another.")
    progress = progress or no_progress
    return [_fit(model, dataset, prompt, max_per_category, seed, progress) for prompt in prompts_to_fit(model, prompts)]


def prompts_to_fit(model: Any, prompts: Sequence[str] | None) -> list[str]:
    """The kinds of prompt that are fitted: these, or all that the model takes; InputError for one it does not take."""
    taken = [prompt for prompt in PROTOCOLS if prompt in getattr(model, "prompts", ("text",))]
    if odd := [prompt for prompt in prompts or () if prompt not in taken]:
        raise InputError(f"The prompt {odd[0]!r} is none that this model takes; choose of {', '.join(taken)}.")
    return taken if prompts is None else list(prompts)


def with_temperatures(own: Temperature, fitted: Sequence[FittedTemperature]) -> Temperature:
    """A model's own temperatures with the fitted ones in their place."""
    return replace(own, **{one.prompt: one.temperature for one in fitted})


def write_calibrated(folder: Path, out: Path, **fitted: Temperature | Presence) -> None:
    """Copy a model's folder, with what was fitted in its config.json.

    folder: of a model that this library saved.
    out: the copy, which must not exist, or be an empty folder.
    fitted: the config's `temperature`, and `presence` where it was fitted.

    Raises InputError for a folder of another kind, and as `io.write_folder` does.
    """
    kind = check_type(folder, MODEL_TYPES)
    config = {"model_type": kind, **read_settings(folder, kind), **{key: one.to_dict() for key, one in fitted.items()}}
    files: dict[str, bytes | Path] = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    write_folder(out, {**files, "config.json": (json.dumps(config, indent=1) + "\n").encode()})


class _Recorder:
    """A model that keeps the confidences at all temperatures of its last prediction: T K, None where it made none."""

    def __init__(self, model: Any, ladder: Sequence[float]) -> None:
        self.model, self.ladder = model, ladder
        self.last: np.ndarray | None = None

    def predict(self, image: Path, category: Category, *, box: Box, **asked: Any) -> Prediction:
        points, self.last = self.model.confidences_at(image, category, self.ladder, box=box, **asked)
        return Prediction(points, self.last[0])


def _fit(
    model: Any, dataset: Dataset, prompt: str, max_per_category: int | None, seed: int, progress: Progress
) -> FittedTemperature:
    config = EvaluationConfig(protocol=PROTOCOLS[prompt], max_per_category=max_per_category, seed=seed)
    protocol = EvaluationProtocol.parse(config.protocol)
    dataset, pairs, _ = chosen_pairs(dataset, config, protocol)
    ladder = (model.config.temperature.of(prompt), *LADDER)  # its own first
    recorder = _Recorder(model, ladder)
    points: list[np.ndarray] = []
    confidences: list[np.ndarray] = []
    for query in progress(queries_of(dataset, pairs, config, protocol), f"by {prompt}"):
        recorder.last = None
        points.append(predict_query(recorder, query, protocol, {}).xy)
        none = np.full((len(ladder), len(query.category)), np.nan)
        confidences.append(none if recorder.last is None else recorder.last)
    labels = category_labels(dataset, dataset.objects)
    targets = scoring.ScoringTargets.from_pairs(dataset, pairs, labels, official=False)
    tables = [scoring.calibration(targets, points, [one[row] for one in confidences]) for row in range(len(ladder))]
    if tables[0] is None:
        raise InputError(f"No labelled point gets a confidence by {prompt}, so there is nothing to fit; add objects.")
    return _best(prompt, ladder, tables, objects=len({pair.query for pair in pairs}))


def _best(prompt: str, ladder: Sequence[float], tables: Sequence[Mapping[str, Any]], objects: int) -> FittedTemperature:
    """The temperature of least ECE; of equal ones the nearest to the model's own, which is the ladder's first."""
    errors = [table["ece"] for table in tables]
    best = min(range(len(ladder)), key=lambda row: (errors[row], abs(np.log(ladder[row] / ladder[0]))))
    return FittedTemperature(prompt, ladder[best], errors[0], errors[best], tables[0]["points"], objects)
