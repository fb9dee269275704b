"""Two processes on one machine: gradients averaged, frozen weights spread, and the figures of one process."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tiny
import tiny_trainees
import torch
from safetensors.torch import load_file
from training.test_loop import CONFIG, run

from anykeypoint.cli import validation
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.generative.storage import changed_tensors
from anykeypoint.models.loading import from_folder
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.matching import matcher_trainer
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
from anykeypoint.training.progress import crop_counts
from anykeypoint.training.trainable import EXPERIMENTS

LAUNCH = EXPERIMENTS / "launch"
# Epochs in which a process now and then has nothing to train on, and now and then two sequences of one object.
EPOCHS = CapeLLMTrainConfig(
    item="object", rounds=2, pack=6, epochs=2, accumulate=2, lr=1e-3, precision="fp32", save_every=1
)
GROUPS = replace(EPOCHS, item="group", grouping="dynamic", batch=2, accumulate=1)
MATCHER = MatcherTrainConfig(
    sampling="balanced", steps=3, batch=2, lr=1e-3, warmup=1, features="cached", versions=2, save_every=1
)
CODE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
from pathlib import Path
from torch.distributed.tensor import DTensor
import torch
import training.test_loop as t
import training.test_processes as p
from anykeypoint.cli import train
folder = Path(sys.argv[2])
files = {"model": folder / "model.yaml", "recipe": folder / "recipe.yaml", "start": None, "allow_missing": False}
files |= {"images": folder / "data" / "images", "out": folder / "verb"}
train.run(f"coco:{folder / 'data' / 'annotations.json'}", **files)
objects = p.data(folder)
t.run(folder, objects, folder / "two", t.replace(t.CONFIG, accumulate=1))
some = p.with_far_ones(objects)
_, whole = t.run(folder, some, folder / "whole", p.EPOCHS)
spread = replace(p.EPOCHS, shard=True, checkpointing=True)
model, first = t.run(folder, some, folder / "spread", spread, stop_after=2)
_, rest = t.run(folder, some, folder / "spread", spread)
weights = {name: weight for name, weight in model.named_parameters() if isinstance(weight, DTensor)}
shares = {name: [weight.requires_grad, weight.numel(), weight.to_local().numel()] for name, weight in weights.items()}
t.run(folder, some, folder / "groups", p.GROUPS)
p.match(folder, p.MATCHER, folder / "matched")
files |= {"images": folder / "more" / "images", "out": folder / "validated", "recipe": folder / "sharded.yaml"}
train.run(f"coco:{folder / 'more' / 'annotations.json'}", **files, held_out=0.25)
group = torch.distributed.group.WORLD._get_backend(torch.device("cpu"))
seen = {"whole": whole, "spread": first + rest, "shares": shares, "waits": group.options._timeout.total_seconds()}
(folder / f"rank-{os.environ['RANK']}.json").write_text(json.dumps(seen))
"""


def data(folder):
    return read_coco(folder / "data" / "annotations.json", folder / "data" / "images").objects


def match(folder, config, out):
    """A matcher trained in `out`."""
    dataset = read_coco(folder / "data" / "annotations.json", folder / "data" / "images")
    return matcher_trainer.train(tiny_trainees.matcher("flf", folder / "base"), dataset, config, out)


