"""train and evaluate in the words of the file, of the library or of one's own, and what their results say of it."""

import json
import re
from dataclasses import replace

import pytest
import tiny_matchers
import tiny_trainees
import yaml

from anykeypoint import cli
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.models.matching.model import MatchingModel
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
from anykeypoint.training.trainable import wanted_phrases

RECIPE = {"sampling": "balanced", "steps": 1, "batch": 2, "warmup": 0, "versions": 1, "features": "cached"}


def ran(capsys, *arguments):
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, " ".join(printed.err.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two made-up kinds, of which the second has codes as labels, and a tiny CapeX."""
    folder = tmp_path_factory.mktemp("phrases")
    write_dataset(folder / "made", 6, seed=2, per_category=3, size=64)
    path = folder / "made" / ANNOTATIONS
    document = json.loads(path.read_text())
    coded = document["categories"][-1]
    coded["keypoints"] = [f"kpt_{i}" for i in range(len(coded["keypoints"]))]
    path.write_text(json.dumps(document))
    model = tiny_trainees.config("capex", folder).to_dict()
    (folder / "model.yaml").write_text(yaml.safe_dump({"model": model, "recipe": RECIPE}))
    texts = {str(one["id"]): ["wheel"] * len(one["keypoints"]) for one in document["categories"]}
    (folder / "own.json").write_text(json.dumps(texts))
    return folder


@pytest.fixture
def made(folder):
    return ["--data", f"coco:{folder / 'made' / ANNOTATIONS}", "--images", folder / "made" / IMAGES]


@pytest.mark.parametrize(("asked", "kept"), [(None, "file"), ("library", "library"), ("own.json", "own.json")])
def test_a_model_keeps_whose_words_it_was_trained_in_and_is_measured_in_them(
    folder, made, tmp_path, capsys, asked, kept
):
    own = {"own.json": str(folder / "own.json")}
    options = [] if asked is None else ["--phrases", own.get(asked, asked)]
    code, _, err = ran(capsys, "train", *made, "--model", folder / "model.yaml", *options, "-o", tmp_path / "run")
    assert code == 0, err
    model = tmp_path / "run" / "model"
    kept = own.get(kept, kept)
    assert json.loads((model / "config.json").read_text())["phrases"] == kept
    assert MatchingModel.from_pretrained(model).config.phrases == kept
    report = tmp_path / "report"
    code, _, err = ran(capsys, "evaluate", model, *made, "-o", report, "--no-baselines", "--device", "cpu")
    assert code == 0, err
    results = json.loads((report / "results.json").read_text())
    assert results["settings"]["phrases"] == kept
    # The library does not know these kinds, so that its words are the labels too.
    assert set(results["words"].values()) == {kept if kept in own.values() else "file"}
    page = re.sub(r"<[^>]+>", " ", (report / "report.html").read_text(encoding="utf-8"))
    assert re.search(r"words of the keypoints\s+\S+ \(\d+ categories\)", page)


def test_a_model_is_trained_further_in_the_words_that_it_has_learnt(folder, tmp_path):
    recipe, model = MatcherTrainConfig(), tiny_matchers.matcher("capex", folder)
    for trained, wanted in ((None, None), ("file", None), ("library", "library"), ("own.json", "own.json")):
        model.config = replace(model.config, phrases=trained)
        model.save_pretrained(tmp_path / "model")
        flf = tiny_matchers.config("flf", folder)
        assert wanted_phrases(recipe, None, tmp_path / "model") == wanted
        assert wanted_phrases(recipe, flf, tmp_path / "model") == wanted  # plugged in
        assert wanted_phrases(replace(recipe, phrases="library"), None, tmp_path / "model") == "library"
    assert wanted_phrases(recipe, flf) is None and wanted_phrases(recipe, replace(flf, described=True)) == "library"


def test_other_words_give_other_answers_and_the_report_says_which(folder, made, tmp_path, capsys):
    tiny_matchers.matcher("capex", folder).save_pretrained(tmp_path / "model")
    points = {}
    for name, options in {"library": [], "own": ["--phrases", folder / "own.json"]}.items():
        report = tmp_path / name
        assert ran(capsys, "evaluate", tmp_path / "model", *made, "-o", report, "--no-baselines", *options)[0] == 0
        points[name] = (report / "predictions.jsonl").read_text()
    assert points["library"] != points["own"]
    words = json.loads((tmp_path / "own" / "results.json").read_text())["words"]
    assert set(words.values()) == {str(folder / "own.json")}


def test_models_that_read_no_phrases_refuse_them(folder, made, tmp_path, capsys):
    tiny_matchers.matcher("graphcape", folder).save_pretrained(tmp_path / "model")
    code, _, err = ran(
        capsys, "evaluate", tmp_path / "model", *made, "-o", tmp_path / "r", "--phrases", "file", "--protocol", "1-shot"
    )
    assert code == 2 and "reads no phrases of keypoints" in err
    code, _, err = ran(capsys, "train", *made, "--start", tmp_path / "model", "--phrases", "file", "-o", tmp_path / "t")
    assert code == 2 and "graphcape reads no text" in err
    (tmp_path / "llm.yaml").write_text("language: {name: llama-3.1-8b}")
    code, _, err = ran(
        capsys, "train", *made, "--model", tmp_path / "llm.yaml", "--phrases", "file", "-o", tmp_path / "t"
    )
    assert code == 2 and "--phrases is for matchers that read text" in err


def test_without_words_a_result_states_none(folder, made, tmp_path, capsys):
    tiny_matchers.matcher("graphcape", folder).save_pretrained(tmp_path / "model")
    asked = ["--protocol", "1-shot", "--no-baselines", "-o", tmp_path / "r"]
    assert ran(capsys, "evaluate", tmp_path / "model", *made, *asked)[0] == 0
    assert json.loads((tmp_path / "r" / "results.json").read_text())["words"] is None
