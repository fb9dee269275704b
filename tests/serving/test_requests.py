"""What a request may say: every limit of its words and numbers has a sentence and names the field."""

import json

import pytest
import tiny_matchers
from server_calls import WORDS, ask, png
from stand_in import StandIn
from test_uploads import refused


@pytest.mark.parametrize(
    ("request_", "field", "words"),
    [
        ({}, "category", ["Say what to find"]),
        ({"keypoints": ""}, "keypoints", ["at least 1 character"]),
        ({"keypoints": ";".join(f"p{i}" for i in range(257))}, "keypoints", ["1 to 256", "257"]),
        ({"keypoints": "a" * 513}, "keypoints", ["512"]),
        ({"keypoints": "left\tear"}, "keypoints", ["tab"]),
        ({"keypoints": "left\u0007ear"}, "keypoints", ["character"]),
        ({"definition": {"keypoints": ["left\u0007ear"]}}, "definition", ["character"]),
        ({"keypoints": "nose; ear; nose"}, "keypoints", ["'nose'", "same description"]),
        ({"keypoints": "nose", "category": "animal_face"}, "keypoints", ["one way"]),
        ({"category": "animal_fase"}, "category", ["animal_face"]),
        ({"definition": {"keypoints": []}}, "definition.keypoints", ["at least 1 item"]),
        ({"definition": {"keypoints": ["a", "b"], "skeleton": [[0, 2]]}}, "definition", ["from 0 to 1"]),
        ({"keypoints": WORDS, "boxes": []}, "boxes", ["at least 1 item"]),
        ({"keypoints": WORDS, "boxes": [[1, 2, 3]]}, "boxes.0", ["at least 4"]),
        ({"keypoints": WORDS, "boxes": [[1, 2, 30, 30], [1, 2, 0, 0]]}, "boxes.1", ["above 0"]),
        ({"keypoints": WORDS, "boxes": [[1, 2, -3, 4]]}, "boxes.0", ["above 0"]),
        ({"keypoints": WORDS, "boxes": [[500, 500, 10, 10]]}, "boxes.0", ["outside", "90 x 70"]),
        ({"keypoints": WORDS, "boxes": [["1", 2, 3, 4]]}, "boxes.0.0", ["number"]),
        ({"keypoints": WORDS, "boxes": [[0, 0, 9, 9]] * 65}, "boxes", ["at most 64"]),
        ({"keypoints": WORDS, "words": "yes"}, "words", ["boolean"]),
        ({"keypoints": WORDS, "density": True, "grid": 257}, "grid", ["256"]),
        ({"keypoints": WORDS, "grid": 20}, "grid", ["density"]),
        (
            {"keypoints": ";".join(f"p{i}" for i in range(256)), "density": True, "grid": 256},
            "grid",
            ["256 x 256 cells"],
        ),
        ({"keypoints": WORDS, "boxs": []}, "boxs", ["not permitted"]),
        ({"keypoints": WORDS, "model": "other"}, "model", ["there is tiny"]),
        ({"keypoints": WORDS, "examples": ["x"]}, "examples", ["no example"]),
        ({"keypoints": WORDS, "marked": [{"points": {"nose": [1, 2]}}]}, "marked", ["0 pictures", "1"]),
        ({"keypoints": WORDS, "fine": True}, None, ["example"]),
    ],
)
def test_what_cannot_be_used_is_named(client, request_, field, words):
    answer = ask(client, **request_)
    assert answer.status_code in (404, 422)
    refused(answer, answer.status_code, *words, field=field)


def test_numbers_that_are_none_are_refused(client):
    for text in ("NaN", "Infinity", "1e400"):
        form = {"image": ("a.png", png()), "request": (None, f'{{"keypoints": "nose", "boxes": [[{text}, 0, 9, 9]]}}')}
        assert client.post("/v1/predict", files=form).status_code in (400, 422)


def test_a_key_that_stands_twice_is_refused(client):
    text = '{"keypoints": "nose", "boxes": [[0, 0, 9, 9]], "boxes": [[5, 5, 9, 9]]}'
    form = {"image": ("a.png", png()), "request": (None, text)}
    refused(client.post("/v1/predict", files=form), 422, "'boxes' twice", field="request")


def test_a_box_that_lies_partly_outside_is_taken(client):
    assert ask(client, keypoints=WORDS, boxes=[[-20, -20, 60, 60]]).status_code == 200


def test_examples_must_fit_their_picture_and_the_category(client):
    far = {"points": {"nose": [500, 10]}}
    refused(ask(client, along=[png(1)], marked=[far], words=False), 422, "outside")
    odd = {"points": {"beak": [10, 10]}}
    refused(ask(client, along=[png(1)], marked=[odd], keypoints=WORDS), 422, "'beak'", field="marked")
    none = {"points": {"nose": None}}
    refused(ask(client, "/v1/examples", **none), 422, "marked point", field="points")
    twice = {"points": {"nose": [1, 1], " nose": [2, 2]}}
    refused(ask(client, "/v1/examples", **twice), 422, "name of its own", field="points")


def test_points_to_name_must_lie_in_the_picture(client):
    definition = tiny_matchers.FISH.to_dict()
    refused(ask(client, "/v1/identify", definition=definition, points=[[900, 5]]), 422, "outside the picture")
    refused(ask(client, "/v1/identify", definition=definition, points=[]), 422, "at least 1", field="points")


def test_bodies_of_other_types_and_parts_are_refused(client):
    refused(client.post("/v1/predict", content=b"x", headers={"content-type": "text/plain"}), 415, "multipart")
    refused(client.post("/v1/predict", content=b"{", headers={"content-type": "application/json"}), 400, "no JSON")
    broken = {"content-type": "multipart/form-data"}
    refused(client.post("/v1/predict", content=b"x", headers=broken), 400, "form")
    refused(client.post("/v1/predict", files={"picture": ("a", png())}), 422, "'picture'", field="picture")
    two = [("image", ("a", png())), ("image", ("b", png())), ("request", (None, json.dumps({"keypoints": WORDS})))]
    refused(client.post("/v1/predict", files=two), 422, "one picture", field="image")
    refused(client.post("/v1/predict", json={"keypoints": WORDS}), 422, "one picture", field="image")


def test_unknown_addresses_and_methods(client):
    refused(client.get("/v1/nothing"), 404)
    answer = client.get("/v1/predict")
    refused(answer, 405)
    assert answer.headers["allow"] == "POST"
    refused(client.get("/page/../../app.py"), 404)


def test_points_that_a_model_could_not_place_are_null(serving):
    answer = ask(serving(StandIn()), keypoints="infinite; other")
    assert answer.json()["poses"][0]["xy"] == [[None, None]] * 2 and "NaN" not in answer.text
