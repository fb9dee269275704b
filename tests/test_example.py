"""An example: what it holds and what it refuses."""

import numpy as np
import pytest

import anykeypoint as ak
from anykeypoint.errors import InputError

NAN = float("nan")
PAIR = ak.Category.from_text("nose; tail", noun="dog")


def test_points_that_are_not_marked_are_nan_and_the_rest_are_kept():
    example = ak.Example("dog.png", [(1, 2), (NAN, NAN)], (0, 0, 4, 4), PAIR)
    np.testing.assert_array_equal(example.points, [[1, 2], [NAN, NAN]])
    assert example.marked.tolist() == [True, False] and len(example) == 2 and example.box == (0.0, 0.0, 4.0, 4.0)
    assert repr(example) == f"Example({PAIR.name!r}, 2 keypoints, 1 marked)"


def test_an_examples_points_cannot_be_changed_from_outside():
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    example = ak.Example("dog.png", points)
    points[0] = 9
    assert example.points[0].tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        example.points[0] = 9


@pytest.mark.parametrize(
    "points, box, category, words",
    [
        ([[NAN, NAN]], None, None, "all of its points are NaN"),
        ([[1, NAN]], None, None, "all of its points are NaN"),
        ([[1, float("inf")]], None, None, "infinite"),
        ([1, 2], None, None, r"\(K, 2\).*\(2,\)"),
        ([["a", "b"]], None, None, "array of numbers"),
        ([[1, 2]], None, PAIR, "has 1 points, but its category .* has 2"),
        ([[1, 2]], (0, 0, 0, 0), None, "width or height above 0"),
    ],
)
def test_an_example_that_shows_nothing_or_does_not_fit_is_refused(points, box, category, words):
    with pytest.raises(InputError, match=words):
        ak.Example("dog.png", points, box, category)
