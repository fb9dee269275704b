"""Frozen weights that are published in half precision and stay so from the moment of loading: the same training, to the
bit, as by way of float32, and in a mapped file instead of memory."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import tiny_llava
import torch
from safetensors.torch import load_file, save_file
from training.test_frozen_precision import NAMING, RECIPE, TASKS, data, trained  # noqa: F401 - a fixture
from transformers import AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

from anykeypoint.cli import train
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.models.generative.capellm import CapeLLM, CapeLLMConfig
from anykeypoint.models.generative.image_text import ImageTextNamer
from anykeypoint.models.generative.image_text_config import ImageTextConfig
from anykeypoint.models.generative.kptllm import KptLLM
from anykeypoint.models.generative.kptllm_config import KptLLMConfig
from anykeypoint.models.loading import from_folder
from anykeypoint.models.precision import HalfLinear, load_unrounded
from anykeypoint.models.sources.hub import load_model, stored_half
from anykeypoint.models.towers.language import LanguageConfig, build_language
from anykeypoint.models.tuning import LoraOptions
from anykeypoint.training.generative import capellm_trainer

LORA = LoraOptions(r=2, alpha=4)


def store(folder, dtype, but=()):
    """Write the weights of a folder anew in a precision, those whose names contain an entry of `but` in float32."""
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        for name, tensor in tensors.items():
            tensors[name] = tensor.to(torch.float32 if any(part in name for part in but) else dtype)
        file.unlink()
        save_file(tensors, file, {"format": "pt"})


def capellm(folder, dtype, **options):
    vision, language = tiny.towers(folder, "lora", "digits")
    store(folder / tiny.LANGUAGE, dtype)
    return CapeLLM, CapeLLMConfig(vision, language, **options)


def kptllm(folder, dtype):
    """One that starts from a LLaVA."""
    tiny_llava.write(folder / "llava", "transformers", seed=3)
    store(folder / "llava", dtype)
    vision, _ = tiny.towers(folder, "lora", "digits")
    vision = replace(vision, name="clip-vit-l-336", source=str(folder / "llava"), tuning="frozen")
    language = LanguageConfig("vicuna-7b", str(folder / "llava"), tuning="lora", lora=LORA)
    return KptLLM, KptLLMConfig(vision, language, heads=2, frequencies=4)


def llava(folder, dtype):
    tiny_llava.write(folder / "llava", seed=3)
    store(folder / "llava", dtype)
    return ImageTextNamer, ImageTextConfig(str(folder / "llava"), image_size=tiny_llava.SIDE, tuning="lora", lora=LORA)


def language_of(model):
    return model.language if hasattr(model, "language") else model.model


def same(first, second):
    """Whether two models have the same numbers, in whichever precision they keep them."""
    ours, theirs = first.state_dict(), second.state_dict()
    assert ours.keys() == theirs.keys()
    return all(torch.equal(tensor.float(), theirs[name].float()) for name, tensor in ours.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    ("make", "recipe"),
    [(capellm, RECIPE), (kptllm, TASKS), (llava, NAMING)],
    ids=["capellm", "kptllm", "llava"],
)
def test_a_training_is_the_same_to_the_bit(data, tmp_path, make, recipe, dtype):  # noqa: F811
    kind, config = make(tmp_path, dtype)
    recipe, found = replace(recipe, frozen_precision="bf16"), []
    whole, kept = kind.build(config, 5), kind.build(config, 5, keep_half=True)
    assert same(whole, kept)
    halves = [layer for layer in kept.modules() if type(layer) is HalfLinear]
    assert len(halves) >= 15 and {layer.weight.dtype for layer in halves} == {dtype}
    held = {id(layer.weight) for layer in halves} | {id(layer.bias) for layer in halves}
    others = [tensor for tensor in (*kept.parameters(), *kept.buffers()) if id(tensor) not in held]
    assert {tensor.dtype for tensor in others if tensor.is_floating_point()} == {torch.float32}
    assert language_of(kept).config.dtype == torch.float32
    for name, model in (("whole", whole), ("kept", kept)):
        found.append(trained(model, data, recipe, tmp_path / name))
    (losses, saved), (kept_losses, kept_saved) = found
    assert losses == kept_losses and len(set(losses)) == 3
    assert all(torch.equal(tensor, kept_saved[name]) for name, tensor in saved.items())
    again = from_folder(tmp_path / "kept" / "model", keep_half=True)
    assert same(again, from_folder(tmp_path / "whole" / "model"))
    assert any(type(layer) is HalfLinear for layer in again.modules())


def test_it_answers_as_one_in_float32_before_it_trains(tmp_path):
    kind, config = capellm(tmp_path, torch.bfloat16, answer="token", keypoint_token="written", spread=True)
    whole, kept = kind.build(config), kind.build(config, keep_half=True)
    assert torch.equal(whole.keypoint_token.output, kept.keypoint_token.output)
    kind, config = capellm(tmp_path, torch.bfloat16)
    asked = [
        model.predict(tiny.picture(), ["nose", "left ear"]).xy.tolist()
        for model in (kind.build(config), kind.build(config, keep_half=True))
    ]
    assert asked[0] == asked[1]


@pytest.mark.skipif(sys.platform != "linux", reason="the system's own list of mapped files is read")
def test_the_weights_stay_in_the_file_that_processes_share(tmp_path):
    def lies_in(tensor):
        """The file that a tensor's numbers are mapped from; none where they are in memory."""
        for line in Path("/proc/self/maps").read_text().splitlines():
            places, *_, file = line.split(maxsplit=5)
            start, end = (int(place, 16) for place in places.split("-"))
            if start <= tensor.data_ptr() < end:
                return Path(file).name
        raise AssertionError("a tensor must lie somewhere")

    kind, config = capellm(tmp_path, torch.bfloat16)
    language = kind.build(config, keep_half=True).language
    for layer in language.model.layers:
        assert lies_in(layer.mlp.up_proj.weight) == lies_in(layer.self_attn.k_proj.weight) == "model.safetensors"
        assert lies_in(layer.self_attn.q_proj.base_layer.weight) == "model.safetensors"
    assert lies_in(language.get_input_embeddings().weight) != "model.safetensors"  # these are float32 now


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_what_cannot_be_kept_is_read_in_float32(tmp_path, tuning):
    """All weights train, or not all of them are stored in one half precision."""
    _, language = tiny.bases(tmp_path)
    store(language, torch.bfloat16, () if tuning == "full" else ("embed_tokens",))
    assert stored_half(str(language)) == (torch.bfloat16 if tuning == "full" else None)
    model, _ = build_language(LanguageConfig("vicuna-7b", str(language), tuning=tuning, lora=LORA), keep_half=True)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_network_that_computes_a_scale_when_it_is_built_is_read_in_float32(tmp_path):
    """Gemma's scale of embeddings, the root of its width, is no number of bfloat16."""
    sizes = {"hidden_size": 24, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 40, "head_dim": 8}
    config = Gemma3TextConfig(**sizes, num_attention_heads=2, num_key_value_heads=1)
    Gemma3ForCausalLM(config).to(torch.bfloat16).save_pretrained(tmp_path)

    def load(dtype):
        return load_model(AutoModelForCausalLM, str(tmp_path), dtype)

    scale = load(torch.float32).model.embed_tokens.embed_scale
    assert load(torch.bfloat16).model.embed_tokens.embed_scale != scale
    network = load_unrounded(load, stored_half(str(tmp_path)))
    assert network.model.embed_tokens.embed_scale == scale and network.dtype == torch.float32


