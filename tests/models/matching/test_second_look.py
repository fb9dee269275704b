"""A second look: squares round first answers are matched with those round the example's points."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_matchers import FISH, SIDE, example, matcher, picture

from anykeypoint.density import Density
from anykeypoint.errors import InputError
from anykeypoint.geometry import CONFIDENCE_RADIUS, Crop
from anykeypoint.images import read_picture
from anykeypoint.models.matching.look_config import SecondLook
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import load
from anykeypoint.models.matching.second_look import BATCH, ExamplePatches, Found, encoded, look_again, squares

SURE = SecondLook(certainty=(30.0, 0.0), reach=10.0, temperature=0.01)
BOX = (5, 5, 60, 50)


def scene(seed, cells=10, channels=12, count=3):
    torch.manual_seed(seed)
    return torch.randn(count, channels, cells, cells)


def looked(query, theirs, options=SURE, rows=None, groups=(5, 7)):
    rows = np.arange(len(query)) if rows is None else rows
    crops = squares(np.full((len(query), 2), 50.0), 20.0)
    return look_again(options, groups, query, crops, rows, [ExamplePatches(one, np.arange(len(one))) for one in theirs])


def test_the_same_patch_is_found_where_it_lies():
    """The example's patch moved by two cells to the right and one down: so is what was in its middle."""
    theirs = scene(0)
    theirs[:, :, 4:6, 4:6] = theirs[:, :, 4:5, 4:5]  # the middle lies between four cells
    query = torch.roll(theirs, (1, 2), (2, 3))
    found = looked(query, [theirs])
    np.testing.assert_allclose(found.means, np.tile([50 + 2 * 2, 50 + 1 * 2], (3, 1)), atol=0.5)
    np.testing.assert_allclose(found.weights, 1, atol=1e-6)
    np.testing.assert_allclose(found.grids.sum(axis=(1, 2)), 1, atol=1e-5)


def test_a_near_place_is_preferred_to_an_equal_one_far_away():
    theirs = scene(1, count=1)
    theirs[:, :, 4:6, 4:6] = theirs[:, :, 4:5, 4:5]
    query = scene(2, count=1)
    for row, column in ((4, 6), (1, 1)):
        query[:, :, row : row + 2, column : column + 2] = theirs[:, :, 4:5, 4:5]
    near = looked(query, [theirs], SecondLook(certainty=(30.0, 0.0), reach=0.03))
    assert near.means[0, 0] > 50 and abs(near.means[0, 1] - 50) < 2


def test_a_match_that_does_not_lead_back_counts_little():
    theirs = scene(3)
    theirs[:, :, 4:6, 4:6] = theirs[:, :, 4:5, 4:5]
    astray = theirs[:, :, :1, :1].expand(-1, -1, 10, 10)  # everything in the query looks like the example's corner
    assert (looked(theirs, [theirs], SecondLook()).weights > 0.9).all()
    assert (looked(astray, [theirs], SecondLook()).weights < 0.05).all()


def test_of_several_examples_the_certain_one_decides():
    theirs, other = scene(6), scene(7)
    theirs[:, :, 4:6, 4:6] = theirs[:, :, 4:5, 4:5]
    # The other example's point looks like a corner of the query, which looks more like a corner of that example.
    other[:, :, 4:6, 4:6] = theirs[:, :, :1, :1] + 0.4 * scene(8)[:, :, :1, :1]
    other[:, :, 9, 9] = theirs[:, :, 0, 0]
    options = SecondLook(certainty=(5.0, -200.0), reach=10.0, temperature=0.01)
    alone, wrong = looked(theirs, [theirs], options), looked(theirs, [other], options)
    assert (alone.weights > 0.9).all() and (wrong.weights < 0.01).all()
    for examples in ([theirs, other], [other, theirs]):
        both = looked(theirs, examples, options)
        np.testing.assert_allclose(both.means, alone.means, atol=0.2)
        np.testing.assert_allclose(both.weights, alone.weights, atol=0.02)


