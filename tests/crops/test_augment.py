"""Augmentation: points and pixels move together, by one similarity, and what is drawn hangs on the generator alone."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.category import Category
from anykeypoint.crops.augment import (
    CAPELLM,
    LOCLLM,
    MATCHER,
    PLAIN,
    AugmentConfig,
    CropPlacement,
    crop_placed,
    jitter,
    place,
)
from anykeypoint.errors import InputError
from anykeypoint.geometry import crop_matrix, square_crop, visible_in

WILD = AugmentConfig(scale=0.3, rotation=40, shift=0.2, flip=0.5, colour=0.4)
EYES = Category.from_text("left eye; nose; right eye; left ear; right ear; tail")

configs = st.builds(
    AugmentConfig,
    scale=st.floats(0, 0.9),
    rotation=st.floats(0, 180),
    turn=st.sampled_from(["uniform", "normal"]),
    turned=st.floats(0, 1),
    shift=st.floats(0, 1),
    flip=st.floats(0, 1),
    colour=st.floats(0, 1),
)
boxes = st.tuples(st.floats(-500, 500), st.floats(-500, 500), st.floats(1, 800), st.floats(1, 800))
seeds = st.integers(0, 2**32)


def dots(side: int, places: np.ndarray, spread: float) -> Image.Image:
    """A black square with one soft dot in each channel, at (3, 2) places in pixels."""
    y, x = np.mgrid[:side, :side] + 0.5
    layers = [255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * spread**2)) for u, v in places]
    return Image.fromarray(np.stack(layers, axis=-1).astype(np.uint8))


def centroids(crop: np.ndarray) -> np.ndarray:
    """The middle of each channel's light, (3, 2) in pixels of the crop."""
    rows, columns = np.mgrid[: len(crop), : len(crop)] + 0.5
    light = crop.astype(float)
    return np.stack([(light * m[..., None]).sum((0, 1)) / light.sum((0, 1)) for m in (columns, rows)], axis=-1)


@given(seeds, boxes, configs, st.floats(0.5, 2))
def test_points_come_back_from_the_crop(seed, box, config, crop_scale):
    rng = np.random.default_rng(seed)
    placed = place(box, crop_scale, config, rng)
    points = rng.uniform(-1000, 1000, (8, 2))
    np.testing.assert_allclose(placed.to_image(placed.normalise(points)), points, atol=1e-3)
    assert np.isnan(placed.normalise(np.full((1, 2), np.nan))).all()


@given(seeds, boxes, configs)
def test_a_crop_is_a_similarity_of_the_plain_one(seed, box, config):
    """Turned back, mirrored back and shrunk, it is the plain square moved by no more than `shift`."""
    placed, plain = place(box, 1.25, config, np.random.default_rng(seed)), square_crop(box, 1.25)
    assert 1 - config.scale - 1e-9 <= placed.crop.side / plain.side <= 1 + config.scale + 1e-9
    assert abs(placed.degrees) <= config.rotation * (2 if config.turn == "normal" else 1)
    moved = placed.to_image(np.array([[0.5, 0.5], [1, 0.5], [0.5, 1]]))
    middle = np.array([plain.x, plain.y]) + plain.side / 2
    assert np.abs(moved[0] - middle).max() <= config.shift * plain.side + 1e-6
    across, down = moved[1] - moved[0], moved[2] - moved[0]
    assert np.linalg.norm(across) == pytest.approx(placed.crop.side / 2)
    assert np.linalg.norm(down) == pytest.approx(placed.crop.side / 2)
    assert np.sign(across[0] * down[1] - across[1] * down[0]) == (-1 if placed.flipped else 1)


def test_nothing_switched_on_is_the_plain_crop():
    placed = place((10, 20, 40, 80), 1.25, PLAIN, np.random.default_rng(0))
    assert np.allclose(placed.normalise(np.array([[-20.0, 10.0], [80.0, 110.0]])), [[0, 0], [1, 1]])


