"""tools/golden.py: what it prints and how it ends."""

import importlib
import json
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


def test_a_file_without_a_check_and_without_a_reason_fails(golden, copied, capsys):
    (copied / "inner").mkdir()
    (copied / "inner" / "new.safetensors").touch()
    assert golden.main([str(copied)]) == 1
    out = capsys.readouterr().out
    assert "inner/new.safetensors: NO CHECK" in out and "dinov2.safetensors: ok" in out


def test_a_file_without_a_check_is_listed_with_its_reason(golden, copied, capsys):
    (copied / "gkdt.json").touch()
    assert golden.main([str(copied)]) == 0
    assert "gkdt.json: not checked (GKDT is a model that is still to come)" in capsys.readouterr().out


def test_a_folder_with_nothing_to_check_fails(golden, tmp_path, capsys):
    assert golden.main([str(tmp_path)]) == 1
    assert golden.main([str(tmp_path / "nowhere")]) == 1
    printed = capsys.readouterr().err
    assert "has a check" in printed and "There is no folder" in printed


# --- CapeLLM -------------------------------------------------------------------------------------------------------

FORWARD = (
    "capellm_forward.io.safetensors",
    "capellm_forward.weights.safetensors",
    "capellm_forward.json",
    "capellm_ckpt",
)


@pytest.fixture
def capellm(shared, tmp_path):
    """A folder with the golden numbers of CapeLLM's forward pass and its checkpoint."""
    for name in FORWARD:
        source = shared / "golden" / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    for path in tmp_path.rglob("*"):
        path.chmod(0o755)
    return tmp_path


def failed(check, path) -> set[str]:
    """What a check finds past its tolerance."""
    with torch.no_grad():
        return {measure.what for measure in check(path) if not measure.ok}


def test_each_number_of_capellms_forward_pass_counts(golden, capellm):
    file, facts_file = capellm / "capellm_forward.io.safetensors", capellm / "capellm_forward.json"
    off = {f"{kind}{name}" for kind in ("", "peft_") for name in ("infer_first_logits", "logits_from_252")}
    off |= {"projected_image_features", "vision_x_norm_patchtokens"}
    for key in off:
        change(file, f"out/{key}", lambda tensor: tensor + 1e-3)
    change(file, "out/peft_infer_greedy_ids", lambda tensor: tensor.flip(1))
    facts = json.loads(facts_file.read_text())
    facts["peft_loss"] += 1e-3
    gradients = {key: [*facts[key]][:: len(facts[key]) - 1] for key in ("grad_norms", "peft_trainable_grad_norms")}
    for key, names in gradients.items():
        for name in names:
            facts[key][name] *= 1.01
    facts_file.write_text(json.dumps(facts))
    off |= {"peft_infer_greedy_ids", "peft_loss", *(f"{key} {name}" for key in gradients for name in gradients[key])}
    assert failed(golden.CHECKS[file.name], file) == off


def test_another_checkpoint_of_capellm_fails(golden, capellm, capsys):
    change(capellm / "capellm_ckpt" / "mm_projector.safetensors", "bias", lambda tensor: tensor + 0.1)
    assert golden.main([str(capellm)]) == 1
    out = capsys.readouterr().out
    assert "capellm_ckpt/config.json: FAILED" in out and "capellm_forward.io.safetensors: ok" in out


def test_each_text_of_capellm_counts(golden, shared, tmp_path):
    facts = json.loads((shared / "golden" / "capellm_text.json").read_text())
    file = tmp_path / "capellm_text.json"
    file.write_text(json.dumps(facts))
    check = golden.CHECKS[file.name]
    assert failed(check, file) == set()
    facts["train_prompts"][0]["text_after_image_tokens"] += "."
    facts["train_prompts"][1]["token_count"] += 1
    facts["train_prompts"][4]["supervised_spans"].pop()
    facts["train_prompts"][5]["used"] = True
    facts["inference_prompts"][1]["text_after_image_tokens"] += " "
    facts["decode_cases"][0]["correct_normalised"] = [0, 0]
    file.write_text(json.dumps(facts))
    assert failed(check, file) == {
        "train_prompts 0",
        "train_prompts 1: tokens",
        "train_prompts 4: supervised spans",
        "train_prompts 5: used",
        "inference_prompts 1",
        "decode_cases '[0.736,0.657]'",
    }


