"""Episodes: who is shown and asked for, how each picture is cut, and that padding and order change nothing."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.category import Category
from anykeypoint.crops.augment import PLAIN, AugmentConfig
from anykeypoint.crops.batches import Episode, LabelledCrop, collate
from anykeypoint.crops.heatmaps import heat_targets
from anykeypoint.data.episodes import EpisodeConfig, EpisodeSampler, label_crop
from anykeypoint.data.pairs import balanced_weights
from anykeypoint.errors import InputError
from anykeypoint.forms.dataset import Dataset, LabelledObject
from anykeypoint.geometry import crop_matrix, square_crop
from anykeypoint.images import read_image, warp_pixels

FACE = Category.from_text("left eye; right eye; nose; chin", name="face")
TOOL = Category.from_text("tip; handle", name="tool")
PLACES = ((35, 25), (62, 28), (40, 60), (65, 62))  # so far apart that dots do not cover each other
COLOURS = ((250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0))
SIZES = {3: 9, 7: 4, 8: 2}  # objects of each category
WILD = AugmentConfig(scale=0.2, rotation=30, shift=0.1, flip=0.5, colour=0.3)
SMALL = EpisodeConfig(size=64, cells=16, augment=WILD)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    """Objects of three categories, each a picture with a dot of its own colour at every keypoint."""
    folder = tmp_path_factory.mktemp("dots")
    categories = {3: FACE, 7: TOOL, 8: replace(TOOL, name="other tool")}
    objects = []
    rng = np.random.default_rng(0)
    for key, count in SIZES.items():
        for _ in range(count):
            box = (20.0, 10.0, 60.0, 70.0)
            points = np.array(PLACES[: len(categories[key])]) + rng.uniform(-4, 4, (len(categories[key]), 2))
            picture = np.zeros((90, 100, 3), np.uint8)
            y, x = np.mgrid[:90, :100] + 0.5
            for k in range(len(points)):
                picture[np.hypot(x - points[k, 0], y - points[k, 1]) < 5] = COLOURS[k]
            path = folder / f"{len(objects)}.png"
            Image.fromarray(picture).save(path)
            visibility = np.full(len(points), 2)
            visibility[1:] = rng.integers(0, 3, len(points) - 1)
            labels = np.where(visibility[:, None] > 0, points, np.nan)
            item = LabelledObject(len(objects) + 1, path, key, categories[key], box, labels, visibility, None)
            objects.append(item)
    return Dataset(objects, categories, {})


def same(one: LabelledCrop, other: LabelledCrop) -> bool:
    fields = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in fields)


def alike(one: Episode, other: Episode) -> bool:
    pairs = zip((*one.examples, one.query), (*other.examples, other.query), strict=True)
    return one.category == other.category and all(same(a, b) for a, b in pairs)


# --- which objects -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["released", "balanced"])
def test_example_and_query_are_different_objects_of_one_category(data, sampling):
    sampler = EpisodeSampler(data, replace(SMALL, sampling=sampling))
    for at in range(80):
        pair = sampler.pair(at)
        assert len({*pair.examples, pair.query}) == 2
        assert len({data.objects[i].category_id for i in (*pair.examples, pair.query)}) == 1


def test_several_examples_are_all_the_others_of_a_category_of_just_enough(data):
    few = Dataset([item for item in data.objects if item.category_id == 7], {7: TOOL}, {})
    for sampling in ("released", "balanced"):
        sampler = EpisodeSampler(few, replace(SMALL, sampling=sampling, shots=3))
        for at in range(20):
            pair = sampler.pair(at)
            assert sorted([*pair.examples, pair.query]) == [0, 1, 2, 3]


def test_an_epoch_of_the_released_sampling_has_every_category_equally_often_and_the_next_is_drawn_anew(data):
    sampler = EpisodeSampler(data, SMALL)
    assert sampler.per_epoch == 9 * 3
    epochs = [[sampler.pair(epoch * 27 + i) for i in range(27)] for epoch in range(2)]
    for epoch in epochs:
        assert Counter(data.objects[pair.query].category_id for pair in epoch) == {3: 9, 7: 9, 8: 9}
    assert epochs[0] != epochs[1]
    assert [EpisodeSampler(data, replace(SMALL, seed=43)).pair(i) for i in range(27)] != epochs[0]


def test_balanced_sampling_draws_categories_by_the_square_root_of_their_size(data):
    sampler = EpisodeSampler(data, replace(SMALL, sampling="balanced"))
    drawn = Counter(data.objects[sampler.pair(at).query].category_id for at in range(3000))
    expected = np.sqrt(list(SIZES.values()))
    np.testing.assert_allclose([drawn[key] / 3000 for key in SIZES], expected / expected.sum(), atol=0.03)
    examples = Counter(sampler.pair(at).examples[0] for at in range(1000))
    assert set(examples) == set(range(15))


def test_sources_are_drawn_by_their_weights(data):
    source = {3: "near", 7: "far", 8: "far"}
    objects = [SimpleNamespace(**(vars(item) | {"source": source[item.category_id]})) for item in data.objects]
    mixed = SimpleNamespace(objects=objects, categories=data.categories, weights={"far": 3.0, "near": 1.0})
    sampler = EpisodeSampler(mixed, replace(SMALL, sampling="balanced"))
    near = np.mean([objects[sampler.pair(at).query].category_id == 3 for at in range(2000)])
    assert near == pytest.approx(0.25, abs=0.03)


def test_small_categories_are_left_out_where_that_is_said(data):
    sizes = Counter(item.category_id for item in data.objects)
    shots = min(sizes.values())  # one more object than the smallest category has
    assert shots < max(sizes.values())
    config = replace(SMALL, shots=shots, sampling="balanced", small="leave_out")
    sampler = EpisodeSampler(data, config)
    assert sampler.too_few() == {key: count for key, count in sizes.items() if count <= shots}
    drawn = {data.objects[sampler.pair(number).query].category_id for number in range(100)}
    assert drawn == sizes.keys() - sampler.too_few().keys()
    with pytest.raises(InputError, match="small 'leave_out' needs sampling 'balanced'"):
        replace(config, sampling="released")
    with pytest.raises(InputError, match="No category has 100 objects"):
        EpisodeSampler(data, replace(config, shots=99))


def test_an_episode_hangs_on_the_seed_and_its_place_alone(data):
    """A resumed run, or another order of asking, draws the same."""
    for sampling in ("released", "balanced"):
        config = replace(SMALL, sampling=sampling)
        straight = EpisodeSampler(data, config)
        first = [straight.episode(at) for at in range(30)]
        jumping = EpisodeSampler(data, config)
        for at in (29, 3, 28, 0):
            assert alike(jumping.episode(at), first[at])
        assert not alike(first[0], EpisodeSampler(data, replace(config, seed=1)).episode(0))


def test_too_few_objects_are_refused_by_name(data):
    with pytest.raises(InputError, match=r"3 objects of a category, but 'other tool' \(id 8\) has 2"):
        EpisodeSampler(data, replace(SMALL, shots=2))
    with pytest.raises(InputError, match=r"'other tool' \(id 8\) has 2"):
        EpisodeSampler(data, replace(SMALL, shots=2, sampling="balanced"))
    empty = Dataset(data.objects, {**data.categories, 9: TOOL}, {})
    EpisodeSampler(empty, replace(SMALL, sampling="balanced")).pair(0)
    with pytest.raises(InputError, match=r"\(id 9\) has 0"):
        EpisodeSampler(empty, SMALL)
    with pytest.raises(InputError, match="no object with a labelled point"):
        EpisodeSampler(Dataset([], {}, {}), SMALL)


# --- one picture ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("released", [False, True])
def test_a_points_picture_is_what_its_name_looks_like(data, flip, released):
    """In a mirrored crop the place that is called "left eye" shows the right eye's colour, as a mirrored face does."""
    config = EpisodeConfig(size=96, cells=16, released_crop=released, augment=replace(WILD, flip=flip, colour=0))
    looked = 0
    for item in data.objects:
        order = item.category.mirrored() if flip else range(len(item.category))
        one = label_crop(item, config, np.random.default_rng(item.id))
        for k in np.flatnonzero(one.visible):
            x, y = (one.points[k] * 96).astype(int)
            if min(x, y) > 1 and max(x, y) < 94:
                np.testing.assert_allclose(one.pixels[y, x].astype(int), COLOURS[order[k]], atol=40)
                looked += 1
    assert looked > 10


