"""benchmarks/matching.py: the fusion paper's Table 5, with tiny networks in place of the published sizes; and
benchmarks/half_precision.py: whom it asks, and its figures; benchmarks/serve.py: pictures that no cache can know."""

import importlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_encoders
import tiny_trainees
import torch
from PIL import Image
from torch import nn

from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.forms.coco import read_coco


@pytest.fixture(scope="module")
def matching():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
        yield importlib.import_module("matching")


class Words(nn.Module):
    """Vectors of phrases that count how often they were asked for."""

    dim, asked = 12, 0

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(2000, self.dim)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        Words.asked += 1
        assert tokens.shape == (10, 6)
        return self.table(tokens)[:, 0][None]


@torch.no_grad()
def test_the_benchmark_of_table_5_times_the_four_models(matching, monkeypatch):
    backbone = tiny_encoders.tiny("swinv2-t", image_size=256).eval()
    looks, asked = [], []
    backbone.register_forward_pre_hook(lambda *_: looks.append(1))
    monkeypatch.setattr(matching, "build_encoder", lambda config: asked.append(config) or backbone)
    monkeypatch.setattr(matching, "Words", Words)
    monkeypatch.setattr(Words, "asked", 0)
    figures = matching.table_5(3, "cpu")
    assert [config.name for config in asked] == ["swinv2-s"]
    for name, printed in {"graphcape": 61.85, "capex": 38.27, "flf": 61.35, "dlf": 68.85}.items():
        assert figures[f"{name} ms printed"] == printed and figures[f"{name} ms"] > 0
        assert figures[f"{name} fps"] == pytest.approx(1000 / figures[f"{name} ms"])
    assert len(figures) == 4 * 3
    assert Words.asked == 3 * (3 + 1)  # three models read words, in each run and in one that is not counted


def test_the_benchmark_of_table_5_takes_100_runs_as_the_paper(matching, monkeypatch, capsys):
    runs = []
    monkeypatch.setattr(matching, "table_5", lambda count, device: runs.append((count, device)) or {"flf ms": 1.0})
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(sys, "argv", ["matching.py", "--table5", "--threads", "1"])
    matching.main()
    assert runs == [(100, "cpu")] and "flf ms" in capsys.readouterr().out


# --- half_precision.py ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def half_precision():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
        yield importlib.import_module("half_precision")


def test_shifts_of_half_precision_are_percent_of_the_box_and_absent_points_are_left_out(half_precision):
    exact = {"text": [np.zeros((3, 2)), np.full((1, 2), 0.5)], "both": [np.zeros((1, 2))]}
    half = {"text": [np.array([[0.03, 0.04], [0, 0], [np.nan, np.nan]]), exact["text"][1]], "both": [np.zeros((1, 2))]}
    table = half_precision.figures(exact, half)
    assert table["text"]["points"] == 3 and table["text"]["median"] == 0
    assert table["text"]["below 1 %"] == pytest.approx(200 / 3) and table["all"]["below 1 %"] == 75
    assert table["text"]["99 %"] == pytest.approx(0.98 * 5)


def test_objects_of_all_kinds_are_asked_in_turn_each_with_another_as_example(half_precision, tmp_path):
    write_dataset(tmp_path / "made", 12, seed=1, size=64)
    data = read_coco(tmp_path / "made" / ANNOTATIONS, tmp_path / "made" / IMAGES)
    found = half_precision.labelled_questions(data, 6)
    kinds = [question.category.name for question in found]
    assert len(found) == 6 and len(set(kinds[:3])) == 3 and kinds[:3] == kinds[3:]
    assert all(question.example.image != question.picture for question in found)
    shipped = half_precision.shipped_questions()
    assert len(shipped) == 4 and all(question.picture.is_file() for question in shipped)


# --- training_speed.py ---------------------------------------------------------------------------------------------


def test_the_benchmark_of_training_compares_both_settings_on_the_same_pictures(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
    training_speed = importlib.import_module("training_speed")
    heads = []
    tiny = tiny_trainees.matcher("evidence", tmp_path / "base")
    monkeypatch.setattr(training_speed, "build", lambda config: heads.append(config.head) or tiny)
    data = read_coco(write_dataset(tmp_path / "data", 8, seed=2), tmp_path / "data" / IMAGES)
    found = training_speed.figures(data, 4, 1, tmp_path / "run")
    assert [head.attention_dropout for head in heads] == [None, 0.0]
    one, two = (found[name] for name in training_speed.SETTINGS)
    assert found["ratio"] == pytest.approx(two["prompts a second"] / one["prompts a second"])
    assert all(value >= 0 for value in (*one.values(), *two.values()))


def test_no_two_pictures_that_a_server_is_measured_with_have_the_same_pixels(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
    files = importlib.import_module("serve").pictures(50, 100)
    assert len({Image.open(io.BytesIO(file)).tobytes() for file in files}) == 50
