"""KptLLM's training: exact resumes, rates, what is said and refused, and a CapeLLM as a start."""

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import yaml

from anykeypoint.cli.train import run as train_verb
from anykeypoint.configs.yaml_files import from_mapping, load_yaml
from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.data.registry import known_datasets
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.joint import members
from anykeypoint.models.generative.capellm import CapeLLM
from anykeypoint.models.generative.kptllm_config import KptLLMConfig
from anykeypoint.models.generative.storage import changed_tensors
from anykeypoint.models.loading import find, from_folder
from anykeypoint.training.generative.generative_config import GuideConfig
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig, TaskWeights
from anykeypoint.training.generative.kptllm_trainer import KptLLMTrainer, from_capellm, train
from anykeypoint.training.trainable import KPTLLM, family_of, parts

ALL = TaskWeights(identify=1, example=1, text=1, both=1)


def settings(**changes):
    plain = AugmentConfig(scale=0.1, rotation=10)
    return KptLLMTrainConfig(**{"tasks": ALL, "pack": 8, "precision": "fp32", "augment": plain, **changes})


RUN = settings(
    loss="digits",
    sigma=0.03,
    sampling="balanced",
    made_up=0.3,
    steps=4,
    batch=2,
    lr=1e-3,
    prompt_lr=3e-3,
    ema=0.9,
    save_every=2,
    guide=GuideConfig(layers=(1,), read=0.5),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Made-up objects, several of each of three kinds."""
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 9, seed=2, per_category=3), folder / "images")


def run(folder, data, out, config=RUN, tuning="lora", **options):
    """A run of a new model: the model, and each step's figures but its speed."""
    model, figures = tiny.kptllm(folder / "base", tuning), []
    train(model, data, config, out, on_step=lambda step, found: figures.append(dict(found)), **options)
    for found in figures:
        found.pop("crops_per_second", None)
    return model, figures


@pytest.mark.parametrize("item", ["group", "object"])
def test_a_resumed_run_ends_where_the_whole_one_does_to_the_bit(tmp_path, data, item):
    config = replace(RUN, item=item)
    whole, figures = run(tmp_path, data, tmp_path / "whole", config)
    _, first = run(tmp_path, data, tmp_path / "parts", config, stop_after=3)  # its last checkpoint is of step 2
    resumed, rest = run(tmp_path, data, tmp_path / "parts", config)
    assert first == figures[:3] and rest == figures[2:]
    for (name, a), b in zip(changed_tensors(whole).items(), changed_tensors(resumed).values(), strict=True):
        assert torch.equal(a, b), name
    assert set(figures[0]) >= {"loss", "points", "words", "guide", "read"}


def test_a_seed_decides_everything(tmp_path, data):
    _, first = run(tmp_path, data, tmp_path / "a", stop_after=1)
    _, again = run(tmp_path, data, tmp_path / "b", stop_after=1)
    _, other = run(tmp_path, data, tmp_path / "c", replace(RUN, seed=7), stop_after=1)
    assert first == again != other


def test_a_frozen_tower_stays_and_what_is_beside_it_moves_by_its_own_rate(tmp_path, data):
    model = tiny.kptllm(tmp_path / "base")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainer = KptLLMTrainer(model, data, RUN)
    sizes = {group["lr"]: sum(p.numel() for p in group["params"]) for group in trainer.parameter_groups()}
    prompts = sum(p.numel() for part in (model.extractor, model.prompt_projection) for p in part.parameters())
    assert sizes == {1e-3: sum(p.numel() for p in model.projection.parameters()), 3e-3: prompts}
    train(model, data, RUN, tmp_path / "out", stop_after=2)
    moved = {name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(before[name], p)}
    assert moved == {"projection", "extractor", "prompt_projection"}


def test_training_lowers_the_loss_on_what_it_sees(tmp_path, data):
    config = replace(RUN, steps=12, made_up=0.0, lr=3e-2, prompt_lr=0.0, ema=0.0, save_every=99, guide=GuideConfig())
    few = replace(data, objects=[one for one in data.objects if one.category_id == data.objects[0].category_id])
    _, figures = run(tmp_path, few, tmp_path / "out", config)
    losses = [found["loss"] for found in figures]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def test_the_verb_trains_a_model_from_its_yaml_and_goes_on_from_its_folder(tmp_path):
    described = json.loads(json.dumps(tiny.kptllm(tmp_path / "base", "lora", answer="token").config.to_dict()))
    recipe = {"tasks": {"text": 1, "example": 1}, "batch": 2, "steps": 1, "sampling": "balanced", "precision": "fp32"}
    model_file, recipe_file = tmp_path / "m.yaml", tmp_path / "r.yaml"
    model_file.write_text(yaml.safe_dump({"preset": "kptllm++", **described}))
    recipe_file.write_text(yaml.safe_dump(recipe))
    write_dataset(tmp_path / "data", 4, seed=3, per_category=2)
    spec, images = f"coco:{next((tmp_path / 'data').glob('*.json'))}", tmp_path / "data" / "images"
    options = {"model": model_file, "start": None, "recipe": recipe_file, "allow_missing": False}
    train_verb(spec, tmp_path / "one", images, **options)
    options |= {"model": None, "start": str(tmp_path / "one" / "model")}
    train_verb(spec, tmp_path / "two", images, **options)
    first, second = (changed_tensors(from_folder(tmp_path / out / "model")) for out in ("one", "two"))
    assert first.keys() == second.keys() and any(not torch.equal(first[name], second[name]) for name in first)


def test_a_category_of_one_object_gets_the_tasks_without_examples_and_it_is_said(tmp_path, data, capsys):
    single = data.objects[0]
    few = replace(data, objects=[single, *[one for one in data.objects if one.category_id != single.category_id]])
    model = tiny.kptllm(tmp_path / "base", "lora")
    trainer = KptLLMTrainer(model, few, settings())
    tasks = [
        task for seed in range(9) for task in trainer.sequences(single, np.random.default_rng(seed), step=0)[0].tasks
    ]
    assert set(tasks) == {"identify", "text"}
    train(model, few, RUN, tmp_path / "out", stop_after=1)
    assert f"a single object and no example: {single.category.name}" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"needs an example, but .* has a single object"):
        KptLLMTrainer(model, few, settings(tasks=TaskWeights(example=1, both=1)))