def test_every_picture_has_its_own_crop_and_their_labels_do_not_change_each_other(data):
    sampler = EpisodeSampler(data, replace(SMALL, augment=replace(WILD, flip=0)))
    episode = sampler.episode(4)
    pair = sampler.pair(4)
    stripped = [replace(item, points=np.full_like(item.points, np.nan)) for item in data.objects]
    stripped[pair.query] = data.objects[pair.query]
    other = EpisodeSampler(Dataset(stripped, data.categories, {}), sampler.config).episode(4)
    assert same(episode.query, other.query) and not other.common.any()
    alone = Dataset([data.objects[pair.query]] * 2, {data.objects[pair.query].category_id: episode.category}, {})
    twins = EpisodeSampler(alone, sampler.config).episode(0)
    assert not np.allclose(twins.examples[0].points, twins.query.points, equal_nan=True)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(1, 2), st.integers(0, 14))
def test_heat_stands_on_the_visible_points_alone(data, seed, sigma, index):
    item = data.objects[index]
    config = replace(SMALL, sigma=sigma, augment=replace(WILD, shift=0.5))
    one = label_crop(item, config, np.random.default_rng(seed), read=False)
    for point, visible, heat in zip(one.points, one.visible, one.heatmaps, strict=True):
        assert visible == (np.isfinite(point).all() and bool((point >= 0).all() and (point < 1).all()))
        if not visible:
            assert not heat.any()
        elif (point * 16 + 0.5 < 16).all():
            row, column = np.unravel_index(heat.argmax(), heat.shape)
            assert (column, row) == tuple((point * 16 + 0.5).astype(int)) and heat.max() == 1
    expected, _ = heat_targets(one.points * 64, one.visible, sigma, 16, 4)
    np.testing.assert_array_equal(one.heatmaps, expected)


