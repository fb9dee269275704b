"""The shipped matchers: photos' points stay where they were when they were shipped, whichever way they are asked."""

import json
from pathlib import Path

import numpy as np
import pytest

import anykeypoint as ak
from anykeypoint.images import read_image

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
HERE = Path(__file__).resolve().parent
LABELLED = np.array([[97.3, 95.4], [265.0, 54.3], [349.8, 283.8], [173.6, 340.0]])  # paper_2.jpg's corners


@pytest.fixture(scope="module", params=["fast", "accurate"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(shipped, name):
    return shipped(name)


@pytest.mark.parametrize("prompt", ["text", "example", "both"])
def test_the_photo_gives_the_recorded_points(name, model, sheet, prompt):
    category, example = sheet
    asked = {"example": None if prompt == "text" else example, "words": prompt != "example"}
    pose = model.predict(EXAMPLES / "paper_2.jpg", category, **asked)
    recorded = json.loads((HERE / f"{name}_points.json").read_text())[prompt]
    np.testing.assert_allclose(pose.xy, recorded["xy"], atol=2.0)
    np.testing.assert_allclose(pose.confidence, recorded["confidence"], atol=0.02)


def test_an_example_on_another_desk_finds_the_corners_of_a_sheet(model, sheet):
    category, example = sheet
    pose = model.predict(EXAMPLES / "paper_2.jpg", category, example=example, words=False)
    assert np.linalg.norm(pose.xy - LABELLED, axis=1).max() < 0.1 * 289


def test_shown_points_are_found_again_in_a_moved_copy(model, sheet):
    category, example = sheet
    pixels = np.asarray(read_image(EXAMPLES / "paper_1.jpg"))
    moved = np.pad(pixels, ((90, 0), (40, 0), (0, 0)), mode="edge")[: len(pixels), : pixels.shape[1]]
    pose = model.predict(moved, category, example=example, words=False)
    off = np.linalg.norm(pose.xy - example.points - np.array([40, 90]), axis=1)
    assert (off[:2] < 20).all()  # the lower corners have left the picture


def test_the_order_of_the_points_changes_nothing_but_rounding(model):
    names = ["left eye", "nose tip", "right eye", "chin"]
    view = model.encode(EXAMPLES / "astronaut.jpg", (150, 20, 160, 180))
    together = view.predict(ak.Category.from_text("; ".join(names), noun="human face"))
    turned = view.predict(ak.Category.from_text("; ".join(names[::-1]), noun="human face"))
    np.testing.assert_allclose(together.xy, turned.xy[::-1], atol=1e-3)
