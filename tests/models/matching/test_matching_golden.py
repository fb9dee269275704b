"""The matchers' heads against the released modules: every stored stage, the losses, the gradients."""

import importlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="module")
def checks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[3] / "tools")
        yield importlib.import_module("golden_matching")


@pytest.mark.parametrize("name", ["graphcape_head", "capex_head", "capeformer_head"])
def test_a_head_gives_the_released_numbers(checks, shared, name):
    with torch.no_grad():
        measures = checks.check_head(shared / "golden" / f"{name}.json")
    assert [measure for measure in measures if not measure.ok] == []
    assert len(measures) > 160


def test_the_skeleton_acts_in_the_released_places(checks, shared):
    measures = checks.check_variants(shared / "golden" / "graphcape_variants.json")
    assert [measure for measure in measures if not measure.ok] == []


@pytest.mark.parametrize("name", ["graphcape", "capex"])
def test_a_released_checkpoint_gives_the_released_points(checks, shared, name):
    with torch.no_grad():
        measures = checks.check_end_to_end(shared / "golden" / f"{name}_e2e.json")
    assert [measure for measure in measures if not measure.ok] == []
    assert {f"{case}/preds_image_px" for case in ("pair", "two_shot")} <= {measure.what for measure in measures}


@torch.no_grad()
def test_each_stored_number_of_a_checkpoint_counts(checks, shared, tmp_path):
    for source in [*(shared / "golden").glob("capex_e2e.*"), shared / "golden" / "capex_ckpt.pth"]:
        shutil.copyfile(source, tmp_path / source.name)
    file = tmp_path / "capex_e2e.safetensors"
    stored = load_file(file)
    save_file({key: tensor + 1e-2 if "out/" in key else tensor for key, tensor in stored.items()}, file)
    measures = checks.check_end_to_end(tmp_path / "capex_e2e.json")
    assert len(measures) > 10 and [measure.what for measure in measures if measure.ok] == []
    save_file({**stored, "pair/out/something_new": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="something_new"):
        checks.check_end_to_end(tmp_path / "capex_e2e.json")


def test_each_stored_number_counts(checks, shared, tmp_path):
    for source in (shared / "golden").glob("capex_head.*"):
        shutil.copyfile(source, tmp_path / source.name)
    file = tmp_path / "capex_head.outputs.safetensors"
    stages = load_file(file)
    save_file({key: tensor + 1e-2 for key, tensor in stages.items()}, file)
    facts = json.loads((tmp_path / "capex_head.json").read_text())
    case = facts["case"]
    case["losses"] = {key: value + 1e-2 for key, value in case["losses"].items()}
    case["grad_norms"] = {key: value * 1.01 for key, value in case["grad_norms"].items()}
    (tmp_path / "capex_head.json").write_text(json.dumps(facts))
    measures = checks.check_head(tmp_path / "capex_head.json")
    assert [measure.what for measure in measures if measure.ok] == []

    save_file({**stages, "something_new": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="something_new"):
        checks.check_head(tmp_path / "capex_head.json")
