"""Measure a model on a data set: predictions to disk as they come, then PCK with baselines on the same objects.

OUT/predictions.jsonl has one line per object, so that a killed run goes on where it stopped; OUT/settings.json says
what the predictions were made with, and another run with other settings is refused. OUT/results.json is written last.
"""

import hashlib
import json
import math
import os
import platform
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..category import Category
from ..data.coco import Dataset, LabelledObject, without_descriptions
from ..decoding.strategies import Strategy
from ..errors import InputError
from ..geometry import Box
from ..instructions import check_describe
from . import metrics
from .baselines import ImageCentre, MeanPosition

PROTOCOLS = ("text",)
PREDICTIONS, UNTRAINED, SETTINGS, RESULTS = "predictions.jsonl", "untrained.jsonl", "settings.json", "results.json"
NOT_DRAWN = "over the maximum per category"
HEADLINE = ("pck@0.05", "pck@0.1", "pck@0.2", "mpck")
LEVEL, ROUNDS = 0.95, 2000
_PACKAGES = ("anykeypoint", "numpy", "pillow", "torch", "transformers")

Progress = Callable[[Iterable, str], Iterable]


class Answer(Protocol):
    xy: np.ndarray  # (K, 2) image pixels, NaN where absent
    confidence: np.ndarray  # (K,)


class Model(Protocol):
    def predict(
        self, image: Path, category: Category, *, box: Box, strategy: str | None, density: bool, describe: str
    ) -> Answer: ...


@dataclass(frozen=True)
class Settings:
    """What decides the predictions. model: its name or path; data: sha256 of the data file, where there is one."""

    model: str = ""
    data: str = ""
    protocol: str = "text"
    strategy: str | None = None  # the model's own
    descriptions: str = "detailed"  # how they are given, one of instructions.DESCRIBE
    cumulative: bool = False  # in one conversation, each question with the answers before it in view
    image_size: int | None = None  # pixels that the model looks at; its own
    max_per_category: int | None = None
    seed: int = 0


