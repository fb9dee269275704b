"""Boxes, crops and the way between image pixels and fractions of a crop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.errors import InputError
from anykeypoint.geometry import Crop, apply_matrix, check_box, check_overlap, crop_matrix, invert_matrix, square_crop

places = st.floats(-1e4, 1e4)
sides = st.floats(0.1, 1e4)
boxes = st.tuples(places, places, sides, sides)


@given(places, places, sides, st.lists(st.tuples(places, places), min_size=1))
def test_pixels_come_back_from_fractions(x, y, side, points):
    crop = Crop(x, y, side)
    np.testing.assert_allclose(crop.to_image(crop.normalise(points)), points, atol=1e-7)


def test_the_corners_of_a_crop_are_its_zeros_and_ones():
    crop = Crop(10, -20, 40)
    np.testing.assert_array_equal(crop.normalise([(10, -20), (50, 20), (30, 0)]), [(0, 0), (1, 1), (0.5, 0.5)])
    np.testing.assert_array_equal(crop.to_image([[(0, 1)], [(1, 0)]]), [[(10, 20)], [(50, -20)]])


def test_points_outside_the_crop_are_not_moved_into_it():
    np.testing.assert_array_equal(Crop(0, 0, 10).normalise([(-5, 20)]), [(-0.5, 2)])


def test_an_absent_point_stays_absent():
    found = Crop(3, 4, 5).normalise([(np.nan, np.nan), (3, 4)])
    assert np.isnan(found[0]).all() and (found[1] == 0).all()
    assert np.isnan(Crop(3, 4, 5).to_image(found)[0]).all()


@given(boxes)
def test_a_crop_is_the_smallest_square_round_the_boxs_centre(box):
    x, y, w, h = box
    crop = square_crop(box)
    assert crop.side == max(w, h)
    np.testing.assert_allclose(crop.to_image([0.5, 0.5]), (x + w / 2, y + h / 2), atol=1e-8)
    inside = crop.normalise([(x, y), (x + w, y + h)])
    assert (inside > -1e-6).all() and (inside < 1 + 1e-6).all()


@given(boxes, st.floats(0.5, 3))
def test_the_scale_grows_the_crop_round_its_centre(box, scale):
    plain, scaled = square_crop(box), square_crop(box, scale)
    assert scaled.side == pytest.approx(plain.side * scale)
    np.testing.assert_allclose(scaled.to_image([0.5, 0.5]), plain.to_image([0.5, 0.5]), atol=1e-7)


@given(boxes, places, places)
def test_moving_the_box_moves_the_crop(box, dx, dy):
    x, y, w, h = box
    here, there = square_crop(box), square_crop((x + dx, y + dy, w, h))
    np.testing.assert_allclose((there.x - here.x, there.y - here.y), (dx, dy), atol=1e-7)


def test_a_box_without_a_width_may_lie_on_the_edge_of_its_picture():
    for box in ((0, 10, 0, 50), (100, 10, 0, 50), (10, 80, 50, 0), (30, -5, 0, 10)):
        assert check_overlap(box, (100, 80)) == box
    for box in ((-1, 10, 0, 50), (101, 10, 0, 50), (10, 81, 50, 0), (30, -10, 0, 10), (100, 10, 5, 5)):
        with pytest.raises(InputError, match="lies outside"):
            check_overlap(box, (100, 80))


def test_a_box_without_a_width_has_the_square_of_its_height():
    assert square_crop((50, 10, 0, 200)) == Crop(-50, 10, 200) and square_crop((5, 7, 8, 0), 1.25) == Crop(4, 2, 10)


@pytest.mark.parametrize("box", [(1, 2, 0, -5), (1, 2, 5, -1), (0, 0, 0, 0)])
def test_a_box_without_a_side_above_0_is_refused(box):
    with pytest.raises(InputError, match="width or height above 0"):
        square_crop(box)


@pytest.mark.parametrize(
    "box",
    [
        (1, 2, 3),
        (1, 2, 3, 4, 5),
        (np.nan, 0, 1, 1),
        (0, 0, np.inf, 1),
        "abcd",
        ("a", 1, 2, 3),
        None,
        7,
        (1, 2, None, 4),
    ],
)
def test_what_is_no_box_is_refused(box):
    with pytest.raises(InputError, match="four finite numbers x, y, w, h"):
        check_box(box)


def test_a_box_comes_back_as_floats():
    assert check_box(np.array([1, 2, 3, 4])) == (1.0, 2.0, 3.0, 4.0)
    assert all(type(value) is float for value in check_box([1, 2, 3, 4]))


@given(boxes, st.sampled_from([(1.0, 224), (1.25, 256)]), st.lists(st.tuples(places, places), min_size=1))
def test_without_a_turn_the_matrix_is_the_ladder_in_the_crops_pixels(box, kind, points):
    scale, size = kind
    crop = square_crop(box, scale)
    through = apply_matrix(crop_matrix(crop, size), points)
    np.testing.assert_allclose(through, crop.normalise(points) * size, rtol=1e-7, atol=1e-5 * (1 + size / crop.side))


@given(places, places, st.floats(1, 1e3), st.floats(-180, 180), st.lists(st.tuples(places, places), min_size=1))
def test_a_turned_crops_points_come_back(x, y, side, degrees, points):
    matrix = crop_matrix(Crop(x, y, side), 256, degrees)
    back = apply_matrix(invert_matrix(matrix), apply_matrix(matrix, points))
    np.testing.assert_allclose(back, points, atol=1e-6)


def test_a_turn_keeps_the_centre_and_brings_the_windows_upper_middle_to_the_top():
    matrix = crop_matrix(Crop(10, 20, 40), 80, 90)
    # The window is turned clockwise: the point above its centre lies to the right of it in the picture.
    np.testing.assert_allclose(apply_matrix(matrix, [(30, 40), (50, 40)]), [(40, 40), (40, 0)], atol=1e-9)
    assert np.isnan(apply_matrix(matrix, [(np.nan, np.nan)])).all()


def test_a_box_overlaps_its_picture_where_a_part_of_it_lies_inside():
    size = (100, 50)
    for inside in ((99.9, 0, 5, 5), (-5, -5, 5.1, 5.1), (0, 10, 0, 20), (100, 10, 0, 20), (5, 49, 9, 90)):
        assert check_overlap(inside, size) == inside
    for outside in ((100, 0, 5, 5), (-5, 0, 5, 5), (100.1, 10, 0, 20), (0, 50, 9, 9), (0, -9, 9, 9)):
        with pytest.raises(InputError, match="outside the picture, which has 100 x 50 pixels"):
            check_overlap(outside, size)
