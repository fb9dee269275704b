"""The loop: exact resumes, schedules, sampling, and what it refuses."""

import collections
import json
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file
from training.killed import run_until_killed

from anykeypoint.category import Category, Keypoint
from anykeypoint.configs.yaml_files import from_mapping
from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.generative.storage import changed_tensors
from anykeypoint.training.checkpoints import save_checkpoint
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.capellm_trainer import train
from anykeypoint.training.generative.generative_config import GuideConfig
from anykeypoint.training.generative.object_sampler import ObjectSampler
from anykeypoint.training.generative.sequences import build_sequences
from anykeypoint.training.trainer import StepPlan

CONFIG = CapeLLMTrainConfig(
    item="object",
    rounds=2,
    pack=4,
    loss="digits",
    sigma=0.03,
    describe=0.5,
    sampling="balanced",
    made_up=0.3,
    steps=6,
    accumulate=2,
    lr=1e-3,
    ema=0.9,
    precision="fp32",
    save_every=2,
    guide=GuideConfig(layers=(1,), alone=2),
)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 8, seed=2), folder / "images").objects


def run(tmp_path, objects, out, config=CONFIG, **options):
    losses = []
    model = tiny.capellm(tmp_path / "base", tuning="lora")
    train(model, objects, config, out, on_step=lambda step, figures: losses.append(figures["loss"]), **options)
    return model, losses


ALL = replace(  # everything at once that a checkpoint could forget
    CONFIG,
    grouping="dynamic",
    pack=6,
    replace=0.5,
    checkpointing=True,
    guide=GuideConfig(layers=(0, 1), alone=1, read=0.5),
)


GROUPS = replace(ALL, item="group", sampling="epoch", made_up=0.0, batch=4)  # over the end of an epoch


@pytest.mark.parametrize(
    "config", [CONFIG, ALL, replace(ALL, item="group"), GROUPS], ids=["plain", "all", "group", "epoch"]
)
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(tmp_path, objects, config):
    whole, losses = run(tmp_path, objects, tmp_path / "whole", config)
    _, first = run(tmp_path, objects, tmp_path / "parts", config, stop_after=3)  # the checkpoint is from step 2
    resumed, second = run(tmp_path, objects, tmp_path / "parts", config)
    assert first + second[1:] == losses and len(second) == 4 and first[2] == second[0]
    for (name, a), (_, b) in zip(changed_tensors(whole).items(), changed_tensors(resumed).items(), strict=True):
        assert torch.equal(a, b), name
    logs = [(tmp_path / out / "log.jsonl").read_text().splitlines() for out in ("whole", "parts")]
    for line, other in zip(*logs, strict=True):
        line, other = json.loads(line), json.loads(other)
        del line["crops_per_second"], other["crops_per_second"]
        assert line == other
    last = [
        load_file(tmp_path / out / "checkpoints" / "step-00000006" / "average.safetensors")
        for out in ("whole", "parts")
    ]
    assert last[0].keys() == last[1].keys() and all(torch.equal(last[0][name], last[1][name]) for name in last[0])
    assert any(name.startswith("readers.") for name in last[0]) == bool(config.guide.read)


def test_a_killed_run_goes_on_from_its_newest_checkpoint(tmp_path, objects, one_thread):
    config = replace(CONFIG, steps=500, save_every=1)
    log = tmp_path / "run" / "log.jsonl"
    before = run_until_killed(log, 3, lambda: run(tmp_path, objects, tmp_path / "run", config))
    run(tmp_path, objects, tmp_path / "run", config, stop_after=before + 2)
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps[-1] == before + 2 and steps[before] in (before, before + 1)


def test_a_run_removes_what_a_killed_save_has_left(tmp_path, objects):
    left = tmp_path / "run" / "checkpoints" / f".step-00000009.{os.getpid()}"
    left.mkdir(parents=True)
    (left / "weights.safetensors").write_bytes(b"half")
    run(tmp_path, objects, tmp_path / "run", CONFIG, stop_after=1)
    assert not left.exists()


