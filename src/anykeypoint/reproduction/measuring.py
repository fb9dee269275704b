"""The measurements of rows: each by the hash of what decides it, in a folder as `evaluate` or `density` writes it."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..evaluation.asked_phrases import evaluated_phrases
from ..evaluation.density_comparison import RESULTS as DENSITY_RESULTS
from ..evaluation.density_comparison import SETTINGS as DENSITY_SETTINGS
from ..evaluation.density_comparison import DensityComparisonConfig, compare_densities
from ..evaluation.evaluation_config import EvaluationConfig
from ..evaluation.run import RESULTS, SETTINGS, evaluate
from ..evaluation.run_folder import Progress
from ..forms.phrases import FILE
from ..forms.registry import fingerprint, read
from ..io import write_bytes
from ..models.arguments import let_answer
from ..models.loading import find, load
from ..training.claims import claimed
from .configured import asked
from .places import Places
from .settings import Setting
from .trainings import Training, weights_hash

SECONDS = "seconds.json"


@dataclass(frozen=True)
class Measured:
    """A model and what is asked of it.

    setting: of the row.
    config: of the measurement, without model and data.
    training: of the model; None where it is the held-out checkpoint of the setting.
    """

    setting: Setting
    config: EvaluationConfig | DensityComparisonConfig
    training: Training | None

    @cached_property
    def model_name(self) -> str:
        """What the measurement calls the model, wherever its folder lies."""
        return self.setting.held_out if self.training is None else f"trainings/{self.training.name}"

    @cached_property
    def name(self) -> str:
        """The name of its folder."""
        decisive = {
            "model": self.model_name if self.training is not None else weights_hash(self.setting.held_out),
            "config": self.config.to_dict(),
            "test": [self.setting.test, self.setting.test_images],
        }
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
        kind = self.setting.held_out if self.training is None else self.training.configs.kind
        return f"{kind}-{digest[:10]}"

    def folder(self, out: Path) -> Path:
        """Its folder in the output folder."""
        return out / "evaluations" / self.name

    def results(self, out: Path) -> Path:
        """The file of its results."""
        name = DENSITY_RESULTS if isinstance(self.config, DensityComparisonConfig) else RESULTS
        return self.folder(out) / name

    def is_done(self, out: Path) -> bool:
        """Whether its results are there."""
        return self.results(out).is_file()

    def weights(self, out: Path) -> str:
        """The digest of the trained model's files; "" for a checkpoint, whose hash is in the folder's name."""
        return "" if self.training is None else self.training.about(out).get("weights", "")

    def seconds(self, out: Path) -> float:
        """How long it took so far; time in which a run was killed is not known."""
        path = self.folder(out) / SECONDS
        return json.loads(path.read_text(encoding="utf-8"))["seconds"] if path.is_file() else 0.0


def measured_of(setting: Setting, training: Training | None, what: str) -> Measured:
    """The measurement of a setting. what: subject of sentences about its settings."""
    return Measured(setting, asked(setting, what), training)


def measure(
    measured: Measured, places: Places, out: Path, device: str, command: str, progress: Progress
) -> dict[str, Any]:
    """Measure what is not measured yet, and give the results. A run that was stopped goes on.

    Raises InputError where the folder's measurement is of other labels or of another training's weights, and where
    another process measures it; of one that is done the labels need not be here any more.

    places: where labels and pictures are. out: the output folder.
    device: that the model is loaded on. command: the command line, for the report. progress: shows a bar.
    """
    if not measured.is_done(out):
        with claimed(measured.folder(out), "measures"), _timed(measured.folder(out) / SECONDS):
            _run(measured, places, out, device, command, progress)
    return measured_before(measured, places, out)


def measured_before(measured: Measured, places: Places, out: Path) -> dict[str, Any]:
    """The results of a measurement that is done. places, out and errors as of `measure`."""
    results = json.loads(measured.results(out).read_text(encoding="utf-8"))
    _check_same(measured, places, out, results["data_sha256"])
    return results


def _check_same(measured: Measured, places: Places, out: Path, labels: str) -> None:
    """InputError for a measurement of other labels than there are now, or of a training that was run anew since."""
    folder = measured.folder(out)
    places.check_labels(measured.setting.test, labels, f"{folder} holds a measurement")
    settings = folder / (DENSITY_SETTINGS if isinstance(measured.config, DensityComparisonConfig) else SETTINGS)
    before = json.loads(settings.read_text(encoding="utf-8")).get("weights") if settings.is_file() else ""
    if before and measured.weights(out) not in ("", before):
        raise InputError(f"{folder} holds a measurement of a model that was trained anew since; remove it.")


def _run(measured: Measured, places: Places, out: Path, device: str, command: str, progress: Progress) -> None:
    setting, config, folder = measured.setting, measured.config, measured.folder(out)
    path = str(find(setting.held_out) if measured.training is None else measured.training.model(out))
    spec, images = places.labels(setting.test), places.images(setting.test_images)
    config = replace(config, model=measured.model_name, data=fingerprint(spec))
    if isinstance(config, DensityComparisonConfig):
        model = load(path, device, config.dtype)
        known = {"command": command, "progress": progress, "weights": measured.weights(out)}
        compare_densities(model, read(spec, images), folder, config, **known)
        return
    given = setting.ask.get("phrases")
    phrases = evaluated_phrases(path, given)
    dataset = read(spec, images, official=config.official, phrases=phrases)
    model = load(path, device, config.dtype, config.image_size)
    let_answer(model, config.answer, measured.model_name)
    seen = getattr(model, "seen_names", None)
    evaluate(
        *(model, dataset, folder, replace(config, phrases=phrases or FILE)),
        known_names=None if seen is None else seen.names,
        command=command,
        progress=progress,
        weights=measured.weights(out),
    )


@contextmanager
def _timed(path: Path) -> Iterator[None]:
    """Add the time within the context to that of the file."""
    before = json.loads(path.read_text(encoding="utf-8"))["seconds"] if path.is_file() else 0.0
    began = time.monotonic()
    try:
        yield
    finally:
        if path.parent.is_dir():
            seconds = round(before + time.monotonic() - began, 1)
            write_bytes(path, json.dumps({"seconds": seconds}).encode())