@given(seeds, boxes, configs)
def test_without_a_mirror_it_is_the_ladders_turned_crop(seed, box, config):
    placed = place(box, 1.25, replace(config, flip=0), np.random.default_rng(seed))
    np.testing.assert_array_equal(placed.matrix(256), crop_matrix(placed.crop, 256, placed.degrees))


@settings(max_examples=30)
@given(seeds, st.integers(40, 300), configs)
def test_dots_are_found_where_the_points_say(seed, side, config):
    rng = np.random.default_rng(seed)
    places = rng.uniform(0.3, 0.7, (3, 2)) * side
    spread = max(side / 40, 1.5)
    placed = place((0, 0, side, side), 1.25, replace(config, scale=min(config.scale, 0.5)), rng)
    margin = 3.5 * spread / placed.crop.side
    assume(np.abs(placed.normalise(places) - 0.5).max() < 0.5 - margin)  # at the edge a part of the dot is cut off
    found = centroids(crop_placed(dots(side, places, spread), placed, 128))
    assert np.abs(found - placed.normalise(places) * 128).max() < 0.5


def test_dots_of_a_large_picture_are_found_where_the_points_say():
    """Here a coarse copy is made first, whose last pixels stand for less of the picture than the others."""
    places = np.array([[300.5, 411.0], [700.25, 650.0], [520.0, 320.75]])
    placed = place((100, 100, 801, 801), 1.0, replace(WILD, shift=0), np.random.default_rng(2))
    found = centroids(crop_placed(dots(1003, places, 20), placed, 128))
    assert np.abs(found - placed.normalise(places) * 128).max() < 0.5


def test_a_flip_mirrors_the_picture():
    placed = place((0, 0, 100, 100), 1.0, replace(PLAIN, flip=1.0), np.random.default_rng(0))
    assert placed.flipped
    assert np.allclose(placed.normalise(np.array([[10.0, 30.0]])), [[0.9, 0.3]])


@given(seeds, boxes)
def test_a_flip_exchanges_left_and_right_exactly_once(seed, box):
    points = np.random.default_rng(seed).uniform(0, 500, (6, 2))
    crop = square_crop(box)
    plain, mirrored = CropPlacement(crop), CropPlacement(crop, flipped=True)
    once = mirrored.labels(points, EYES)
    np.testing.assert_array_equal(once, mirrored.normalise(points)[[2, 1, 0, 4, 3, 5]])
    # Mirrored twice, every label is where it was.
    twice = CropPlacement(square_crop((0, 0, 1, 1)), flipped=True).labels(once, EYES)
    np.testing.assert_allclose(twice, plain.labels(points, EYES), atol=1e-9 + 1e-12 * 500 / crop.side)


def test_in_a_mirrored_picture_the_left_eye_is_the_one_that_looks_like_a_left_eye():
    """Seen from the front a left eye is to the right of the right eye, in every picture."""
    points = np.array([[70.0, 30], [50, 50], [30, 30], [80, 10], [20, 10], [50, 90]])
    mirrored = CropPlacement(square_crop((0, 0, 100, 100)), flipped=True).labels(points, EYES)
    np.testing.assert_allclose(mirrored * 100, points)


@given(seeds, configs)
def test_colours_change_no_geometry(seed, config):
    drawn = [
        place((5, 6, 70, 80), 1.25, replace(config, colour=colour), np.random.default_rng(seed)) for colour in (0, 1)
    ]
    assert drawn[0] == drawn[1]


@given(seeds, st.floats(0, 1))
def test_colours_change_by_value_alone_wherever_a_pixel_stands(seed, colour):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (12, 17, 3), dtype=np.uint8)
    order = rng.permutation(12 * 17)
    mixed = pixels.reshape(-1, 3)[order].reshape(12, 17, 3)
    first, second = (np.asarray(jitter(Image.fromarray(p), colour, np.random.default_rng(1))) for p in (pixels, mixed))
    np.testing.assert_array_equal(first.reshape(-1, 3)[order], second.reshape(-1, 3))


