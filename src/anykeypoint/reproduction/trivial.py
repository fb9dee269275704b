"""The trivial baselines on the objects that a table's rows are asked about, beside which its figures are to be read."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..evaluation.baselines.positions import ImageCentre
from ..evaluation.baselines.registry import baselines
from ..evaluation.evaluation_config import EvaluationConfig
from ..evaluation.metrics import KEYS
from ..evaluation.protocols import EvaluationProtocol
from ..evaluation.run import RESULTS, evaluate
from ..evaluation.run_folder import Progress
from ..forms.registry import read
from .measuring import Measured
from .places import Places

KEPT = ("protocol", "episodes", "official", "single", "max_per_category", "points", "seed")  # of a row's settings


@dataclass(frozen=True)
class Trivial:
    """The best trivial baseline of one way of asking.

    protocol: the name of the protocol.
    name: of the baseline.
    metric: by which it is the best.
    value: its figure, in the mean that the row has.
    """

    protocol: str
    name: str
    metric: str
    value: float


class _Centre(ImageCentre):
    """What is asked in the place of a model, so that the baselines are asked beside it."""

    prompts = ("text", "example", "both")


def best_baselines(
    asked: Sequence[Measured], metrics: Sequence[str], places: Places, out: Path, progress: Progress
) -> Iterator[Trivial]:
    """The best baseline for each protocol by which points are asked for, measured where it is not yet.

    asked: the measurements of a table's rows.
    metrics: of the table; the best is so at 0.2, as all papers print it, or in the first that is a PCK.
    places, out, progress: as of `measuring.measure`.
    """
    metric = next((one for one in sorted(metrics, key=lambda one: one != "pck@0.2") if one in KEYS), None)
    if metric is None:
        return
    protocols: set[str] = set()
    for one in asked:
        config = one.config
        if not isinstance(config, EvaluationConfig) or config.protocol in protocols:
            continue
        protocols.add(config.protocol)
        prompt = EvaluationProtocol.parse(config.protocol).prompt
        if prompt == "identify":
            continue
        results = _measured(one, prompt, places, out, progress)
        figures = {name: each[one.setting.mean].get(metric) for name, each in results["baselines"].items()}
        known = {name: value for name, value in figures.items() if value is not None}
        if known:
            best = max(known, key=lambda name: known[name])
            yield Trivial(config.protocol, best, metric, known[best])


def _measured(one: Measured, prompt: str, places: Places, out: Path, progress: Progress) -> dict[str, Any]:
    """The results of the baselines for the objects and the protocol of a measurement that is done."""
    setting, labels = one.setting, _read(one.results(out))["data_sha256"]
    config = EvaluationConfig(**{key: getattr(one.config, key) for key in KEPT}, foreign=0)
    digest = hashlib.sha256(json.dumps([config.to_dict(), labels]).encode()).hexdigest()
    folder = out / "evaluations" / f"baselines-{digest[:10]}"
    if not (folder / RESULTS).is_file():
        spec, images = places.labels(setting.test), places.images(setting.test_images)
        dataset = read(spec, images, official=config.official)
        found, missing = baselines(prompt)
        config = replace(config, model=_Centre.name, data=labels)
        evaluate(_Centre(), dataset, folder, config, baselines=found, unmeasured=missing, progress=progress)
    return _read(folder / RESULTS)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
