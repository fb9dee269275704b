"""What can be read off a density, against slow plain references."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from anykeypoint.density import Density
from anykeypoint.errors import InputError
from anykeypoint.geometry import Crop

CROP = Crop(10, 20, 40)
UNIT = Crop(0, 0, 1)
HEAVY = np.array([[0.01] * 4, [0.01, 0.01, 0.5, 0.01], [0.01] * 4, [0.01] * 4])


def grids(most: int = 7) -> st.SearchStrategy[np.ndarray]:
    """Grids of any size and mass, many of their cells zero or equal."""

    def build(n: int) -> st.SearchStrategy[np.ndarray]:
        weights = st.lists(st.sampled_from([0, 0, 0, 1, 1, 2, 5, 11.5]), min_size=n * n, max_size=n * n)
        return st.tuples(weights.filter(any), st.floats(0.01, 1)).map(
            lambda drawn: np.array(drawn[0], dtype=float).reshape(n, n) * drawn[1] / sum(drawn[0])
        )

    return st.integers(1, most).flatmap(build)


crops = st.builds(Crop, st.floats(-500, 500), st.floats(-500, 500), st.floats(0.5, 800))


def one_hot(n: int, row: int, column: int, mass: float = 1.0) -> np.ndarray:
    grid = np.zeros((n, n))
    grid[row, column] = mass
    return grid


def samples(density: Density, per_cell: int) -> tuple[np.ndarray, np.ndarray]:
    """Points spread evenly over the crop [M, 2], per_cell^2 in each cell, and the probability each stands for [M]."""
    n = len(density.grid) * per_cell
    axis = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(axis, axis)
    weights = np.repeat(np.repeat(density.grid, per_cell, 0), per_cell, 1) / per_cell**2
    return density.crop.to_image(np.stack([x.ravel(), y.ravel()], 1)), weights.ravel()


# --- shape ---------------------------------------------------------------------------------------------------------


@given(grids(), crops)
def test_the_covariance_is_that_of_points_spread_inside_the_cells(grid, crop):
    density = Density(crop, grid)
    points, weights = samples(density, 8)
    expected = np.cov(points.T, aweights=weights, bias=True)
    rest = (density.cell / 8) ** 2 / 12  # the spread inside a sample's own square
    np.testing.assert_allclose(density.covariance(), expected + rest * np.eye(2), atol=1e-9 * crop.side**2)


@example(np.array([[0.0, 0.5], [0.5, 0.0]]), 1.0, 0.0, 0.1)  # two equal cells that touch at a corner
@given(grids(), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0.1, 50))
def test_moving_the_crop_changes_no_shape_and_scaling_it_scales_lengths(grid, x, y, scale):
    here, there = Density(UNIT, grid), Density(Crop(x, y, scale), grid)
    np.testing.assert_allclose(there.covariance(), here.covariance() * scale**2, rtol=1e-9, atol=1e-12 * scale**2)
    assert there.entropy() == here.entropy()
    np.testing.assert_array_equal(there.credible_region(0.9), here.credible_region(0.9))
    np.testing.assert_allclose(there.mode(0.3 * scale), here.mode(0.3) * scale + (x, y), atol=1e-6 * scale + 1e-8)
    point = np.array([0.4, 0.7])
    moved = point * scale + (x, y)
    assert there.mass_within(moved, 0.3 * scale) == pytest.approx(here.mass_within(point, 0.3), abs=1e-6)


@pytest.mark.parametrize("n", [1, 3, 10, 64])
def test_a_uniform_grid_has_the_figures_of_a_uniform_square_however_fine_it_is(n):
    density = Density(CROP, np.full((n, n), 1 / n**2))
    np.testing.assert_allclose(density.covariance(), np.eye(2) * 40**2 / 12, atol=1e-9)
    assert density.entropy() == pytest.approx(math.log2(n**2))
    assert density.credible_region(1).all() and density.credible_region(0.5).sum() == math.ceil(n * n / 2)
    assert density.log_density((11, 59)) == pytest.approx(-math.log(40**2))
    assert density.mass_within((30, 40), 15) == pytest.approx(math.pi * 15**2 / 40**2)
    np.testing.assert_allclose(density.mode(10), (30, 40))  # the middle of the plateau


@given(st.integers(1, 9), st.integers(0, 80), st.floats(0.01, 1), crops)
def test_all_mass_in_one_cell_is_certain_but_for_the_cell(n, where, mass, crop):
    row, column = divmod(where % (n * n), n)
    density = Density(crop, one_hot(n, row, column, mass))
    assert density.entropy() == 0
    np.testing.assert_allclose(density.covariance(), np.eye(2) * density.cell**2 / 12, atol=1e-9 * crop.side**2)
    for level in (0.01, 0.5, 1):
        np.testing.assert_array_equal(density.credible_region(level), density.grid > 0)
    assert density.log_density(density.mode()) == pytest.approx(math.log(mass) - 2 * math.log(density.cell))


@given(grids())
def test_shape_does_not_depend_on_the_mass_expanded_but_probabilities_do(grid):
    whole, half = Density(CROP, grid), Density(CROP, grid / 2)
    assert half.entropy() == pytest.approx(whole.entropy(), abs=1e-9)
    np.testing.assert_allclose(half.covariance(), whole.covariance())
    np.testing.assert_array_equal(half.credible_region(0.7), whole.credible_region(0.7))
    assert half.mass_within((25, 35), 9) == pytest.approx(whole.mass_within((25, 35), 9) / 2)


@given(grids())
def test_entropy_lies_between_one_cell_and_all_alike(grid):
    assert 0 <= Density(CROP, grid).entropy() <= math.log2(grid.size) + 1e-9


def test_cells_without_mass_add_nothing_to_the_entropy():
    grid = np.zeros((4, 4))
    grid[0, 1] = grid[3, 2] = 0.5
    assert Density(CROP, grid).entropy() == pytest.approx(1)


def test_halving_the_cells_of_a_smooth_density_adds_two_bits():
    coarse = np.outer([1, 2, 3], [2, 1, 1]) / 24
    fine = np.repeat(np.repeat(coarse, 2, 0), 2, 1) / 4
    assert Density(CROP, fine).entropy() == pytest.approx(Density(CROP, coarse).entropy() + 2)
    np.testing.assert_allclose(Density(CROP, fine).covariance(), Density(CROP, coarse).covariance())


@settings(max_examples=30)
@given(grids(3), st.floats(0.05, 1))
def test_no_smaller_set_of_cells_holds_the_share_of_a_credible_region(grid, level):
    region = Density(CROP, grid).credible_region(level)
    wanted = level * grid.sum() - 1e-12
    assert grid[region].sum() >= wanted
    cells = grid.ravel().tolist()
    for chosen in itertools.combinations(cells, int(region.sum()) - 1):
        assert sum(chosen) < wanted


# --- places --------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(grids(), st.floats(-0.5, 1.5), st.floats(-0.5, 1.5), st.floats(0.02, 2))
def test_the_mass_in_a_disc_is_that_of_points_spread_inside_the_cells(grid, x, y, radius):
    density = Density(UNIT, grid)
    points, weights = samples(density, 50)
    inside = np.hypot(*(points - (x, y)).T) <= radius
    assert density.mass_within((x, y), radius) == pytest.approx(weights[inside].sum(), abs=0.01)


def test_a_disc_gives_its_area_to_each_cell_exactly():
    quarter = Density(Crop(0, 0, 2), np.full((2, 2), 0.25))
    assert quarter.mass_within((0, 0), 1) == pytest.approx(math.pi / 16, abs=1e-12)
    assert quarter.mass_within((1, 1), math.sqrt(2)) == 1
    assert quarter.mass_within((1, 1), 1) == pytest.approx(math.pi / 4, abs=1e-12)
    assert quarter.mass_within((1e6, 1), 1e6 + 3) == 1 and quarter.mass_within((5, 5), 4) == 0


@given(grids(), st.floats(0.02, 1.5))
def test_no_cell_is_a_better_centre_of_a_disc_than_the_mode_at_that_radius(grid, radius):
    density = Density(UNIT, grid)
    centres = (np.arange(len(grid)) + 0.5) / len(grid)
    best = max(density.mass_within((x, y), radius) for x in centres for y in centres)
    assert density.mass_within(density.mode(radius), radius) >= best * (1 - 1e-6)


def test_a_radius_prefers_many_lesser_cells_to_one_heavy_one():
    grid = one_hot(20, 2, 17, 0.2)
    grid[10:14, 3:7] = 0.8 / 16
    density = Density(Crop(0, 0, 20), grid)
    assert density.mode().tolist() == [17.5, 2.5]
    assert np.hypot(*(density.mode(3) - (5, 12))) < 1e-9


def test_a_plateau_gives_its_middle_and_two_plateaus_never_the_valley_between():
    one = Density(Crop(0, 0, 21), one_hot(21, 10, 6))
    np.testing.assert_allclose(one.mode(4), (6.5, 10.5))
    two = Density(Crop(0, 0, 21), (one_hot(21, 3, 4) + one_hot(21, 17, 15)) / 2)
    np.testing.assert_allclose(two.mode(3), (4.5, 3.5))  # the topmost


def test_log_density_is_finite_where_there_is_mass_and_minus_infinity_outside_the_crop():
    density = Density(CROP, np.array([[0.1, 0.2], [0.0, 0.7]]))  # cells of 20 pixels
    assert density.log_density((10, 20)) == pytest.approx(math.log(0.1 / 400))
    assert density.log_density((49, 21)) == pytest.approx(math.log(0.2 / 400))
    assert density.log_density((50, 60)) == pytest.approx(math.log(0.7 / 400))  # the far edge is inside
    assert density.log_density((11, 59)) == -math.inf
    assert density.log_density((9.99, 30)) == density.log_density((30, 60.01)) == -math.inf
    assert math.isnan(density.log_density((math.nan, math.nan)))


@given(grids(), crops)
def test_the_density_integrates_to_its_mass(grid, crop):
    density = Density(crop, grid)
    centres = (np.arange(len(grid)) + 0.5) / len(grid)
    total = sum(math.exp(density.log_density(crop.to_image((x, y)))) for x in centres for y in centres)
    assert total * density.cell**2 == pytest.approx(density.mass)


@pytest.mark.parametrize(
    "ask, word",
    [
        (lambda d: d.credible_region(0), "level"),
        (lambda d: d.credible_region(90), "level"),
        (lambda d: d.mode(0), "radius"),
        (lambda d: d.mode(math.nan), "radius"),
        (lambda d: d.mass_within((1, 2), -1), "radius"),
        (lambda d: d.mass_within((math.nan, 2), 1), "NaN"),
        (lambda d: d.mass_within((1, 2, 3), 1), "two numbers"),
        (lambda d: d.log_density("here"), "numbers"),
    ],
)
def test_a_question_without_sense_is_refused_in_one_sentence(ask, word):
    with pytest.raises(InputError, match=word) as caught:
        ask(Density(CROP, np.full((4, 4), 1 / 16)))
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


# --- mean, heaviest cell and what is refused ------------------------------------------------------------


def test_mode_is_the_centre_of_the_heaviest_cell():
    assert Density(CROP, HEAVY).mode().tolist() == [10 + 25, 20 + 15]  # row 1 is y, column 2 is x


@given(
    st.integers(1, 9),
    st.floats(-50, 50),
    st.floats(-50, 50),
    st.floats(0.5, 500),
    st.integers(0, 80),
    st.floats(0.01, 1),
)
def test_all_mass_in_one_cell_puts_mean_and_mode_at_its_centre(n, x, y, side, where, mass):
    row, column = divmod(where % (n * n), n)
    grid = np.zeros((n, n))
    grid[row, column] = mass
    found = Density(Crop(x, y, side), grid)
    expected = [x + (column + 0.5) * side / n, y + (row + 0.5) * side / n]
    assert np.allclose(found.mean(), expected) and np.allclose(found.mode(), expected)
    assert found.mass == pytest.approx(mass)


def test_mean_does_not_depend_on_the_mass_expanded():
    whole = Density(CROP, HEAVY)
    half = Density(whole.crop, whole.grid / 2)
    assert np.allclose(whole.mean(), half.mean()) and half.mass == pytest.approx(whole.mass / 2)


@pytest.mark.parametrize(
    "grid",
    [
        np.ones((2, 3)) / 6,
        np.zeros((2, 2)),
        np.full((2, 2), 0.3),
        [[math.nan]],
        [[-0.1, 0.5], [0, 0]],
        np.ones(4) / 4,
        "x",
    ],
)
def test_a_wrong_grid_is_refused(grid):
    with pytest.raises(InputError):
        Density(UNIT, grid)