def evaluate(
    model: Model,
    dataset: Dataset,
    out: str | Path,
    settings: Settings | None = None,
    *,
    untrained: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> dict:
    """Predict every object of `dataset`, write the three files to the folder `out` and return the results.

    A point is asked by name and, as `settings.descriptions` says, description in the object's labelled box. Figures are
    in percent: `category_mean`, `object_mean`, `per_category`, `interval`, and under `baselines` the same for the box's
    centre, the mean position by name and, with `untrained`, for `model.untrained()`.
    progress: wraps an iterable of known length and a title, to show a bar.
    Raises InputError for settings or folders that cannot be used, and for a model whose answer is not K points.
    """
    out, settings = Path(out), settings or Settings()
    if settings.protocol not in PROTOCOLS:
        raise InputError(f"The protocol must be {' or '.join(PROTOCOLS)}, but got {settings.protocol!r}.")
    check_describe(settings.descriptions)
    if settings.strategy is not None:
        Strategy.parse(settings.strategy)
    if untrained and not hasattr(model, "untrained"):
        raise InputError("This model cannot be measured untrained, as it has no untrained(); leave the option out.")
    objects = select(dataset.objects, settings.max_per_category, settings.seed)
    if not objects:
        raise InputError("There is no object with a labelled point to measure on; check the data file.")
    asked = {key: _asked(dataset.categories[key], settings) for key in {item.category_id for item in objects}}
    claim(out, settings, objects, asked)
    bar = progress or (lambda items, title: items)

    def predictions(of: Model, file: str, title: str) -> list[np.ndarray]:
        return _predict_all(of, objects, asked, out / file, settings, bar, title)

    answers = predictions(model, PREDICTIONS, "model")
    labels = label_objects(dataset, objects)
    scores = _scores(answers, objects)
    baselines: dict[str, dict] = {}
    for baseline in (ImageCentre(), MeanPosition.shipped()):
        guesses = [baseline.predict(item.image, asked[item.category_id], item.box).xy for item in objects]
        baselines[baseline.name] = _figures(_scores(guesses, objects), labels, headline=True)
    if untrained:
        guesses = predictions(model.untrained(), UNTRAINED, "untrained model")
        baselines["untrained"] = _figures(_scores(guesses, objects), labels, headline=True)
    skipped = dict(dataset.skipped)
    if len(objects) < len(dataset.objects):
        skipped[NOT_DRAWN] = len(dataset.objects) - len(objects)
    at = metrics.THRESHOLDS.index(0.2)
    low, high = metrics.bootstrap_interval(scores[:, at], labels, settings.seed, ROUNDS, LEVEL)
    results = {
        **_figures(scores, labels),
        "baselines": baselines,
        "per_category": {
            label: {**figures, "objects": labels.count(label)}
            for label, figures in metrics.per_category(scores, labels).items()
        },
        "interval": {"pck@0.2": [low, high], "level": LEVEL, "rounds": ROUNDS, "over": "objects within category"},
        "objects": len(objects),
        "points": sum(int((item.visibility > 0).sum()) for item in objects),
        "categories": len(set(labels)),
        "skipped": skipped,
        "data_sha256": settings.data,
        "settings": vars(settings),
        "command": command,
        "versions": versions(),
    }
    write(out / RESULTS, json.dumps(results, indent=2) + "\n")
    return results


def select(objects: Sequence[LabelledObject], most: int | None, seed: int = 0) -> list[LabelledObject]:
    """The first `most` objects of each category in a seeded shuffle, in their own order; all for None.

    The choice depends on the objects' ids, not on their order, and a larger `most` keeps all of a smaller one.
    """
    if most is None:
        return list(objects)
    if most < 1:
        raise InputError(f"The number of objects per category must be 1 or more, but got {most}.")
    by_category: dict[int, list[int]] = {}
    for item in objects:
        by_category.setdefault(item.category_id, []).append(item.id)
    chosen: set[int] = set()
    for key, ids in by_category.items():
        ids.sort()
        random.Random(f"{seed}:{key}").shuffle(ids)
        chosen.update(ids[:most])
    return [item for item in objects if item.id in chosen]


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the figures; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _asked(category: Category, settings: Settings) -> Category:
    """The category as it is asked; InputError where points cannot be told apart without their descriptions."""
    return without_descriptions(category) if settings.descriptions == "removed" else category


def claim(
    out: Path,
    settings: Any,
    objects: list[LabelledObject],
    asked: dict[int, Category],
    files: Sequence[str] = (PREDICTIONS, UNTRAINED, RESULTS),
    name: str = SETTINGS,
) -> None:
    """Make the folder this run's: it is new, or its `files` were made with the same settings, objects and words.

    settings: a dataclass of plain values, kept in the folder as `name`. Raises InputError, naming what differs, for a
    folder of another run.
    """
    digest = hashlib.sha256(json.dumps(vars(settings), sort_keys=True).encode())
    for item in objects:
        row = [item.id, item.category_id, item.image.name, item.box, np.nan_to_num(item.points, nan=-1e9).tolist()]
        digest.update(json.dumps(row).encode())
    for key in sorted(asked):
        digest.update(json.dumps([key, asked[key].to_dict()]).encode())
    mine = {"hash": digest.hexdigest(), "settings": vars(settings), "objects": len(objects)}
    path = out / name
    begun = out.exists() and (not out.is_dir() or any((out / file).exists() for file in files))
    if begun and path.exists():
        theirs = _read_settings(path)
        if theirs.get("hash") != mine["hash"]:
            before = theirs.get("settings") if isinstance(theirs.get("settings"), dict) else {}
            changed = [key for key, value in mine["settings"].items() if before.get(key) != value]
            what = ", ".join(f"{key} {before.get(key)!r} there, {mine['settings'][key]!r} here" for key in changed)
            raise InputError(
                f"{out} holds predictions made with other settings ({what or 'other objects or words'}); "
                "give another folder or remove it."
            )
        return
    if begun:
        raise InputError(f"{out} holds predictions of unknown settings, as {name} is missing; give another folder.")
    out.mkdir(parents=True, exist_ok=True)
    write(path, json.dumps(mine, indent=2) + "\n")


def _read_settings(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read {path}; give another folder or remove it.") from error
    return found if isinstance(found, dict) else {}


def _predict_all(
    model: Model,
    objects: list[LabelledObject],
    asked: dict[int, Category],
    path: Path,
    settings: Settings,
    bar: Progress,
    title: str,
) -> list[np.ndarray]:
    """Points (K, 2) of every object, from the lines of `path` where it has them, else from the model."""
    done = _read_predictions(path, {item.id: item for item in objects})
    options: dict[str, Any] = {"strategy": settings.strategy, "density": False, "describe": settings.descriptions}
    if settings.cumulative:
        options["cumulative"] = True
    if settings.strategy is not None and Strategy.parse(settings.strategy).draws:
        options["seed"] = settings.seed
    with path.open("a", encoding="utf-8") as lines:
        for item in bar([item for item in objects if item.id not in done], title):
            category = asked[item.category_id]
            try:
                answer = model.predict(item.image, category, box=item.box, **options)
            except InputError as error:
                raise InputError(f"Object {item.id} ({item.image}): {error}") from error
            xy, confidence = np.asarray(answer.xy, dtype=np.float64), np.asarray(answer.confidence, dtype=np.float64)
            if xy.shape != (len(category), 2) or confidence.shape != (len(category),):
                raise InputError(
                    f"Object {item.id}: the model must answer with {len(category)} points and confidences, but got "
                    f"{xy.shape} and {confidence.shape}."
                )
            done[item.id] = xy
            line = {
                "id": item.id,
                "category": item.category.name,
                "points": [[_number(x), _number(y)] for x, y in xy],
                "confidences": [_number(value) for value in confidence],
            }
            lines.write(json.dumps(line) + "\n")
            lines.flush()
    return [done[item.id] for item in objects]


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file, none if there is no file; half a last line, left by a killed run, is cut off the file."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return whole.splitlines()


def _read_predictions(path: Path, objects: dict[int, LabelledObject]) -> dict[int, np.ndarray]:
    """id -> points (K, 2) of the file's whole lines."""
    done: dict[int, np.ndarray] = {}
    for number, line in enumerate(whole_lines(path), 1):
        try:
            entry = json.loads(line)
            item = objects[entry["id"]]
            points = np.array([[math.nan if v is None else v for v in point] for point in entry["points"]], dtype=float)
            if points.shape != item.points.shape:
                raise ValueError("other number of points")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number}, is no prediction of this run; remove the folder.") from error
        done[item.id] = points
    return done


def label_objects(dataset: Dataset, objects: list[LabelledObject]) -> list[str]:
    """Each object's category by name; with its id where two categories share a name, as MP-100's two faces do."""
    names = [category.name for category in dataset.categories.values()]
    return [
        item.category.name if names.count(item.category.name) == 1 else f"{item.category.name} ({item.category_id})"
        for item in objects
    ]


def _scores(answers: list[np.ndarray], objects: list[LabelledObject]) -> np.ndarray:
    pairs = zip(answers, objects, strict=True)
    return np.stack([metrics.pck(metrics.normalised_distances(xy, item.points, item.box)) for xy, item in pairs])


def _figures(scores: np.ndarray, labels: list[str], headline: bool = False) -> dict:
    """Both means; `headline` repeats the category mean's four main figures at the top."""
    by_category = metrics.category_mean(scores, labels)
    figures: dict[str, Any] = {"category_mean": by_category, "object_mean": metrics.object_mean(scores)}
    return {**{key: by_category[key] for key in HEADLINE}, **figures} if headline else figures


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
