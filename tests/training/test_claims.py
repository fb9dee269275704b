"""A folder in which one process trains is refused to another one, until that one ends, however it does."""

import re
import subprocess
import sys

import pytest
import tiny
from other_process import CODE, training_in

from anykeypoint import cli
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.training.claims import claimed
from anykeypoint.training.generative import capellm_trainer
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig

RECIPE = CapeLLMTrainConfig(item="object", steps=1, accumulate=1, precision="fp32")


def test_train_is_refused_before_any_work_while_another_process_trains_there(tmp_path, capsys):
    """The labels are missing, which it would say if it had looked for them."""

    def said():
        with pytest.raises(SystemExit, match="2"):
            cli.main(["train", "--data", f"coco:{tmp_path / 'labels.json'}", "-o", str(out)])
        return capsys.readouterr().err

    out = tmp_path / "run"
    with training_in(out) as other:
        held = {path.name: path.read_bytes() for path in out.iterdir()}
        when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
        who = rf"Another process trains in \S+run already\s+\(process\s+{other.pid},\s+since\s+{when}\);"
        assert re.search(who, " ".join(said().split()))
        assert {path.name: path.read_bytes() for path in out.iterdir()} == held
        other.kill()
        other.wait()
        assert "labels.json" in said()  # the lock went with the process


def test_a_training_of_the_library_is_refused_and_goes_on_once_the_other_has_ended(tmp_path):
    objects = read_coco(write_dataset(tmp_path / "data", 3, seed=1), tmp_path / "data" / "images").objects
    model, out = tiny.capellm(tmp_path, "lora"), tmp_path / "run"
    with training_in(out), pytest.raises(InputError, match="Another process trains in"):
        capellm_trainer.train(model, objects, RECIPE, out)
    assert not (out / "log.jsonl").exists()
    capellm_trainer.train(model, objects, RECIPE, out, quiet=True)
    assert (out / "model" / "config.json").is_file()


def test_the_other_processes_of_a_launch_are_let_in(tmp_path, monkeypatch):
    with training_in(tmp_path):
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(InputError, match="Another process"), claimed(tmp_path):
            pass
        monkeypatch.setenv("RANK", "1")
        with claimed(tmp_path):
            pass


def test_a_claim_within_a_claim_leaves_the_outer_one(tmp_path):
    def refused():
        command = [sys.executable, "-c", CODE, str(tmp_path)]
        done = subprocess.run(command, input="", capture_output=True, text=True)
        return "Another process trains in" in done.stderr and done.returncode != 0

    with claimed(tmp_path):
        with claimed(tmp_path):
            pass
        assert refused()
    assert not refused()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="must be a folder"), claimed(tmp_path / "run"):
        pass
