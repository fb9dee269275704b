"""Frozen weights in bfloat16: a training does not change by a bit, and its saved model neither."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import tiny_llava
import torch
from safetensors.torch import load_file
from tiny_encoders import NETWORKS, noise, tiny_encoder
from torch import nn

from anykeypoint.configs.yaml_files import from_mapping
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.generative import storage
from anykeypoint.models.generative.image_text import ImageTextNamer
from anykeypoint.models.generative.image_text_config import ImageTextConfig
from anykeypoint.training.generative import capellm_trainer, image_text_trainer, kptllm_trainer
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.generative_config import GuideConfig
from anykeypoint.training.generative.image_text_config import ImageTextTrainConfig
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig, TaskWeights
from anykeypoint.training.generative.memory import HalfLinear, frozen_linears, halve_frozen

RECIPE = CapeLLMTrainConfig(item="object", pack=6, steps=3, accumulate=1, lr=1e-3, save_every=3)
GUIDED = replace(RECIPE, loss="digits", sigma=0.02, checkpointing=True, guide=GuideConfig(layers=(0, 1), read=0.5))
TASKS = KptLLMTrainConfig(
    tasks=TaskWeights(identify=1, example=1, text=1), pack=4, steps=3, batch=2, lr=1e-3, save_every=3
)
NAMING = ImageTextTrainConfig(steps=3, batch=2, lr=1e-2, save_every=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 4, seed=1, per_category=2), folder / "images")


def trained(model, data, recipe, out):
    """Losses of a run's steps, and the tensors of its saved model."""
    losses = []

    def note(step, values):
        losses.append(values["loss"])

    if isinstance(recipe, CapeLLMTrainConfig):
        capellm_trainer.train(model, data.objects, recipe, out, note)
    else:
        trainer = kptllm_trainer if isinstance(recipe, KptLLMTrainConfig) else image_text_trainer
        trainer.train(model, data, recipe, out, note)
    return losses, load_file(out / "model" / "model.safetensors")


def llava(folder, tuning):
    """A tiny LLaVA that names marked places."""
    tiny_llava.write(folder / "llava", seed=3)
    return ImageTextNamer.build(ImageTextConfig(str(folder / "llava"), image_size=tiny_llava.SIDE, tuning=tuning))


def halves(model):
    return sum(isinstance(layer, HalfLinear) for layer in model.modules())


@pytest.mark.parametrize(
    ("build", "tuning", "options", "recipe", "count"),
    [
        (
            tiny.capellm,
            "lora",
            {},
            RECIPE,
            27,
        ),  # 6 layers of a block of the encoder, 7 of the decoder, the output layer
        (tiny.capellm, "frozen", {}, RECIPE, 27),
        (tiny.capellm, "lora", {}, GUIDED, 27),
        (tiny.capellm, "lora", {}, replace(RECIPE, train_only="projection"), 27),
        (tiny.capellm, "full", {}, replace(RECIPE, train_only="projection"), 0),  # the folder holds all weights
        (tiny.capellm, "lora", {"answer": "token", "keypoint_token": "written", "spread": True}, RECIPE, 27),
        (tiny.kptllm, "lora", {}, TASKS, 27),
        (llava, "lora", {}, NAMING, 35),  # 3 blocks of the encoder, 2 of the projector, 2 of the decoder, the output
        (llava, "lora", {}, replace(NAMING, checkpointing=True), 35),
    ],
    ids=["lora", "frozen", "guided", "projection", "full", "token", "kptllm", "llava", "llava recomputed"],
)
def test_losses_and_what_is_learnt_are_the_same_to_the_bit(data, tmp_path, build, tuning, options, recipe, count):
    found = []
    for kept in ("fp32", "bf16"):
        model = build(tmp_path, tuning, **options)
        found.append(trained(model, data, replace(recipe, frozen_precision=kept), tmp_path / kept))
        assert halves(model) == (count if kept == "bf16" else 0)
    (losses, saved), (half_losses, half_saved) = found
    assert losses == half_losses and len(set(losses)) == 3
    assert saved.keys() == half_saved.keys()
    assert all(torch.equal(tensor, half_saved[name]) for name, tensor in saved.items())


def step(encoder, pixels):
    """Tokens of a training step under mixed precision, and the gradients of what trains."""
    encoder.train().zero_grad()
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        tokens = encoder(pixels)
    if tokens.requires_grad:
        tokens.float().square().sum().backward()
    return [tokens.detach(), *(p.grad.clone() for p in encoder.parameters() if p.grad is not None)]


@pytest.mark.parametrize("tuning", ["frozen", "lora"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_image_encoder_gives_the_same_tokens_and_gradients(tmp_path, name, tuning):
    model = tiny.capellm(tmp_path, "lora")
    try:
        model.encoder = tiny_encoder(name, tuning=tuning)
    except InputError as error:
        assert "LoRA" in str(error)  # a convolutional network has no layers for it
        return
    pixels = noise(model.encoder.config.image_size, batch=2)
    before = step(model.encoder, pixels)
    halve_frozen(frozen_linears(model))
    after = step(model.encoder, pixels)
    assert len(before) == len(after) > (tuning == "lora")
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_an_output_layer_that_is_the_table_of_embeddings_stays_as_it_is(tmp_path):
    model = tiny.capellm(tmp_path, "lora")
    assert any(layer is model.language.lm_head for layer in frozen_linears(model))
    model.language.lm_head.weight = model.language.get_input_embeddings().weight
    assert not any(layer is model.language.lm_head for layer in frozen_linears(model))
    halve_frozen(frozen_linears(model))
    kept = {name for name, p in model.named_parameters() if p.dtype == torch.bfloat16}
    layers = ("query", "key", "value", "dense", "fc1", "fc2", "_proj", "base_layer")
    assert len(kept) > 20 and all(name.rsplit(".", 2)[-2].endswith(layers) for name in kept)
    assert model.language.dtype == torch.float32


def test_an_encoder_whose_weights_the_folder_holds_is_saved_unrounded(tmp_path):
    model = tiny.capellm(tmp_path, "lora")
    model.config = replace(model.config, vision=replace(model.config.vision, source=storage.RANDOM))
    assert len(frozen_linears(model)) == 15  # those of the decoder alone


def test_a_model_with_frozen_weights_in_bfloat16_still_answers_nearly_as_before(tmp_path):
    model = tiny.capellm(tmp_path, "lora")
    before = model.predict(tiny.picture(), ["nose", "left ear"], strategy="expected").xy
    halve_frozen(frozen_linears(model))
    after = model.predict(tiny.picture(), ["nose", "left ear"], strategy="expected").xy
    assert np.isfinite(after).all() and np.abs(after - before).max() < 1  # pixel of 42
    assert type(model.language.model.layers[0].mlp.up_proj) is HalfLinear and isinstance(model.projection, nn.Linear)


@pytest.mark.parametrize("recipe", [CapeLLMTrainConfig, ImageTextTrainConfig])
def test_it_needs_mixed_precision(recipe):
    with pytest.raises(InputError, match=r"frozen_precision 'bf16' needs precision 'bf16'"):
        from_mapping(recipe, {"precision": "fp32", "frozen_precision": "bf16"}, "recipe")
    with pytest.raises(InputError, match="frozen_precision must be one of bf16, fp32"):
        from_mapping(recipe, {"frozen_precision": "int8"}, "recipe")
