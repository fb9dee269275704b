"""The API: what it answers is what the model answers in Python."""

import io
import json

import numpy as np
import pytest
import tiny_matchers
from PIL import Image
from server_calls import WORDS, ask, png, xy

from anykeypoint import Category, Pose
from anykeypoint.library.lookup import names_for_people

FISH = tiny_matchers.FISH


def test_words_give_the_model_s_own_answer(client, tiny_model):
    answer = ask(client, keypoints=WORDS, noun="fish")
    expected = tiny_model.predict(tiny_matchers.picture(0), Category.from_text(WORDS, "fish", "fish"))
    pose = Pose.from_dict(answer.json()["poses"][0])
    assert np.allclose(pose.xy, expected.xy, atol=1e-3) and pose.names == expected.names
    assert np.allclose(pose.confidence, expected.confidence, atol=1e-4)
    assert answer.json()["image_size"] == [90, 70] and answer.json()["model"] == "tiny"


def test_several_boxes_give_a_pose_each_in_order(client, tiny_model):
    boxes = [[5, 5, 40, 40], [-10, 20, 50, 45], [30, 10, 50, 50]]
    answer = ask(client, keypoints=WORDS, boxes=boxes)
    expected = [tiny_model.predict(tiny_matchers.picture(0), Category.from_text(WORDS), box=box).xy for box in boxes]
    assert np.allclose(xy(answer), expected, atol=1e-3)
    assert [pose["box"] for pose in answer.json()["poses"]] == boxes


def marked(example):
    return {"points": dict(zip(FISH.names, example.points.tolist(), strict=True))}


def test_an_example_that_comes_along_and_one_that_is_kept_give_the_model_s_own_answer(client, tiny_model):
    example = tiny_matchers.example(1)
    expected = tiny_model.predict(tiny_matchers.picture(0), FISH, example=example, words=False).xy
    along = ask(client, along=[png(1)], marked=[marked(example)], words=False)
    assert np.allclose(xy(along)[0], expected, atol=1e-3)
    kept = ask(client, "/v1/examples", image=png(1), **marked(example))
    assert kept.status_code == 201 and kept.json()["names"] == FISH.names
    body = {"examples": [kept.json()["example_id"]], "words": False}
    files = [("image", ("a.png", png(), "image/png")), ("request", (None, json.dumps(body), "application/json"))]
    assert np.allclose(xy(client.post("/v1/predict", files=files))[0], expected, atol=1e-3)


def test_words_and_an_example_together(client, tiny_model):
    example = tiny_matchers.example(1)
    expected = tiny_model.predict(tiny_matchers.picture(0), FISH, example=example).xy
    answer = ask(client, along=[png(1)], marked=[marked(example)], definition=FISH.to_dict())
    assert np.allclose(xy(answer)[0], expected, atol=1e-3)


def test_a_point_that_an_example_does_not_mark_is_null_and_never_nan(client):
    example = tiny_matchers.example(1, hidden=(2,))
    points = marked(example)
    points["points"]["right ear"] = None
    answer = ask(client, along=[png(1)], marked=[points], words=False)
    pose = answer.json()["poses"][0]
    assert pose["xy"][2] == [None, None] and pose["confidence"][2] is None and "NaN" not in answer.text


def test_a_kept_picture_answers_as_an_uploaded_one(client):
    kept = client.post("/v1/encode", files={"image": ("a.png", png(), "image/png")})
    assert kept.status_code == 201 and kept.json()["image_size"] == [90, 70]
    by_id = client.post("/v1/predict", json={"image_id": kept.json()["image_id"], "keypoints": WORDS})
    assert by_id.json() == ask(client, keypoints=WORDS).json()


def test_identify_names_points_as_the_model_does(client, tiny_model):
    answer = ask(client, "/v1/identify", definition=FISH.to_dict(), points=[[40, 30], [10, 60]])
    points = np.array([[40.0, 30.0], [10.0, 60.0]])
    expected = tiny_model.identify(tiny_matchers.picture(0), points, category=FISH)
    assert [one["name"] for one in answer.json()["names"]] == [one.name for one in expected]
    assert answer.json()["names"][0]["probabilities"] == pytest.approx(expected[0].probabilities, abs=1e-5)


def test_densities_come_with_their_number_of_cells(client):
    pose = Pose.from_dict(ask(client, keypoints=WORDS, density=True, grid=20).json()["poses"][0])
    assert pose.density["nose"].grid.shape == (20, 20) and pose.covariance is not None


def test_the_library_is_listed(client):
    listed = client.get("/v1/categories").json()["categories"]
    names = [*names_for_people(), *(f"mp100/{number}" for number in range(1, 101))]
    assert [one["name"] for one in listed] == names and all(one["keypoints"] for one in listed)
    assert {one["name"]: one["noun"] for one in listed}["amur_tiger_body"] == "human face"
    assert ask(client, category="animal_face").json()["poses"][0]["names"]


def test_orientation_and_modes_are_those_of_the_picture_as_it_is_seen(client):
    upright = Image.fromarray(tiny_matchers.picture(0))
    exif = Image.Exif()
    exif[274] = 6
    turned, grey = io.BytesIO(), io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG", exif=exif)
    upright.convert("L").save(grey, "PNG")
    assert np.allclose(xy(ask(client, image=turned.getvalue(), keypoints=WORDS)), xy(ask(client, keypoints=WORDS)))
    assert ask(client, image=grey.getvalue(), keypoints=WORDS).status_code == 200


def test_how_words_were_read_is_said(client):
    notes = ask(client, keypoints="nose, tail tip").json()["notes"]
    assert len(notes) == 1 and "2 keypoints" in notes[0]


def test_the_state_of_the_server(client):
    assert client.get("/healthz").json() == {"alive": True}
    ready = client.get("/readyz")
    assert ready.status_code == 200 and ready.json()["state"] == "ready" and list(ready.json()["hashes"]) == ["tiny"]
    metrics = client.get("/metrics").text
    assert (
        "anykeypoint_queue_length" in metrics and 'anykeypoint_stage_seconds_bucket{le="0.1",stage="model"}' in metrics
    )


def test_the_page_comes_with_a_strict_policy_and_needs_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200 and page.url.path == "/page/" and "text/html" in page.headers["content-type"]
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "http" not in policy
    assert client.get("/docs").status_code == 404 and client.get("/openapi.json").status_code == 200


def test_the_caller_says_from_which_presence_a_point_counts_as_present(client, tiny_model):
    expected = tiny_model.predict(tiny_matchers.picture(0), Category.from_text(WORDS))
    for least in (0.0, 1.0):
        pose = ask(client, keypoints=WORDS, presence=least).json()["poses"][0]
        assert pose["present"] == expected.present_from(least).present.tolist()
