"""The verbs that help to label: suggest, and simulate-labelling; with a tiny random matcher in a folder."""

import json

import pytest
import tiny_matchers
from PIL import Image

from anykeypoint import cli
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.labelling import looks, ways
from anykeypoint.labelling.job import Answering
from anykeypoint.training.adapting.adapt_config import AdaptConfig


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelling")
    write_dataset(folder / "data", 12, seed=4, per_category=6, size=64)
    tiny_matchers.matcher("evidence", folder).save_pretrained(folder / "model")
    tiny_matchers.matcher("capeformer", folder).save_pretrained(folder / "wordless")
    (folder / "pictures").mkdir()
    for seed in range(6):
        Image.fromarray(tiny_matchers.picture(seed)).save(folder / "pictures" / f"{seed}.png")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(looks, "SIDE", tiny_matchers.SIDE)  # a tiny encoder is slow on larger ones


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(one) for one in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def data(work) -> list:
    return ["--data", f"coco:{work / 'data' / ANNOTATIONS}", "--images", work / "data" / IMAGES]


def test_a_place_that_cannot_be_written_is_known_before_anything_is_labelled(work, capsys):
    (work / "file").write_text("")
    options = ["--model", work / "nowhere", "-o", work / "file" / "report"]
    code, _, err = run(capsys, "simulate-labelling", *data(work), *options)
    assert code == 2 and "is no folder that can be written to; choose another place" in err


def test_the_loop_is_played_in_all_ways_and_reported(work, capsys):
    out = work / "report"
    options = ["--model", work / "model", "--corrected", 2, "--every", 2, "-o", out]
    code, printed, err = run(capsys, "simulate-labelling", *data(work), *options)
    assert code == 0, err
    results = json.loads((out / "results.json").read_text())
    assert list(results["mean"]) == ["words", "example", "examples", "copying"] and len(results["kinds"]) == 2
    for entry in results["kinds"].values():
        assert entry["objects"] == 6
        for name, way in entry["ways"].items():
            assert way["steps"][-1] == [6, way["corrections"]] and 0 <= way["untouched"] <= 1
            assert way["first"] <= way["corrections"] <= way["points"] and way["seconds"] >= way["seconds_before"] > 0
            assert name == "words" or way["first"] > 0
    page = (out / "report.md").read_text()
    assert page in printed and all(kind in page for kind in results["kinds"])
    code, _, err = run(capsys, "simulate-labelling", *data(work), *options)
    assert code == 2 and "no empty folder" in err


def test_what_was_trained_on_the_corrected_pictures_is_a_column(work, tmp_path, capsys, monkeypatch):
    write_dataset(tmp_path / "data", 11, seed=5, per_category=11, size=64)
    adapted, plain = [], Answering.adapt

    def adapt(job, config):
        adapted.append((len(job.examples), config.seed))
        plain(job, config)

    monkeypatch.setattr(Answering, "adapt", adapt)
    small = AdaptConfig(versions=2, folds=2, steps=4, batch=2, check_every=2)
    monkeypatch.setattr(ways, "ADAPTING", small)
    options = ["--model", work / "model", "--corrected", 8, "--every", 4, "--seed", 3, "--prompt", "example", "--adapt"]
    code, printed, err = run(capsys, "simulate-labelling", *data(tmp_path), *options, "-o", tmp_path / "out")
    assert code == 0, err
    assert adapted == [(9, 3)], "once there are 8 examples or more, with the seed of the command"
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results["mean"]) == ["example", "examples", "adapted", "copying"]
    ((kind, entry),) = results["kinds"].items()
    way = entry["ways"]["adapted"]
    assert entry["objects"] == 11 and [done for done, _ in way["steps"]] == [1, 5, 9, 11]
    assert way["steps"][:3] == entry["ways"]["examples"]["steps"][:3], "until it is trained it is the same way"
    assert 0 <= way["untouched"] <= 1 and way["steps"][-1] == [11, way["corrections"]]
    assert "| kind | objects | example | examples | adapted | copying |" in printed and kind in printed


