"""benchmarks/matching.py: the fusion paper's Table 5, with tiny networks in place of the published sizes."""

import importlib
import sys
from pathlib import Path

import pytest
import tiny_encoders
import torch
from torch import nn


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
