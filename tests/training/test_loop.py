"""The loop: exact resumes, schedules, sampling, and what it refuses."""

import collections
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file

from anykeypoint.data.coco import read_coco
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.models.generative.folder import changed_tensors
from anykeypoint.training.config import GuideConfig, TrainConfig, from_mapping, to_mapping
from anykeypoint.training.loop import Plan, rate, train

CONFIG = TrainConfig(
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


def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(tmp_path, objects):
    whole, losses = run(tmp_path, objects, tmp_path / "whole")
    _, first = run(tmp_path, objects, tmp_path / "parts", stop_after=3)  # the checkpoint is from step 2
    resumed, second = run(tmp_path, objects, tmp_path / "parts")
    assert first + second[1:] == losses and len(second) == 4 and first[2] == second[0]
    for (name, a), (_, b) in zip(changed_tensors(whole).items(), changed_tensors(resumed).items(), strict=True):
        assert torch.equal(a, b), name


def test_a_killed_run_goes_on_from_its_newest_checkpoint(tmp_path, objects):
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import training.test_loop as t
from anykeypoint.data.coco import read_coco
folder = Path(sys.argv[2])
objects = read_coco(folder / "data" / "annotations.json", folder / "data" / "images").objects
t.run(folder, objects, folder / "run", t.replace(t.CONFIG, steps=500, save_every=1))
"""
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    written = write_dataset(tmp_path / "data", 8, seed=2)
    written.rename(tmp_path / "data" / "annotations.json")
    command = [sys.executable, "-c", code, tests, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    log = tmp_path / "run" / "log.jsonl"
    for _ in range(600):
        if log.exists() and log.read_text().count("\n") >= 3:
            break
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    before = len(log.read_text().splitlines())
    data = read_coco(tmp_path / "data" / "annotations.json", tmp_path / "data" / "images").objects
    config = replace(CONFIG, steps=500, save_every=1)
    run(tmp_path, data, tmp_path / "run", config, stop_after=before + 2)
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps[-1] == before + 2 and steps[before] in (before, before + 1)


def test_two_processes_train_as_one_with_twice_the_passes(tmp_path, objects):
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import training.test_loop as t
from anykeypoint.data.coco import read_coco
folder = Path(sys.argv[2])
objects = read_coco(folder / "data" / "annotations.json", folder / "data" / "images").objects
t.run(folder, objects, folder / "two", t.replace(t.CONFIG, accumulate=1))
"""
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    tiny.bases(tmp_path / "base")
    write_dataset(tmp_path / "data", 8, seed=2).rename(tmp_path / "data" / "annotations.json")
    data = read_coco(tmp_path / "data" / "annotations.json", tmp_path / "data" / "images").objects
    (tmp_path / "run.py").write_text(code)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [*launch, str(tmp_path / "run.py"), tests, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    one, losses = run(tmp_path, data, tmp_path / "one", replace(CONFIG, accumulate=2))
    log = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in log] == pytest.approx(losses, rel=1e-3)
    saved = load_file(tmp_path / "two" / "model" / "model.safetensors")
    for name, tensor in changed_tensors(one).items():
        assert torch.allclose(saved[name], tensor, atol=1e-3), name


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
    config = TrainConfig(accumulate=2, batch=2, epochs=3, precision="fp32")
    plan = Plan(objects, config, processes=2)
    assert plan.steps == 3
    for epoch in range(3):
        seen = [item.id for process in range(2) for turn in plan.items(epoch, process) for item, _ in turn]
        assert sorted(seen) == sorted(item.id for item in objects)


def test_balanced_sampling_follows_the_square_root_of_a_categorys_size(objects):
    many = [replace(objects[0], id=i, category_id=1) for i in range(90)]
    few = [replace(objects[1], id=100 + i, category_id=2) for i in range(10)]
    plan = Plan([*many, *few], TrainConfig(sampling="balanced", steps=200, accumulate=16))
    counts = collections.Counter(
        item.category_id for step in range(200) for turn in plan.items(step, 0) for item, _ in turn
    )
    assert counts[1] / counts[2] == pytest.approx(3.0, rel=0.15)


def test_the_rate_rises_for_three_percent_and_falls_to_nothing():
    rates = [rate(step, 1000, 0.03) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 30) and rates[29] == 1.0
    assert rates[30] == 1.0 and rates[515] == pytest.approx(0.5, abs=1e-3) and rates[-1] < 1e-5


def test_objects_without_points_in_the_crop_are_counted(tmp_path, objects):
    figures = []
    model = tiny.capellm(tmp_path / "base", tuning="lora")
    far = [replace(item, points=item.points + 10_000) for item in objects]
    config = replace(CONFIG, made_up=0.0)
    train(model, far, config, tmp_path / "out", on_step=lambda s, f: figures.append(f), stop_after=1)
    assert figures[0]["skipped"] == 2


def test_a_run_with_other_settings_is_not_continued(tmp_path, objects):
    run(tmp_path, objects, tmp_path / "out", stop_after=2)
    with pytest.raises(InputError, match="other settings"):
        run(tmp_path, objects, tmp_path / "out", replace(CONFIG, lr=0.5))


def test_a_nan_loss_stops_with_the_objects_named(tmp_path, objects):
    model = tiny.capellm(tmp_path / "base", tuning="lora")
    with torch.no_grad():
        model.projection.bias.fill_(float("nan"))
    with pytest.raises(InputError, match=r"loss became nan at step 1 on objects"):
        train(model, objects, CONFIG, tmp_path / "out")


def test_nothing_to_train_on_is_refused(tmp_path):
    with pytest.raises(InputError, match="no object"):
        Plan([], CONFIG)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"round": 4}, "unknown key 'round'; known are grouping, rounds"),
        ({"rounds": "4"}, "rounds must be of type int"),
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"loss": "mse"}, "text, digits"),
        ({"sampling": "balanced"}, "say how many optimiser steps"),
        ({"sigma": 0.1}, "needs loss 'digits'"),
        ({"augment": {"flips": 1}}, "unknown key 'flips'"),
        ({"guide": {"layers": 3}}, "must be a list"),
        ({"made_up": 0.5}, "needs sampling 'balanced'"),
        ({"guide": {"alone": 5}}, "needs guide.layers"),
        ({"rounds": 8, "pack": 4}, "pack must be at least rounds"),
        ([], "must be a mapping"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_by_name(settings, words):
    with pytest.raises(InputError, match=words):
        from_mapping(TrainConfig, settings, "recipe")


def test_a_recipe_survives_being_written_down():
    assert from_mapping(TrainConfig, to_mapping(CONFIG), "recipe") == CONFIG
