"""Heat-map targets: a Gaussian on whole cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.crops.heatmaps import heat_centres, heat_targets, heat_weights
from anykeypoint.errors import InputError

places = st.tuples(st.floats(-40, 300), st.floats(-40, 300))


@given(st.lists(places, min_size=1, max_size=4), st.sampled_from([1, 2]))
def test_a_map_is_the_plain_gaussian_of_its_cell_cut_at_three_sigmas(points, sigma):
    maps, weights = heat_targets(np.array(points), np.ones(len(points)), sigma)
    for point, map_, weight in zip(points, maps, weights, strict=True):
        x, y = (int(value / 4 + 0.5) for value in point)
        expected = np.zeros((64, 64))
        for row in range(64):
            for column in range(64):
                if max(abs(row - y), abs(column - x)) <= 3 * sigma:
                    expected[row, column] = np.exp(-((row - y) ** 2 + (column - x) ** 2) / (2 * sigma**2))
        np.testing.assert_allclose(map_, expected, atol=1e-6)
        reached = -3 * sigma - 1 <= min(x, y) and max(x, y) < 64 + 3 * sigma
        assert weight == reached


def test_an_invisible_point_has_no_heat_and_no_weight():
    maps, weights = heat_targets(np.array([[np.nan, np.nan], [128, 128]]), np.array([0, 2]) > 0, 1)
    assert weights.tolist() == [0, 1] and maps[0].max() == 0 and maps[1, 32, 32] == 1


def test_a_visible_point_without_a_place_is_refused():
    with pytest.raises(InputError, match="finite point"):
        heat_targets(np.array([[np.nan, 3]]), np.ones(1), 1)


@pytest.mark.parametrize("sigma", [1, 2])
def test_centres_and_weights_are_those_of_the_maps_without_drawing_them(sigma):
    """Inside, at borders that cut the Gaussian, just touching, outside, and not visible."""
    rng = np.random.default_rng(0)
    special = [[-(3 * sigma + 1.6) / 20, 0.5], [-0.6, 0.5], [0, 0], [1, 1], [np.nan, np.nan]]
    points = np.concatenate([special, rng.random((40, 2)) * 1.4 - 0.2])
    visible = np.arange(len(points)) % 5 < 4
    maps, weights = heat_targets(points * 20, visible, sigma, 20, 1)
    assert np.array_equal(heat_weights(points * 20, visible, sigma, 20, 1), weights)
    mass = maps.sum(axis=(1, 2))
    assert (mass[weights > 0] == 0).any() and not weights[visible].all()
    ticks = np.arange(20) / 20
    for found, one, total in zip(heat_centres(points, visible, sigma, 20), maps, mass, strict=True):
        wanted = [one.sum(axis=0) @ ticks / total, one.sum(axis=1) @ ticks / total] if total else [0.5, 0.5]
        np.testing.assert_allclose(found, wanted, atol=1e-6)
