"""`adapt`, and `train --start` without a recipe: from labelled pictures to a model that says whether it got better."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_matchers
import yaml

import anykeypoint as ak
from anykeypoint import InputError, cli
from anykeypoint.cli import validation
from anykeypoint.configs.yaml_files import from_mapping
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import ReadingWarning
from anykeypoint.forms.coco import read_coco
from anykeypoint.training import trainable
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig

SMALL = {"versions": 2, "folds": 2, "steps": 4, "batch": 3, "check_every": 2, "width": 16, "blocks": 1, "examples": 2}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapt")
    write_dataset(folder / "one", 10, seed=4, per_category=10, size=64)
    write_dataset(folder / "two", 12, seed=5, per_category=6, size=64)
    tiny_matchers.matcher("evidence", folder).save_pretrained(folder / "start")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return folder


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return ended.value.code, *capsys.readouterr()


def data(work, name):
    return ["--data", f"coco:{work / name / ANNOTATIONS}", "--images", work / name / IMAGES, "--start", work / "start"]


def test_adapt_writes_a_model_that_predict_needs_no_category_for(work, capsys):
    given = [*data(work, "one"), "--recipe", work / "small.yaml", "-o", work / "mine"]
    code, out, _ = run(capsys, "adapt", *given)
    assert code == 0 and "@0.05" in out and "with 2 examples" in out and "too few groups" in out
    assert json.loads((work / "mine" / "adapting.json").read_text())["objects"] == 10
    objects = read_coco(work / "one" / ANNOTATIONS, work / "one" / IMAGES).objects
    code, out, _ = run(capsys, "predict", objects[0].image, "--model", work / "mine")
    assert code == 0 and all(name in out for name in objects[0].category.names)
    code, out, err = run(capsys, "predict", objects[0].image, "--model", work / "mine", "--noun", "cat")
    assert (code, out) == (2, "") and "mine has its own category; leave --noun out" in err
    code, _, err = run(capsys, "adapt", *given)
    assert code == 2 and "holds a model already" in err


def test_predictions_of_an_adapted_model_call_the_points_as_its_labels_do(work, capsys):
    labels = json.loads((work / "one" / ANNOTATIONS).read_text())
    (kind,) = labels["categories"]
    kind["keypoints"] = [f"{name.replace(' ', '_')}_{i}" for i, name in enumerate(kind["keypoints"])]
    (work / "one" / "underscores.json").write_text(json.dumps(labels))
    given = ["--data", f"coco:{work / 'one' / 'underscores.json'}", *data(work, "one")[2:]]
    assert run(capsys, "adapt", *given, "--recipe", work / "small.yaml", "-o", work / "named")[0] == 0
    picture = work / "one" / IMAGES / labels["images"][0]["file_name"]
    written = work / "named.json", work / "named.csv"
    assert run(capsys, "predict", picture, "--model", work / "named", "-o", written[0], "-o", written[1])[0] == 0
    assert json.loads(written[0].read_text())["categories"][0]["keypoints"] == kind["keypoints"]
    assert all(name in written[1].read_text() for name in kind["keypoints"])


def test_label_files_of_one_animal_that_a_list_joins_are_one_category(work, capsys):
    lines = [f'- {{data: "coco:one/{ANNOTATIONS}", images: one/{IMAGES}, name: {name}}}' for name in ("ana", "ben")]
    (work / "lab.yaml").write_text("\n".join(lines))
    given = ["--start", work / "start", "--recipe", work / "small.yaml", "-o", work / "joined"]
    code, _, err = run(capsys, "adapt", "--data", f"joint:{work / 'lab.yaml'}", *given)
    assert code == 0, err
    assert json.loads((work / "joined" / "adapting.json").read_text())["objects"] == 20
    code, _, err = run(capsys, "data", "check", f"joint:{work / 'lab.yaml'}")
    assert code == 2 and "puts several data sets together, which are looked after one by one" in err


def test_categories_of_one_name_with_other_points_are_told_apart_by_their_ids(work, capsys):
    labels = json.loads((work / "one" / ANNOTATIONS).read_text())
    (kind,) = labels["categories"]
    kind["keypoints"] = [f"point {i}" for i in range(len(kind["keypoints"]))]
    kind["skeleton"] = []
    (work / "one" / "other.json").write_text(json.dumps(labels))
    lines = [
        f'- {{data: "coco:one/{name}", images: one/{IMAGES}, name: {name}}}' for name in (ANNOTATIONS, "other.json")
    ]
    (work / "two.yaml").write_text("\n".join(lines))
    given = ["--data", f"joint:{work / 'two.yaml'}", "--start", work / "start", "-o", work / "neither"]
    code, _, err = run(capsys, "adapt", *given)
    assert code == 2 and f"2 ({kind['name']} with the points point 0, point 1, point 2 ...)" in err


def test_of_several_categories_one_is_chosen(work, capsys):
    given = [*data(work, "two"), "--recipe", work / "small.yaml", "-o", work / "other"]
    code, _, err = run(capsys, "adapt", *given)
    assert code == 2 and "the data have 2; choose one as the category: " in err
    code, _, err = run(capsys, "adapt", *given, "--category", "griffin")
    assert code == 2 and "no categories called 'griffin'" in err


def test_adapting_starts_from_a_matcher(work, capsys):
    code, _, err = run(capsys, "adapt", *data(work, "one")[:4], "--start", "capellm-small", "-o", work / "none")
    assert code == 2 and "starts from a matcher, such as accurate, but capellm-small is of type capellm" in err


def test_the_recipe_without_one_fits_what_the_matcher_takes(work):
    config = from_mapping(MatcherTrainConfig, trainable.further(work / "start"), "further")
    assert 0 < config.warmup < config.steps and config.features == "live"  # the tiny encoder is tuned in full
    tiny_matchers.matcher("pomnet", work).save_pretrained(work / "pomnet")
    assert "modality_dropout" not in trainable.further(work / "pomnet")
    assert trainable.further(trainable.EXPERIMENTS.parent / "pretrained" / "fast")["features"] == "cached"
    assert trainable.further(trainable.EXPERIMENTS.parent / "pretrained" / "kptllm-small") == {}


def test_training_further_says_whether_the_model_got_better(work, capsys, monkeypatch):
    own = trainable.further
    short = {"steps": 3, "warmup": 1, "batch": 2}
    monkeypatch.setattr(trainable, "further", lambda start: {**own(start), **short})
    code, out, err = run(capsys, "train", *data(work, "two"), "-o", work / "run")
    assert code == 0 and "training as experiments/further.yaml says" in err
    assert "of 12 objects are held out" in err and "--held-out 0 trains on all" in err
    assert "by words, before" in out and "by one example, after" in out and "The loss went from" in out
    kept = json.loads((work / "run" / validation.FILE).read_text())
    assert set(kept["before"]) == set(kept["after"]) == {"text", "example"} and kept["thresholds"][1] == 0.05


def test_held_out_objects_are_of_groups_that_are_not_trained_on(work):
    whole = read_coco(work / "two" / ANNOTATIONS, work / "two" / IMAGES)
    objects = [replace(item, group=str(number // 2)) for number, item in enumerate(whole.objects)]
    held = validation.hold_out(replace(whole, objects=objects), 0.2, seed=0)
    groups = [{item.group for item in part} for part in (held.objects, held.data.objects)]
    assert groups[0] and not groups[0] & groups[1] and "whole groups" in held.note
    assert len(held.objects) + len(held.data.objects) == 12
    assert validation.hold_out(whole, 0.0, seed=0).data is whole
    few = validation.hold_out(replace(whole, objects=whole.objects[:9]), 0.2, seed=0)
    assert len(few.data.objects) == 9 and "none is held out" in few.note
    with pytest.raises(InputError, match=r"must be a share from 0 to 0\.5, but got 0\.9"):
        validation.hold_out(whole, 0.9, seed=0)


@pytest.mark.parametrize(("share", "count"), [(0.1, 2), (0.3, 6), (0.4, 8), (0.5, 10), (0.05, 1)])
def test_the_share_that_is_held_out_is_the_one_that_was_asked_for(work, share, count):
    whole = read_coco(work / "two" / ANNOTATIONS, work / "two" / IMAGES)
    many = [replace(item, image=f"{n}_{item.image}", group=None) for n in range(2) for item in whole.objects][:20]
    held = validation.hold_out(replace(whole, objects=many), share, seed=0)
    assert len(held.objects) == count and f"{count} of 20 objects are held out" in held.note


def test_a_share_of_less_than_an_object_is_refused(work):
    whole = read_coco(work / "two" / ANNOTATIONS, work / "two" / IMAGES)
    with pytest.raises(InputError, match=r"--held-out 0\.01 of 12 objects is less than one; give a larger share, or 0"):
        validation.hold_out(whole, 0.01, seed=0)


@pytest.mark.parametrize("verb", ["adapt", "train"])
def test_labels_without_an_object_are_refused_before_a_model_is_loaded(work, capsys, verb):
    labels = json.loads((work / "one" / ANNOTATIONS).read_text())
    for entry in labels["annotations"]:
        entry["keypoints"][2::3] = [0] * (len(entry["keypoints"]) // 3)
    (work / "one" / "unlabelled.json").write_text(json.dumps(labels))
    given = ["--data", f"coco:{work / 'one' / 'unlabelled.json'}", *data(work, "one")[2:]]
    code, _, err = run(capsys, verb, *given, "-o", work / f"nothing {verb}")
    assert code == 2 and "left out: 10 (no labelled point)" in err
    assert f"There is no object to {verb} " in err and "unlabelled.json; `data check` says what is wrong" in err


def test_python_refuses_a_folder_with_a_model_as_the_command_line_does(work, monkeypatch):
    taken = work / "taken by a model"
    taken.mkdir()
    (taken / "config.json").write_text("{}")
    monkeypatch.setattr(ak, "load", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(InputError, match="taken by a model holds a model already; give another folder, or remove it"):
        ak.adapt("coco:none.json", taken)
    assert (taken / "config.json").read_text() == "{}"


def test_python_says_which_labels_were_left_out_as_the_command_line_does(work, capsys, monkeypatch):
    labels = json.loads((work / "one" / ANNOTATIONS).read_text())
    del labels["annotations"][0]["bbox"], labels["annotations"][3:]
    labels["annotations"][1]["keypoints"] = [1, 2]
    (work / "one" / "few.json").write_text(json.dumps(labels))
    given = [f"coco:{work / 'one' / 'few.json'}", work / "few", work / "start", work / "one" / IMAGES]
    with pytest.warns(ReadingWarning) as said, pytest.raises(InputError, match="needs 8 labelled objects or more"):
        ak.adapt(*given)
    assert {warning.filename for warning in said} == {__file__}
    options = [text for pair in zip(("--data", "-o", "--start", "--images"), given, strict=True) for text in pair]
    _, _, err = run(capsys, "adapt", *options)
    sentences = [str(warning.message) for warning in said]
    assert any("left out: 1 (" in sentence for sentence in sentences)
    assert [line.strip() for line in err.splitlines()][: len(sentences)] == sentences


def test_the_last_line_says_what_became_of_loss_and_answers(tmp_path, capsys):
    lines = [json.dumps({"loss": value}) for value in np.linspace(3, 1, 20).tolist()]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    validation.say(tmp_path, {"text": [0.1, 0.2]}, {"text": [0.3, 0.2]}, 5)
    said = capsys.readouterr().out
    assert "went from 2.947 to 1.053; on held-out objects by words the model got better (+10.0 points" in said
    validation.say(tmp_path, {"text": [0.1]}, {"text": [0.1]}, 5)
    assert "neither better nor worse" in capsys.readouterr().out


def test_a_place_that_no_folder_can_have_is_told_before_anything_is_learnt(work, capsys):
    (work / "taken").write_text("no folder")
    for out in (work / "taken", work / "taken" / "mine"):
        for verb in ("adapt", "train"):
            code, _, err = run(capsys, verb, "--data", f"coco:{work / 'none.json'}", "-o", out)
            assert code == 2 and f"Cannot write {out}: {work / 'taken'} is no folder that can be written to" in err


def test_points_that_no_picture_labels_are_named_as_nothing_has_taught_them(work, capsys):
    labels = json.loads((work / "one" / ANNOTATIONS).read_text())
    for entry in labels["annotations"]:
        entry["keypoints"][:3] = [0, 0, 0]
    (work / "one" / "lacking.json").write_text(json.dumps(labels))
    name = labels["categories"][0]["keypoints"][0]
    given = ["--data", f"coco:{work / 'one' / 'lacking.json'}", *data(work, "one")[2:]]
    code, out, _ = run(capsys, "adapt", *given, "--recipe", work / "small.yaml", "-o", work / "lacking")
    assert code == 0 and f"No object labels {name!r}: the model still answers there" in out
    assert json.loads((work / "lacking" / "adapting.json").read_text())["unlabelled"] == [name]
