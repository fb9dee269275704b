"""Answers that are kept: by pixels, model and all that is asked, bounded in bytes, and never another's."""

import io

import numpy as np
import pytest
import tiny_matchers
from PIL import Image
from server_calls import WORDS, ask, png, xy
from stand_in import StandIn
from test_uploads import refused

from anykeypoint import Category
from anykeypoint.images import read_picture
from anykeypoint.serving.answering import Question, answer_batch
from anykeypoint.serving.service import weights_hash
from anykeypoint.serving.uploads import content_key


def test_the_same_pixels_are_asked_once_and_other_files_of_them_too(serving):
    model = StandIn()
    client = serving(model)
    asked = len(model.asked)
    first = ask(client, keypoints=WORDS)
    again = [ask(client, keypoints=WORDS), ask(client, image=png(form="BMP"), keypoints=WORDS)]
    assert [one.json() for one in again] == [first.json()] * 2 and len(model.asked) == asked + 1
    ask(client, keypoints=WORDS, boxes=[[0, 0, 50, 50], [1, 0, 50, 50]])
    ask(client, keypoints=WORDS, boxes=[[1, 0, 50, 50], [0, 0, 50, 50], [2, 0, 50, 50]])
    assert len(model.asked) == asked + 4


def test_every_part_of_a_question_counts():
    picture, other = read_picture(png(0)), read_picture(png(1))
    example, moved = tiny_matchers.example(1), tiny_matchers.example(2)
    base = {"picture": picture, "pixels": content_key(picture), "category": Category.from_text("a; b")}
    changes = [
        {},
        {"picture": other, "pixels": content_key(other)},
        {"category": Category.from_text("b; a")},
        {"category": Category.from_text("a; b: the second")},
        {"category": Category.from_text("a; b", noun="cat")},
        {"box": (0.0, 0.0, 9.0, 9.0)},
        {"box": (0.0, 0.0, 9.0, 9.5)},
        {"examples": (example,), "example_keys": (b"1",)},
        {"examples": (moved,), "example_keys": (b"1",)},
        {"examples": (example,), "example_keys": (b"2",)},
        {"words": False},
        {"words": True},
        {"points": np.array([[1.0, 2.0]])},
        {"points": np.array([[1.0, 3.0]])},
        {"options": (("density", True),)},
        {"options": (("density", 20),)},
        {"options": (("mirror", True),)},
        {"least": 0.2},
    ]
    assert len({Question(**{**base, **change}).key for change in changes}) == len(changes)
    assert Question(**base).key == Question(**{**base, "picture": read_picture(png(0))}).key
    assert content_key(picture) != content_key(picture.mirrored())


def test_models_of_other_weights_have_other_hashes(tmp_path, tiny_model):
    again, other = (tiny_matchers.matcher("dlf", tmp_path, seed) for seed in (0, 1))
    assert weights_hash(again) != weights_hash(other) and len(weights_hash(again)) == 16
    assert weights_hash(tiny_model) == weights_hash(tiny_model)


def test_two_models_do_not_share_answers(serving, tmp_path, tiny_model):
    other = tiny_matchers.matcher("dlf", tmp_path, 1)
    client = serving({"one": lambda: tiny_model, "two": lambda: other})
    one, two = (ask(client, keypoints=WORDS, model=name) for name in ("one", "two"))
    assert one.json()["model"] == "one" == ask(client, keypoints=WORDS).json()["model"]
    assert one.json()["model_hash"] != two.json()["model_hash"] and not np.allclose(xy(one), xy(two))


def test_a_kept_picture_is_encoded_once_for_each_box_and_answers_as_an_uploaded_one(serving, tiny_model, monkeypatch):
    client, encoded = serving(), []
    encode = type(tiny_model).encode
    monkeypatch.setattr(type(tiny_model), "encode", lambda *asked: encoded.append(asked[2]) or encode(*asked))
    kept = client.post("/v1/encode", files={"image": ("a", png(7))}).json()["image_id"]

    def both(**asked):
        ours = client.post("/v1/predict", json={"image_id": kept, **asked}).json()["poses"]
        asked_again = {**asked, "presence": 0.4}  # not the same question, so that its answer is computed
        theirs = ask(client, image=png(7), **asked_again).json()["poses"]
        return [np.array([pose["xy"] for pose in poses]) for poses in (ours, theirs)]

    for asked in (
        {"keypoints": "nose; tail tip"},
        {"keypoints": WORDS},
        {"keypoints": WORDS, "boxes": [[5, 5, 50, 40]]},
    ):
        assert np.allclose(*both(**asked), atol=1e-3)
    assert encoded == [None, (5.0, 5.0, 50.0, 40.0)]
    refused(client.post("/v1/predict", json={"image_id": kept, "keypoints": WORDS, "fine": True}), 422, "example")


def test_what_is_kept_goes_and_is_then_404(serving):
    client = serving(StandIn(), kept_bytes=2 * 3 * 90 * 70 * 2)  # room for two pictures and two examples
    ids = [client.post("/v1/encode", files={"image": ("a", png(i))}).json()["image_id"] for i in range(3)]
    gone = client.post("/v1/predict", json={"image_id": ids[0], "keypoints": WORDS})
    refused(gone, 404, "upload it again", field="image_id")
    assert client.post("/v1/predict", json={"image_id": ids[2], "keypoints": WORDS}).status_code == 200
    file = io.BytesIO()
    Image.new("RGB", (300, 200)).save(file, "PNG")
    refused(client.post("/v1/encode", files={"image": ("a", file.getvalue())}), 413, "too large to be kept")


@pytest.mark.parametrize("kinds", ["text", "example", "both"])
def test_no_answer_depends_on_its_batch_or_on_the_order_of_keypoints(tiny_model, kinds):
    fish, example = tiny_matchers.FISH, tiny_matchers.example(1)
    more = {} if kinds == "text" else {"examples": (example,), "example_keys": (b"1",)}
    more = {**more, "words": False} if kinds == "example" else more

    def question(seed, category=fish):
        picture = read_picture(tiny_matchers.picture(seed))
        return Question(picture, content_key(picture), category, **more)

    alone = answer_batch(tiny_model, [question(3)])[0]
    beside = answer_batch(tiny_model, [question(seed) for seed in (5, 3, 4)])[1]
    assert np.allclose(alone.xy, beside.xy, atol=1e-3)
    assert np.allclose(
        alone.xy,
        tiny_model.predict(
            tiny_matchers.picture(3), fish, example=example if more.get("examples") else None, words=more.get("words")
        ).xy,
        atol=1e-3,
    )
