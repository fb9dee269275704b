"""Matching by looks: it finds what it was shown, and neither caching nor the examples' order changes an answer."""

import math
import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.evaluation.baselines import neighbours
from anykeypoint.evaluation.baselines.neighbours import NearestNeighbour
from anykeypoint.evaluation.baselines.positions import CopyExample
from anykeypoint.example import Example
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.sources import packages

BOX = (20, 10, 40, 32)  # of a picture 80 x 60
POINTS = np.array([[25.0, 15.0], [38.0, 22.0], [55.0, 40.0]])
CATEGORY = Category("thing", tuple(Keypoint(name) for name in "abc"))


class Tiny(torch.nn.Module):
    """Random filters at strides 16 and 32 in the place of EfficientNet; counts how often it looks."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fine, self.coarse = torch.nn.Conv2d(3, 12, 16, 16), torch.nn.Conv2d(3, 16, 32, 32)
        self.looks = 0

    def normalise(self, images):
        return images.permute(0, 3, 1, 2).float() / 255 - 0.5

    def model(self, pixels):
        self.looks += 1
        return self.fine(pixels), self.coarse(pixels)


@pytest.fixture
def model():
    return NearestNeighbour(Tiny())


def noise(seed, width=80, height=60):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_examples_own_points_are_found_in_its_own_picture(model):
    picture = noise(0)
    answer = model.predict(picture, CATEGORY, box=BOX, example=[Example(picture, POINTS, BOX)])
    cell = 1.25 * 40 / 20
    assert np.linalg.norm(answer.xy - POINTS, axis=1).max() < cell
    assert ((answer.confidence > 0) & (answer.confidence <= 1)).all()


def test_points_move_with_the_object(model):
    picture, moved = noise(0), noise(1, 160, 120)
    moved[30:90, 50:130] = picture
    shown = Example(picture, POINTS, BOX)
    here = model.predict(picture, CATEGORY, box=BOX, example=[shown])
    there = model.predict(moved, CATEGORY, box=(70, 40, 40, 32), example=[shown])
    np.testing.assert_allclose(there.xy, here.xy + np.array([50, 30]), atol=1e-3)


@pytest.mark.parametrize("prior", [0.0, 0.1])
def test_it_is_the_mean_of_similarity_and_prior_over_the_examples_that_show_the_point(prior):
    """The slow way, cell by cell."""
    model, query, box = NearestNeighbour(Tiny(), prior), noise(5), (15, 12, 30, 40)
    partly = np.where([[True], [False], [True]], POINTS, np.nan)
    examples = [Example(noise(1), POINTS, BOX), Example(noise(2), partly, BOX), Example(noise(3), partly + 2, BOX)]
    answer = model.predict(query, CATEGORY, box=box, example=examples)
    corner, side = np.array([15 + 15 - 25, 12 + 20 - 25]), 50
    cells = model.features(query, box)
    copied = [CopyExample().predict(None, CATEGORY, box=box, example=[shown]).xy for shown in examples]
    for k in range(3):
        scores = np.zeros((20, 20))
        seen = [i for i in range(3) if not np.isnan(examples[i].points[k]).any()]
        for i in seen:
            place = (examples[i].points[k] - (40 - 25, 26 - 25)) / 50 * 20 - 0.5  # in cells, from the first's centre
            column, row = (int(v) for v in np.floor(place))
            across, down = place - (column, row)
            shown = model.features(examples[i].image, BOX)
            feature = sum(
                shown[:, row + r, column + c] * (down if r else 1 - down) * (across if c else 1 - across)
                for r in (0, 1)
                for c in (0, 1)
            )
            for r in range(20):
                for c in range(20):
                    cosine = F.cosine_similarity(feature, cells[:, r, c], dim=0)
                    centre = np.array([c + 0.5, r + 0.5]) / 20
                    distance = np.linalg.norm(centre - (copied[i][k] - corner) / side)
                    scores[r, c] += (cosine + prior * math.exp(-(distance**2) / (2 * 0.25**2))) / len(seen)
        shares = np.exp((scores - scores.max()) / neighbours.TEMPERATURE)
        shares /= shares.sum()
        row, column = np.unravel_index(scores.argmax(), scores.shape)
        total, xy = 0.0, np.zeros(2)
        for r in range(max(row - 1, 0), min(row + 2, 20)):
            for c in range(max(column - 1, 0), min(column + 2, 20)):
                total += shares[r, c]
                xy += shares[r, c] * np.array([c + 0.5, r + 0.5]) / 20
        xy /= total
        np.testing.assert_allclose(answer.xy[k], corner + xy * side, atol=1e-3)
        near = sum(
            shares[r, c]
            for r in range(20)
            for c in range(20)
            if np.linalg.norm(np.array([c + 0.5, r + 0.5]) / 20 - xy) < 0.1
        )
        assert answer.confidence[k] == pytest.approx(near, abs=1e-4)


def test_a_point_that_no_example_shows_is_absent(model):
    points = np.where([[True], [False], [True]], POINTS, np.nan)
    answer = model.predict(noise(1), CATEGORY, box=BOX, example=[Example(noise(0), points, BOX)] * 2)
    np.testing.assert_array_equal(np.isnan(answer.xy).all(axis=1), [False, True, False])
    np.testing.assert_array_equal(np.isnan(answer.confidence), [False, True, False])


def test_where_all_looks_alike_the_prior_decides(model):
    plain = np.full((60, 80, 3), 90, np.uint8)
    box, inner = (30, 20, 20, 16), np.array([[32.0, 24.0], [40.0, 28.0], [48.0, 34.0]])
    example = [Example(plain, inner, box)]
    answer = model.predict(plain, CATEGORY, box=box, example=example)
    assert np.linalg.norm(answer.xy - inner, axis=1).max() < 1.25 * 20 / 20
    alone = NearestNeighbour(model.encoder, prior=0)
    assert len(np.unique(alone.predict(plain, CATEGORY, box=box, example=example).xy.round(3), axis=0)) == 1
    assert alone.name != model.name


def test_the_order_of_examples_does_not_matter(model):
    examples = [Example(noise(seed), POINTS + seed, BOX) for seed in range(3)]
    one, other = (model.predict(noise(9), CATEGORY, box=BOX, example=order) for order in (examples, examples[::-1]))
    np.testing.assert_allclose(one.xy, other.xy, atol=1e-4)


def test_pictures_in_files_are_looked_at_once_and_anew_when_they_change(tmp_path, monkeypatch):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        Image.fromarray(noise(i)).save(path)
    model, encoder = NearestNeighbour(Tiny()), Tiny()
    kept = NearestNeighbour(encoder)
    for query, shown in ((1, 0), (0, 1), (1, 0)):
        example = [Example(paths[shown], POINTS, BOX)]
        answer = kept.predict(str(paths[query]), CATEGORY, box=BOX, example=example)
        plain = model.predict(noise(query), CATEGORY, box=BOX, example=[Example(noise(shown), POINTS, BOX)])
        np.testing.assert_array_equal(answer.xy, plain.xy)
        np.testing.assert_array_equal(answer.confidence, plain.confidence)
    assert encoder.looks == 2  # the two files, given as paths and as texts
    assert model.encoder.looks == 6  # arrays have no name to be known by
    before = kept.features(paths[0], BOX)
    assert not torch.equal(kept.features(paths[0], (0, 0, 20, 20)), before)
    Image.fromarray(noise(7)).save(paths[0])
    os.utime(paths[0], ns=(1, 1))
    assert not torch.equal(kept.features(paths[0], BOX), before)
    monkeypatch.setattr(neighbours, "CACHE_SIZE", 2)
    small = NearestNeighbour(Tiny())
    for path in (*paths, paths[2], paths[1], paths[0]):
        small.features(path, BOX)
    assert small.encoder.looks == 4  # the last two maps were kept, the first was not


def test_a_dot_product_of_the_map_is_the_mean_of_both_maps_cosines():
    torch.manual_seed(0)
    fine, coarse = torch.randn(1, 5, 4, 4), torch.randn(1, 3, 2, 2)
    found = neighbours.unit_map(fine, coarse)
    wide = F.interpolate(coarse, size=(4, 4), mode="bilinear")
    cosines = [F.cosine_similarity(part[0, :, 0, 1], part[0, :, 3, 2], dim=0) for part in (fine, wide)]
    assert found[:, 0, 1] @ found[:, 3, 2] == pytest.approx(float(sum(cosines) / 2), abs=1e-5)


def test_features_between_cells_are_bilinear_and_of_unit_length():
    torch.manual_seed(0)
    features = F.normalize(torch.randn(6, 4, 4), dim=0)
    places = torch.tensor([[0.375, 0.625], [0.5, 0.625], [-3.0, 0.125], [1.0, 1.0]])
    found = neighbours.features_at_points(features, places)
    expected = [features[:, 2, 1], features[:, 2, 1] + features[:, 2, 2], features[:, 0, 0], features[:, 3, 3]]
    for line, feature in zip(found, expected, strict=True):
        assert torch.allclose(line, F.normalize(feature, dim=0), atol=1e-5)


@given(st.integers(2, 12), st.integers(0, 1000))
def test_a_peak_lies_within_a_cell_of_the_highest_and_its_share_is_a_share(side, seed):
    scores = torch.rand(3, side * side, generator=torch.Generator().manual_seed(seed))
    xy, confidence = neighbours.peaks(scores)
    best = neighbours.cell_centres(side)[scores.argmax(dim=1)].numpy()
    assert (np.abs(xy - best) <= 1 / side + 1e-6).all()
    assert ((confidence >= 0) & (confidence <= 1 + 1e-6)).all()


def test_what_cannot_be_matched_is_refused(model):
    with pytest.raises(InputError, match="one or more examples"):
        model.predict(noise(0), CATEGORY, box=BOX, example=[])
    with pytest.raises(InputError, match="has 2 points"):
        model.predict(noise(0), CATEGORY, box=BOX, example=[Example(noise(0), POINTS[:2], BOX)])
    with pytest.raises(InputError, match="There is no file"):
        model.predict("nowhere.png", CATEGORY, box=BOX, example=[Example(noise(0), POINTS, BOX)])
    with pytest.raises(InputError, match="prior must be a number from 0"):
        NearestNeighbour(Tiny(), prior=float("nan"))


def test_the_real_features_find_more_than_copying(shared):
    """On ten photos of one kind of object (from one video each), with the next photo's labels as the example."""
    if not packages.fetched("efficientnet-lite2"):
        pytest.skip("the EfficientNet weights are not in the cache; `anykeypoint weights fast` fetches them")
    objects = read_coco(shared / "data" / "field_val.json", shared / "data" / "images").objects
    objects = [item for item in objects if item.category_id == objects[0].category_id][:10]
    model, found = NearestNeighbour.shipped(), {}
    for baseline in (CopyExample(), model):
        distances = []
        for item, shown in zip(objects, objects[1:] + objects[:1], strict=True):
            example = [Example(shown.image, shown.points, shown.box)]
            xy = baseline.predict(item.image, item.category, box=item.box, example=example).xy
            distances.append(np.linalg.norm(xy - item.points, axis=1) / max(item.box[2:]))
        distances = np.concatenate(distances)
        found[baseline.name] = (distances[~np.isnan(distances)] < 0.1).mean()
    assert found["nearest_neighbour"] > found["copy_example"] + 0.05
