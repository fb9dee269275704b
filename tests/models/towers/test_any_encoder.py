"""Any image encoder serves matchers and language models alike, and a new one is one file and one line."""

import numpy as np
import pytest
import tiny
import tiny_matchers
import torch
from tiny_encoders import PIXELS, TINY, noise

import anykeypoint
from anykeypoint.category import Category
from anykeypoint.errors import InputError
from anykeypoint.models.generative.capellm import CapeLLM
from anykeypoint.models.generative.capellm_config import CapeLLMConfig
from anykeypoint.models.generative.storage import build
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import build as build_matcher
from anykeypoint.models.towers import registry
from anykeypoint.models.towers.vision import build_encoder
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(registry.IMAGE_ENCODERS, "toy", "toys.toy_encoder:ToyEncoder")


def test_its_tokens_and_its_map_hold_the_same_numbers():
    encoder = build_encoder(VisionConfig("toy", RANDOM))
    pixels = noise(32, batch=2)
    assert (encoder.dim, encoder.stride, encoder.channels, encoder.map_stride) == (12, 8, 12, 8)
    assert torch.equal(encoder.map(pixels).flatten(2).transpose(1, 2), encoder.tokens(pixels))
    assert encoder.resized(64).grid(64) == (8, 8)


def test_weights_that_were_never_published_are_refused():
    with pytest.raises(InputError, match="There are no packaged weights 'toy'"):
        build_encoder(VisionConfig("toy"))


@pytest.mark.parametrize("encoder", ["toy", *TINY])
def test_a_language_model_takes_its_tokens_and_its_folder_brings_them_back(encoder, tmp_path):
    _, language = tiny.towers(tmp_path, "frozen", "digits")
    vision = VisionConfig(encoder, RANDOM, PIXELS.get(encoder), sizes=TINY.get(encoder, {}))
    config = CapeLLMConfig(vision, language)
    model = build(CapeLLM, config, seed=3)
    category = Category.from_text("nose; tail tip")
    pose = model.predict(tiny.picture(), category)
    assert np.isfinite(pose.xy).all()
    model.save_pretrained(tmp_path / "model")
    again = anykeypoint.load(str(tmp_path / "model"), device="cpu")
    assert np.array_equal(again.predict(tiny.picture(), category).xy, pose.xy)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [("capex", "toy"), ("evidence", "toy"), *(("graphcape", encoder) for encoder in ("toy", *TINY))],
)
def test_a_matcher_takes_its_map_and_its_folder_brings_it_back(name, encoder, tmp_path):
    encoder = {"name": encoder, "weights": None, "image_size": PIXELS.get(encoder), "sizes": TINY.get(encoder, {})}
    text = {"name": "bert", "source": tiny_matchers.text_encoder(tmp_path / "text")}
    config = {"name": name, "backbone": encoder, "text": None if name == "graphcape" else text}
    model = build_matcher(MatcherConfig.from_dict(config))
    prompt = {"example": None if name == "capex" else tiny_matchers.example(), "words": name != "graphcape"}
    pose = model.predict(tiny_matchers.picture(), tiny_matchers.FISH, **prompt)
    assert np.isfinite(pose.xy).all()
    model.save_pretrained(tmp_path / "model")
    again = anykeypoint.load(str(tmp_path / "model"), device="cpu")
    assert np.array_equal(again.predict(tiny_matchers.picture(), tiny_matchers.FISH, **prompt).xy, pose.xy)
