"""What decides a training, its length in items, and the features that trainings share."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import tiny_matchers
import torch
import yaml
from safetensors.torch import load_file

from anykeypoint import cli
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.reproduction import launching, table_run
from anykeypoint.reproduction.configured import Length, for_processes, with_items
from anykeypoint.reproduction.places import Places
from anykeypoint.reproduction.table_run import ReproductionConfig, check_length
from anykeypoint.reproduction.tables import read_tables
from anykeypoint.reproduction.trainings import TrainingWay, train, training_of
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
from anykeypoint.training.trainable import EXPERIMENTS

CACHED = {"features": "cached", "versions": 2, "batch": 3, "epochs": 1, "warmup": 1, "precision": "fp32"}


@pytest.fixture
def toy(tmp_path):
    """Reads tables whose rows are tiny matchers on a frozen encoder; called with the rows, gives the paper's tables."""
    write_dataset(tmp_path / "data", 6, seed=4, per_category=3, size=64)
    given = tiny_matchers.config("capex", tmp_path).to_dict()
    given["vision"] = {**given["vision"], "tuning": "frozen"}
    keys = ("name", "vision", "text", "head")
    base = {"train": "coco:x.json", "test": "coco:x.json", "splits": [1], "recipe": CACHED}
    labels = {"train": "coco:annotations.json", "test": "coco:annotations.json", "images": "images"}

    def read(rows):
        table = {"title": "t", "place": "p", "metrics": ["mpck"], "rows": rows}
        whole = {"paper": "Toy", "prefix": "toy", "tables": {"table-1": table}, "field": {**labels, "items": 6}}
        whole["base"] = {**base, "model": {key: given[key] for key in keys}}
        (tmp_path / "toy.yaml").write_text(yaml.safe_dump(whole))
        return read_tables(tmp_path / "toy.yaml")

    return read


def trainings(paper, length=None):
    rows = paper.tables["table-1"].rows
    return [training_of(paper, row, row.settings["field"][0], length or Length()) for row in rows]


def test_rows_that_differ_in_what_is_asked_share_a_training(toy):
    plain, asked, stated, seeded = trainings(
        toy(
            [
                {"row": "plain"},
                {"row": "asked", "ask": {"protocol": "text-pairs"}},
                {"row": "its own default, stated", "recipe": {"accumulate": 1}},
                {"row": "seeded", "recipe": {"seed": 1}},
            ]
        )
    )
    assert plain.name == asked.name == stated.name != seeded.name
    assert trainings(toy([{"row": "plain"}]), Length(seed=1))[0].name == seeded.name
    assert trainings(toy([{"row": "plain"}]), Length(items=3))[0].name != plain.name


def test_trainings_with_one_frozen_encoder_compute_its_features_once(toy, tmp_path):
    first, second = trainings(toy([{"row": "first"}, {"row": "second", "recipe": {"lr": 0.01}}]))
    out = tmp_path / "out"
    way = TrainingWay(Places(tmp_path / "data"), out, quiet=True)
    train(first, way)
    (features,) = out.glob("features/*/features.npy")
    written = features.stat().st_mtime_ns
    train(second, way)
    assert [*out.glob("**/features.npy")] == [features] and features.stat().st_mtime_ns == written
    assert first.about(out)["steps"] == 2 and first.about(out)["items"] == 6


def test_a_training_starts_from_that_of_another_row(toy, tmp_path):
    frozen = {"name": "flf", "head": {"frozen": True, "direction": "image_to_text", "norm": False}}
    flf = tiny_matchers.config("flf", tmp_path).to_dict()["head"]
    frozen["head"] = {key: None for key in tiny_matchers.config("capex", tmp_path).to_dict()["head"]} | {
        **{key: flf[key] for key in ("guest_width", "graph_head")},
        **frozen["head"],
    }
    rows = [{"row": "host"}, {"row": "guest", "start": "table-1/host", "model": frozen}]
    host, guest = trainings(toy(rows))
    assert guest.start.name == host.name
    train(guest, TrainingWay(Places(tmp_path / "data"), tmp_path / "out", quiet=True))
    assert host.is_done(tmp_path / "out") and guest.is_done(tmp_path / "out")


def test_a_training_on_labels_that_changed_is_not_gone_on_with(toy, tmp_path):
    (only,) = trainings(toy([{"row": "plain"}]))
    folder = only.folder(tmp_path / "out")
    folder.mkdir(parents=True)
    (folder / "begun.json").write_text('{"labels": "others"}')
    with pytest.raises(InputError, match="on other labels"):
        train(only, TrainingWay(Places(tmp_path / "data"), tmp_path / "out", quiet=True))


