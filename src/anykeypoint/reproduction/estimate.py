"""What a reproduction would run: its trainings and measurements, on how much data, and how long they take here."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ..category import Category
from ..errors import InputError, first_line
from ..forms.registry import parse, read
from ..library.lookup import category
from ..training.generative.generative_config import GenerativeTrainConfig
from ..training.run_config import RunConfig
from .configured import for_processes, samples_per_step, steps_of
from .launching import processes_of
from .machine import Machine, this_machine
from .needs import Missing, missing_of
from .places import Places
from .settings import UNTRAINED
from .sizes import GIB, TrainingSize, training_size
from .table_run import ReproductionConfig, plan_rows
from .tables import Table
from .trainings import Training, items_of_epoch

_MP100 = 140  # objects of each of its 100 categories, as 70 of them with about 200 each are a split's training part


_sizes: dict[tuple, TrainingSize] = {}


@dataclass(frozen=True)
class TrainingObjects:
    """The objects of a training.

    counts: number of objects of each category; empty where it is not known.
    assumed: whether the labels are not here and the numbers are about those of the data set.
    """

    counts: Mapping[Category, int]
    assumed: bool

    def described(self) -> str:
        """The number of objects, in words."""
        if not self.counts:
            return "a number of objects that is not known before the labels are here"
        return f"{'about ' if self.assumed else ''}{sum(self.counts.values())} objects"


def plan_lines(tables: Sequence[Table], config: ReproductionConfig) -> Iterator[str]:
    """Lines that say what would be run, and what is done already."""
    machine, total = this_machine(config.device), 0.0
    yield f"on this machine: {machine.described()}"
    seen: set[str] = set()
    missing: dict[Missing, None] = {}
    for table in tables:
        yield f"{table.id}: {table.title} ({table.paper}, {table.place}), at {config.scale} scale"
        for planned in plan_rows(table, config):
            if not planned.parts:
                why = planned.row.published or planned.row.why or f"not asked at {config.scale} scale"
                yield f"  {planned.row.name}: not run ({why})"
                continue
            yield f"  {planned.row.name}"
            for setting, training, measured in planned.parts:
                if training is not None and training.name not in seen:
                    seen.add(training.name)
                    words, hours = _training(training, config, machine)
                    total += hours
                    yield f"    train {training.name} on {setting.train}: {words}"
                model = setting.held_out if training is None else training.name
                state = " (done)" if measured.is_done(config.out) else ""
                yield f"    {setting.measure} {model} on {setting.test}{state}"
                missing |= dict.fromkeys(missing_of(setting, f"{table.id}, {planned.row.name!r}", config.places))
    yield from (f"missing: {one.sentence()}" for one in missing)
    yield f"all trainings together: about {total:,.1f} hours here; evaluations are not counted"


def _training(training: Training, config: ReproductionConfig, machine: Machine) -> tuple[str, float]:
    """What a training takes, in words, and its hours; 0 where they are not known or it is done."""
    if training.is_done(config.out):
        return "done", 0.0
    if training.setting.trained == UNTRAINED:
        return "nothing, as it is measured as it is built", 0.0
    objects = training_objects(training.setting.train, training.setting.train_images, config.places)
    configs, processes = training.configs, processes_of(config.launch)
    parts, hours, size = [objects.described()], 0.0, None
    recipe = for_processes(configs.recipe, configs.processes, processes)
    if objects.counts:
        try:
            size = _size(configs.model, replace(recipe, seed=0), tuple(objects.counts.items()))
        except (InputError, NotImplementedError) as error:  # some operations cannot be counted without weights
            parts.append(f"size not known ({first_line(error).rstrip('.')})")
    epoch = items_of_epoch(recipe, objects.counts) if size is None or size.lengths is None else size.lengths.items

    def items_of(run: RunConfig) -> float:
        return configs.items or run.steps * samples_per_step(run, processes) or run.epochs * epoch

    items = items_of(recipe)
    if items:
        parts.append(f"{items:,.0f} items in {steps_of(recipe, items, processes):,} steps")
    if size is not None:
        memory = size.memory(processes)
        before = (
            0.0 if configs.pretrain is None else items_of(for_processes(configs.pretrain, configs.processes, processes))
        )
        hours = _hours(size, items + before, sum(objects.counts.values()), machine, processes)
        parts.append(f"{size.parameters / 1e6:,.0f} million parameters, {size.trainable / 1e6:,.1f} of them train")
        fits = "" if memory.fits(machine.device) else ", which does not fit"
        parts.append(f"{memory.total / GIB:.1f} GiB of {machine.device.memory:.0f} in a process{fits}")
        parts.append(f"about {hours:,.1f} hours")
    return ", ".join(parts), hours


def _size(model: Any, recipe: RunConfig, counts: tuple[tuple[Category, int], ...]) -> TrainingSize:
    """`training_size`, which takes seconds, once for rows and splits that have the same; guidance is not counted."""
    if isinstance(recipe, GenerativeTrainConfig):
        recipe = replace(recipe, guide=type(recipe.guide)())
    key = (repr(model), repr(recipe), tuple((kind.name, len(kind), count) for kind, count in counts))
    if key not in _sizes:
        _sizes[key] = training_size(model, recipe, dict(counts))
    return _sizes[key]


def _hours(size: TrainingSize, items: float, objects: int, machine: Machine, processes: int) -> float:
    """The hours of a training; with cached features the image encoder sees the versions of each object once."""
    count = min(processes, machine.count)
    if getattr(size.recipe, "features", "live") == "live":
        return size.hours(items, machine.device, count)
    once = 2 * size.encoder_macs * objects * size.recipe.versions / machine.device.speed(size.half) / 3600 / count
    return once + replace(size, encoder_macs=0.0).hours(items, machine.device, count)


@lru_cache
def training_objects(spec: str, images: str, places: Places) -> TrainingObjects:
    """The objects that a training is on: counted where the labels are here, else about those of the data set."""
    if not places.missing_files(spec):
        try:
            data = read(places.labels(spec), places.images(images), allow_missing=True)
            return TrainingObjects(Counter(item.category for item in data.objects), False)
        except InputError:
            pass  # the labels are there and their pictures, or a data set that they name, are not
    form, _, _ = parse(places.labels(spec))
    if form != "mp100":
        return TrainingObjects({}, True)
    return TrainingObjects({category(f"mp100/{number}"): _MP100 for number in range(1, 101)}, True)
