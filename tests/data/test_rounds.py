"""Fixed rounds: every keypoint in some group, groups of k, nothing twice within one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.data.rounds import fixed_rounds


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32))
def test_every_keypoint_is_asked_in_groups_of_k(count, k, seed):
    keypoints = list(range(100, 100 + count))
    groups = fixed_rounds(keypoints, k, np.random.default_rng(seed))
    assert {i for group in groups for i in group} == set(keypoints)
    assert len(groups) == -(-count // k)
    for group in groups:
        assert len(group) == min(k, count)
        assert len(set(group)) == len(group)


def test_groups_change_with_the_generator_and_repeat_with_the_seed():
    first, again, other = (fixed_rounds(list(range(17)), 4, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_no_keypoint_gives_no_group():
    assert fixed_rounds([], 4, np.random.default_rng(0)) == []
