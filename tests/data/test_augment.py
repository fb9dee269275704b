"""Augmentation: points and pixels move together."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.data.augment import AugmentConfig, crop_placed, jitter, place

WILD = AugmentConfig(scale=0.3, rotation=40, shift=0.2, flip=0.5, colour=0.4)


@given(st.integers(0, 2**32), st.floats(-50, 500), st.floats(1, 400), st.floats(1, 400))
def test_forward_and_inverse_cancel(seed, x, w, h):
    rng = np.random.default_rng(seed)
    placed = place((x, 7.0, w, h), 1.25, WILD, rng)
    points = rng.uniform(-100, 600, (8, 2))
    assert np.abs(placed.to_image(placed.normalise(points)) - points).max() < 1e-3


def test_nothing_switched_on_is_the_plain_crop():
    still = AugmentConfig(scale=0, rotation=0)
    placed = place((10, 20, 40, 80), 1.25, still, np.random.default_rng(0))
    assert np.allclose(placed.normalise(np.array([[-20.0, 10.0], [80.0, 110.0]])), [[0, 0], [1, 1]])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(40, 300))
def test_a_dot_is_found_where_the_points_say(seed, side):
    rng = np.random.default_rng(seed)
    dot = rng.uniform(0.35, 0.65, 2) * side
    y, x = np.mgrid[:side, :side] + 0.5
    spread = max(side / 40, 1.5)
    soft = 255 * np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / (2 * spread**2))
    picture = np.repeat(soft[..., None].astype(np.uint8), 3, axis=2)
    placed = place((0, 0, side, side), 1.25, WILD, rng)
    margin = 3.5 * spread / np.linalg.norm(placed.matrix[0])
    assume(np.abs(placed.normalise(dot) - 0.5).max() < 0.5 - margin)  # at the edge a part of the dot is cut off
    crop = crop_placed(Image.fromarray(picture), placed, 128).astype(float)[..., 0]
    rows, columns = np.mgrid[:128, :128] + 0.5
    found = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()
    assert np.abs(found - placed.normalise(dot) * 128).max() < 1.0


def test_a_flip_mirrors_the_picture():
    sure = AugmentConfig(scale=0, rotation=0, flip=1.0)
    placed = place((0, 0, 100, 100), 1.0, sure, np.random.default_rng(0))
    assert placed.flipped
    assert np.allclose(placed.normalise(np.array([[10.0, 30.0]])), [[0.9, 0.3]])


def test_the_same_generator_gives_the_same_crop():
    image = Image.effect_noise((200, 150), 60).convert("RGB")
    runs = []
    for _ in range(2):
        rng = np.random.default_rng(5)
        placed = place((20, 20, 90, 70), 1.25, WILD, rng)
        runs.append(crop_placed(jitter(image, WILD.colour, rng), placed, 64))
    assert np.array_equal(*runs)


@pytest.mark.parametrize("side", [500, 3000])
def test_shrinking_averages_instead_of_skipping(side):
    stripes = np.zeros((side, side, 3), np.uint8)
    stripes[:, ::2] = 255
    still = AugmentConfig(scale=0, rotation=0)
    placed = place((0, 0, side, side), 1.0, still, np.random.default_rng(0))
    crop = crop_placed(Image.fromarray(stripes), placed, 64).astype(float)
    assert abs(crop[8:-8, 8:-8].mean() - 127.5) < 8
    assert crop[8:-8, 8:-8].std() < 70
