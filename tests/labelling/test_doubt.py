"""How unsure an answer is."""

import numpy as np
import pytest

from anykeypoint.labelling.doubt import doubt, most_unsure_first
from anykeypoint.pose import Pose


def pose(*confidences: float, asked: tuple[int, ...] | None = None) -> Pose:
    """A pose of points with these confidences; NaN places where they were not asked."""
    xy = np.zeros((len(confidences), 2)) + 5
    xy[[i for i in range(len(confidences)) if asked is not None and i not in asked]] = np.nan
    confidence = np.where(np.isnan(xy[:, 0]), np.nan, np.array(confidences, dtype=float))
    names = [f"point {i}" for i in range(len(confidences))]
    return Pose(names=names, xy=xy, confidence=confidence, present=np.isfinite(xy[:, 0]), image_size=(10, 10))


def test_doubt_is_the_share_of_points_that_are_expected_elsewhere():
    assert doubt(pose(1, 1)) == 0 and doubt(pose(0.5, 0.9)) == pytest.approx(0.3)
    assert doubt(pose(0.5, np.nan)) == pytest.approx(0.75), "nothing speaks for a point without a confidence"


def test_points_that_could_not_be_asked_do_not_count():
    assert doubt(pose(0.5, 0.9, asked=(1,))) == pytest.approx(0.1)
    assert doubt(pose(0.5, 0.9, asked=())) == 1


def test_the_most_unsure_come_first_and_equal_ones_by_name():
    assert most_unsure_first({"b": 0.2, "c": 0.7, "a": 0.2}) == ["c", "a", "b"]
