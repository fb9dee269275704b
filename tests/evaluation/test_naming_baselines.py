"""Naming without the picture: an answer is one of the names there are, and always the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.evaluation.baselines.names import (
    MostFrequentName,
    NearestMeanPosition,
    RandomName,
    shipped_name_baselines,
)
from anykeypoint.evaluation.baselines.positions import MeanPosition

POSITIONS = MeanPosition({"L_Eye": (0.3, 0.2), "right eye": (0.7, 0.2), "chin": (0.5, 0.9)})
COUNTS = {"L_Eye": 3, "left eye": 4, "Nose": 6, "chin": 6}
ALL = [NearestMeanPosition(POSITIONS), MostFrequentName(COUNTS), RandomName(list(COUNTS))]


def face(*names):
    return Category("face", tuple(Keypoint(name) for name in names))


def called(model, points, category=None, box=(0, 0, 1, 1)):
    return [answer.name for answer in model.identify(None, np.array(points, float), box=box, category=category)]


def test_the_nearest_mean_position_is_measured_in_the_crop():
    """The crop of the box (1, 1, 8, 8) is 10 pixels wide and begins at 0."""
    points, model, box = [(3, 3), (8, 1), (6, 10)], NearestMeanPosition(POSITIONS), (1, 1, 8, 8)
    assert called(model, points, face("chin", "left eye", "right eye"), box) == ["left eye", "right eye", "chin"]
    assert called(model, points, face("chin", "right eye"), box) == ["right eye", "right eye", "chin"]
    assert called(model, points, None, box) == ["left eye", "right eye", "chin"]


def test_the_most_frequent_name_counts_all_ways_of_writing_it():
    model = MostFrequentName(COUNTS)
    assert called(model, [(0, 0), (9, 9)], face("nose", "left eye")) == ["left eye", "left eye"]
    assert called(model, [(0, 0)], face("tail", "chin", "nose")) == ["chin"]
    assert called(model, [(0, 0)], face("tail", "knee")) == ["tail"]
    assert called(model, [(0, 0)]) == ["left eye"]


def test_random_names_follow_the_seed_and_reach_all():
    category, points = face("a", "b", "c"), [(i, 2.0) for i in range(60)]
    first, again, other = (called(RandomName(COUNTS, seed), points, category) for seed in (0, 0, 1))
    assert set(first) == {"a", "b", "c"} and first == again != other
    assert set(called(RandomName(COUNTS), points)) == {"left eye", "nose", "chin"}


places = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=5)


@given(places, st.sampled_from(ALL))
def test_every_point_is_named_by_itself(points, model):
    category = face("left eye", "chin", "zzz")
    together = called(model, points, category, (0, 0, 10, 20))
    assert set(together) <= set(category.names)
    assert together == [called(model, [point], category, (0, 0, 10, 20))[0] for point in points]


def test_what_is_shipped_names_points_with_and_without_a_category():
    for model in shipped_name_baselines():
        (answer,) = model.identify(None, np.array([[0.5, 0.5]]), box=(0, 0, 1, 1), category=None)
        assert answer.name == answer.name.strip() != "" and answer.confidence == 1
        assert called(model, [(0.5, 0.5)], face("nose")) == ["nose"]


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
@pytest.mark.parametrize("points", [[1, 2], [[np.nan, 1]], [["here", "there"]], None, [[[1, 2]]]], ids=str)
def test_what_are_no_points_is_refused(model, points):
    with pytest.raises(InputError, match=r"must be finite and \(P, 2\)"):
        model.identify(None, points, box=(0, 0, 1, 1), category=face("nose"))
