"""Rounds: who shares a conversation, in each of the three ways, and that none is lost on the way into sequences."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.errors import InputError
from anykeypoint.training.generative.rounds import GROUPINGS, dynamic_rounds, fixed_rounds, grouped, locllm_rounds, pack


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32))
def test_every_keypoint_is_asked_in_groups_of_k(count, k, seed):
    keypoints = list(range(100, 100 + count))
    groups = fixed_rounds(keypoints, k, np.random.default_rng(seed))
    assert {i for group in groups for i in group} == set(keypoints)
    assert len(groups) == -(-count // k)
    for group in groups:
        assert len(group) == min(k, count)
        assert len(set(group)) == len(group)


@given(st.integers(1, 68), st.integers(1, 80), st.integers(0, 2**32))
def test_dynamic_groups_are_a_partition_with_sizes_within_bounds(count, longest, seed):
    keypoints = list(range(100, 100 + count))
    groups = dynamic_rounds(keypoints, longest, np.random.default_rng(seed))
    assert sorted(i for group in groups for i in group) == keypoints
    assert all(1 <= len(group) <= min(count, longest) for group in groups)


def test_a_keypoint_meets_every_size_of_a_dynamic_group_equally_often():
    count, draws = 12, 12_000
    rng = np.random.default_rng(0)
    sizes, places = collections.Counter(), collections.Counter()
    for _ in range(draws):
        group = next(group for group in dynamic_rounds(list(range(count)), 64, rng) if 5 in group)
        sizes[len(group)] += 1
        places[group.index(5)] += 1
    spread = 5 * (draws * (1 / count) * (1 - 1 / count)) ** 0.5
    assert all(abs(sizes[size] - draws / count) < spread for size in range(1, count + 1))
    for seen in range(count):  # answers in front: chance sum of 1 / (K s) over sizes s that reach so far
        chance = sum(1 / (count * size) for size in range(seen + 1, count + 1))
        assert abs(places[seen] - draws * chance) < 5 * (draws * chance) ** 0.5


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32))
def test_locllm_asks_k_of_the_keypoints_in_one_conversation(count, k, seed):
    keypoints = list(range(100, 100 + count))
    (group,) = locllm_rounds(keypoints, k, np.random.default_rng(seed))
    assert len(group) == min(k, count) == len(set(group)) and set(group) <= set(keypoints)


def test_locllm_asks_every_keypoint_in_the_long_run():
    rng = np.random.default_rng(0)
    asked = collections.Counter(i for _ in range(3400) for i in locllm_rounds(list(range(17)), 5, rng)[0])
    assert all(count == pytest.approx(1000, rel=0.15) for count in asked.values()) and len(asked) == 17


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_groups_change_with_the_generator_and_repeat_with_the_seed(grouping):
    first, again, other = (grouped(grouping, list(range(17)), 4, 64, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_no_keypoint_gives_no_group(grouping):
    assert grouped(grouping, [], 4, 64, np.random.default_rng(0)) == []


def test_an_unknown_grouping_lists_the_known_ones():
    with pytest.raises(InputError, match="fixed, dynamic, locllm"):
        grouped("random", [1], 4, 64, np.random.default_rng(0))


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 20))
def test_sequences_hold_all_groups_in_order_and_no_more_questions_than_fit(sizes, most):
    groups = [[number] * size for number, size in enumerate(sizes)]
    packed = pack(groups, most)
    assert [group for sequence in packed for group in sequence] == groups
    for sequence in packed:
        assert sequence and (len(sequence) == 1 or sum(map(len, sequence)) <= most)
    for first, second in itertools.pairwise(packed):  # a new sequence only where the next group did not fit
        assert sum(map(len, first)) + len(second[0]) > most