@given(seeds, configs)
def test_what_is_drawn_does_not_hang_on_the_picture(seed, config):
    states = []
    for image in (Image.new("RGB", (9, 7)), Image.effect_noise((31, 40), 90).convert("RGB")):
        rng = np.random.default_rng(seed)
        crop_placed(jitter(image, config.colour, rng), place((1, 2, 5, 4), 1.25, config, rng), 8)
        states.append(rng.bit_generator.state)
    assert states[0] == states[1]


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
    placed = place((0, 0, side, side), 1.0, PLAIN, np.random.default_rng(0))
    crop = crop_placed(Image.fromarray(stripes), placed, 64).astype(float)
    assert abs(crop[8:-8, 8:-8].mean() - 127.5) < 8
    assert crop[8:-8, 8:-8].std() < 70


@pytest.mark.parametrize(
    ("config", "growth", "largest", "still"),
    [(CAPELLM, 0.3, 40, 0.5), (LOCLLM, 0.3, 40, 0.5), (MATCHER, 0.15, 30, 0.4), (PLAIN, 0, 0, 1)],
)
def test_the_released_recipes_draw_as_their_codes_do(config, growth, largest, still):
    rng = np.random.default_rng(0)
    drawn = [place((0, 0, 100, 100), 1.0, config, rng) for _ in range(4000)]
    sides, angles = np.array([p.crop.side for p in drawn]) / 100, np.array([p.degrees for p in drawn])
    assert sides.min() == pytest.approx(1 - growth) and sides.max() == pytest.approx(1 + growth)
    cut = (np.isclose(sides, 1 - growth) | np.isclose(sides, 1 + growth)).mean()
    assert cut == (1 if growth == 0 else pytest.approx(0.317, abs=0.03))  # what a normal has outside one sigma
    assert np.abs(angles).max() == pytest.approx(largest, rel=0.01)
    assert (angles == 0).mean() == pytest.approx(still, abs=0.03)
    if config is MATCHER:
        assert angles[angles != 0].std() == pytest.approx(15 * 0.96, abs=0.6)  # a normal cut at two sigmas
    if config in (CAPELLM, LOCLLM):
        assert angles[angles != 0].std() == pytest.approx(40 / np.sqrt(3), abs=0.8)
    assert np.mean([p.flipped for p in drawn]) == pytest.approx(config.flip, abs=0.03)
    middles = np.array([(p.crop.x, p.crop.y) for p in drawn]) + sides[:, None] * 50
    np.testing.assert_allclose(middles, 50, atol=1e-9)
    assert AugmentConfig() == CAPELLM and not config.colour


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"turn": "left"}, "turn must be one of uniform, normal"),
        ({"flip": 1.2}, "flip must be a number from 0 to 1"),
        ({"turned": -0.1}, "turned must be a number from 0 to 1"),
        ({"scale": 1.0}, "scale must be 0 or more and below 1"),
        ({"rotation": -5.0}, "rotation must be a number from 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        AugmentConfig(**settings)


def test_a_crop_has_its_left_and_top_edge_and_not_the_others():
    points = np.array([[0, 0], [0.5, 1.0], [1.0, 0.5], [-1e-9, 0.5], [np.nan, np.nan], [0.999, 0.999]])
    assert visible_in(points).tolist() == [True, False, False, False, False, True]


@pytest.mark.parametrize("colour", [0.2, 0.5])
def test_colours_change_by_a_factor_up_to_the_given_one_and_reach_it_on_both_sides(colour):
    """Grey stays grey in contrast and saturation, so that its value shows the factor of the brightness alone."""
    grey = Image.new("RGB", (4, 4), (120, 120, 120))
    rng = np.random.default_rng(0)
    factors = np.array([np.asarray(jitter(grey, colour, rng)).mean() / 120 for _ in range(400)])
    assert 1 - colour - 0.01 <= factors.min() < 1 - 0.95 * colour
    assert 1 + 0.95 * colour < factors.max() <= 1 + colour + 0.01
    assert factors.mean() == pytest.approx(1, abs=0.1 * colour)


def test_without_a_range_colours_stay():
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    np.testing.assert_array_equal(np.asarray(jitter(picture, 0.0, np.random.default_rng(0))), np.asarray(picture))
