"""Matchers that are asked about the mirrored picture too: the mean is exact for left and right."""

import numpy as np
import pytest
import torch
from tiny_matchers import FISH, example, matcher, picture

from anykeypoint.category import Category
from anykeypoint.errors import InputError
from anykeypoint.models.matching.mirroring import MeanOutput, with_mirrored

BOX, WIDTH = (6, 5, 48, 50), 90
PROMPTS = {"text": {"words": True}, "example": {"example": example(), "words": False}}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matchers")
    return {name: matcher(name, folder) for name in ("evidence", "capex", "graphcape")}


@pytest.mark.parametrize(
    ("name", "prompt"), [("evidence", "text"), ("evidence", "example"), ("capex", "text"), ("graphcape", "example")]
)
def test_the_mirrored_picture_gets_the_mirrored_answer_with_left_and_right_exchanged(models, name, prompt):
    asked = {"mirror": True, "density": True, **PROMPTS[prompt]}
    pixels = np.asarray(picture())
    assert pixels.shape[1] == WIDTH
    answer = models[name].predict(pixels, FISH, box=BOX, **asked)
    x, y, w, h = BOX
    turned = models[name].predict(np.ascontiguousarray(pixels[:, ::-1]), FISH, box=(WIDTH - x - w, y, w, h), **asked)
    order = FISH.mirrored()
    np.testing.assert_allclose(turned.xy, answer.xy[order] * (-1, 1) + (WIDTH, 0), atol=1e-2)
    np.testing.assert_allclose(turned.confidence, answer.confidence[order], atol=1e-3)
    for k, key in enumerate(FISH.names):
        other = answer.density[FISH.names[order[k]]].grid[:, ::-1]
        np.testing.assert_allclose(turned.density[key].grid, other, atol=1e-4)
    alone = models[name].predict(pixels, FISH, box=BOX, density=True, **PROMPTS[prompt])
    assert any(not np.allclose(alone.density[key].grid, answer.density[key].grid, atol=1e-6) for key in FISH.names)


def output(*columns):
    """One output of points at the middle of columns of a map of 1 x 4 cells."""
    probabilities = torch.zeros(1, len(columns), 1, 4)
    for k, column in enumerate(columns):
        probabilities[0, k, 0, column] = 1
    points = torch.tensor([[[(column + 0.5) / 4, 0.5] for column in columns]])
    return MeanOutput(points, probabilities)


def test_a_side_without_a_partner_keeps_what_the_picture_alone_says():
    kind = Category.from_text("left ear; left eye; right eye; nose")
    found = with_mirrored(output(0, 0, 3, 1), output(0, 1, 3, 1), kind, np.ones(4, dtype=bool), lambda _: None)
    # In the mirrored picture the left eye lies in column 1 and the right one in column 3, which is column 0 here.
    torch.testing.assert_close(found.points[0, :, 0], torch.tensor([0.125, 0.125, 0.75, 0.5]))
    torch.testing.assert_close(found.probabilities[0, 0], output(0).probabilities[0, 0])
    torch.testing.assert_close(found.probabilities[0, 2, 0], torch.tensor([0, 0, 0.5, 0.5]))


def test_a_partner_that_the_prompt_does_not_cover_adds_nothing():
    kind = Category.from_text("left eye; right eye")
    covered = np.array([True, False])
    found = with_mirrored(output(0, 3), output(2, 2), kind, covered, lambda _: None)
    torch.testing.assert_close(found.points, output(0, 3).points)


def test_only_true_and_false_are_taken(models):
    with pytest.raises(InputError, match="mirrored picture"):
        models["evidence"].predict(picture(), FISH, mirror="yes")
