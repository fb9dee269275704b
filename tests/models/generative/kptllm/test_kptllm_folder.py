"""KptLLM: what is refused, its configs and folders."""

import dataclasses
import json

import numpy as np
import pytest
import tiny
import torch
from plain_kptllm import (
    CATEGORY,
    NAMES,
    POINTS,
    example,
)
from safetensors.torch import load_file

import anykeypoint
from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.models.generative import kptllm_view
from anykeypoint.models.generative import storage as folders
from anykeypoint.models.generative.capellm import CapeLLM
from anykeypoint.models.generative.kptllm import KptLLM
from anykeypoint.models.generative.kptllm_config import PRESETS, KptLLMConfig

# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"words": False}, "KptLLM needs words or an example; pass an example, or ask with words"),
        ({"example": []}, "The list of examples is empty"),
        ({"example": [example()] * (kptllm_view.MOST_EXAMPLES + 1)}, "At most 32 examples can be shown, but got 33"),
        ({"example": example(points=POINTS[:2])}, "has 2 points, but 'cat' has 4"),
        ({"example": "cat.jpg"}, "must be an anykeypoint.Example, but got str"),
        ({"example": example(points=POINTS + 40)}, "lie outside, the first at"),
        ({"example": example(box=(0, 0, 3, 3))}, "None of the example's 4 points lies in its crop"),
        ({"example": example(), "words": False, "describe": "removed"}, "Descriptions are not read without words"),
        ({"describe": "loud"}, "Descriptions can be given"),
        ({"strategy": "guess"}, "greedy, sampling, temperature-T"),
        ({"cumulative": True}, "KptLLM has no choice of cumulative"),
        ({"example": [example(), example(6)], "strategy": "contrastive-0.5"}, "one question at a time"),
        ({"density": 2000}, "1 to 1000 cells"),
    ],
)
def test_what_makes_no_question_is_refused_in_one_sentence(view, options, words):
    with pytest.raises(InputError, match=words) as told:
        view.predict(CATEGORY, **options)
    assert str(told.value).count(". ") == 0


def test_an_example_of_another_category_is_refused(view):
    other = Category("dog", tuple(Keypoint(f"point {k}") for k in range(4)))
    with pytest.raises(InputError, match="'dog' names 'point 0' where 'cat' has 'left ear tip'"):
        view.predict(CATEGORY, example(category=other))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"projector": "deep"}, "projector must be one of linear, mlp, but got 'deep'"),
        ({"extractor": "max"}, "extractor must be one of attention, pool"),
        ({"answer": "digits"}, "answer must be one of text, token"),
        ({"naming": "likely"}, "naming must be one of written, found"),
        ({"naming": "found", "answer": "token"}, "naming 'found' needs answer 'text'"),
        ({"layers": 0}, "layers must be a whole number from 1, but got 0"),
        ({"heads": 2.0}, "heads must be a whole number"),
        ({"sigma": 0}, "sigma must be a number above 0"),
        ({"crop_scale": float("inf")}, "crop_scale must be a number above 0"),
        ({"identify_first": 1}, "identify_first must be true or false"),
        ({"answer": "token", "strategy": "mode"}, "no strategy, but got 'mode'"),
        ({"instruction": "base"}, "no task form 'base'"),
        ({"preset": "kptllm3"}, r"preset of a KptLLM must be one of kptllm, kptllm\+\+, but got 'kptllm3'"),
        ({"colour": 1}, "unknown key 'colour'"),
        ({"vision": {"name": "dinov2-l", "colour": 1}}, "unknown key 'colour'"),
    ],
)
def test_a_config_that_is_none_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        KptLLMConfig.from_dict(changes)


# --- configs and folders -------------------------------------------------------------------------------------------