def test_a_length_that_no_row_is_trained_for_is_refused(toy, tmp_path, monkeypatch):
    def check(length, *rows):
        paper = toy(list(rows))
        monkeypatch.setattr(table_run, "paper_of", lambda table: paper)
        config = ReproductionConfig(Places(tmp_path / "data"), tmp_path, "field", length)
        check_length([paper.tables["table-1"]], config)

    held_out = {"row": "shipped", "trained": "held_out", "held_out": "fast@held-out"}
    for length, option in ((Length(items=3), "--items"), (Length(seed=3), "--seed")):
        with pytest.raises(InputError, match=f"None of these rows is trained, so that {option} changes nothing"):
            check(length, held_out)
        check(length, held_out, {"row": "trained"})
    check(Length(), held_out)


def test_items_are_the_samples_of_all_steps_and_step_counts_keep_their_share():
    recipe = MatcherTrainConfig(batch=8, epochs=200, warmup=500, accumulate=2)
    short = with_items(recipe, 1600, objects=800)  # the recipe's own run has 200 x 800 / 16 = 10,000 steps
    assert (short.steps, short.warmup) == (100, 5)
    assert with_items(recipe, 0, objects=800) == recipe
    assert with_items(replace(recipe, warmup=0), 16, objects=800).warmup == 0
    guided = replace(CapeLLMTrainConfig(), epochs=1, accumulate=1)
    guided = replace(guided, guide=replace(guided.guide, layers=(1,), alone=100))
    assert with_items(guided, 100, objects=1000).guide.alone == 10


def test_a_step_has_the_same_samples_on_another_number_of_processes():
    recipe = CapeLLMTrainConfig(batch=1, accumulate=32)
    assert for_processes(recipe, 4, 1).accumulate == 128 and for_processes(recipe, 4, 8).accumulate == 16
    with pytest.raises(InputError, match="cannot be shared evenly by 3 processes"):
        for_processes(recipe, 4, 3)


def test_a_launched_training_is_a_command_that_gives_the_same_model(toy, tmp_path, monkeypatch):
    (tmp_path / "two.yaml").write_text("num_processes: 1\n")
    commands = []

    def run(command):
        commands.append(command)
        with pytest.raises(SystemExit) as ended:
            cli.main(command[command.index("train") :])
        return SimpleNamespace(returncode=ended.value.code)

    monkeypatch.setattr(launching.subprocess, "run", run)
    (only,) = trainings(toy([{"row": "plain"}]))
    places, folders = Places(tmp_path / "data"), []
    for launch in (None, tmp_path / "two.yaml"):
        out = tmp_path / f"out {launch is None}"
        folders.append(train(only, TrainingWay(places, out, quiet=True, launch=launch)))
        (kept,) = out.glob("**/features.npy")
        assert kept.parent.parent == out / "features"  # where all trainings of the folder find them
    ours, theirs = (load_file(folder / "model.safetensors") for folder in folders)
    assert len(commands) == 1 and str(tmp_path / "two.yaml") in commands[0]
    assert commands[0][commands[0].index("--num_processes") + 1] == "1"
    assert ours.keys() == theirs.keys() and all((ours[key] == theirs[key]).all() for key in ours)


def test_a_launch_file_that_leaves_the_processes_open_takes_the_machines_gpus(monkeypatch):
    folder = EXPERIMENTS / "launch"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    numbers = {"one_host": 3, "capellm_4x48gb": 4, "kptllm_8xa100": 8}
    assert {name: launching.processes_of(folder / f"{name}.yaml") for name in numbers} == numbers
    with pytest.raises(InputError, match=r"several_hosts.yaml leaves num_processes open \(-1\), and it is for several"):
        launching.processes_of(folder / "several_hosts.yaml")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"this machine has no GPU; write the number of all processes"):
        launching.processes_of(folder / "one_host.yaml")


@pytest.mark.parametrize("written", ["num_processes: 0", "num_processes: -2", "num_processes: two", "num_machines: 1"])
def test_a_launch_file_without_a_number_of_processes_is_refused(tmp_path, written):
    (tmp_path / "launch.yaml").write_text(f"{written}\n")
    with pytest.raises(InputError, match=r"num_processes in .*launch.yaml must be a whole number from 1"):
        launching.processes_of(tmp_path / "launch.yaml")


def test_epochs_take_the_place_of_items_and_need_a_training_that_has_them(toy):
    (longer,) = trainings(toy([{"row": "plain"}]), Length(epochs=3))
    assert longer.configs.items == 0 and longer.configs.recipe.epochs == 3
    balanced = [{"row": "plain", "recipe": {"sampling": "balanced", "steps": 9}}]
    with pytest.raises(InputError, match="has no epochs; leave out --epochs"):
        trainings(toy(balanced), Length(epochs=3))