def test_pictures_that_cannot_be_read_cost_no_others(work, tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    for place, path in enumerate(sorted((work / "data" / IMAGES).iterdir())):
        (images / path.name).write_bytes(b"no picture" if place == 0 else path.read_bytes())
    spec = ["--data", f"coco:{work / 'data' / ANNOTATIONS}", "--images", images]
    options = ["--model", work / "model", "--corrected", 2, "--every", 9, "--prompt", "example", "-o", tmp_path / "out"]
    code, _, err = run(capsys, "simulate-labelling", *spec, *options)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert code == 1 and "not a readable" in err
    assert sorted(entry["objects"] for entry in results["kinds"].values()) == [5, 6]
    assert sum(results["left_out"].values()) == 1 and "words" not in results["mean"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--prompt", "picture"], "words, example or both"),
        (["--corrected", 0], "corrected pictures must be a whole number from 1"),
        (["--budget", -1], "budget"),
        (["--min-per-category", 1], "--min-per-category"),
        (["--min-per-category", 100], "100 or more objects"),
    ],
)
def test_what_makes_no_loop_is_refused(work, tmp_path, capsys, options, says):
    arguments = [*data(work), "--model", work / "model", "-o", tmp_path / "none", *options]
    code, _, err = run(capsys, "simulate-labelling", *arguments)
    assert code == 2 and says in err and not (tmp_path / "none").exists()


def test_a_model_that_reads_no_words_is_played_by_examples(work, tmp_path, capsys):
    arguments = [*data(work), "--model", work / "wordless", "--corrected", 2, "--every", 9]
    code, _, err = run(capsys, "simulate-labelling", *arguments, "-o", tmp_path / "none")
    assert code == 2 and "--prompt example" in err
    code, _, err = run(capsys, "simulate-labelling", *arguments, "--prompt", "example", "-o", tmp_path / "out")
    assert code == 0, err


def test_pictures_are_suggested_one_a_line_and_the_same_again(work, tmp_path, capsys):
    arguments = ["suggest", work / "pictures", "--model", work / "model", "--count", 3]
    code, first, err = run(capsys, *arguments, "--features", tmp_path / "kept")
    assert code == 0, err
    lines = first.splitlines()
    assert 1 <= len(lines) <= 3 and all(line.endswith(".png") for line in lines) and len(set(lines)) == len(lines)
    assert run(capsys, *arguments, "--features", tmp_path / "kept")[1] == first


def test_with_keypoints_the_model_says_where_it_is_unsure(work, capsys):
    arguments = ["suggest", work / "pictures", "--model", work / "model", "--count", 2]
    code, out, err = run(capsys, *arguments, "--keypoints", "nose; tail tip")
    assert code == 0 and 1 <= len(out.splitlines()) <= 2, err
    code, _, err = run(capsys, "suggest", work / "pictures", "--model", work / "wordless", "--keypoints", "nose")
    assert code == 2 and "words" in err
    code, _, err = run(capsys, *arguments, "--noun", "fish")
    assert code == 2 and "--noun" in err


def test_folders_without_pictures_and_unreadable_pictures_are_named(work, tmp_path, capsys):
    code, _, err = run(capsys, "suggest", tmp_path, "--model", work / "model")
    assert code == 2 and "no pictures" in err
    (tmp_path / "bad.png").write_text("no picture")
    code, _, err = run(capsys, "suggest", tmp_path, "--model", work / "model")
    assert code == 2 and "None of the 1 pictures" in err
    Image.fromarray(tiny_matchers.picture(1)).save(tmp_path / "good.png")
    code, out, err = run(capsys, "suggest", tmp_path, "--model", work / "model")
    assert code == 1 and "bad.png" in err and out.splitlines() == [str(tmp_path / "good.png")]
