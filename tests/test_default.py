"""The shipped default: its weights load strictly and a photo's points stay where they were when it was shipped."""

import json
from pathlib import Path

import numpy as np
import pytest

import anykeypoint as ak
from anykeypoint.errors import InputError
from anykeypoint.models.loading import find

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RECORDED = Path(__file__).resolve().parent / "default_points.json"


@pytest.fixture(scope="module")
def model():
    try:
        return ak.load(device="cpu")
    except InputError as error:
        if "could not download" in str(error):
            pytest.skip(f"the base weights are not here and cannot be fetched: {error}")
        raise


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


def test_the_weights_are_small_and_come_with_a_card(model):
    folder = find("default")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 25e6
    card = (folder / "README.md").read_text()
    for word in ("PCK", "licence", "baseline", "non-commercial"):
        assert word in card


def test_unknown_models_list_the_shipped():
    with pytest.raises(InputError, match="default"):
        ak.load("better")