def with_far_ones(objects):
    return [replace(item, points=item.points + 10_000 * (i % 4 == 0)) for i, item in enumerate(objects)]


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """The folder that two processes trained in."""
    folder = tmp_path_factory.mktemp("two")
    config = tiny.capellm(folder / "base", "lora").config.to_dict()
    tiny_trainees.config("flf", folder / "base")  # writes the text encoder
    (folder / "model.yaml").write_text(json.dumps(config))  # JSON is YAML
    (folder / "recipe.yaml").write_text(
        json.dumps({"item": "object", "epochs": 1, "accumulate": 1, "precision": "fp32"})
    )
    spread = {"item": "object", "steps": 2, "accumulate": 1, "shard": True, "frozen_precision": "bf16"}
    (folder / "sharded.yaml").write_text(json.dumps(spread))
    write_dataset(folder / "data", 8, seed=2).rename(folder / "data" / "annotations.json")
    write_dataset(folder / "more", 12, seed=3, per_category=12).rename(folder / "more" / "annotations.json")
    (folder / "run.py").write_text(CODE)
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # A shipped file's processes, but two of them and on a CPU. (With --cpu, accelerate launches a single one.)
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(LAUNCH / "capellm_4x48gb.yaml")]
    launch += ["--num_processes", "2", "--main_process_port", "0"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    command = [*launch, str(folder / "run.py"), tests, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "said.txt").write_text(done.stdout)
    return folder


def test_two_processes_train_as_one_with_twice_the_passes(launched):
    one, losses = run(launched, data(launched), launched / "one", replace(CONFIG, accumulate=2))
    log = [json.loads(line) for line in (launched / "two" / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in log] == pytest.approx(losses, rel=1e-3)
    saved = load_file(launched / "two" / "model" / "model.safetensors")
    for name, tensor in changed_tensors(one).items():
        assert torch.allclose(saved[name], tensor, atol=1e-3), name


def test_two_processes_train_on_groups_as_one_with_twice_the_passes(launched):
    some = with_far_ones(data(launched))
    one, losses = run(launched, some, launched / "groups-alone", replace(GROUPS, accumulate=2))
    log, alone = (
        [json.loads(line) for line in (launched / out / "log.jsonl").read_text().splitlines()]
        for out in ("groups", "groups-alone")
    )
    assert [line["loss"] for line in log] == pytest.approx(losses, rel=1e-5) and len(losses) > 8
    for line, other in zip(log, alone, strict=True):
        assert (line["crops"], line["skipped"]) == (other["crops"], other["skipped"]) and line["crops"] == 4
    assert sum(line["skipped"] for line in log) > 0  # others were drawn in place of the far ones
    saved = load_file(launched / "groups" / "model" / "model.safetensors")
    for name, tensor in changed_tensors(one).items():
        assert torch.allclose(saved[name], tensor, atol=1e-3), name


def test_one_process_goes_on_where_two_were(launched):
    shutil.copytree(launched / "two", launched / "alone")
    shutil.rmtree(launched / "alone" / "checkpoints" / "step-00000006")
    _, losses = run(launched, data(launched), launched / "alone", replace(CONFIG, accumulate=2))
    log = [json.loads(line) for line in (launched / "two" / "log.jsonl").read_text().splitlines()]
    assert losses == pytest.approx([line["loss"] for line in log[4:]], rel=1e-3) and len(losses) == 2


def test_spread_weights_change_no_figure_through_a_stop_and_a_resume(launched):
    seen = [json.loads(path.read_text()) for path in launched.glob("rank-*.json")]
    assert len(seen) == 2
    for process in seen:
        assert process["spread"] == pytest.approx(process["whole"], rel=1e-5) and len(process["whole"]) == 4
        assert len(process["shares"]) == 18  # all weights of both layers but the adapters'
        assert all(not trains and mine == total / 2 for trains, total, mine in process["shares"].values())
    whole, spread = (load_file(launched / name / "model" / "model.safetensors") for name in ("whole", "spread"))
    assert whole.keys() == spread.keys()
    for name, tensor in whole.items():
        assert torch.allclose(spread[name], tensor, atol=1e-5), name


def test_processes_wait_for_one_that_validates_for_hours(launched):
    assert [json.loads(path.read_text())["waits"] for path in launched.glob("rank-*.json")] == [12 * 3600] * 2


def test_the_verb_trains_on_all_processes_and_one_of_them_speaks(launched):
    log = [json.loads(line) for line in (launched / "verb" / "log.jsonl").read_text().splitlines()]
    assert [line["crops"] for line in log] == [2, 2, 2, 2]  # eight objects, one in each process
    said = (launched / "said.txt").read_text()
    assert said.count("0 of 8 crops were skipped") == 1 and said.count("Written to") == 2  # of it and of the next


def test_one_process_validates_a_sharded_model_by_its_saved_weights(launched):
    found = json.loads((launched / "validated" / "validation.json").read_text())
    assert found["objects"] == 3 and set(found["before"]) == set(found["after"]) == {"text"}
    saved = from_folder(launched / "validated" / "model")
    more = read_coco(launched / "more" / "annotations.json", launched / "more" / "images")
    held = validation.hold_out(more, 0.25, CapeLLMTrainConfig().seed)
    assert found["after"]["text"] == pytest.approx(validation.measured(saved, held)["text"])
    log = [json.loads(line) for line in (launched / "validated" / "log.jsonl").read_text().splitlines()]
    assert [line["crops"] for line in log] == [2, 2]


def test_a_matcher_is_trained_by_two_processes_as_by_one_with_twice_the_passes(launched):
    """And they share the computing of its features."""
    one = match(launched, replace(MATCHER, accumulate=2), launched / "matched-alone")
    logs = [(launched / out / "log.jsonl").read_text().splitlines() for out in ("matched", "matched-alone")]
    losses = [[json.loads(line)["loss"] for line in lines] for lines in logs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and len(losses[0]) == 3
    maps = [np.load(launched / out / "features" / "features.npy") for out in ("matched", "matched-alone")]
    assert np.allclose(*maps, rtol=2e-3, atol=1e-4) and maps[0].any(axis=(1, 2, 3, 4)).all()
    saved = load_file(launched / "matched" / "model" / "model.safetensors")
    assert torch.allclose(saved["head.guest_projection.weight"], one.head.guest_projection.weight, atol=1e-4)


def test_crops_are_counted_over_all_processes(launched):
    trained, skipped = crop_counts(launched / "spread")
    assert (trained, skipped) == (12, 4)  # two epochs of eight objects, two of which are far off