def test_points_move_by_the_weight_and_those_without_a_patch_stay():
    found = Found(np.array([2, 0]), (), np.zeros((2, 1, 1)), np.array([0.25, 1.0]), np.array([[8.0, 0], [3, 3]]))
    moved = found.moved(np.array([[1.0, 1], [5, 5], [4, 4]]))
    np.testing.assert_allclose(moved, [[3, 3], [5, 5], [5, 3]])


def test_the_mass_of_the_patch_stays_and_lies_where_the_second_look_found_it():
    first = Density(Crop(0, 0, 100), np.full((10, 10), 0.01))
    grid = np.zeros((20, 20))
    grid[3, 16] = 1
    found = Found(np.array([0]), (Crop(35, 45, 20),), grid[None], np.array([0.75]), np.zeros((1, 2)))
    after = found.density(0, first, True)
    assert after.grid.shape == (40, 40) and after.grid.sum() == pytest.approx(1)
    patch = after.grid[18:26, 14:22]  # 35 to 55, 45 to 65
    assert patch.sum() == pytest.approx(0.04)
    spread = 0.25 * 0.01 * np.pi * 2.5**2 / 10**2
    assert after.mass_within(np.array([51.5, 48.5]), 2.5) == pytest.approx(0.75 * 0.04 + spread, rel=0.02)
    outside = after.grid.copy()
    outside[18:26, 14:22] = 0
    np.testing.assert_allclose(outside[outside > 0], 0.01 / 16)
    assert found.density(0, first, 100).grid.shape == (100, 100)
    beside = Found(np.array([0]), (Crop(200, 45, 20),), grid[None], np.array([1.0]), np.zeros((1, 2)))
    np.testing.assert_allclose(beside.density(0, first, 10).grid, first.grid)


@pytest.mark.parametrize("patch", [Crop(35, 45, 20), Crop(-8, 91, 24), Crop(200, 45, 20)])
def test_the_mass_in_a_disc_is_linear_in_what_was_there_before(patch):
    rng, crop, point = np.random.default_rng(3), Crop(0, 0, 100), np.array([44.0, 58.0])
    found = Found(np.array([0]), (patch,), rng.dirichlet(np.ones(400)).reshape(1, 20, 20), np.array([0.6]), point[None])
    shares = found.disc_shares(0, crop, 10, point, 12.0)
    for sharpness in (0.1, 1, 10):
        grid = rng.dirichlet(np.full(100, sharpness)).reshape(10, 10)
        plain = found.density(0, Density(crop, grid), True).mass_within(point, 12.0)
        assert (grid * shares).sum() == pytest.approx(plain, abs=1e-12)


def test_patches_are_encoded_in_batches_that_are_bounded():
    sizes = []

    def encode(pixels):
        sizes.append(len(pixels))
        return torch.from_numpy(pixels[:, :1, :1].astype(np.float32))

    places = np.random.default_rng(0).uniform(0, 60, (BATCH + 5, 2))
    shapes = encoded(read_picture(picture()), squares(places, 10.0), 32, encode).shape
    assert sizes == [BATCH, 5] and shapes[0] == BATCH + 5


# --- whole matchers --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matchers")
    look = SecondLook(size=SIDE)
    return {name: matcher(name, folder, look=look) for name in ("evidence", "graphcape")}