def test_each_score_of_capellms_answers_counts(golden, shared, tmp_path):
    for name in ("capellm_text.json", "capellm_text.safetensors"):
        shutil.copyfile(shared / "golden" / name, tmp_path / name)
    file = tmp_path / "capellm_text.safetensors"
    check = golden.CHECKS[file.name]
    assert failed(check, file) == set()
    answers = ("[0.736,0.657]", "[0.501]", "I cannot find it.", "junk 0.501 [0.828,0.442]")

    def edit(facts):
        for case in facts["decode_cases"]:
            if case["text"] in answers:
                case["official_score"] = 0.25

    change_facts(tmp_path / "capellm_text.json", edit)
    assert failed(check, file) == {f"official_score {answer!r}" for answer in answers}
    change_facts(tmp_path / "capellm_text.json", lambda facts: facts["decode_cases"].pop())
    with pytest.raises(ValueError, match=r"it has 33 answers, but capellm_text\.json has 32"):
        check(file)


# --- MP-100 and OKS ------------------------------------------------------------------------------------------------


@pytest.fixture
def mp100(shared, tmp_path):
    """A folder with the golden numbers of MP-100's protocol and of OKS."""
    for source in [*(shared / "golden").glob("mp100_*"), *(shared / "golden").glob("oks*")]:
        shutil.copyfile(source, tmp_path / source.name)
    return tmp_path


def change_facts(path: Path, edit) -> None:
    facts = json.loads(path.read_text())
    edit(facts)
    path.write_text(json.dumps(facts))


def test_each_array_of_mp100s_protocol_counts(golden, mp100):
    off = {
        "mp100_synth_b/joints": "mp100_synth_b: points",
        "mp100_synth_a/joints_visible": "mp100_synth_a: visible",
        "mp100_synth_a/pairs_5shot": "mp100_synth_a: pairs_5shot",
        "train/pairs_all_images": "train: pairs",
        "affine256/matrix": "affine256 3: matrix",
        "affine224/transform_preds_back": "affine224 0: points back",
        "affine224/joints_224": "affine224 12: points",
        "heatmap/obj1/sigma2/target": "heatmap/obj1/sigma2",
        "heatmap/edge/sigma1/argmax_xy": "heatmap/edge/sigma1: argmax",
        "warp/256_rot20/image": "warp 256_rot20: grey levels",
    }
    for key in off:
        change(mp100 / "mp100_protocol.safetensors", key, lambda tensor: tensor + 2)
    file = mp100 / "mp100_protocol.json"
    assert set(off.values()) <= failed(golden.CHECKS[file.name], file)


def test_each_figure_of_mp100s_protocol_counts(golden, mp100):
    file = mp100 / "mp100_protocol.json"
    scores = mp100 / "mp100_protocol.metrics.safetensors"
    change(scores, "mp100_synth_a/per_pair_1shot/EPE", lambda tensor: tensor + 1e-3)

    def edit(facts):
        protocols = facts["protocols"]
        protocols["mp100_synth_a.json"]["metrics_5shot"]["official"]["NME"] += 1e-4
        protocols["mp100_synth_a.json"]["metrics_1shot"]["excluding_empty_pairs"]["AUC"] += 1e-5
        protocols["mp100_synth_b.json"]["kept"][3]["clean_bbox"][2] += 1e-9
        facts["capellm"]["metrics"]["PCK@0.1"] += 1e-5
        facts["metric_edge"]["pck"]["0.2"] += 1e-5

    change_facts(file, edit)
    assert failed(golden.CHECKS[file.name], file) == {
        "mp100_synth_a 1-shot, pair by pair: EPE",
        "mp100_synth_a 5-shot, official True: NME",
        "mp100_synth_a 1-shot, official False: AUC",
        "mp100_synth_b: clean_bbox",
        "capellm: PCK@0.1",
        "on the thresholds, official True: PCK@0.2",
        "on the thresholds, official False: PCK@0.2",
    }


def test_another_statistic_or_sigma_of_oks_fails(golden, mp100):
    file = mp100 / "oks.json"
    assert failed(golden.CHECKS[file.name], file) == set()

    def edit(facts):
        facts["sigmas"]["ap10k"][3] += 1e-6
        facts["cases"]["animals_coco"]["stats"]["AR_medium"] += 1e-8
        facts["cases"]["person_coco"]["oks_matrices_image_comma_category"]["102,1"][0][1] += 1e-8

    change_facts(file, edit)
    off = {"sigmas ap10k", "animals_coco AR_medium", "person_coco OKS of 102,1"}
    assert failed(golden.CHECKS[file.name], file) == off


def test_an_array_of_mp100s_protocol_that_nothing_is_compared_with_fails(golden, mp100, capsys):
    file = mp100 / "mp100_protocol.safetensors"
    save_file({**load_file(file), "affine512/matrix": torch.zeros(1)}, file)
    assert golden.main([str(mp100)]) == 1
    assert "affine512/matrix" in capsys.readouterr().out


# --- all of it -----------------------------------------------------------------------------------------------------


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