# --- from a CapeLLM ---------------------------------------------------------------------------------------------------


def test_a_model_from_a_capellm_has_its_towers_and_projection_and_new_prompt_tokens(tmp_path):
    source = tiny.capellm(tmp_path / "base", "lora")
    config = tiny.kptllm(tmp_path / "base", "lora").config
    model = from_capellm(config, source, seed=1)
    kept = changed_tensors(source)
    found = changed_tensors(model)
    assert all(torch.equal(found[name], tensor) for name, tensor in kept.items())
    assert {name.split(".")[0] for name in found.keys() - kept.keys()} == {"extractor", "prompt_projection"}
    for part in ("weight", "bias"):  # the language model can read it from the first step on
        assert torch.equal(found[f"prompt_projection.{part}"], kept[f"projection.{part}"])
    again, other = (changed_tensors(from_capellm(config, source, seed=seed)) for seed in (1, 2))
    key = "extractor.layers.0.feed_forward.0.weight"
    assert torch.equal(found[key], again[key]) and not torch.equal(found[key], other[key])


def test_a_capellm_of_other_towers_is_no_start(tmp_path):
    source = tiny.capellm(tmp_path / "base", "lora")
    config = tiny.kptllm(tmp_path / "base", "lora").config
    with pytest.raises(InputError, match="has its vision"):
        from_capellm(replace(config, vision=replace(config.vision, image_size=56)), source)
    with pytest.raises(InputError, match="projector is 'mlp'"):
        from_capellm(replace(config, projector="mlp"), source)


