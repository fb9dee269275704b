"""The verbs train, evaluate and weights, end to end on a tiny model and made-up data."""

import json

import pytest
import tiny
import yaml

from anykeypoint import cli, load, weights
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


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
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"epochs": 1, "accumulate": 2, "precision": "fp32"}))
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


def test_evaluation_writes_the_figures_of_model_and_baselines(work, trained, capsys):
    out = work / "report"
    code, printed, _ = run(capsys, "evaluate", trained, *data(work), "--protocol", "text", "--untrained", "-o", out)
    assert code == 0 and "image_centre" in printed
    results = json.loads((out / "results.json").read_text())
    keys = {"pck@0.05", "pck@0.1", "pck@0.2", "mpck"}
    entries = [results["category_mean"], results["object_mean"], *results["baselines"].values()]
    assert len(results["baselines"]) == 3 and all(keys <= set(entry) for entry in entries)
    assert all(0 <= entry[key] <= 100 for entry in entries for key in keys)
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 6


def test_descriptions_can_be_left_out_when_measuring(work, trained, capsys):
    options = ["--no-descriptions", "--max-per-category", 1, "--strategy", "mode", "-o", work / "bare"]
    code, _, _ = run(capsys, "evaluate", trained, *data(work), *options)
    settings = json.loads((work / "bare" / "results.json").read_text())["settings"]
    assert code == 0 and settings["strategy"] == "mode" and not settings["descriptions"]


def test_densities_are_compared_with_gaussians_and_drawn(work, trained, capsys):
    out = work / "densities"
    options = ["--max-per-category", 1, "--grid", 50, "-o", out]
    code, printed, _ = run(capsys, "density", trained, *data(work), *options)
    assert code == 0 and "gaussian" in printed.lower() and "50 cells" in printed
    results = json.loads((out / "density.json").read_text())
    assert results["category_mean"]["model"]["outside_crop"] == 0
    assert results["points"] <= len((out / "density.jsonl").read_text().splitlines())
    assert (out / "examples.png").stat().st_size > 1000
    code, _, err = run(capsys, "density", trained, *data(work), "--sigma", "0", "-o", work / "x")
    assert code == 2 and "Sigma" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--data", "labels.json", "--images", "x", "-o", "y"], "coco:FILE.json"),
        (["train", "--data", "coco:a.json", "--images", "x", "-o", "y", "--model", "m", "--start", "s"], "not both"),
        (["train", "--data", "coco:a.json", "--images", "x", "-o", "y", "--recipe", "none.yaml"], "Cannot read"),
        (["evaluate", "nothing", "--data", "coco:none.json", "--images", "x", "-o", "y"], "none.json"),
        (["density", "nothing", "--data", "coco:none.json", "--images", "x", "-o", "y"], "none.json"),
        (["density", "nothing", "--data", "labels.json", "--images", "x", "-o", "y"], "coco:FILE.json"),
        (["weights", "nothing"], "neither a model nor packaged weights"),
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
    for name, package in weights.PACKAGES.items():
        assert name in out and package.licence in out
    assert "not fetched" in out


def test_the_verbs_and_their_options_are_these():
    """The public face: a change here is a change for everybody who wrote it down."""
    from typer.main import get_command

    face = {
        name: {flag for parameter in verb.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        for name, verb in get_command(cli.app).commands.items()
    }
    assert face == {
        "predict": {
            *("images", "--category", "--keypoints", "--noun", "--boxes", "--model", "--strategy", "--density"),
            *("--device", "--output", "-o"),
        },
        "categories": {"name"},
        "evaluate": {
            *("model", "--data", "--images", "--output", "-o", "--protocol", "--max-per-category", "--seed"),
            *("--descriptions", "--no-descriptions", "--strategy", "--untrained", "--allow-missing", "--device"),
        },
        "density": {
            *("model", "--data", "--images", "--output", "-o", "--max-per-category", "--seed", "--sigma", "--grid"),
            *("--allow-missing", "--device"),
        },
        "train": {"--data", "--images", "--output", "-o", "--model", "--start", "--recipe", "--allow-missing"},
        "weights": {"name"},
    }