def test_the_released_crop_is_the_released_codes_and_its_visibility_that_of_the_heat_patch(data):
    item = data.objects[0]
    config = EpisodeConfig(released_crop=True, augment=PLAIN)
    one = label_crop(item, config, np.random.default_rng(0))
    matrix = crop_matrix(square_crop(item.box, 1.25), 256)
    np.testing.assert_array_equal(one.pixels, warp_pixels(read_image(item.image), matrix, 256))
    # 60 x 70 pixels at 1.25 make a window from x = 6.25 to 93.75: these lie a little left of it, and far.
    near = replace(item, category=TOOL, points=np.array([[4.0, 45.0], [-40.0, 45.0]]), visibility=np.array([2, 2]))
    assert label_crop(near, config, np.random.default_rng(0)).visible.tolist() == [True, False]
    assert not label_crop(near, replace(config, released_crop=False), np.random.default_rng(0)).visible.any()


def test_common_points_are_seen_in_all_pictures(data):
    sampler = EpisodeSampler(data, SMALL)
    counts = Counter()
    for at in range(27):
        episode = sampler.episode(at)
        expected = episode.query.visible & episode.examples[0].visible
        np.testing.assert_array_equal(episode.common, expected)
        counts.update(expected.tolist())
    assert len(counts) == 2  # both happen, else this says nothing


def test_examples_left_unread_have_the_same_labels(data):
    query = EpisodeSampler(data, SMALL).pair(5).query
    lost = [replace(item, image=item.image.with_name("gone.png")) for item in data.objects]
    gone = Dataset([*lost[:query], data.objects[query], *lost[query + 1 :]], data.categories, {})
    config = replace(SMALL, example_pixels=False)
    read = EpisodeSampler(data, SMALL).episode(5)
    with pytest.raises(InputError, match=r"no file .*gone\.png"):
        EpisodeSampler(gone, SMALL).episode(5)
    unread = EpisodeSampler(gone, config).episode(5)
    assert same(unread.query, read.query)
    assert same(unread.examples[0], replace(read.examples[0], pixels=np.zeros_like(read.query.pixels)))


# --- batches -------------------------------------------------------------------------------------------------------