def test_training_lowers_the_loss_on_what_it_sees(tmp_path, objects):
    config = replace(CONFIG, steps=30, made_up=0.0, guide=GuideConfig(), lr=2e-2, save_every=100, ema=0.0)
    _, losses = run(tmp_path, objects[:2], tmp_path / "out", config)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_frozen_parameters_stay(tmp_path, objects):
    model = tiny.capellm(tmp_path / "base", tuning="lora")
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    train(model, objects, CONFIG, tmp_path / "out", stop_after=2)
    assert frozen and all(torch.equal(dict(model.named_parameters())[name], p) for name, p in frozen.items())


def test_every_object_comes_once_in_an_epoch(objects):
    config = CapeLLMTrainConfig(item="object", accumulate=2, batch=2, epochs=3, precision="fp32")
    plan, sampler = StepPlan.of(config, len(objects), processes=2), ObjectSampler(objects, config)
    assert plan.steps == 3
    for epoch in range(3):
        numbers = [n for process in range(2) for turn in plan.micro_batches(epoch, process) for n in turn]
        assert sorted(sampler.sample(n)[0].id for n in numbers) == sorted(item.id for item in objects)


def test_balanced_sampling_follows_the_square_root_of_a_categorys_size(objects):
    many = [replace(objects[0], id=i, category_id=1) for i in range(90)]
    few = [replace(objects[1], id=100 + i, category_id=2) for i in range(10)]
    sampler = ObjectSampler([*many, *few], CapeLLMTrainConfig(sampling="balanced", steps=200, accumulate=16))
    counts = collections.Counter(sampler.sample(number)[0].category_id for number in range(3200))
    assert counts[1] / counts[2] == pytest.approx(3.0, rel=0.15)


def test_several_sources_are_drawn_by_their_weights_and_an_epoch_has_all_their_objects_once(objects):
    sourced = [
        SimpleNamespace(**(vars(item) | {"source": name})) for item, name in zip(objects, "aabbbb", strict=False)
    ]
    config = CapeLLMTrainConfig(sampling="balanced", steps=100, accumulate=16)
    sampler = ObjectSampler(sourced, config, weights={"a": 3, "b": 1})
    drawn = [sampler.sample(number)[0].source for number in range(1600)]
    assert np.mean([name == "a" for name in drawn]) == pytest.approx(0.75, abs=0.04)
    epoch = ObjectSampler(sourced, replace(config, sampling="epoch"), weights={"a": 3, "b": 1})
    drawn = [epoch.sample(number)[0].id for number in range(len(sourced))]
    assert sorted(drawn) == sorted(item.id for item in sourced)


def test_objects_without_points_in_the_crop_are_counted(tmp_path, objects):
    figures = []
    model = tiny.capellm(tmp_path / "base", tuning="lora")
    far = [replace(item, points=item.points + 10_000) for item in objects]
    config = replace(CONFIG, made_up=0.0)
    train(model, far, config, tmp_path / "out", on_step=lambda s, f: figures.append(f), stop_after=1)
    assert figures[0]["skipped"] == 2


def test_a_run_with_other_settings_is_not_continued(tmp_path, objects):
    run(tmp_path, objects, tmp_path / "out", stop_after=2)
    with pytest.raises(InputError, match=r"other settings \(lr 0.001 there, 0.5 here\)"):
        run(tmp_path, objects, tmp_path / "out", replace(CONFIG, lr=0.5))


def test_a_run_on_other_objects_or_labels_is_not_continued_however_far_it_is(tmp_path, objects):
    """A finished run on other data was said to be one on these, and its model trained on them."""
    others = [objects[:-1], [replace(objects[0], points=objects[0].points + 1), *objects[1:]]]
    others.append([replace(objects[0], visibility=np.minimum(objects[0].visibility, 1)), *objects[1:]])
    for stop_after in (2, CONFIG.steps):
        run(tmp_path, objects, tmp_path / "out", stop_after=stop_after)
        for other in others:
            with pytest.raises(InputError, match="run on other objects or labels; give another output folder"):
                run(tmp_path, other, tmp_path / "out")


