"""The verbs train, evaluate and weights, end to end on a tiny model and made-up data."""

import json
import subprocess
import sys

import pytest
import tiny
import torch
import yaml

import anykeypoint
from anykeypoint import __version__, cli, load
from anykeypoint.cli.app import DATA_VERBS, VERBS, build_command
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.models.sources import packages


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


@pytest.fixture(autouse=True)
def no_packaged_weights(tmp_path, monkeypatch):
    """What has been fetched on this machine has no part in the results."""
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with made-up data, and a model and a recipe as YAML."""
    folder = tmp_path_factory.mktemp("work")
    write_dataset(folder / "data", 6, seed=4, per_category=3, size=64)
    vision, language = tiny.bases(folder)
    lora = {"r": 2, "alpha": 4}
    model = {
        "vision": {"name": "dinov2-l", "source": str(vision), "image_size": 42, "tuning": "lora", "lora": lora},
        "language": {"name": "vicuna-7b", "source": str(language), "tuning": "lora", "lora": lora},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(model))
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump({"item": "object", "epochs": 1, "accumulate": 2, "precision": "fp32"})
    )
    return folder


def data(work):
    return ["--data", f"coco:{work / 'data' / ANNOTATIONS}", "--images", work / "data" / IMAGES]


@pytest.fixture(scope="module")
def trained(work):
    with pytest.raises(SystemExit) as ended:
        options = ["--model", work / "model.yaml", "--recipe", work / "recipe.yaml", "-o", work / "run"]
        cli.main([str(a) for a in ("train", *data(work), *options)])
    assert ended.value.code == 0
    return work / "run" / "model"


def test_a_trained_model_is_a_folder_that_loads_and_predicts(work, trained, capsys):
    log = [json.loads(line) for line in (work / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [1, 2, 3]
    picture = next((work / "data" / IMAGES).iterdir())
    code, out, _ = run(capsys, "predict", picture, "--keypoints", "nose; tail tip", "--model", trained)
    assert code == 0 and "nose" in out and "tail tip" in out
    assert load(str(trained)).config.language.tuning == "lora"


def test_training_goes_on_from_a_saved_model(work, trained, capsys):
    options = ["--start", trained, "--recipe", work / "recipe.yaml", "-o", work / "more"]
    code, out, _ = run(capsys, "train", *data(work), *options)
    assert code == 0 and str(work / "more" / "model") in out


def test_a_pre_trained_projection_is_trained_on_and_a_token_model_predicts(work, capsys):
    short = {"sampling": "balanced", "steps": 1, "accumulate": 1, "pack": 4, "precision": "fp32"}
    (work / "short.yaml").write_text(yaml.safe_dump(short))
    first = {**short, "instruction": "direct_qa", "train_only": "projection"}
    (work / "first.yaml").write_text(yaml.safe_dump(first))
    (work / "mine.yaml").write_text("extends: step_by_step\nwithout: Where is it?\n")
    described = yaml.safe_load((work / "model.yaml").read_text()) | {"instruction": str(work / "mine.yaml")}
    (work / "step.yaml").write_text(yaml.safe_dump(described))
    options = ["--model", work / "step.yaml", "--recipe", work / "first.yaml", "-o", work / "pre"]
    assert run(capsys, "train", *data(work), *options)[0] == 0
    options = ["--start", work / "pre" / "model", "--recipe", work / "short.yaml", "-o", work / "post"]
    assert run(capsys, "train", *data(work), *options)[0] == 0
    assert load(str(work / "post" / "model")).config.instruction.without == "Where is it?"

    (work / "token.yaml").write_text(yaml.safe_dump({**described, "answer": "token"}))
    options = ["--model", work / "token.yaml", "--recipe", work / "short.yaml", "-o", work / "token"]
    assert run(capsys, "train", *data(work), *options)[0] == 0
    picture = next((work / "data" / IMAGES).iterdir())
    arguments = ["predict", picture, "--keypoints", "nose; tail tip", "--model", work / "token" / "model"]
    code, out, _ = run(capsys, *arguments, "--descriptions", "vague")
    assert code == 0 and out.count("unknown") == 2
    code, _, err = run(capsys, *arguments, "--strategy", "mode")
    assert code == 1 and "answers with <KEYPOINT>" in err
    options = ["--max-per-category", 1, "-o", work / "token_report"]
    assert run(capsys, "evaluate", work / "token" / "model", *data(work), *options)[0] == 0


def test_crops_without_a_labelled_point_are_counted_at_the_end(work, tmp_path, capsys):
    labels = json.loads((work / "data" / ANNOTATIONS).read_text())
    first, *rest = labels["annotations"]
    first["bbox"] = [1000, 1000, 10, 10]  # off its own points
    rest[0]["keypoints"] = [0] * len(rest[0]["keypoints"])
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    options = ["--model", work / "model.yaml", "--recipe", work / "recipe.yaml", "-o", tmp_path / "run"]
    coco = ["--data", f"coco:{tmp_path / 'labels.json'}", "--images", work / "data" / IMAGES]
    code, out, err = run(capsys, "train", *coco, *options)
    assert code == 0 and "left out: 1 (no labelled point)" in err
    assert "1 of 6 crops were skipped" in out  # 5 objects in 3 steps of 2: the first of the next epoch comes too


def test_evaluation_writes_the_figures_of_model_and_baselines(work, trained, capsys):
    out = work / "report"
    code, printed, _ = run(capsys, "evaluate", trained, *data(work), "--protocol", "text", "--untrained", "-o", out)
    assert code == 0 and "image_centre" in printed
    results = json.loads((out / "results.json").read_text())
    keys = {"pck@0.05", "pck@0.1", "pck@0.2", "mpck"}
    baselines = results["baselines"]
    entries = [results["category_mean"], results["object_mean"], *(b["category_mean"] for b in baselines.values())]
    assert set(baselines) == {"image_centre", "mean_position", "untrained"}
    assert list(results["baselines_unmeasured"]) == ["mean_position_by_meaning"]
    assert all(keys <= set(entry) for entry in entries)
    assert all(0 <= entry[key] <= 100 for entry in entries for key in keys)
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 6


@pytest.mark.parametrize("way", ["removed", "replaced", "vague"])
def test_descriptions_can_be_given_otherwise_when_measuring(work, trained, capsys, way):
    options = ["--descriptions", way, "--max-per-category", 1, "--strategy", "mode", "-o", work / way]
    code, _, _ = run(capsys, "evaluate", trained, *data(work), *options)
    settings = json.loads((work / way / "results.json").read_text())["settings"]
    assert code == 0 and settings["strategy"] == "mode" and settings["descriptions"] == way


def test_an_interrupted_verb_says_that_the_same_command_goes_on(work, trained, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("anykeypoint.evaluation.run.evaluate", interrupted)
    code, _, err = run(capsys, "evaluate", trained, *data(work), "--protocol", "text", "-o", tmp_path / "out")
    assert code == 130 and "Interrupted; the same command goes on from here." in err


def test_the_precision_reaches_the_model_and_is_a_setting_of_what_was_measured(work, trained, capsys, monkeypatch):
    options = ["--max-per-category", 1, "--dtype", "bfloat16", "-o", work / "half"]
    loaded, plain = [], anykeypoint.load

    def recorded(name, **options):
        loaded.append(plain(name, **options))
        return loaded[-1]

    monkeypatch.setattr(anykeypoint, "load", recorded)
    for verb, file in (("evaluate", "results.json"), ("density", "density.json")):
        code, _, err = run(capsys, verb, trained, *data(work), *options)
        assert code == 0, err
        assert loaded[-1].language.layer_dtype == torch.bfloat16
        assert json.loads((work / "half" / file).read_text())["settings"]["dtype"] == "bfloat16"
        code, _, err = run(capsys, verb, trained, *data(work), "--dtype", "half", "-o", work / "none")
        assert code == 2 and "dtype" in err and not (work / "none").exists()


def test_other_ways_of_asking_and_reading_are_options_of_both_verbs(work, trained, capsys):
    options = ["--strategy", "top-3", "--cumulative", "--image-size", 56, "--max-per-category", 1]
    code, _, _ = run(capsys, "evaluate", trained, *data(work), *options, "-o", work / "ways")
    settings = json.loads((work / "ways" / "results.json").read_text())["settings"]
    assert code == 0 and settings["cumulative"] and settings["image_size"] == 56 and settings["strategy"] == "top-3"

    picture = next((work / "data" / IMAGES).iterdir())
    arguments = ["predict", picture, "--keypoints", "nose; tail tip; left ear", "--model", trained]
    drawn = {run(capsys, *arguments, "--strategy", "sampling", "--seed", seed)[1] for seed in (1, 1, 2)}
    assert len(drawn) == 2
    alone, chained = run(capsys, *arguments)[1], run(capsys, *arguments, "--cumulative")[1]
    assert alone != chained and alone.splitlines()[:3] == chained.splitlines()[:3]  # nothing is before the first point
    for options, says in (
        (("--strategy", "sampling", "--seed", -1), "A seed must be a whole number from 0, but got -1"),
        (("--density", "--grid", 0), "cells on a side must be a whole number from 1, but got 0"),
        (("--density", "--grid", 10_000), "at most 2000 cells on a side"),
    ):
        code, _, err = run(capsys, *arguments, *options)
        assert code == 2 and says in err
    code, _, err = run(capsys, *arguments, "--grid", 10)
    assert code == 2 and "--density" in err
    code, _, _ = run(capsys, *arguments, "--density", "--grid", 10, "-o", work / "grid")
    (written,) = (work / "grid").glob("*.density.json")
    density = json.loads(written.read_text())[0]["density"]
    assert code == 0 and {len(entry["grid"]) for entry in density.values()} == {10}
    code, _, err = run(capsys, *arguments, "--strategy", "top-0")
    assert code == 2 and "known are greedy" in err


def test_densities_are_compared_with_gaussians_and_drawn(work, trained, capsys):
    out = work / "densities"
    options = ["--max-per-category", 1, "--grid", 50, "-o", out]
    code, printed, _ = run(capsys, "density", trained, *data(work), *options)
    assert code == 0 and "gaussian" in printed.lower() and "50 cells" in printed
    results = json.loads((out / "density.json").read_text())
    assert results["category_mean"]["model"]["outside_crop"] == 0
    assert results["points"] <= len((out / "density.jsonl").read_text().splitlines())
    assert (out / "examples.png").stat().st_size > 1000
    code, _, err = run(capsys, "density", trained, *data(work), *options, "--dtype", "bfloat16")
    assert code == 2 and "other settings (dtype 'float32' there, 'bfloat16' here)" in err
    code, _, err = run(capsys, "density", trained, *data(work), "--sigma", "0", "-o", work / "x")
    assert code == 2 and "Sigma" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--data", "labels.json", "--images", "x", "-o", "y"], "coco:FILE.json"),
        (["train", "--data", "coco:a.json", "--images", "x", "-o", "y", "--recipe", "none.yaml"], "Cannot read"),
        (["evaluate", "nothing", "--data", "coco:none.json", "--images", "x", "-o", "y"], "none.json"),
        (["density", "nothing", "--data", "coco:none.json", "--images", "x", "-o", "y"], "none.json"),
        (["density", "nothing", "--data", "labels.json", "--images", "x", "-o", "y"], "coco:FILE.json"),
        (
            ["density", "fast", "--data", "coco:none.json", "--images", "x", "-o", "y", "--sampled", "3"],
            "'fast' does not draw points; leave --sampled out",
        ),
        (["weights", "nothing"], "neither a model nor packaged weights"),
        (
            ["predict", __file__, "--keypoints", "a", "--descriptions", "no"],
            "detailed, removed, replaced, vague, simplified, sentences",
        ),
    ],
)
def test_requests_that_cannot_start_say_why_in_one_sentence(arguments, words, capsys):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == ""
    assert words in err and err.startswith("error: ") and err.count("\n") == 1


def test_weights_are_listed_with_size_and_licence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ANYKEYPOINT_CACHE", str(tmp_path))
    code, out, _ = run(capsys, "weights")
    assert code == 0
    for name, package in packages.PACKAGES.items():
        assert name in out and package.licence in out
    assert "not fetched" in out


def test_a_full_disk_behind_stdout_is_a_sentence(monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("anykeypoint.cli.categories._table", full)
    code, _, err = run(capsys, "categories")
    assert code == 1 and err == "error: Cannot go on: No space left on device.\n"


def test_a_closed_stdout_is_no_fault(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(SystemExit) as ended:
        cli.main(["categories"])
    assert not ended.value.code


def test_the_verbs_and_their_options_are_these():
    """The public face: a change here is a change for everybody who wrote it down."""

    def flags(name, verb):
        parameters = build_command(name, verb).params
        return {flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)}

    verbs = VERBS | {f"data {name}": verb for name, verb in DATA_VERBS.items()}
    every = {"--quiet", "-q", "--verbose", "-v"}
    assert all(every <= flags(name, verb) for name, verb in verbs.items())
    face = {name: flags(name, verb) - every for name, verb in verbs.items()}
    assert face == {
        "predict": {
            *("--ids-from", "--max-pixels", "--recursive", "-r", "--dtype", "--presence"),
            *("images", "--category", "--keypoints", "--noun", "--boxes", "--model", "--strategy", "--density"),
            *("--seed", "--cumulative", "--grid", "--descriptions", "--device", "--output", "-o"),
            *("--example", "--no-words", "--explain", "--mirror", "--fine", "--no-fine"),
            *("--detect", "--detector", "--detect-score", "--detect-most"),
        },
        "categories": {"name", "--check"},
        "identify": {
            *("--max-pixels", "--dtype", "--called"),
            "image",
            "--at",
            "--box",
            "--category",
            "--model",
            "--device",
            "--json",
        },
        "export": {"model", "--prompt", "--output", "-o"},
        "evaluate": {
            *("model", "--data", "--images", "--output", "-o", "--protocol", "--episodes", "--official", "--oks"),
            *("--max-per-category", "--seed", "--descriptions", "--names", "--strategy", "--cumulative"),
            *("--phrases", "--foreign", "--points", "--box-shift", "--box-scale", "--attention"),
            *("--answer", "--single", "--sides", "--mirror", "--fine", "--no-fine", "--dtype"),
            *(
                "--image-size",
                "--trained-on",
                "--untrained",
                "--baselines",
                "--no-baselines",
                "--allow-missing",
                "--strict",
                "--device",
                "--compare",
            ),
        },
        "density": {
            *("model", "--data", "--images", "--output", "-o", "--max-per-category", "--seed", "--sigma", "--grid"),
            *("--sampled", "--allow-missing", "--strict", "--device", "--dtype"),
        },
        "calibrate": {
            *("model", "--data", "--images", "--output", "-o", "--prompt", "--max-per-category", "--seed"),
            *("--allow-missing", "--strict", "--device", "--dtype", "--presence"),
        },
        "train": {
            "--data",
            "--images",
            "--output",
            "-o",
            "--model",
            "--start",
            "--recipe",
            "--phrases",
            "--allow-missing",
            "--allow-unpaired",
            "--features",
            "--held-out",
            "--strict",
        },
        "reproduce": {
            *("tables", "--data", "--model", "--output", "-o", "--scale", "--rows", "--items", "--epochs", "--seed"),
            *("--dry-run", "--list", "--json", "--launch", "--device"),
        },
        "adapt": {
            *("--data", "--images", "--output", "-o", "--start", "--category", "--recipe", "--seed"),
            *("--allow-missing", "--strict", "--device"),
        },
        "suggest": {
            *("folder", "--count", "--recursive", "-r", "--features", "--model", "--category", "--keypoints", "--noun"),
            "--device",
        },
        "simulate-labelling": {
            *("--data", "--images", "--output", "-o", "--model", "--prompt", "--adapt", "--corrected", "--every"),
            *("--budget", "--min-per-category", "--max-per-category", "--seed", "--allow-missing", "--strict"),
            "--device",
        },
        "convert": {"checkpoint", "--output", "-o", "--model", "--text", "--image-size", "--heads"},
        "weights": {"name"},
        "serve": {
            *("--model", "--host", "--port", "--token-file", "--allow-host", "--device", "--dtype"),
            *("--batch", "--queue", "--max-upload", "--drain", "--project", "--pictures"),
            *("--tool", "--category", "--keypoints", "--noun", "--example", "--detect"),
        },
        "info": set(),
        "data list": {"name"},
        "data check": {
            *(
                "--allow-missing",
                "--changes",
                "--undo",
            ),
            "spec",
            "--images",
            "--fix",
            "--all",
            "--overwrite",
        },
        "data view": {"spec", "--images", "--output", "-o", "--per-category", "--most", "--seed", "--own-names"},
        "data convert": {
            *(
                "--picture-prefix",
                "--renumber",
            ),
            "specs",
            "--images",
            "--output",
            "-o",
            "--to",
            "--allow-missing",
            "--strict",
            "--dry-run",
            "--overwrite",
        },
        "data split": {
            *("spec", "--images", "--output", "-o", "--by", "--shares", "--seed"),
            *("--hold-out", "--share", "--per-category", "--overwrite"),
        },
        "data prepare": {"name", "--sources", "--output", "-o", "--copy"},
        "data draw": {"out", "--count", "-n", "--poses", "--size", "--seed"},
        "data render": {"out", "--count", "-n", "--kind", "--size", "--seed"},
    }


@pytest.mark.parametrize("module", ["anykeypoint", "anykeypoint.cli"])
def test_the_command_line_is_also_a_module(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert __version__ in done.stdout
