"""Pairs of examples and a query: which objects of a data set are examples, and in which the keypoints are predicted.

`episode_pairs` and `training_pairs` draw exactly as MP-100's released code does; `one_each` and `balanced_weights` are
for data sets of any size. Objects are given by their index in the data set.
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

TEST_EPISODES = 200  # number of episodes of a category in MP-100's test
QUERIES = 15  # number of queries of an episode
SEED = 1  # seed of MP-100's test


@dataclass(frozen=True)
class Pair:
    """Examples and a query of one category.

    examples: indices of the example objects; empty for a query without examples.
    query: index of the query object.
    points: indices of the keypoints that the pair is scored on; None takes all that its objects show.
    """

    examples: tuple[int, ...]
    query: int
    points: tuple[int, ...] | None = None


def by_category(data: Dataset) -> dict[int, list[int]]:
    """Indices of the objects of every category of the file, by the category's id; [] for one without objects."""
    members: dict[int, list[int]] = {key: [] for key in data.categories}
    for index, item in enumerate(data.objects):
        members[item.category_id].append(index)
    return members


def labelled(data: Dataset) -> np.ndarray:
    """Which keypoints of each object are labelled, (N, K) bool, with the K of the largest category."""
    return padded([item.visibility > 0 for item in data.objects])


def too_small(data: Dataset, shots: int, queries: int = QUERIES) -> dict[int, int]:
    """Categories with fewer objects than an episode needs: id and number of objects."""
    return {key: len(rows) for key, rows in by_category(data).items() if len(rows) < shots + queries}


def episode_pairs(
    data: Dataset,
    shots: int,
    count: int = TEST_EPISODES,
    queries: int = QUERIES,
    *,
    seed: int = SEED,
    without: Collection[int] = (),
) -> Iterator[Pair]:
    """The pairs of MP-100's released test sampler, in its order.

    Every category of the file has `count` episodes; in each of them the same examples go with each of the queries. No
    global random state is used or changed. Raises InputError, with the categories' names, where one has too few
    objects.

    data: the data set.
    shots: number of examples of an episode; the papers have 1 and 5.
    count: number of episodes of a category; the released code has 200 for test files and 100 for validation.
    queries: number of queries of an episode.
    seed: seed of the draws.
    without: ids of categories to leave out; the draws of the categories after them change.
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
    """Every object once as a query, with examples drawn from the other objects of its category.

    Objects whose category has too few others are left out. The draw depends on the seed and on the ids of the
    category's objects, not on their order in the file. With more shots the examples of fewer shots stay the first.

    data: the data set, whose order the pairs have.
    shots: number of examples of a pair; 0 gives queries without examples.
    seed: seed of the draws.
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


def listed_pairs(data: Dataset) -> tuple[list[Pair], int]:
    """The pairs that the data set lists itself (`Dataset.pairs`), in its order, and how many lack one of their objects.

    Raises InputError for a data set that lists none.
    """
    if not data.pairs:
        raise InputError("These data list no pairs of their own, as spair and soco do; draw pairs with 1-shot.")
    rows = {item.id: row for row, item in enumerate(data.objects)}
    whole = [pair for pair in data.pairs if pair.example in rows and pair.query in rows]
    return [Pair((rows[pair.example],), rows[pair.query], pair.points) for pair in whole], len(data.pairs) - len(whole)


def category_episodes(data: Dataset, shots: int, count: int, queries: int, seed: int) -> list[Pair]:
    """The pairs of a number of episodes over all categories together, each of one category.

    Categories with enough objects are equally likely, as are their objects; the others have no episode. The draws are
    ours.

    shots: number of examples of an episode; 0 gives queries without examples.
    count: number of episodes.
    queries: number of queries of an episode.
    seed: seed of the draws.
    Raises InputError where no category has enough objects.
    """
    if min(count, queries) < 1 or shots < 0:
        raise InputError(
            f"Episodes and queries must be 1 or more and shots 0 or more, but got {count}, {queries}, {shots}."
        )
    members = [rows for rows in by_category(data).values() if len(rows) >= shots + queries]
    if not members:
        raise InputError(
            f"An episode of {shots} examples and {queries} queries needs {shots + queries} objects of a category, but "
            "no category has as many; complete the data."
        )
    draw, pairs = random.Random(seed), []
    for _ in range(count):
        chosen = draw.sample(draw.choice(members), shots + queries)
        pairs += [Pair(tuple(chosen[:shots]), query) for query in chosen[shots:]]
    return pairs


def training_pairs(
    data: Dataset, shots: int, seed: int, per_category: int | None = None, alone: bool = False
) -> list[Pair]:
    """One epoch of the released training: equally many pairs of every category, shuffled.

    Raises InputError where a category has too few objects, unless `alone` is set.

    data: the data set.
    shots: number of examples of a pair.
    seed: seed of the draws and of the shuffling.
    per_category: number of pairs of a category; None takes the number of objects of the largest category. (The released
        code counts objects by the category's name, so that it overlooks one of two categories with one name.)
    alone: in a category with too few objects for examples, a query stands in their place too (see `EpisodeSampler`).
    """
    if not alone:
        refuse_small(data, shots)
    members = {key: rows for key, rows in by_category(data).items() if rows or not alone}
    draw, mix = random.Random(seed), np.random.RandomState(seed)  # the released code uses both generators
    times = max(map(len, members.values())) if per_category is None else per_category

    def group(rows: list[int]) -> list[int]:
        return draw.sample(rows, shots + 1) if len(rows) > shots else [draw.choice(rows)] * (shots + 1)

    groups = np.array([group(rows) for rows in members.values() for _ in range(times)])
    mix.shuffle(groups)
    return [Pair(tuple(group[:-1]), group[-1]) for group in groups.tolist()]


def refuse_small(data: Dataset, shots: int, among: Collection[int] | None = None) -> None:
    """Raise InputError where a category has too few objects for `shots` examples and a query.

    among: ids of the categories that are checked; None checks all.
    """
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
    """Probabilities (N,) of N objects to be drawn: first the source, then the category, then the object.

    A category is drawn in proportion to the square root of its number of objects in the source, a compromise between
    equal categories and equal objects; the objects of a category are equally likely. Raises InputError for weights that
    are negative or all 0, and where weights and sources do not name the same.

    categories: category of each object.
    sources: source of each object.
    weights: each source's share of the draws, in any unit; 0 never draws it. None takes all objects as one source.
    """
    if len(categories) != len(sources) or not len(categories):
        raise InputError(
            f"Each of one or more objects needs a category and a source, but got {len(categories)} and {len(sources)}."
        )
    if not weights:
        sources, weights = [""] * len(categories), {"": 1.0}
    shares = _shares(dict.fromkeys(sources), weights)
    counts = Counter(zip(sources, categories, strict=True))
    probabilities = np.array([1 / math.sqrt(counts[key]) for key in zip(sources, categories, strict=True)])
    numbers = {source: number for number, source in enumerate(shares)}
    where = np.array([numbers[source] for source in sources])
    totals = np.array([probabilities[where == number].sum() for number in range(len(shares))])
    return probabilities / totals[where] * np.array(list(shares.values()))[where]


def _shares(sources: Iterable[str], weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of the sources, in the order of the sources, scaled to the sum 1."""
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
    """N arrays (K_i, ...) of different lengths as one array (N, K, ...), padded with `fill`."""
    if not rows:
        raise InputError("There is nothing to put into an array; give one object or more.")
    width = max(len(row) for row in rows)
    table = np.full((len(rows), width, *rows[0].shape[1:]), fill, dtype=rows[0].dtype)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    return table
