"""tools/golden.py: what it prints and how it ends."""

import importlib
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="module")
def golden():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[1] / "tools")
        yield importlib.import_module("golden")


@pytest.fixture
def copied(shared, tmp_path):
    """A folder with the smallest covered part of the golden set."""
    for name in ("dinov2.json", "dinov2.safetensors"):
        shutil.copy(shared / "golden" / name, tmp_path / name)
        (tmp_path / name).chmod(0o644)
    return tmp_path


def change(path: Path, key: str, value) -> None:
    tensors = load_file(path)
    tensors[key] = value(tensors[key])
    save_file(tensors, path)


def test_numbers_within_tolerance_pass(golden, copied, capsys):
    assert golden.main([str(copied)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and lines[0].startswith("dinov2.safetensors: ok, largest error ")


@pytest.mark.parametrize(
    "key", ["out/pos_embed_interpolated_252", "out/x_norm_clstoken_224", "out/no_lora_x_norm_patchtokens_224"]
)
def test_a_number_past_its_tolerance_fails_and_is_named(golden, copied, capsys, key):
    change(copied / "dinov2.safetensors", key, lambda tensor: tensor + 1e-3)
    assert golden.main([str(copied)]) == 1
    line = capsys.readouterr().out
    assert "dinov2.safetensors: FAILED" in line and key.removeprefix("out/") in line


def test_a_number_that_is_nan_fails(golden, copied, capsys):
    change(copied / "dinov2.safetensors", "out/x_norm_clstoken_224", lambda tensor: tensor * torch.nan)
    assert golden.main([str(copied)]) == 1
    assert "FAILED, largest error nan" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_fails(golden, copied, capsys):
    file = copied / "dinov2.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert golden.main([str(copied)]) == 1
    assert "CANNOT BE CHECKED" in capsys.readouterr().out


def test_a_file_without_its_config_fails(golden, copied, capsys):
    (copied / "dinov2.json").unlink()
    assert golden.main([str(copied)]) == 1
    assert "CANNOT BE CHECKED" in capsys.readouterr().out


def test_a_reference_that_nothing_is_compared_with_fails(golden, copied, capsys):
    file = copied / "dinov2.safetensors"
    save_file({**load_file(file), "out/something_new": torch.zeros(1)}, file)
    assert golden.main([str(copied)]) == 1
    assert "out/something_new" in capsys.readouterr().out


def test_files_without_a_check_are_listed(golden, copied, capsys):
    (copied / "inner").mkdir()
    (copied / "inner" / "new.safetensors").touch()
    assert golden.main([str(copied)]) == 0
    assert "inner/new.safetensors: not covered" in capsys.readouterr().out


def test_a_folder_with_nothing_to_check_fails(golden, tmp_path, capsys):
    assert golden.main([str(tmp_path)]) == 1
    assert golden.main([str(tmp_path / "nowhere")]) == 1
    told = capsys.readouterr().err
    assert "has a check" in told and "There is no folder" in told


def test_the_whole_golden_folder_passes(golden, shared, capsys):
    assert golden.main([str(shared / "golden")]) == 0
    assert "dinov2_reg4.safetensors: ok" in capsys.readouterr().out


def test_the_tolerance_grows_with_the_largest_value(golden):
    reference = torch.tensor([0.0, 100.0])
    measure = golden.compare("x", reference + torch.tensor([0.0, 9e-4]), reference)
    assert measure.ok and measure.tolerance == pytest.approx(1e-3 + 2e-5)
    assert not golden.compare("x", reference + 2e-3, reference).ok
    with pytest.raises(ValueError, match="shape"):
        golden.compare("x", reference[:1], reference)
