"""The trainings that rows share: each by the hash of all that decides it, in a folder of its own, resumable.

`OUT/trainings/NAME/` has `begun.json` (what it is), `pretrain/` and `run/`, the folders of its runs as `train` writes
them, and at the end `training.json` (how long it took). `run/model` is the model.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

from ..category import Category
from ..errors import InputError
from ..forms.dataset import Dataset
from ..forms.registry import fingerprint, read
from ..io import file_digest, write_bytes
from ..models.folders import model_digest
from ..models.loading import find
from ..training.claims import claimed
from ..training.episode_config import EpisodeTrainConfig
from ..training.generative.generative_config import GenerativeTrainConfig
from ..training.run_config import RunConfig
from ..training.trainable import keeps_features, model_for, shared_features, wanted_phrases
from .configured import Configured, Length, configured, for_processes, with_items
from .launching import processes_of, run_launched
from .needs import described, located
from .places import Places
from .settings import HELD_OUT, UNTRAINED, Setting
from .tables import PaperTables, Row

BEGUN, DONE = "begun.json", "training.json"


@dataclass(frozen=True)
class Training:
    """A training, or the model as it is built where it is measured untrained.

    configs: of the model and its runs.
    setting: of the first row that it is for.
    start: the training whose model it starts from; None for none.
    start_folder: name of a checkpoint that it starts from; "" for none.
    """

    configs: Configured
    setting: Setting
    start: "Training | None" = None
    start_folder: str = ""

    @cached_property
    def decisive(self) -> dict[str, Any]:
        """All that decides the training, as JSON holds it. How often it is saved, and in which precision frozen weights
        are kept, does not."""
        configs = self.configs
        runs = {"pretrain": configs.pretrain, "recipe": configs.recipe}
        return {
            "model": configs.model.to_dict(),
            **{name: None if run is None else _learnt(run) for name, run in runs.items()},
            "items": configs.items,
            "processes": configs.processes,
            "train": self.setting.train,
            "images": self.setting.train_images,
            "start": self.start.name if self.start is not None else weights_hash(self.start_folder),
            "trained": self.setting.trained,
        }

    @cached_property
    def name(self) -> str:
        """The name of its folder."""
        digest = hashlib.sha256(json.dumps(self.decisive, sort_keys=True).encode()).hexdigest()
        return f"{self.configs.kind}-{digest[:10]}"

    def chain(self) -> "Iterator[Training]":
        """Itself, and the trainings that it starts from."""
        yield self
        if self.start is not None:
            yield from self.start.chain()

    def folder(self, out: Path) -> Path:
        """Its folder in the output folder."""
        return out / "trainings" / self.name

    def model(self, out: Path) -> Path:
        """The folder of its model."""
        return self.folder(out) / "run" / "model"

    def about(self, out: Path) -> dict[str, Any]:
        """What is known of it: "seconds", "steps", "items", "objects" and "weights", the digest of its model's files,
        where it is done, else {}."""
        return _read(self.folder(out) / DONE)

    def is_done(self, out: Path) -> bool:
        """Whether its model is there."""
        return bool(self.about(out)) and (self.model(out) / "config.json").is_file()


def training_of(paper: PaperTables, row: Row, setting: Setting, length: Length) -> Training | None:
    """The training of a row's setting; None where it measures a held-out checkpoint."""
    what = f"{paper.prefix}-{row.table}, {row.name!r}"
    if setting.trained == HELD_OUT:
        return None
    configs = configured(setting, what, length)
    if setting.trained == UNTRAINED:
        return Training(configs, setting)
    start, folder = None, "" if "/" in setting.start else setting.start
    if "/" in setting.start:
        first = paper.row(setting.start, f"{what}: start")
        of_split = [one for one in first.settings[setting.scale] if one.split == setting.split]
        if not of_split:
            raise InputError(f"{what}: start {setting.start!r} has no split {setting.split}; name another row.")
        start = training_of(paper, first, of_split[0], length)
        folder = of_split[0].held_out if start is None else ""
    return Training(configs, setting, start, folder)


@dataclass(frozen=True)
class TrainingWay:
    """Where and how trainings are run.

    places: where labels, pictures and weights are.
    out: the output folder, in which all trainings and features are kept.
    quiet: no progress on stderr.
    launch: a config file of `accelerate launch`, in whose processes each run is; None runs in this process.
    """

    places: Places
    out: Path
    quiet: bool = False
    launch: Path | None = None


def train(training: Training, way: TrainingWay) -> Path:
    """Train what is not trained yet, and give the folder of the model.

    Raises InputError where the labels are not those that the folder's training began with, of which a training that is
    done needs none any more, and where another process trains it.
    """
    out, places = way.out, way.places
    if training.is_done(out):
        check_labels(training, places, out)
        return training.model(out)
    folder, setting = training.folder(out), training.setting
    start = training.start and train(training.start, way)
    if setting.trained != UNTRAINED:
        check_labels(training, places, out)
    with claimed(folder):
        if not training.is_done(out):  # by another process, meanwhile
            _train(training, way, start)
    return training.model(out)