@pytest.mark.parametrize("name", ["evidence", "graphcape"])
def test_the_second_look_moves_points_a_little_and_sharpens_their_density(models, name):
    asked = {"box": BOX, "example": example(), "words": False, "density": True}
    plain, fine = (models[name].predict(picture(), FISH, fine=fine, **asked) for fine in (False, True))
    away = np.linalg.norm(plain.xy - fine.xy, axis=1)
    assert (away > 0).any() and (away < 0.15 * 1.5 * 60).all()
    side = models[name].encode(picture(), BOX).crop.side
    for key, xy, confidence in zip(FISH.names, fine.xy, fine.confidence, strict=True):
        density = fine.density[key]
        assert len(density.grid) == 4 * len(plain.density[key].grid) and density.mass == pytest.approx(1)
        assert confidence == pytest.approx(density.mass_within(xy, CONFIDENCE_RADIUS * side))
    sized = models[name].predict(picture(), FISH, fine=True, **{**asked, "density": 50})
    assert {density.grid.shape for density in sized.density.values()} == {(50, 50)}
    np.testing.assert_allclose(sized.xy, fine.xy)


def test_it_is_taken_where_the_config_says_so_and_only_with_an_example(models, tmp_path):
    models["evidence"].save_pretrained(tmp_path / "a")
    model = load(tmp_path / "a")
    assert not model.config.fine and model.config.look == SecondLook(size=SIDE)
    on = matcher("evidence", tmp_path, fine=True, look=SecondLook(size=SIDE))
    asked = {"box": BOX, "example": example()}
    np.testing.assert_allclose(
        on.predict(picture(), FISH, **asked).xy, on.predict(picture(), FISH, fine=True, **asked).xy
    )
    assert not np.allclose(on.predict(picture(), FISH, fine=False, **asked).xy, on.predict(picture(), FISH, **asked).xy)
    words = on.predict(picture(), FISH, box=BOX)
    np.testing.assert_allclose(words.xy, on.predict(picture(), FISH, box=BOX, fine=None).xy)
    with pytest.raises(InputError, match="compares with an example"):
        on.predict(picture(), FISH, fine=True)
    assert on.predict(picture(), FISH, fine=False).present.all()
    with pytest.raises(InputError, match="second look is taken"):
        on.predict(picture(), FISH, fine=3, **asked)


def test_points_that_no_example_shows_keep_their_first_answer(models):
    asked = {"box": BOX, "example": example(hidden=(1,)), "words": True}
    plain, fine = (models["evidence"].predict(picture(), FISH, fine=fine, **asked) for fine in (False, True))
    np.testing.assert_allclose(plain.xy[1], fine.xy[1])
    assert not np.allclose(np.delete(plain.xy, 1, 0), np.delete(fine.xy, 1, 0))


def test_an_explanation_ends_where_the_second_look_ends(models):
    asked = {"box": BOX, "example": example(), "words": False}
    explained = models["evidence"].explain(picture(), FISH, fine=True, **asked)
    pose = models["evidence"].predict(picture(), FISH, fine=True, **asked)
    np.testing.assert_allclose(explained.path[-1], pose.xy)
    assert len(explained.path) == len(explained.attention) + 2
    assert explained.draw(image=Image.fromarray(picture())).mode == "RGB"


def test_an_examples_patches_are_encoded_once(models, monkeypatch):
    model = models["evidence"]
    model.cache.clear()
    counted, details = [], type(model.encoder).details

    def counting(self, pixels):
        counted.append(len(pixels))
        return details(self, pixels)

    monkeypatch.setattr(type(model.encoder), "details", counting)
    for _ in range(2):
        model.predict(picture(), FISH, box=BOX, example=example(), fine=True)
    assert counted == [5, 5, 5]  # those of the picture and of the example; then those of the picture alone


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"look": {"size": 0}}, "size of a second look"),
        ({"look": {"reach": -1.0}}, "reach of a second look"),
        ({"look": {"certainty": [1.0]}}, "two numbers"),
        ({"look": {"certainty": [1.0, float("nan")]}}, "certainty of a second look"),
        ({"fine": "yes"}, "fine"),
    ],
)
def test_options_that_are_none_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        MatcherConfig.from_dict({"name": "evidence", **options})


def test_a_matcher_without_examples_takes_no_second_look():
    with pytest.raises(InputError, match="takes no second look"):
        MatcherConfig.from_dict({"name": "capex", "fine": True})
