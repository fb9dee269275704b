"""Which examples answer which picture."""

import numpy as np
import pytest

from anykeypoint.labelling.nearest import chosen_examples, nearest_first, pooled


def unit(*angles: float) -> np.ndarray:
    return np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=-1)


def test_a_pooled_map_has_length_one_and_does_not_depend_on_the_length_of_its_cells():
    maps = np.random.default_rng(0).normal(size=(3, 5, 8, 8)).astype(np.float32)
    vectors = pooled(maps)
    assert vectors.shape == (3, 5 * 16) and np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1])
    assert pooled(maps * np.random.default_rng(1).uniform(1, 9, (3, 1, 8, 8))) == pytest.approx(vectors, abs=1e-5)
    assert np.isfinite(pooled(np.zeros((5, 4, 4)))).all()
    assert pooled(np.ones((5, 2, 3))).shape == (5 * 6,), "a map may have fewer cells than there are parts"


def test_maps_that_have_the_same_cells_elsewhere_are_less_alike():
    maps = np.random.default_rng(0).normal(size=(5, 8, 8))
    moved, nudged = np.roll(maps, 4, axis=1), maps + 0.1
    assert pooled(maps) @ pooled(nudged) > pooled(maps) @ pooled(moved)


def test_the_most_alike_example_is_first_and_of_equal_ones_the_first():
    examples = unit(40, 10, 10, 90)
    assert nearest_first(unit(0)[0], examples).tolist() == [1, 2, 0, 3]


def test_so_many_examples_answer_as_are_wanted():
    examples, shown = unit(40, 10, 20, 90), np.ones((4, 2), bool)
    assert chosen_examples(unit(0)[0], examples, shown, 2) == [1, 2]
    assert chosen_examples(unit(0)[0], examples, shown, 9) == [1, 2, 0, 3]


def test_a_point_that_the_nearest_examples_hide_brings_the_nearest_one_that_shows_it():
    shown = np.array([[1, 1, 1], [1, 0, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]], bool)
    assert chosen_examples(unit(0)[0], unit(60, 10, 20, 30, 0), shown, 2) == [4, 1, 3]
    assert chosen_examples(unit(0)[0], unit(60, 10, 20, 30, 0), shown[[1, 1, 2, 2, 4]], 2) == [4, 1], "none shows it"