def _train(training: Training, way: TrainingWay, start: Path | None) -> None:
    """Train, in a folder that is claimed; start: folder of the model that the training starts from, if it is one."""
    out, places, folder = way.out, way.places, training.folder(way.out)
    configs, setting = training.configs, training.setting
    origin = start or (find(training.start_folder) if training.start_folder else None)
    counts: dict[str, Any] = {}
    if setting.trained == UNTRAINED:
        configs.family.build(located(configs.model, places), configs.recipe.seed).save_pretrained(training.model(out))
    else:
        spec = places.labels(setting.train)
        _write(folder / BEGUN, {"decided_by": training.decisive, "labels": fingerprint(spec)})
        words = wanted_phrases(configs.recipe, configs.model, origin)
        dataset = read(spec, places.images(setting.train_images), phrases=words)
        runs = {"pretrain": configs.pretrain, "run": configs.recipe}
        fresh = True
        for name, recipe in runs.items():
            if recipe is not None:
                if not (folder / name / "model" / "config.json").is_file():
                    _run(training, way, dataset, recipe, folder / name, origin, fresh)
                origin, fresh = folder / name / "model", False
        counts = {"objects": len(dataset.objects), **_counts(folder)}
    _write(folder / DONE, {**_read(folder / BEGUN), **counts, "weights": model_digest(training.model(out))})


def check_labels(training: Training, places: Places, out: Path) -> None:
    """InputError where the folder of a training, or of one that it starts from, is of other labels than there are
    now."""
    for one in training.chain():
        folder = one.folder(out)
        places.check_labels(one.setting.train, _read(folder / BEGUN).get("labels"), f"{folder} holds a training")


def weights_hash(name: str) -> str:
    """The hash of a checkpoint's files, so that other weights of its name are another thing; "" for no name."""
    if not name:
        return ""
    digest = hashlib.sha256(name.encode())
    for file in sorted(find(name).glob("*")):
        if file.suffix in (".json", ".safetensors"):
            digest.update(bytes.fromhex(file_digest(file)))
    return digest.hexdigest()


def _learnt(run: RunConfig) -> dict[str, Any]:
    # Fewer than the `changeable` of the trainers: the names of existing trainings hold `checkpointing` and `shard`.
    of_no_effect = ("save_every", "keep", "frozen_precision")
    return {key: value for key, value in run.to_dict().items() if key not in of_no_effect}


def _run(
    training: Training,
    way: TrainingWay,
    dataset: Dataset,
    recipe: RunConfig,
    folder: Path,
    origin: Path | None,
    fresh: bool,
) -> None:
    """One run of a training.

    folder: of the run.
    origin: folder of the model that it starts from; None for none.
    fresh: whether the model is a new one, which may be built on that of `origin`.
    """
    configs, setting = training.configs, training.setting
    family = configs.family
    fresh = fresh and (origin is None or family.started is not None)
    processes = processes_of(way.launch)
    recipe = for_processes(recipe, configs.processes, processes)
    counts = Counter(item.category for item in dataset.objects)
    recipe = with_items(recipe, configs.items, items_of_epoch(recipe, counts), processes)
    config = located(configs.model, way.places)
    features = way.out / "features" if keeps_features(family, recipe) else None
    if way.launch is not None:
        labels = (way.places.labels(setting.train), way.places.images(setting.train_images))
        description = described(setting.model, configs.model, config) if fresh else None
        run_launched(way.launch, description, recipe, labels, origin, folder, features, way.quiet)
        return
    model = model_for(family, config if fresh else None, origin, recipe)
    family.train(model, dataset, recipe, folder, quiet=way.quiet, **shared_features(family, recipe, features))


def items_of_epoch(recipe: RunConfig, counts: Mapping[Category, int]) -> int:
    """About how many items an epoch has: objects, their groups of keypoints, or episodes.

    counts: number of objects of each category.
    """
    if not counts:
        return 0
    if isinstance(recipe, EpisodeTrainConfig):  # all categories have as many as the largest one
        return len(counts) * max(counts.values())
    if not isinstance(recipe, GenerativeTrainConfig) or recipe.item == "object":
        return sum(counts.values())
    return sum(count * ceil(len(category) / getattr(recipe, "rounds", 1)) for category, count in counts.items())


def _counts(folder: Path) -> dict[str, Any]:
    """Steps, samples and seconds of the runs of a training, from their logs; a stopped run adds up."""
    lines = []
    for run in ("pretrain", "run"):
        log = folder / run / "log.jsonl"
        lines += [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    seconds = sum(line["crops"] / line["crops_per_second"] for line in lines if line["crops_per_second"])
    return {"steps": len(lines), "items": sum(line["crops"] for line in lines), "seconds": round(seconds, 1)}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())
