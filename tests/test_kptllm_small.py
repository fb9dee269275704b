"""The shipped kptllm-small: what it says of photos stays what it was when it was shipped, in all three tasks."""

import json
from pathlib import Path

import numpy as np
import pytest

import anykeypoint as ak

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
RECORDED = json.loads((Path(__file__).resolve().parent / "kptllm_small_answers.json").read_text())
BOX = (150, 20, 160, 180)  # the astronaut's face


@pytest.fixture(scope="module")
def model(shipped):
    return shipped("kptllm-small")


@pytest.mark.parametrize("prompt", ["text", "example", "both"])
def test_the_photo_gives_the_recorded_points(model, sheet, prompt):
    category, example = sheet
    asked = {"example": None if prompt == "text" else example, "words": prompt != "example"}
    pose = model.predict(EXAMPLES / "paper_2.jpg", category, **asked)
    np.testing.assert_allclose(pose.xy, RECORDED[prompt]["xy"], atol=2.0)
    np.testing.assert_allclose(pose.confidence, RECORDED[prompt]["confidence"], atol=0.02)


def test_points_get_the_recorded_names(model):
    points = np.array(RECORDED["identify"]["points"])
    view = model.encode(EXAMPLES / "astronaut.jpg", BOX)
    own = view.identify(points)
    assert [answer.name for answer in own] == RECORDED["identify"]["own"]
    category = ak.Category.from_text(RECORDED["identify"]["category"], noun="human face")
    chosen = view.identify(points, category)
    for answer, recorded in zip(chosen, RECORDED["identify"]["chosen"], strict=True):
        assert list(answer.probabilities) == list(category.names)
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.probabilities == pytest.approx(recorded, abs=0.02)


def test_company_and_order_of_the_points_change_nothing(model, sheet):
    category, example = sheet
    view = model.encode(EXAMPLES / "paper_2.jpg")
    together = view.predict(category, example)
    for k in (2, 0):
        one = category.only([k])
        alone = view.predict(one, ak.Example(example.image, example.points[[k]], category=one))
        assert np.array_equal(alone.xy[0], together.xy[k])