def test_a_run_of_another_model_is_not_continued(tmp_path, objects):
    """The weights that train may have the same shapes, and yet be those of another model."""
    run(tmp_path, objects, tmp_path / "out", stop_after=2)
    model = tiny.capellm(tmp_path / "base", tuning="lora")
    model.config = replace(model.config, crop_scale=2.0)
    with pytest.raises(InputError, match=r"run of another model \(crop_scale .* there, 2.0 here\)"):
        train(model, objects, CONFIG, tmp_path / "out")


def test_a_run_goes_on_where_its_pictures_and_weights_were_moved(tmp_path, objects):
    _, losses = run(tmp_path, objects, tmp_path / "whole", stop_after=3)
    run(tmp_path, objects, tmp_path / "parts", stop_after=2)
    folder = os.path.commonpath([os.path.dirname(item.image) for item in objects])
    shutil.copytree(folder, tmp_path / "moved")
    moved = [replace(item, image=str(tmp_path / "moved" / os.path.relpath(item.image, folder))) for item in objects]
    shutil.move(tmp_path / "base", tmp_path / "weights")
    (tmp_path / "elsewhere").mkdir()
    model = tiny.capellm(tmp_path / "elsewhere" / "base", tuning="lora")
    rest: list[float] = []
    train(model, moved, CONFIG, tmp_path / "parts", on_step=lambda _, f: rest.append(f["loss"]), stop_after=3)
    assert rest == losses[2:]


def test_a_run_with_fewer_images_to_a_step_is_not_continued(tmp_path, objects):
    run(tmp_path, objects, tmp_path / "out", stop_after=2)
    with pytest.raises(InputError, match=r"2 images to a step, but .* is 1 now; set accumulate"):
        run(tmp_path, objects, tmp_path / "out", replace(CONFIG, accumulate=1))


def test_what_changes_nothing_of_what_is_learnt_may_change_within_a_run(tmp_path, objects):
    _, losses = run(tmp_path, objects, tmp_path / "whole", stop_after=3)
    run(tmp_path, objects, tmp_path / "parts", stop_after=2)
    config = replace(CONFIG, checkpointing=True, shard=False, save_every=1, keep=1)
    _, rest = run(tmp_path, objects, tmp_path / "parts", config, stop_after=3)
    assert rest == losses[2:]


def test_a_run_from_before_a_setting_was_known_is_continued(tmp_path, objects):
    run(tmp_path, objects, tmp_path / "out", stop_after=2)
    (checkpoint,) = (tmp_path / "out" / "checkpoints").iterdir()
    old = json.loads((checkpoint / "config.json").read_text())
    del old["grouping"], old["replace"], old["item"]
    shutil.rmtree(checkpoint)

    def write(folder):
        (folder / "config.json").write_text(json.dumps(old))

    save_checkpoint(tmp_path / "out" / "checkpoints", 2, write, keep=1)
    with pytest.raises(InputError, match="other settings"):
        run(tmp_path, objects, tmp_path / "out", replace(CONFIG, grouping="dynamic"))
    with pytest.raises(InputError, match="other settings"):  # the item was the object then
        run(tmp_path, objects, tmp_path / "out", replace(CONFIG, item="group"))
    with pytest.raises(FileNotFoundError, match="weights"):  # the settings fit; there is nothing else in it
        run(tmp_path, objects, tmp_path / "out")


def test_a_nan_loss_stops_with_the_objects_named(tmp_path, objects):
    model = tiny.capellm(tmp_path / "base", tuning="lora")
    with torch.no_grad():
        model.projection.bias.fill_(float("nan"))
    with pytest.raises(InputError, match=r"loss became nan at step 1 on objects"):
        train(model, objects, CONFIG, tmp_path / "out")


