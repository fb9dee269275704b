"""Model folders: written whole, filled strictly, and read under the names of older versions."""

import json
import os
import resource
import subprocess
import sys

import pytest
import torch

from anykeypoint.errors import InputError
from anykeypoint.models.folders import check_type, fill, model_digest, model_type, read_settings, write_folder

TENSORS = {"head.weight": torch.arange(6.0).view(2, 3), "head.steps": torch.tensor(5)}


def test_a_folder_gives_back_what_was_written(tmp_path):
    write_folder(tmp_path, "made_up", {"width": 3}, TENSORS, None)
    assert model_type(tmp_path) == check_type(tmp_path, ["made_up", "other"]) == "made_up"
    assert read_settings(tmp_path, "made_up") == {"width": 3}
    own = {name: torch.zeros_like(tensor) for name, tensor in TENSORS.items()}
    fill(tmp_path, own)
    assert all(torch.equal(own[name], TENSORS[name]) for name in TENSORS)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert next(iter(json.loads((tmp_path / "config.json").read_text()))) == "model_type"


def test_floats_are_stored_in_the_given_precision_and_whole_numbers_stay(tmp_path):
    write_folder(tmp_path, "made_up", {}, {"a": torch.tensor([1 / 3]), "n": torch.tensor(5)}, torch.float16)
    own = {"a": torch.zeros(1), "n": torch.tensor(0)}
    fill(tmp_path, own)
    assert own["a"].item() == torch.tensor(1 / 3).half().item() and own["n"].item() == 5


def test_names_of_an_older_version_are_read_as_those_of_today(tmp_path):
    write_folder(tmp_path, "made_up", {}, {"backbone.encoder.a": torch.ones(1), "head.a": torch.full((1,), 2.0)}, None)
    own = {"encoder.a": torch.zeros(1), "head.a": torch.zeros(1)}
    with pytest.raises(InputError, match=r"unknown: backbone\.encoder\.a; missing: encoder\.a"):
        fill(tmp_path, own)
    fill(tmp_path, own, lambda name: name.removeprefix("backbone."))
    assert (own["encoder.a"].item(), own["head.a"].item()) == (1, 2)


def test_tensors_that_do_not_fit_change_nothing(tmp_path):
    write_folder(tmp_path, "made_up", {}, TENSORS, None)
    own = {"head.weight": torch.zeros(3, 2), "head.steps": torch.tensor(0)}
    with pytest.raises(InputError, match=r"of the wrong shape: head.weight \[2, 3\] instead of \[3, 2\]"):
        fill(tmp_path, own)
    assert not own["head.weight"].any() and not own["head.steps"].any()


def test_the_digest_of_a_model_changes_with_its_weights_and_config_and_with_nothing_else(tmp_path):
    folder = tmp_path / "model"
    (folder / "part").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "part/model.safetensors"):
        (folder / name).write_text("one")
    first = model_digest(folder)
    (folder / "README.md").write_text("about it")
    assert model_digest(folder) == first
    for name in ("config.json", "model.safetensors", "part/model.safetensors"):
        (folder / name).write_text("two")
        assert model_digest(folder) != first
        (folder / name).write_text("one")
    assert model_digest(folder) == first


def test_a_full_disk_is_told_in_one_sentence_and_leaves_no_part_of_a_file(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match=f"Cannot write the model to {tmp_path}: .*too large"):
            write_folder(tmp_path, "x", {}, {"a": torch.zeros(1000)}, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_save_removes_what_killed_saves_have_left_and_nothing_that_may_be_being_saved(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = [f".model.{gone.pid}", f".model.{os.getppid()}", ".model.99999999999999999999", f".other.{gone.pid}"]
    for name in names:
        (tmp_path / name).write_text("half")
    write_folder(tmp_path, "made_up", {}, TENSORS, None)
    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "model.safetensors", *names[1:]}
