"""Each run has its own precision, and says where bfloat16 costs time and gains nothing."""

from dataclasses import replace

import pytest
import tiny
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from anykeypoint.data.synthetic import write_dataset
from anykeypoint.forms.coco import read_coco
from anykeypoint.training import loop, product_speed
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.capellm_trainer import train

SHORT = CapeLLMTrainConfig(item="object", pack=4, steps=1, accumulate=1, precision="fp32")


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 2, seed=2), folder / "images").objects


def test_runs_of_a_process_have_their_own_precision_and_leave_none(tmp_path, objects):
    AcceleratorState._reset_state()
    for precision in ("bf16", "fp32", "bf16"):
        model = tiny.capellm(tmp_path / precision, tuning="lora")
        train(model, objects, replace(SHORT, precision=precision), tmp_path / f"run-{precision}", quiet=True)
    assert Accelerator().mixed_precision == "no"


def test_an_accelerator_of_the_caller_stays_as_it_is(tmp_path, objects):
    AcceleratorState._reset_state()
    own = Accelerator(mixed_precision="bf16")
    train(tiny.capellm(tmp_path / "base", tuning="lora"), objects, SHORT, tmp_path / "run", quiet=True)
    assert own.mixed_precision == Accelerator().mixed_precision == "bf16"
    AcceleratorState._reset_state()


@pytest.mark.parametrize("quiet", [False, True])
def test_a_run_that_float32_would_make_faster_says_so(tmp_path, objects, monkeypatch, capsys, quiet):
    monkeypatch.setattr(loop, "slow_precision", lambda precision, device: f"{precision} on {device}")
    train(tiny.capellm(tmp_path / "base", tuning="lora"), objects, SHORT, tmp_path / "run", quiet=quiet)
    device = Accelerator().device.type
    assert (f"fp32 on {device}" in capsys.readouterr().err) is not quiet


@pytest.mark.parametrize(
    ("precision", "device", "teraflops", "said"),
    [
        ("bf16", "cpu", (0.03, 0.12), "takes 4.0 times as long for products in bfloat16 as in float32"),
        ("bf16", "cpu", (0.15, 0.12), ""),
        ("fp32", "cpu", (0.03, 0.12), ""),
        ("bf16", "cuda", (0.03, 0.12), ""),
    ],
)
def test_bfloat16_is_slow_where_a_cpu_has_no_instructions_for_it(monkeypatch, precision, device, teraflops, said):
    known = dict(zip((torch.bfloat16, torch.float32), teraflops, strict=True))
    monkeypatch.setattr(product_speed, "product_speed", lambda device, dtype: known[dtype])
    sentence = product_speed.slow_precision(precision, device)
    assert said in sentence and bool(sentence) == bool(said)
