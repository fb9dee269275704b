"""Examples and queries: which objects of a data set are shown, and which are then to be found.

`episodes` and `training_pairs` draw as MP-100's released code does, number by number; `one_each` and `balanced_weights`
are for data sets of any size. Objects are named by their index in the data set.
"""

import math
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..forms.dataset import Dataset

TEST_EPISODES, VAL_EPISODES, QUERIES, SEED = 200, 100, 15, 1


@dataclass(frozen=True)
class Pair:
    """Indices of the example objects and of the one to be found; without examples, a query by itself."""

    examples: tuple[int, ...]
    query: int


def by_category(data: Dataset) -> dict[int, list[int]]:
    """Indices of the objects of every category that the file lists; none for those without any."""
    found: dict[int, list[int]] = {identity: [] for identity in data.categories}
    for index, item in enumerate(data.objects):
        found[item.category_id].append(index)
    return found


def visible(data: Dataset) -> np.ndarray:
    """(N, K) bool for the widest category's K: which points of each object are labelled."""
    return padded([item.visibility > 0 for item in data.objects])


def too_small(data: Dataset, shots: int, queries: int = QUERIES) -> dict[int, int]:
    """Categories with fewer objects than an episode needs, by id, with how many they have."""
    return {key: len(rows) for key, rows in by_category(data).items() if len(rows) < shots + queries}


def episodes(
    data: Dataset,
    shots: int,
    count: int = TEST_EPISODES,
    queries: int = QUERIES,
    *,
    seed: int = SEED,
    without: Collection[int] = (),
) -> Iterator[Pair]:
    """The released sampler's pairs in its order: for each category of the file `count` times `shots` examples, each
    with the same `queries` others.

    shots: 1 or 5 in the papers. count: 200 for test files, 100 for val. without: ids of categories to leave out (which
    changes the draws of those after them). The random numbers are the pairs' own; nothing global is touched.
    Raises InputError, naming the categories, where one has too few objects.
    """
    if min(shots, count, queries) < 1:
        raise InputError(f"Shots, episodes and queries must be 1 or more, but got {shots}, {count}, {queries}.")
    members = {key: rows for key, rows in by_category(data).items() if key not in without}
    short = {key: number for key, number in too_small(data, shots, queries).items() if key not in without}
    if short:
        named = ", ".join(f"{data.categories[key].name!r} (id {key}) has {number}" for key, number in short.items())
        raise InputError(
            f"An episode of {shots} examples and {queries} queries needs {shots + queries} objects of a category, but "
            f"{named}; complete the data or leave these categories out."
        )

    def pairs() -> Iterator[Pair]:
        draw = random.Random(seed)
        for rows in members.values():
            for _ in range(count):
                chosen = draw.sample(rows, shots + queries)
                yield from (Pair(tuple(chosen[:shots]), query) for query in chosen[shots:])

    return pairs()


def one_each(data: Dataset, shots: int, seed: int) -> list[Pair]:
    """Every object once as a query, with `shots` examples drawn from the others of its category; none if too few.

    The draw hangs on the seed and on the ids of the category's objects, not on their order in the file, and more shots
    keep the examples of fewer. The pairs are in the data set's order.
    """
    if not shots:
        return [Pair((), query) for query in range(len(data.objects))]
    pairs = []
    members = {key: sorted(rows, key=lambda row: data.objects[row].id) for key, rows in by_category(data).items()}
    for query, item in enumerate(data.objects):
        others = [row for row in members[item.category_id] if row != query]
        if len(others) >= shots:
            random.Random(f"{seed}:{item.id}").shuffle(others)
            pairs.append(Pair(tuple(others[:shots]), query))
    return pairs


def training_pairs(data: Dataset, shots: int, seed: int, per_category: int | None = None) -> list[Pair]:
    """One epoch of the released training: of each category equally many groups of `shots` examples and a query, mixed.

    per_category: how many; by default as many as the largest category has objects. (The released code looks the counts
    up by name, so of two categories that share a name it sees one.) Raises InputError where one has too few objects.
    """
    refuse_small(data, shots)
    members = by_category(data)
    draw, mix = random.Random(seed), np.random.RandomState(seed)  # the two generators that the released code seeds
    times = max(map(len, members.values())) if per_category is None else per_category
    groups = np.array([draw.sample(rows, shots + 1) for rows in members.values() for _ in range(times)])
    mix.shuffle(groups)
    return [Pair(tuple(group[:-1]), group[-1]) for group in groups.tolist()]


def refuse_small(data: Dataset, shots: int, among: Collection[int] | None = None) -> None:
    """InputError where a category (of the ids `among`) has too few objects for `shots` examples and a query."""
    small = {key: n for key, n in too_small(data, shots, 1).items() if among is None or key in among}
    if small:
        key, count = next(iter(small.items()))
        raise InputError(
            f"Training with {shots} examples needs {shots + 1} objects of a category, but "
            f"{data.categories[key].name!r} (id {key}) has {count}; complete the data or use fewer examples."
        )


def balanced_weights(
    categories: Sequence, sources: Sequence[str], weights: Mapping[str, float] | None = None
) -> np.ndarray:
    """(N,) chances of N objects to be drawn: first the source, then the category, then the object.

    categories, sources: each object's. weights: each source's share of the draws, in any unit, 0 for never; without
    any all objects are as of one source. Of a source's categories each is drawn by the square root of its number of
    objects there, so that large ones neither drown the others nor count for nothing; of a category's objects all alike.
    Raises InputError for weights that are negative or all 0, and where weights and sources do not name the same.
    """
    if len(categories) != len(sources) or not len(categories):
        raise InputError(
            f"Each of one or more objects needs a category and a source, but got {len(categories)} and {len(sources)}."
        )
    if not weights:
        sources, weights = [""] * len(categories), {"": 1.0}
    shares = _shares(dict.fromkeys(sources), weights)
    counts = Counter(zip(sources, categories, strict=True))
    chances = np.array([1 / math.sqrt(counts[key]) for key in zip(sources, categories, strict=True)])
    numbers = {source: number for number, source in enumerate(shares)}
    where = np.array([numbers[source] for source in sources])
    totals = np.array([chances[where == number].sum() for number in range(len(shares))])
    return chances / totals[where] * np.array(list(shares.values()))[where]


def _shares(sources: Iterable[str], weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of the sources, in their order, as shares of one."""
    names = list(sources)
    if set(names) != set(weights):
        raise InputError(
            f"The weights must be of the objects' sources, which are {', '.join(map(repr, names))}, but they are of "
            f"{', '.join(map(repr, weights))}; name each source, and no other."
        )
    values = [float(weights[name]) for name in names]
    total = math.fsum(values)
    if not all(0 <= value < math.inf for value in values) or total == 0:
        raise InputError(f"The weights of sources must be 0 or more and one of them above 0, but got {dict(weights)}.")
    return {name: value / total for name, value in zip(names, values, strict=True)}


def padded(rows: list[np.ndarray], fill: Any = 0) -> np.ndarray:
    """Arrays (K_i, ...) of different length as one (N, K, ...), filled up with `fill`."""
    if not rows:
        raise InputError("There is nothing to put into an array; give one object or more.")
    width = max(len(row) for row in rows)
    table = np.full((len(rows), width, *rows[0].shape[1:]), fill, dtype=rows[0].dtype)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table