def test_the_verb_starts_a_new_model_from_a_saved_capellm_and_no_other_from_another(tmp_path):
    source = tiny.capellm(tmp_path / "base", "lora")
    source.save_pretrained(tmp_path / "cape")
    described = json.loads(json.dumps(tiny.kptllm(tmp_path / "base", "lora").config.to_dict()))
    recipe = {"tasks": {"text": 1}, "batch": 1, "steps": 1, "sampling": "balanced", "precision": "fp32", "lr": 1e-9}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump({"model": described, "recipe": recipe}))
    write_dataset(tmp_path / "data", 2, seed=3)
    spec, images = f"coco:{next((tmp_path / 'data').glob('*.json'))}", tmp_path / "data" / "images"
    options = {"model": tmp_path / "m.yaml", "start": str(tmp_path / "cape"), "recipe": None, "allow_missing": False}
    train_verb(spec, tmp_path / "out", images, **options)
    found = changed_tensors(from_folder(tmp_path / "out" / "model"))
    for name, tensor in changed_tensors(source).items():
        assert torch.allclose(found[name], tensor, atol=1e-6), name
    with pytest.raises(InputError, match="not both"):
        train_verb(spec, tmp_path / "x", images, **(options | {"start": str(tmp_path / "out" / "model")}))
    (tmp_path / "m.yaml").write_text("{name: capex}")
    with pytest.raises(InputError, match="not both"):
        train_verb(spec, tmp_path / "x", images, **options)
    (tmp_path / "m.yaml").write_text("{instruction: brief}")  # the paper's towers, which the saved one does not have
    with pytest.raises(InputError, match="starts from another one has its vision"):
        train_verb(spec, tmp_path / "x", images, **options)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tasks": {"locate": 1}}, "unknown key 'locate'; known are identify, example, text, both"),
        ({"tasks": {"text": 0}}, "No task has a weight"),
        ({"tasks": {"text": -1}}, "task text must be a number from 0"),
        ({"asks": 0}, "asks must be a whole number from 1"),
        ({"grouping": "fixed"}, "unknown key 'grouping'"),
        ({"point": -1}, "point must be a number from 0"),
        ({"sampling": "balanced"}, "say how many optimiser steps"),
        ({"made_up": 0.5}, "needs sampling 'balanced'"),
        ({"sigma": 0.1}, "needs loss 'digits'"),
        ({"guide": {"layers": [1], "alone": 3}}, "start from a CapeLLM"),
        ({"shard": True, "guide": {"layers": [1]}}, "use one of them only"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_by_name(settings, words):
    with pytest.raises(InputError, match=words):
        from_mapping(KptLLMTrainConfig, settings, "recipe")


def test_digits_of_a_model_that_writes_none_are_refused(tmp_path, data):
    with pytest.raises(InputError, match="use the loss 'text'"):
        KptLLMTrainer(tiny.kptllm(tmp_path, answer="token"), data, settings(loss="digits"))


def test_a_recipe_survives_being_written_down_and_a_task_that_is_not_named_is_off():
    assert from_mapping(KptLLMTrainConfig, RUN.to_dict(), "recipe") == RUN
    assert from_mapping(KptLLMTrainConfig, {"tasks": {"text": 1}}, "recipe").tasks == TaskWeights(text=1)


def test_a_yaml_with_a_key_of_kptllms_alone_describes_one():
    assert family_of({"preset": "kptllm"}, "m.yaml") is KPTLLM
    assert family_of({"vision": {}, "identify_first": False}, "m.yaml") is KPTLLM


# --- the shipped recipes ----------------------------------------------------------------------------------------------

EXPERIMENTS = Path(str(resources.files("anykeypoint") / "experiments"))


@pytest.mark.parametrize("name", ["kptllm", "kptllm_pp", "kptllm_small"])
def test_a_shipped_recipe_describes_a_kptllm_and_its_run(name):
    described, recipe = parts(load_yaml(EXPERIMENTS / f"{name}.yaml"), name)
    assert family_of(described, name) is KPTLLM
    model, config = KptLLMConfig.from_dict(described), from_mapping(KptLLMTrainConfig, recipe, name)
    assert recipe["item"] == ("object" if name == "kptllm_small" else "group")  # by name, not by default
    if name == "kptllm_small":
        default = CapeLLM.read_config(find("capellm-small"))
        assert (model.vision, model.language, model.crop_scale) == (default.vision, default.language, 1.25)
    else:
        assert (config.lr, config.weight_decay, 8 * config.batch * config.accumulate) == (2e-4, 0, 128)
        assert (model.language.lora.r, model.language.lora.alpha, config.point) == (128, 256, 2)
        assert model.answer == ("token" if name == "kptllm" else "text")
        papers = {"kptllm": TaskWeights(identify=1, example=1), "kptllm_pp": TaskWeights(text=1)}  # Sec. 4.1.1
        assert config.tasks == papers[name]


def test_the_joint_training_is_of_the_papers_eight_data_sets():
    names = [member.name for member in members(EXPERIMENTS / "kptllm_pp_joint.yaml")]
    papers = [entry for entry in known_datasets().values() if "KptLLM++" in entry.papers]
    assert {*names} == {entry.name for entry in papers} - {"mp100", "animalpose"} and len(names) == 8


def test_what_the_papers_tables_test_is_named_apart_from_the_joint_training():
    tested = {member.name: member for member in members(EXPERIMENTS / "kptllm_pp_joint.yaml") if member.test}
    assert {*tested} == {"coco", "humanart", "ap10k", "macaque", "animalkingdom", "carfusion"}  # Tables 6 to 12
    for member in tested.values():
        assert member.test != member.spec and member.test.partition(":")[0] == member.spec.partition(":")[0]
    macaque = tested["macaque"]
    assert [Path(spec).name for spec in (macaque.spec, macaque.test)] == ["macaque_train.json", "macaque_test.json"]