def test_padding_and_company_change_nothing(data):
    sampler = EpisodeSampler(data, SMALL)
    episodes = [sampler.episode(at) for at in range(8)]
    batch = collate(episodes)
    assert {len(episode.category) for episode in episodes} == {2, 4}
    assert batch.examples.heatmaps.shape == (8, 1, 4, 16, 16) and batch.query.pixels.shape == (8, 64, 64, 3)
    assert batch.examples.pixels.dtype == np.uint8 and batch.query.heatmaps.dtype == np.float32
    for b, episode in enumerate(episodes):
        width = len(episode.category)
        assert batch.categories[b] == episode.category
        np.testing.assert_array_equal(batch.common[b, :width], episode.common)
        for column, whole in (((b,), batch.query), ((b, 0), batch.examples)):
            one = episode.query if len(column) == 1 else episode.examples[0]
            cut = [whole.points[column][:width], whole.visible[column][:width], whole.heatmaps[column][:width]]
            assert same(LabelledCrop(whole.pixels[column], *cut), one)
            assert not whole.visible[column][width:].any() and not whole.heatmaps[column][width:].any()
            assert np.isnan(whole.points[column][width:]).all()
        assert not batch.common[b, width:].any()


def test_a_batch_needs_equally_many_examples(data):
    episode = EpisodeSampler(data, SMALL).episode(0)
    with pytest.raises(InputError, match=r"same number of examples, but got \[1, 2\]"):
        collate([episode, replace(episode, examples=episode.examples * 2)])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sampling": "best"}, "sampling must be one of released, balanced"),
        ({"shots": 0}, "shots must be a whole number from 1"),
        ({"crop_scale": 0.0}, "crop_scale must be a number above 0"),
    ],
)
def test_what_is_no_episode_is_refused(settings, said):
    with pytest.raises(InputError, match=said):
        EpisodeConfig(**settings)


# --- weights of sources --------------------------------------------------------------------------------------------

kinds = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), min_size=1, max_size=40)


@given(kinds)
def test_one_source_is_the_square_root_rule(drawn):
    categories = [category for category, _ in drawn]
    counts = Counter(categories)
    plain = np.array([1 / np.sqrt(counts[category]) for category in categories])
    for weights, source in ((None, "any"), ({}, "any"), ({"any": 0.3}, "any")):
        np.testing.assert_array_equal(balanced_weights(categories, [source] * len(drawn), weights), plain / plain.sum())
    mixed = [source for _, source in drawn]
    np.testing.assert_array_equal(balanced_weights(categories, mixed), plain / plain.sum())  # none given: one pool


@given(kinds, st.fixed_dictionaries({name: st.floats(0.1, 9) for name in "abc"}))
def test_chances_are_source_then_category_then_object(drawn, weights):
    """Against the plain reading, draw by draw."""
    categories, sources = zip(*drawn, strict=True)
    weights = {name: weights[name] for name in set(sources)}
    chances = balanced_weights(list(categories), list(sources), weights)
    for (category, source), chance in zip(drawn, chances, strict=True):
        members = Counter(c for c, s in drawn if s == source)
        of_category = np.sqrt(members[category]) / sum(np.sqrt(n) for n in members.values())
        expected = weights[source] / sum(weights.values()) * of_category / members[category]
        assert chance == pytest.approx(expected)
    assert chances.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"a": 1.0}, "sources, which are 'a', 'b', but they are of 'a';"),
        ({"a": 1.0, "b": 1.0, "c": 1.0}, "are of 'a', 'b', 'c'; name each source, and no other"),
        ({"a": -1.0, "b": 2.0}, "must be 0 or more and one of them above 0"),
        ({"a": 0.0, "b": 0.0}, "one of them above 0"),
        ({"a": np.nan, "b": 1.0}, "must be 0 or more"),
    ],
)
def test_weights_must_fit_the_sources(weights, said):
    with pytest.raises(InputError, match=said):
        balanced_weights([1, 1, 2], ["a", "b", "b"], weights)


def test_a_source_of_weight_0_is_never_drawn():
    np.testing.assert_array_equal(balanced_weights([1, 1, 2], ["a", "b", "b"], {"a": 2, "b": 0}), [1, 0, 0])
