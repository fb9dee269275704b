"""Naming without the picture: an answer is one of the category's names, and always the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.evaluation.baselines import MeanPosition
from anykeypoint.evaluation.naming import MostFrequentName, NearestMeanPosition, RandomName

POSITIONS = MeanPosition({"left eye": (0.3, 0.2), "right eye": (0.7, 0.2), "chin": (0.5, 0.9)})
COUNTS = {"L_Eye": 3, "left eye": 4, "Nose": 6, "chin": 6}


def face(*names):
    return Category("face", tuple(Keypoint(name) for name in names))


ALL = [NearestMeanPosition(POSITIONS), MostFrequentName(COUNTS), RandomName()]


@pytest.mark.parametrize("point, name", [((3, 3), "left eye"), ((8, 1), "right eye"), ((6, 10), "chin")])
def test_the_nearest_mean_position_is_measured_in_the_crop(point, name):
    """The crop of the box (1, 1, 8, 8) is 10 pixels wide and begins at 0."""
    category = face("chin", "left eye", "right eye")
    assert NearestMeanPosition(POSITIONS).identify(None, point, box=(1, 1, 8, 8), category=category) == name


def test_the_most_frequent_name_counts_all_ways_of_writing_it():
    model, box = MostFrequentName(COUNTS), (0, 0, 1, 1)
    assert model.identify(None, (0, 0), box=box, category=face("nose", "left eye")) == "left eye"
    assert model.identify(None, (0, 0), box=box, category=face("tail", "chin", "nose")) == "chin"
    assert model.identify(None, (0, 0), box=box, category=face("tail", "knee")) == "tail"
    assert max(MostFrequentName.shipped().counts.values()) > 100


def test_random_names_follow_the_seed_and_reach_all():
    category = face("a", "b", "c")
    points = [(float(i), 2.0) for i in range(60)]

    def called(seed):
        model = RandomName(seed)
        return [model.identify(None, point, box=(0, 0, 1, 1), category=category) for point in points]

    assert set(called(0)) == {"a", "b", "c"} and called(0) == called(0) != called(1)


@given(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), st.sampled_from(ALL))
def test_any_place_gets_one_of_the_names_and_a_tuple_is_as_good_as_an_array(point, model):
    category = face("left eye", "chin", "zzz")
    name = model.identify(None, point, box=(0, 0, 10, 20), category=category)
    assert name in category.names
    assert model.identify(None, np.array(point), box=(0, 0, 10, 20), category=category) == name


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
@pytest.mark.parametrize("point", [(1,), (np.nan, 1), "here", None, [[1, 2]]])
def test_what_is_no_point_is_refused(model, point):
    with pytest.raises(InputError, match="two finite numbers"):
        model.identify(None, point, box=(0, 0, 1, 1), category=face("nose"))