@pytest.fixture
def seen(monkeypatch):
    """The precisions of the language models that trainings are given."""
    found, real = [], capellm_trainer.train

    def look(model, *arguments, **options):
        found.append({str(p.dtype) for name, p in model.language.named_parameters() if "mlp.up_proj" in name})
        return real(model, *arguments, **options)

    monkeypatch.setattr(capellm_trainer, "train", look)
    return found


def test_train_loads_as_its_recipe_keeps_them(tmp_path, seen):
    _, config = capellm(tmp_path, torch.bfloat16)
    labels = f"coco:{write_dataset(tmp_path / 'data', 3, seed=1)}"

    def write(name, content):
        (tmp_path / name).write_text(json.dumps(content))  # JSON is YAML
        return tmp_path / name

    recipe = {"item": "object", "steps": 1, "accumulate": 1}
    common = {"allow_missing": False, "images": tmp_path / "data" / "images"}
    for kept in ("bf16", "fp32"):
        files = {"recipe": write(f"{kept}.yaml", {**recipe, "frozen_precision": kept}), **common}
        train.run(labels, tmp_path / kept, model=write("model.yaml", config.to_dict()), start=None, **files)
    files = {"recipe": write("again.yaml", {**recipe, "frozen_precision": "bf16"}), **common}
    train.run(labels, tmp_path / "again", start=str(tmp_path / "bf16" / "model"), held_out=0.0, **files)
    assert seen == [{"torch.bfloat16"}, {"torch.float32"}, {"torch.bfloat16"}]
    first, second = (load_file(tmp_path / kept / "model" / "model.safetensors") for kept in ("bf16", "fp32"))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
