"""Computing layers twice: the same gradients, and the places it reaches."""

import os
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from accelerate import Accelerator
from tiny_encoders import noise, tiny_encoder

from anykeypoint.data.synthetic import write_dataset
from anykeypoint.decoding import packed_forward
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.training.generative import memory
from anykeypoint.training.generative.answer_losses import training_losses
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.generative_config import GuideConfig
from anykeypoint.training.generative.guidance import Guide, make_readers
from anykeypoint.training.generative.memory import recomputed, shard
from anykeypoint.training.generative.sequence_batch import collate
from anykeypoint.training.generative.sequences import build_sequences


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 1, seed=1), folder / "images").objects[0]


def gradients(model, item, config, answered=True):
    """Gradients of one training step by name, with dropout on."""
    model.train().zero_grad()
    batch = collate(build_sequences(model, item, config, np.random.default_rng(0), answered), model.codec.base)
    readers = make_readers(model, config.guide)
    torch.manual_seed(0)
    training_losses(model, batch, config, answered, readers)["loss"].backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("tuning", ["lora", "full", "frozen"])
@pytest.mark.parametrize("guide", [GuideConfig(), GuideConfig(layers=(0, 1), read=0.5)], ids=["plain", "guided"])
def test_layers_that_are_computed_twice_give_the_same_gradients(tmp_path, item, tuning, guide):
    model = tiny.capellm(tmp_path, tuning)
    config = CapeLLMTrainConfig(precision="fp32", loss="digits", sigma=0.02, guide=guide)
    plain = gradients(model, item, config)
    with recomputed(model):
        again = gradients(model, item, config)
    assert plain.keys() == again.keys() and any("projection" in name for name in plain)
    for name, gradient in plain.items():
        assert torch.equal(gradient, again[name]), name


def test_guidance_alone_gives_the_same_gradients_too(tmp_path, item):
    model = tiny.capellm(tmp_path, "lora")
    config = CapeLLMTrainConfig(precision="fp32", guide=GuideConfig(layers=(1,), alone=1))
    plain = gradients(model, item, config, answered=False)
    with recomputed(model):
        again = gradients(model, item, config, answered=False)
    assert all(torch.equal(gradient, again[name]) for name, gradient in plain.items()) and plain.keys() == again.keys()


@pytest.mark.parametrize("name", ["dinov2-reg-s", "clip-vit-l-336", "hiera-t", "swinv2-t", "efficientnet-lite2"])
def test_every_encoder_gives_the_same_gradients(tmp_path, name):
    model = tiny.capellm(tmp_path)
    model.encoder = tiny_encoder(name, tuning="full")
    pixels = noise(model.encoder.config.image_size, batch=2)
    found = []
    for context in (nullcontext(), recomputed(model)):
        model.encoder.train().zero_grad()
        with context:
            torch.manual_seed(0)
            model.encoder(pixels).square().sum().backward()
        found.append({key: p.grad.clone() for key, p in model.encoder.named_parameters() if p.grad is not None})
    assert found[0] and found[0].keys() == found[1].keys()
    assert all(torch.equal(gradient, found[1][key]) for key, gradient in found[0].items())


def test_what_guidance_noted_outlives_the_second_computation(tmp_path, item):
    model = tiny.capellm(tmp_path, "lora").train()
    embeddings = torch.randn(1, 5, 32, requires_grad=True)
    sees = torch.ones(1, 5, 5, dtype=torch.bool).tril()
    with recomputed(model), Guide(model, GuideConfig(layers=(0, 1), read=1.0)) as guide:
        hidden = packed_forward(model.language, embeddings, sees, torch.arange(5)[None])
        noted = dict(guide.inputs)
        hidden.sum().backward()
    assert set(noted) == {0, 1, 2} and all(guide.inputs[i] is noted[i] for i in noted)


@pytest.mark.parametrize(("tuning", "encoder_runs"), [("lora", 2), ("frozen", 1)])
def test_both_towers_layers_run_twice_in_it_and_once_behind_it(tmp_path, item, tuning, encoder_runs):
    model = tiny.capellm(tmp_path, tuning)
    config = CapeLLMTrainConfig(precision="fp32")
    runs = {"encoder": 0, "decoder": 0}

    def count(name):
        def hook(*args):
            runs[name] += 1

        return hook

    model.encoder.model.encoder.layer[0].mlp.register_forward_pre_hook(count("encoder"))
    model.language.model.layers[0].mlp.register_forward_pre_hook(count("decoder"))
    with recomputed(model):
        gradients(model, item, config)
    assert runs == {"encoder": encoder_runs, "decoder": 2}
    gradients(model, item, config)
    assert runs == {"encoder": encoder_runs + 1, "decoder": 3}


def test_spreading_a_language_model_that_trains_in_full_is_refused(tmp_path):
    with pytest.raises(InputError, match="set its tuning to lora"):
        shard(tiny.capellm(tmp_path, "full"), Accelerator())


def test_one_process_holds_all_weights(tmp_path, item):
    model = tiny.capellm(tmp_path, "lora")
    config = replace(CapeLLMTrainConfig(precision="fp32"), shard=True)
    before = gradients(model, item, config)
    shard(model, Accelerator())
    after = gradients(model, item, config)
    assert all(torch.equal(gradient, after[name]) for name, gradient in before.items())


@pytest.mark.parametrize("chosen", [None, "500"])
def test_few_kernels_are_kept_unless_the_user_says_how_many(monkeypatch, chosen):
    first, second = memory.KERNEL_VARIABLES
    for name in (first, second):
        monkeypatch.setenv(name, "1")  # so that it is put back
        monkeypatch.delenv(name)
    if chosen is not None:
        monkeypatch.setenv(first, chosen)
    memory.keep_few_kernels()
    assert (os.environ[first], os.environ[second]) == (chosen or "64", "64")