def test_the_presets_are_the_papers():
    older, newer = PRESETS["kptllm"], PRESETS["kptllm++"]
    assert (older.vision.name, older.vision.image_size, older.vision.tuning) == ("clip-vit-l-336", 336, "full")
    assert (older.projector, older.answer) == ("mlp", "token")
    assert (newer.vision.name, newer.vision.image_size, newer.vision.tuning) == ("dinov2-l", 224, "lora")
    assert (newer.projector, newer.answer) == ("linear", "text")
    for config in (older, newer):
        lora = config.language.lora
        assert (config.language.name, config.language.tuning, config.layers) == ("vicuna-7b", "lora", 2)
        assert (lora.r, lora.alpha, set(lora.targets)) == (128, 256, {"q", "k", "v", "o", "gate", "up", "down"})
        assert config.extractor == "attention" and config.identify_first
        assert KptLLMConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert KptLLMConfig.from_dict({"preset": "kptllm", "layers": 3}) == dataclasses.replace(older, layers=3)
    assert KptLLMConfig() == newer


@pytest.mark.parametrize("tuning", ["frozen", "lora", "full"])
def test_a_saved_model_answers_alike(place, tmp_path, tuning):
    options = {"answer": "token", "projector": "mlp"} if tuning == "full" else {"extractor": "pool"}
    model = tiny.kptllm(place, tuning, seed=1, **(options if tuning != "lora" else {"strategy": "expected"}))
    model.save_pretrained(tmp_path)
    again, loaded = KptLLM.from_pretrained(tmp_path), anykeypoint.load(str(tmp_path), device="cpu")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "kptllm"
    assert again.config == model.config == loaded.config and not again.training
    picture, shown = tiny.picture(60, 40), example()
    pose = model.predict(picture, CATEGORY, example=shown, words=False)
    for other in (again, loaded):
        assert isinstance(other, KptLLM)
        found = other.predict(picture, CATEGORY, example=shown, words=False)
        assert np.array_equal(found.xy, pose.xy) and found.identified == pose.identified
    named = [one.identify(picture, (3, 4), category=NAMES).probabilities for one in (model, again)]
    assert named[0] == named[1]


def test_what_is_saved_is_what_may_have_been_trained(place):
    kept = {part.split(".")[0] for part in folders.changed_tensors(tiny.kptllm(place))}
    assert kept == {"projection", "extractor", "prompt_projection"}
    kept = set(folders.changed_tensors(tiny.kptllm(place, "lora", answer="token")))
    assert {name.split(".")[0] for name in kept if ".lora_" not in name} == {
        "projection",
        "extractor",
        "prompt_projection",
        "keypoint_token",
    }
    assert any(name.startswith("language.") for name in kept) and any(name.startswith("encoder.") for name in kept)


def test_folders_of_the_two_families_are_told_apart(place, tmp_path):
    tiny.kptllm(place).save_pretrained(tmp_path / "kpt", torch.float16)
    tiny.capellm(place).save_pretrained(tmp_path / "cape")
    assert isinstance(anykeypoint.load(str(tmp_path / "cape"), device="cpu"), CapeLLM)
    assert {tensor.dtype for tensor in load_file(tmp_path / "kpt" / "model.safetensors").values()} == {torch.float16}
    for kind, wrong, known in ((CapeLLM, "kpt", "capellm or cape-llm"), (KptLLM, "cape", "kptllm")):
        with pytest.raises(InputError, match=f"does not describe a {known} model"):
            kind.from_pretrained(tmp_path / wrong)


def test_untrained_and_half_precision_and_size(place, model, tmp_path):
    bare, again = model.untrained(), model.untrained()
    assert all(torch.equal(a, b) for a, b in zip(bare.parameters(), again.parameters(), strict=True))
    assert not torch.equal(bare.prompt_projection.weight, model.prompt_projection.weight)
    model.save_pretrained(tmp_path)
    half = anykeypoint.load(str(tmp_path), device="cpu", dtype="bfloat16")
    assert half.language.layer_dtype == torch.bfloat16 and half.prompt_projection.weight.dtype == torch.float32
    picture = tiny.picture(60, 40)
    assert np.isfinite(half.predict(picture, CATEGORY, example=[example(), example(6)], words=False).xy).all()
    assert 0 <= half.identify(picture, (3, 4)).confidence <= 1
    larger = anykeypoint.load(str(tmp_path), device="cpu", image_size=56)
    assert larger.predict(picture, CATEGORY, example=example(), words=False).present.all()
    assert not np.array_equal(larger.predict(picture, CATEGORY).xy, model.predict(picture, CATEGORY).xy)
