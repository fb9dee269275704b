"""The verbs info and weights: what is installed, fetched and shipped; and the note on names that identify gives."""

import hashlib

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import anykeypoint
from anykeypoint import cli
from anykeypoint.models.loading import find
from anykeypoint.models.shipped import SHIPPED
from anykeypoint.models.sources.packages import PACKAGES
from anykeypoint.pose import Identified


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def test_info_prints_versions_threads_shipped_models_and_what_is_not_fetched(run, tmp_path):
    code, out, _ = run("info")
    facts = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert code == 0
    assert anykeypoint.__version__ in facts["anykeypoint"] and torch.__version__ in facts["torch"]
    assert transformers.__version__ in facts["transformers"]
    assert f"torch takes {torch.get_num_threads()} threads" in facts["cpu"]
    assert all(name in facts and SHIPPED[name].what in facts[name] for name in SHIPPED)
    assert all("not fetched" in facts[name] for name in PACKAGES)
    assert f"nothing in {tmp_path / 'cache'}" in out and f"nothing in {tmp_path / 'hub'}" in out


def test_info_prints_size_and_hash_of_fetched_weights(run, tmp_path):
    folder = tmp_path / "cache" / "minilm-l6"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x" * 3_000_000)
    (folder / "complete").touch()
    _, out, _ = run("info")
    (line,) = [line for line in out.splitlines() if line.startswith("  minilm-l6")]
    assert "3 MB" in line and hashlib.sha256(b"x" * 3_000_000).hexdigest()[:16] in line and str(folder) in line
    assert f"3 MB in {tmp_path / 'cache'}" in out


def test_weights_lists_the_shipped_models_with_what_each_needs(run):
    code, out, _ = run("weights")
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert code == 0
    for name in SHIPPED:
        assert "needs" in lines[name] and SHIPPED[name].what in out
    assert "minilm-l6 and efficientnet-lite2 (107 MB)" in lines["fast"]


class Namer:
    """Calls every point "nose"."""

    def identify(self, image, points, box=None, category=None):
        return [Identified("nose", 0.5, None) for _ in np.atleast_2d(points)]


def test_identify_takes_the_matcher_for_a_category_and_warns_of_names_in_own_words(run, monkeypatch, tmp_path):
    shown = " ".join(run("identify", "--help")[1].split())
    assert "kptllm-small" in shown and "a guess by the position" in shown
    loaded = []
    monkeypatch.setattr(anykeypoint, "load", lambda name, device: loaded.append(name) or Namer())
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    arguments = ["identify", tmp_path / "a.png", "--at", "3,4"]
    code, out, err = run(*arguments)
    assert code == 0 and "nose" in out and "40.2 %" in err and "26.5 %" in err and len(err.splitlines()) == 1
    assert run(*arguments, "-q")[2] == ""
    assert run(*arguments, "--category", "human_face")[2] == ""
    assert "40.2 %" in run(*arguments, "--category", "human_face", "--model", "kptllm-small")[2]
    assert loaded == ["kptllm-small", "kptllm-small", "accurate", "kptllm-small"]
    (tmp_path / "mine").mkdir()
    assert run(*arguments, "--model", tmp_path / "mine")[2] == ""
    loaded.clear()
    code, _, err = run(*arguments, "--model", find("fast"))
    assert code == 2 and "has no words of its own for a point; give --category" in err and len(err.splitlines()) == 1
    code, _, err = run(*arguments, "--category", "human_face", "--model", "capellm-small")
    assert code == 2 and "cannot name points; give a matcher that reads words or a KptLLM" in err and not loaded
