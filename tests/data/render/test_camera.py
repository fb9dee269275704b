"""Cameras and the projection of points, against slow plain references."""

import math

import numpy as np
import pytest

from anykeypoint.data.render.camera import Camera, axes_towards, framed, hidden


def slow_pixels(camera, point):
    """The pixel of one point by similar triangles, one axis after another."""
    right, up, back = (camera.axes[:, i] for i in range(3))
    offset = [point[i] - camera.position[i] for i in range(3)]
    along = {name: sum(offset[i] * axis[i] for i in range(3)) for name, axis in (("x", right), ("y", up), ("z", back))}
    half = -along["z"] * math.tan(camera.angle / 2)  # of the picture, in metres at the point's depth
    return ((1 + along["x"] / half) * camera.size / 2, (1 - along["y"] / half) * camera.size / 2), -along["z"]


@pytest.mark.parametrize("seed", range(5))
def test_points_are_projected_as_by_similar_triangles(seed):
    rng = np.random.default_rng(seed)
    axes = axes_towards(rng.uniform(-3, 3), rng.uniform(-1, 1), rng.uniform(-1, 1))
    camera = Camera(rng.normal(size=3) + axes[:, 2] * 5, axes, rng.uniform(0.3, 1), 200)
    points = rng.normal(size=(20, 3))
    pixels, depth = camera.project(points)
    for point, pixel, deep in zip(points, pixels, depth, strict=True):
        expected, expected_depth = slow_pixels(camera, point)
        assert pixel == pytest.approx(expected)
        assert deep == pytest.approx(expected_depth)


def test_a_camera_in_front_sees_the_objects_own_left_at_the_right():
    axes = axes_towards(0, 0, 0)
    camera = Camera(np.array([3.0, 0, 0]), axes, 0.5, 100)
    pixels, _ = camera.project(np.array([[0, 0.1, 0], [0, 0, 0.1], [0, 0, 0]]))
    left, above, middle = pixels
    assert left[0] > middle[0] and left[1] == pytest.approx(middle[1])
    assert above[1] < middle[1] and above[0] == pytest.approx(middle[0])
    assert middle == pytest.approx([50, 50])


def test_axes_are_right_handed_and_of_unit_length():
    axes = axes_towards(0.7, 0.4, 0.3)
    assert axes.T @ axes == pytest.approx(np.eye(3))
    assert np.linalg.det(axes) == pytest.approx(1)


def test_points_behind_the_camera_have_no_pixel():
    camera = Camera(np.zeros(3), axes_towards(0, 0, 0), 0.5, 100)
    pixels, depth = camera.project(np.array([[1.0, 0, 0], [-1.0, 0, 0]]))
    assert np.isnan(pixels[0]).all() and depth[0] < 0
    assert np.isfinite(pixels[1]).all() and depth[1] > 0


@pytest.mark.parametrize("share", [0.5, 0.9, 1.2])
def test_the_points_fill_the_wanted_share_of_the_picture(share):
    rng = np.random.default_rng(3)
    points = rng.uniform(-1, 1, (400, 3)) * (0.3, 1.0, 0.2) + (2, 1, 5)
    camera = framed(points, axes_towards(0.5, 0.6, 0.1), 0.6, 320, share, (10, -20))
    pixels, depth = camera.project(points)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    assert (high - low).max() == pytest.approx(share * 320, rel=0.02)
    assert (low + high) / 2 == pytest.approx([170, 140], abs=2)
    assert depth.min() > 0


def test_what_lies_behind_the_depth_buffer_is_hidden():
    buffer = np.full((10, 10), 5.0)
    buffer[:, :5] = 2.0
    pixels = np.array([[2.5, 5.5], [2.5, 5.5], [8.5, 5.5], [2.5, 5.5]])
    depth = np.array([4.0, 2.05, 4.0, 2.3])
    tolerance = np.array([0.1, 0.1, 0.1, 0.5])
    assert hidden(pixels, depth, buffer, tolerance).tolist() == [True, False, False, False]


def test_an_edge_beside_a_near_surface_is_seen():
    buffer = np.full((10, 10), 5.0)
    buffer[:, :5] = 2.0
    edge = np.array([[4.5, 5.5]])
    assert hidden(edge, np.array([5.0]), buffer, np.array([0.1]), reach=1).tolist() == [False]
    assert hidden(edge, np.array([5.0]), buffer, np.array([0.1]), reach=0).tolist() == [True]
