"""A new head is one file and one line: a toy head, registered here, is built, trained, saved, loaded and asked."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_matchers
import torch
from tiny_matchers import FISH, example, picture

import anykeypoint
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.matching.heads import registry
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import build
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
from anykeypoint.training.matching.matcher_trainer import train

RECIPE = MatcherTrainConfig(sampling="balanced", steps=2, batch=2, lr=1e-2, warmup=0, drops=())
PROMPTS = {"text": {}, "example": {"example": example(), "words": False}, "both": {"example": example()}}


@pytest.fixture
def config(monkeypatch, tmp_path):
    monkeypatch.setitem(registry.HEADS, "toy", "")  # undone after the test
    registry.register("toy", "toys.toy_head:ToyHead")
    encoders = tiny_matchers.config("evidence", tmp_path)
    return MatcherConfig("toy", encoders.vision, encoders.text)


def test_a_head_of_one_file_is_trained_saved_loaded_and_asked_by_all_its_prompts(config, tmp_path):
    write_dataset(tmp_path / "data", 6, seed=2, per_category=3)
    data = read_coco(tmp_path / "data" / "annotations.json", tmp_path / "data" / "images")
    model, losses = build(config), []
    before = {name: tensor.clone() for name, tensor in model.head.state_dict().items()}
    train(model, data, RECIPE, tmp_path / "run", on_step=lambda step, figures: losses.append(figures))
    assert len(losses) == 2 and all(np.isfinite(one["loss"]) and one["points"] == one["loss"] for one in losses)
    assert all(not np.array_equal(tensor, before[name]) for name, tensor in model.head.state_dict().items())
    loaded = anykeypoint.load(str(tmp_path / "run" / "model"), device="cpu")
    assert loaded.config.head == model.config.head and loaded.prompts == (*PROMPTS, "identify")
    answers = {prompt: loaded.predict(picture(), FISH, **asked) for prompt, asked in PROMPTS.items()}
    for prompt, pose in answers.items():
        assert pose.present.all() and np.array_equal(pose.xy, model.predict(picture(), FISH, **PROMPTS[prompt]).xy)
    assert not np.array_equal(answers["text"].xy, answers["example"].xy)
    assert not np.array_equal(answers["both"].xy, answers["example"].xy)


def test_it_is_explained_and_exported_without_a_word_about_it(config, tmp_path):
    model = build(config)
    explained = model.explain(picture(), FISH, example=example())
    assert np.allclose(explained.attention.sum(axis=(2, 3)), 1, atol=1e-5) and explained.path.shape == (2, 5, 2)
    pytest.importorskip("onnxscript", reason="exporting needs anykeypoint[onnx]")
    runtime = pytest.importorskip("onnxruntime", reason="the exported file is run by ONNX Runtime: anykeypoint[onnx]")
    from anykeypoint.models.matching.export import export, prompt_inputs

    names = export(model, tmp_path / "toy.onnx", "text")
    assert names == ["pixels", "phrases"]
    view = model.encode(picture())
    pixels = model.encoder.normalise(torch.from_numpy(view.cut.pixels)[None]).numpy()
    session = runtime.InferenceSession(tmp_path / "toy.onnx", providers=["CPUExecutionProvider"])
    points = session.run(["points"], {"pixels": pixels, **prompt_inputs(model, FISH)})[0]
    assert np.allclose(points[0], view.crop.normalise(view.predict(FISH).xy), atol=1e-4)


def test_a_config_of_another_head_and_widths_that_do_not_fit_are_refused(config):
    with pytest.raises(InputError, match="must be a ToyConfig"):
        replace(config, head=registry.head_class("graphcape").published())
    with pytest.raises(InputError, match=r"image_width is 9, but .* need 20; write image_width: 20"):
        build(replace(config, head=registry.head_class("toy").config_class(image_width=9)))