def test_every_keypoint_of_an_object_with_many_is_trained_in_an_epoch(tmp_path, objects):
    points = np.column_stack([np.arange(68) + 16.5, np.full(68, 50.0)])
    category = Category("dots", tuple(Keypoint(f"dot {i}") for i in range(68)))
    item = replace(objects[0], box=(0.0, 0.0, 100.0, 100.0), category=category, points=points)
    model = tiny.capellm(tmp_path / "base")
    for grouping in ("fixed", "dynamic"):
        config = CapeLLMTrainConfig(
            item="object", grouping=grouping, pack=16, augment=AugmentConfig(scale=0, rotation=0)
        )
        sequences = build_sequences(model, item, config, np.random.default_rng(1))
        assert len(sequences) > 4 and all(len(sequence.answers) <= 16 for sequence in sequences)
        asked = {int(100 * answer.point[0] - 16) for sequence in sequences for answer in sequence.answers}
        assert asked == set(range(68))
    one = build_sequences(model, item, replace(config, sampling="balanced", steps=1), np.random.default_rng(1))
    assert len(one) == 1 and len(one[0].answers) <= 16


def test_several_sequences_of_an_object_weigh_as_one(tmp_path, objects):
    """Cutting an object's conversations into more sequences changes no gradient."""
    config = CapeLLMTrainConfig(item="object", rounds=2, pack=64, accumulate=1, precision="fp32", clip=0.0)
    config = replace(config, epochs=1)
    found = []
    for pack in (64, 2):
        model = tiny.capellm(tmp_path / "base")
        part = replace(config, pack=pack)
        train(model, objects[:1], part, tmp_path / str(pack), on_step=lambda step, figures: found.append(figures))
    one, several = found
    assert one == pytest.approx(several, rel=1e-4) and one["crops"] == 1


def test_a_model_that_is_frozen_altogether_is_refused(tmp_path, objects):
    model = tiny.capellm(tmp_path / "base").requires_grad_(False)
    with pytest.raises(InputError, match="Nothing of the model is trainable"):
        train(model, objects, CONFIG, tmp_path / "out")


def test_accelerates_own_sharding_is_refused(tmp_path, objects, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match="shard: true"):
        run(tmp_path, objects, tmp_path / "out")


def test_nothing_to_train_on_is_refused(tmp_path):
    with pytest.raises(InputError, match="no object"):
        ObjectSampler([], CONFIG)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"round": 4}, r"unknown key 'round' \(near: rounds, noun\); known are .*grouping, rounds"),
        ({"item": "picture"}, "item must be one of group, object, but got 'picture'"),
        ({"rounds": "4"}, "rounds must be of type int"),
        ({"rounds": 0}, "rounds must be a whole number from 1"),
        ({"grouping": "random"}, "fixed, dynamic, locllm"),
        ({"replace": 1.5}, "replace must be a number from 0 to 1"),
        ({"shard": True, "guide": {"layers": [1]}}, "use one of them only"),
        ({"loss": "mse"}, "text, digits"),
        ({"sampling": "balanced"}, "say how many optimiser steps"),
        ({"sigma": 0.1}, "needs loss 'digits'"),
        ({"augment": {"flips": 1}}, "unknown key 'flips'"),
        ({"guide": {"layers": 3}}, "must be a list"),
        ({"made_up": 0.5}, "needs sampling 'balanced'"),
        ({"guide": {"alone": 5}}, "needs guide.layers"),
        ({"item": "object", "rounds": 8, "pack": 4}, "pack must be at least rounds"),
        ([], "must be a mapping"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_by_name(settings, words):
    with pytest.raises(InputError, match=words):
        from_mapping(CapeLLMTrainConfig, settings, "recipe")


def test_a_recipe_survives_being_written_down():
    assert from_mapping(CapeLLMTrainConfig, CONFIG.to_dict(), "recipe") == CONFIG
