"""Sheets of densities, checked in their pixels."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from anykeypoint.drawing.panels import Panel, beyond, draw_densities, sheet
from anykeypoint.drawing.shapes import colours
from anykeypoint.errors import InputError
from anykeypoint.geometry import Crop
from anykeypoint.pose import Density, Pose

NAN = float("nan")
SIDE, GAP = 100, 10
CROP = Crop(0, 0, 100)


def pose(densities: dict, count: int = 3, **changes) -> Pose:
    fields = {
        "names": [f"point {i}" for i in range(count)],
        "xy": [[50.0, 50.0]] * (count - 1) + [[NAN, NAN]],
        "confidence": [0.5] * (count - 1) + [NAN],
        "present": [True] * (count - 1) + [False],
        "image_size": (200, 100),
        "density": densities,
    }
    return Pose(**{**fields, **changes})


def spot(row: int, column: int, crop: Crop = CROP) -> Density:
    grid = np.zeros((10, 10))
    grid[row, column] = 1
    return Density(crop, grid)


def grey(size=(200, 100)) -> Image.Image:
    return Image.new("RGB", size, (120, 120, 120))


def panel(drawn: Image.Image, i: int, columns: int) -> np.ndarray:
    """The pixels of panel i, of panels with two lines below."""
    high = SIDE + GAP + round(sum(ImageFont.load_default(size=9.0).getmetrics()) * 1.1 * 2)
    left, top = GAP + i % columns * (SIDE + GAP), GAP + i // columns * (high + GAP)
    return np.asarray(drawn)[top : top + SIDE, left : left + SIDE].astype(int)


def warmth(pixels: np.ndarray) -> np.ndarray:
    """How far each pixel is from grey."""
    return pixels.max(axis=2) - pixels.min(axis=2)


def test_each_panel_shows_its_own_heat_over_its_crop():
    there = Crop(70, -20, 100)  # where it lies must not matter
    made = pose({"point 0": spot(2, 8), "point 1": spot(7, 1, there)}, xy=[[500, 500], [500, 500], [NAN, NAN]])
    drawn = draw_densities(grey(), [made], SIDE)
    assert drawn.width == 2 * SIDE + 3 * GAP
    for i, (x, y) in enumerate([(85, 25), (15, 75)]):
        heat = warmth(panel(drawn, i, 2))
        rows, columns = np.indices(heat.shape) + 0.5
        assert abs(np.average(columns, weights=heat) - x) < 3 and abs(np.average(rows, weights=heat) - y) < 3


def test_a_point_is_a_dot_in_its_colour_and_an_absent_one_is_none():
    made = pose({"point 0": spot(9, 9), "point 2": spot(9, 9)})
    drawn = draw_densities(grey(), [made], SIDE)
    assert tuple(panel(drawn, 0, 2)[50, 50]) == colours(3)[0]
    assert warmth(panel(drawn, 1, 2))[40:60, 40:60].max() == 0


def test_there_is_one_panel_per_density_of_every_pose():
    first, second = pose({"point 0": spot(1, 1)}), pose({f"point {i}": spot(1, 1) for i in range(3)})
    single, both = draw_densities(grey(), [first], SIDE), draw_densities(grey(), [first, second], SIDE)
    assert single.width == SIDE + 2 * GAP
    assert both.width == 2 * SIDE + 3 * GAP and both.height == 2 * single.height - GAP


def test_a_crop_beyond_the_picture_is_black_there():
    made = pose({"point 0": spot(9, 9, Crop(-100, 0, 100))})
    shown = panel(draw_densities(grey(), [made], SIDE), 0, 1)
    assert shown[:40, :40].max() == 0


def test_truth_is_a_white_cross_and_a_frame_a_line():
    window = beyond(Crop(0, 0, 100), 0.5)
    assert window == Crop(-50, -50, 200)
    made = Panel(grey(), window, (255, 0, 0), ["a", "b"], truth=np.array([50, 50]), frame=Crop(0, 0, 100))
    shown = panel(sheet([made], 1, SIDE), 0, 1)
    assert tuple(shown[50, 50]) == (255, 255, 255)
    assert (shown[25, 30:70] == shown[25, 30]).all() and shown[25, 30].min() > 200  # the crop's upper edge
    assert tuple(shown[35, 35]) == (120, 120, 120)


def test_without_densities_and_with_another_picture_nothing_is_drawn():
    with pytest.raises(InputError, match="density=True"):
        draw_densities(grey(), [pose(None)])
    with pytest.raises(InputError, match="200 x 100"):
        draw_densities(grey((50, 50)), [pose({"point 0": spot(1, 1)})])
