"""Heat and outlines, checked in their pixels."""

import numpy as np
import pytest
from PIL import Image

from anykeypoint.density import Density
from anykeypoint.drawing.heat import heat, outline, overlap
from anykeypoint.geometry import Crop

CROP = Crop(0, 0, 100)
RED = (255, 0, 0)


def blob(sigma: float = 0.1, n: int = 50, crop: Crop = CROP) -> Density:
    axis = (np.arange(n) + 0.5) / n - 0.5
    bell = np.exp(-((axis / sigma) ** 2) / 2)
    grid = np.outer(bell, bell)
    return Density(crop, grid / grid.sum())


def painted(draw, size=(200, 200)) -> np.ndarray:
    """The red of a black picture, 0 to 255."""
    picture = Image.new("RGB", size)
    draw(picture)
    return np.asarray(picture)[..., 0].astype(float)


@pytest.mark.parametrize("level", [0.3, 0.5, 0.9])
def test_the_outline_of_a_bell_is_the_circle_that_holds_the_level(level):
    lines = painted(lambda picture: outline(picture, blob(), level, RED, 2.0, 1.5))
    y, x = np.nonzero(lines > 100)
    radii = np.hypot(x + 0.5 - 100, y + 0.5 - 100)
    spread = np.hypot(0.1, 0.02) * 200  # the bell's own and the smoothing's, in pixels
    assert radii.mean() == pytest.approx(spread * np.sqrt(-2 * np.log(1 - level)), abs=2)
    assert radii.std() < 2.5 and lines[100, 100] == 0


def test_an_outline_is_closed_where_the_region_reaches_the_crops_edge():
    everything = Density(Crop(20, 20, 60), np.full((10, 10), 0.01))
    lines = painted(lambda picture: outline(picture, everything, 1, RED, 2.0, 2.0))
    for row, column in ((40, 100), (160, 100), (100, 40), (100, 160)):
        assert lines[row - 3 : row + 4, column - 3 : column + 4].max() > 150
    assert lines[50:150, 50:150].max() == 0


def test_heat_is_as_strong_as_asked_and_hottest_at_the_mode():
    full = painted(lambda picture: heat(picture, blob(), RED, 2.0))
    half = painted(lambda picture: heat(picture, blob(), RED, 2.0, 0.5))
    assert np.hypot(*(np.array(np.unravel_index(full.argmax(), full.shape)) - 100)) < 5
    assert half.max() == pytest.approx(full.max() / 2, abs=2) and full[5, 5] < 20


def test_overlap_counts_what_lies_over_one_another():
    apart = [blob(0.05, crop=Crop(x, 0, 100)) for x in (0, 100, 200)]
    assert overlap([], (300, 100), 1.0) == 1
    assert overlap(apart, (300, 100), 1.0) == pytest.approx(1, abs=0.05)
    assert overlap([blob()] * 5, (100, 100), 1.0) == pytest.approx(5, rel=0.1)
