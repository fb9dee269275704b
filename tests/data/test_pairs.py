"""Examples and queries: drawn as the released sampler draws them, or one for each object."""

import random
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.data import pairs
from anykeypoint.errors import InputError
from anykeypoint.forms.dataset import Dataset


def dataset(counts, ids=None):
    """So many objects of each category, by id, one category after the other."""
    kinds = [key for key, count in counts.items() for _ in range(count)]
    ids = ids or range(len(kinds))
    objects = [SimpleNamespace(id=number, category_id=key) for number, key in zip(ids, kinds, strict=True)]
    return Dataset(objects, {key: SimpleNamespace(name=f"kind {key}") for key in counts}, {})


def test_objects_are_listed_under_their_category_also_where_there_are_none():
    assert pairs.by_category(dataset({5: 2, 3: 1, 9: 0})) == {5: [0, 1], 3: [2], 9: []}


def test_the_released_samplers_pairs_come_in_its_order():
    """The same as drawing with Python's global generator after random.seed(1)."""
    data = dataset({4: 20, 2: 17})
    before = random.getstate()
    ours = [(*pair.examples, pair.query) for pair in pairs.episode_pairs(data, 1, 3)]
    assert random.getstate() == before
    random.seed(1)
    expected = []
    for rows in (range(20), range(20, 37)):
        for _ in range(3):
            example, *queries = random.sample(rows, 16)
            expected += [(example, query) for query in queries]
    random.setstate(before)
    assert ours == expected


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 5))
def test_an_episodes_examples_and_queries_are_different_objects_of_one_category(shots, count, seed):
    data = dataset({1: 25, 2: 21})
    kinds = [item.category_id for item in data.objects]
    drawn = list(pairs.episode_pairs(data, shots, count, seed=seed))
    assert len(drawn) == 2 * count * 15
    for start in range(0, len(drawn), 15):
        episode = drawn[start : start + 15]
        assert len({pair.examples for pair in episode}) == 1
        chosen = [*episode[0].examples, *(pair.query for pair in episode)]
        assert len(set(chosen)) == shots + 15 and len({kinds[i] for i in chosen}) == 1


def test_a_category_with_too_few_objects_is_refused_by_name_and_can_be_left_out():
    data = dataset({4: 20, 2: 15})
    with pytest.raises(InputError, match=r"16 objects.*'kind 2' \(id 2\) has 15"):
        pairs.episode_pairs(data, 1)
    assert pairs.too_small(data, 1) == {2: 15}
    drawn = list(pairs.episode_pairs(data, 1, 2, without=pairs.too_small(data, 1)))
    assert len(drawn) == 30 and all(pair.query < 20 for pair in drawn)


def test_queries_only_are_all_objects_once():
    assert pairs.one_each(dataset({1: 3}), 0, 0) == [pairs.Pair((), index) for index in range(3)]


@given(st.integers(0, 6), st.integers(0, 3), st.randoms())
def test_one_each_asks_for_every_object_once_with_others_of_its_category(shots, seed, mixer):
    ids = list(range(100, 112))
    data = dataset({1: 7, 2: 5}, ids)
    drawn = pairs.one_each(data, shots, seed)
    expected = [row for row, item in enumerate(data.objects) if shots < Counter({1: 7, 2: 5})[item.category_id]]
    assert [pair.query for pair in drawn] == expected
    for pair in drawn:
        assert len({pair.query, *pair.examples}) == shots + 1
        assert {data.objects[row].category_id for row in (pair.query, *pair.examples)} == {
            data.objects[pair.query].category_id
        }

    def by_id(data, drawn):
        name = [item.id for item in data.objects]
        return {name[pair.query]: [name[row] for row in pair.examples] for pair in drawn}

    mixed = list(data.objects)
    mixer.shuffle(mixed)
    other = Dataset(mixed, data.categories, {})
    assert by_id(other, pairs.one_each(other, shots, seed)) == by_id(data, drawn)
    if shots:
        fewer = by_id(data, pairs.one_each(data, shots - 1, seed))
        assert all(fewer[query] == examples[:-1] for query, examples in by_id(data, drawn).items())


def test_another_seed_draws_other_examples():
    data = dataset({1: 30})
    assert pairs.one_each(data, 1, 0) != pairs.one_each(data, 1, 1)


def test_training_draws_every_category_as_often_as_the_largest_has_objects():
    data = dataset({4: 9, 2: 3})
    drawn = pairs.training_pairs(data, 2, seed=0)
    assert drawn == pairs.training_pairs(data, 2, seed=0) != pairs.training_pairs(data, 2, seed=1)
    assert sorted(pair.query < 9 for pair in drawn) == [False] * 9 + [True] * 9
    assert all(len({*pair.examples, pair.query}) == 3 for pair in drawn)
    with pytest.raises(InputError, match=r"4 objects.*'kind 2' \(id 2\) has 3"):
        pairs.training_pairs(data, 3, seed=0)


def test_padding_keeps_the_rows_and_fills_the_rest():
    rows = [np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]])]
    np.testing.assert_array_equal(pairs.padded(rows, np.nan)[0], [[1, 2], [np.nan, np.nan]])
    with pytest.raises(InputError, match="nothing to put"):
        pairs.padded([])
