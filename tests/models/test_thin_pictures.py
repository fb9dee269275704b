"""Long thin pictures: whatever a model answers in its square crop, no point lies outside the picture."""

import numpy as np
import pytest
import tiny
import tiny_matchers
from hypothesis import given, settings
from hypothesis import strategies as st
from test_arguments import few_shot

import anykeypoint as ak
from anykeypoint.geometry import CAPELLM_CROP, MATCHER_CROP
from anykeypoint.models.view import cut_object

FISH = tiny_matchers.FISH
SIZES = [(3000, 7), (5, 2000), (1, 900), (900, 1), (1, 1), (700, 30)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_place_of_the_crop_becomes_one_of_the_picture(data):
    long, short = data.draw(st.integers(1, 4000)), data.draw(st.integers(1, 40))
    width, height = (long, short) if data.draw(st.booleans()) else (short, long)
    scale, size = data.draw(st.sampled_from([CAPELLM_CROP, MATCHER_CROP, (1.25, 320)]))
    cut = cut_object(np.zeros((height, width, 3), np.uint8), None, scale, size)
    points = np.array([[data.draw(st.floats(-0.5, 1.5)) for _ in range(2)] for _ in FISH.keypoints])
    pose = cut.pose(FISH, points, np.ones(len(FISH)))
    assert (pose.xy >= 0).all() and (pose.xy <= (width, height)).all() and pose.image_size == (width, height)
    inside = ((cut.crop.to_image(points) >= 0) & (cut.crop.to_image(points) <= (width, height))).all(axis=1)
    np.testing.assert_array_equal(pose.xy[inside], cut.crop.to_image(points)[inside])
    centre = cut.crop.normalise([[width / 2, height / 2]])
    np.testing.assert_allclose(cut.to_image(centre), [[width / 2, height / 2]], atol=1e-6)


@pytest.mark.parametrize("released", [False, True])
def test_of_an_object_in_a_box_points_may_lie_outside(released):
    cut = cut_object(np.zeros((10, 300, 3), np.uint8), (0, 0, 100, 10), 1.0, 50, released)
    assert cut.to_image(np.array([[0.5, 0.0]])).tolist() == [[50, -45]]


def test_an_absent_point_stays_absent():
    cut = cut_object(np.zeros((10, 300, 3), np.uint8), None, 1.0, 50)
    assert np.isnan(cut.to_image(np.full((1, 2), np.nan))).all()


@pytest.mark.parametrize("name", ["evidence", "capex", "capellm", "kptllm", "few-shot"])
def test_no_model_answers_outside_a_long_thin_picture(name, tmp_path):
    makers = {"capellm": tiny.capellm, "kptllm": tiny.kptllm}
    if name == "few-shot":
        model = few_shot()
    else:
        model = makers[name](tmp_path / name) if name in makers else tiny_matchers.matcher(name, tmp_path)
    for width, height in SIZES:
        picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
        shown = {"example": tiny_matchers.example()} if name == "few-shot" else {}
        pose = model.predict(picture, FISH, density=8, **shown)
        there = pose.xy[pose.present]
        assert len(there) and (there >= 0).all() and (there <= (width, height)).all()
        assert isinstance(pose.draw(image=picture), object)
    assert isinstance(pose, ak.Pose)
