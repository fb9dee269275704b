"""The shipped capellm-small: its weights load strictly, and a photo's points stay where they were at first."""

import json
from pathlib import Path

import numpy as np
import pytest

import anykeypoint as ak
from anykeypoint.errors import InputError

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RECORDED = Path(__file__).resolve().parent / "capellm_small_points.json"


@pytest.fixture(scope="module")
def model(shipped):
    return shipped("capellm-small")


def test_the_photo_gives_the_recorded_points(model):
    recorded = json.loads(RECORDED.read_text())
    category = ak.Category.from_text(recorded["keypoints"], noun=recorded["noun"])
    pose = model.predict(EXAMPLES / "astronaut.jpg", category, box=recorded["box"])
    np.testing.assert_allclose(pose.xy, recorded["xy"], atol=2.0)
    np.testing.assert_allclose(pose.confidence, recorded["confidence"], atol=0.02)


def test_order_and_company_of_the_points_do_not_matter(model):
    names = ["left eye", "nose tip", "right eye", "chin"]
    box = (150, 20, 160, 180)
    view = model.encode(EXAMPLES / "astronaut.jpg", box)
    together = view.predict(ak.Category.from_text("; ".join(names), noun="human face"))
    turned = view.predict(ak.Category.from_text("; ".join(names[::-1]), noun="human face"))
    assert np.array_equal(together.xy, turned.xy[::-1])
    for i, name in enumerate(names):
        alone = view.predict(ak.Category.from_text(name, noun="human face"))
        assert np.array_equal(alone.xy[0], together.xy[i])


def test_unknown_models_list_the_shipped():
    with pytest.raises(InputError, match="capellm-small"):
        ak.load("better")
