"""FiftyOne's model, by FiftyOne's own classes; and on a data set where its database can be started.

`pip install fiftyone` in an environment of its own, beside anykeypoint; skipped where it is not there.
"""

from dataclasses import replace

import numpy as np
import pytest
import tiny_matchers
from PIL import Image

from anykeypoint.serving.adapters import fiftyone as adapters
from anykeypoint.serving.adapters.tool_adapter import ToolAdapter

fo = pytest.importorskip("fiftyone", reason="FiftyOne is not installed")

FISH = tiny_matchers.FISH
PICTURE = tiny_matchers.picture(0)
SIZE = np.array([90, 70])


class Forgetful:
    """A model that finds the first two points in no picture."""

    def __init__(self, model):
        self.model = model

    def predict(self, image, category, **options):
        pose = self.model.predict(image, category, **options)
        present = np.arange(len(FISH)) >= 2
        return replace(pose, present=present, presence=None, covariance=None, entropy=None)


@pytest.fixture(scope="module")
def model(tiny_model):
    return adapters.as_fiftyone_model(tiny_model, ToolAdapter(FISH))


def test_it_is_a_model_of_fiftyone_that_takes_pictures(model):
    assert isinstance(model, fo.Model) and model.media_type == "image"


def test_its_answer_is_keypoints_in_shares_of_the_picture_with_a_confidence_each(model, tiny_model):
    found = model.predict(PICTURE)
    expected = tiny_model.predict(PICTURE, FISH)
    assert isinstance(found, fo.Keypoints) and isinstance(found.keypoints[0], fo.Keypoint)
    (one,) = found.keypoints
    assert one.label == "fish" and one.bounding_box == [0, 0, 1, 1]
    places = np.where(expected.present[:, None], expected.xy, np.nan)
    assert np.allclose(np.array(one.points) * SIZE, places, atol=1e-3, equal_nan=True)
    assert np.allclose(np.array(one.confidence)[expected.present], expected.confidence[expected.present], atol=1e-4)


def test_points_that_are_not_present_are_nan_and_survive_being_stored(tiny_model):
    (one,) = adapters.as_fiftyone_model(Forgetful(tiny_model), ToolAdapter(FISH)).predict(PICTURE).keypoints
    again = fo.Keypoint.from_dict(one.to_dict())
    for keypoint in (one, again):
        missing = np.isnan(np.array(keypoint.points)).all(axis=1)
        assert missing.tolist() == [True, True, False, False, False]
        assert np.isnan(keypoint.confidence).tolist() == missing.tolist()


def test_fiftyone_s_own_threshold_works_on_it(model):
    (one,) = model.predict(PICTURE).keypoints
    least = float(np.nanmedian(one.confidence))
    one.apply_confidence_threshold(least)
    shown = np.isfinite(np.array(one.points)).all(axis=1)
    assert shown.tolist() == [sure >= least for sure in one.confidence]


def test_the_skeleton_counts_from_zero():
    edged = replace(FISH, skeleton=((0, 1), (0, 2)))
    skeleton = adapters.skeleton_of(ToolAdapter(edged))
    assert skeleton.labels == FISH.names and skeleton.edges == [[0, 1], [0, 2]]


def test_a_data_set_is_answered(model, tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    try:
        pictures = fo.Dataset()
    except Exception as error:  # FiftyOne's own: its database is a program that it looks for and starts
        pytest.skip(f"FiftyOne's database does not start here: {str(error)[:80]}")
    try:
        pictures.add_sample(fo.Sample(filepath=str(tmp_path / "a.png")))
        pictures.apply_model(model, label_field="pose")
        assert len(pictures.first().pose.keypoints[0].points) == len(FISH)
    finally:
        pictures.delete()
