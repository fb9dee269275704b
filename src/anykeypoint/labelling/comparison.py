"""The labelling loop played on all kinds of object of a data set, in several ways, with one model."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from ..errors import InputError
from ..evaluation.selection import category_labels
from ..forms.dataset import Dataset, LabelledObject
from .job import Answering
from .simulate import SimulationConfig, WayResult, kinds_of, play
from .suggest import spread
from .ways import name_of, ways

TOO_FEW = "of a kind with too few objects"
UNREADABLE = "a picture that cannot be read, or a box that lies outside of it"


@dataclass(frozen=True, eq=False)
class Compared:
    """What came of all kinds.

    kinds: name of a kind -> name of a way -> the result. counts: number of objects of each kind.
    left_out: reason -> number of objects. faults: a sentence for each object that could not be encoded.
    """

    kinds: Mapping[str, Mapping[str, WayResult]]
    counts: Mapping[str, int]
    left_out: Mapping[str, int]
    faults: Sequence[str]


def compare_ways(
    model: Any,
    dataset: Dataset,
    objects: Sequence[LabelledObject],
    names: Sequence[str],
    config: SimulationConfig,
    least: int,
    words: bool | None = None,
    clock: Callable[[], float] = perf_counter,
    advance: Callable[[], None] = lambda: None,
) -> Compared:
    """Play the loop on every kind of object of which there are `least` or more, in each way of `names`.

    objects: of the data set, those that are used. words: as in `Answering`.
    advance: called len(names) times for each of the objects.
    """
    kinds: dict[str, dict[str, WayResult]] = {}
    counts: dict[str, int] = {}
    left_out: Counter[str] = Counter()
    faults: list[str] = []
    for items in kinds_of(objects):
        title = category_labels(dataset, items)[0]
        if len(items) < least:
            left_out[TOO_FEW] += len(items)
            for _ in range(len(items) * len(names)):
                advance()
            continue
        began = clock()
        job = Answering(model, items[0].category, words=words)
        usable = _taken_in(job, items, faults)
        encoding = clock() - began
        for _ in range((len(items) - len(usable)) * len(names)):
            advance()
        left_out[UNREADABLE] += len(items) - len(usable)
        if len(usable) < 2:
            continue
        ordered = _first_first(job, usable)
        kinds[title] = {
            way.name: play(way, ordered, config, encoding, way.name != "words", clock, advance)
            for way in ways(job, names, config.seed)
        }
        counts[title] = len(usable)
    return Compared(kinds, counts, {reason: count for reason, count in left_out.items() if count}, faults)


def _taken_in(job: Answering, items: Sequence[LabelledObject], faults: list[str]) -> list[LabelledObject]:
    """The objects that the job could encode."""
    usable = []
    for item in items:
        try:
            job.add_picture(name_of(item), item.image, item.box)
            usable.append(item)
        except InputError as error:
            faults.append(f"object {item.id}: {error}")
    return usable


def _first_first(job: Answering, items: Sequence[LabelledObject]) -> list[LabelledObject]:
    """The objects, the one that is suggested to be labelled first in front."""
    vectors = [job.vector(name_of(item)) for item in items]
    first = spread(np.stack(vectors), 1)[0] if len(vectors[0]) else 0
    return [items[first], *items[:first], *items[first + 1 :]]
