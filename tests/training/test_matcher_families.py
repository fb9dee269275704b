"""Every kind of matcher learns what it sees, from a model file to a folder that answers."""

import json
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import tiny_trainees
import torch
import yaml

from anykeypoint import cli
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import Dataset
from anykeypoint.models.matching.model import MatchingModel
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
from anykeypoint.training.matching.matcher_trainer import train
from anykeypoint.training.trainable import CAPELLM, FEW_SHOT, MATCHER, family_of


def ran(capsys, *arguments):
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


NAMES = ("pomnet", "capeformer", "graphcape", "capex", "flf", "dlf", "evidence")
SHORT = MatcherTrainConfig(
    sampling="balanced", steps=30, batch=4, lr=5e-3, warmup=2, drops=(), features="cached", versions=1, save_every=100
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "made", 6, seed=2, per_category=3)
    return folder


@pytest.fixture(scope="module")
def data(folder) -> Dataset:
    return read_coco(folder / "made" / "annotations.json", folder / "made" / "images")


@pytest.mark.parametrize("name", NAMES)
def test_every_family_lowers_its_loss_on_what_it_sees(tmp_path, folder, data, name):
    model, losses = tiny_trainees.matcher(name, folder, own_example_encoder=False), []  # cached features are of one
    train(model, data, SHORT, tmp_path, on_step=lambda step, figures: losses.append(figures["loss"]))
    assert np.mean(losses[-5:]) < 0.85 * np.mean(losses[:5])


def note(steps, key, _, figures):
    """Keep the figures of a run's first step."""
    steps.setdefault(key, figures)


@pytest.mark.parametrize(("name", "decoders"), [("flf", ("",)), ("dlf", ("text_", "image_")), ("evidence", ())])
def test_the_loss_has_the_sum_or_the_mean_over_the_decoders_layers(tmp_path, folder, data, name, decoders):
    steps = {}
    for layers in ("sum", "mean"):
        run = replace(SHORT, layer_loss=layers)
        model = tiny_trainees.matcher(name, folder)
        train(model, data, run, tmp_path / layers, stop_after=1, on_step=partial(note, steps, layers))
    first, second = steps["sum"], steps["mean"]
    of_layers = [f"{decoder}layer_{layer}" for decoder in decoders for layer in (0, 1)]
    assert all(second[part] == pytest.approx(first[part] / 2, rel=1e-4) for part in of_layers)
    saved = sum(first[part] for part in of_layers) / 2
    assert second["loss"] == pytest.approx(first["loss"] - saved, rel=1e-4) and (saved > 0) is bool(decoders)


def test_phrases_are_whitened_by_those_of_the_first_training(tmp_path, folder, data):
    model = tiny_trainees.matcher("evidence", folder)
    train(model, data, SHORT, tmp_path / "a", stop_after=1)
    assert model.head.whitens
    first = model.head.phrase_whitener.clone()
    model.save_pretrained(tmp_path / "model")
    kept = MatchingModel.from_pretrained(tmp_path / "model")
    assert torch.equal(kept.head.phrase_whitener, first)
    fewer = replace(data, objects=data.objects[:3])
    train(kept, fewer, SHORT, tmp_path / "b", stop_after=1)
    assert torch.equal(kept.head.phrase_whitener, first)


def test_the_verb_trains_what_the_model_file_describes_and_goes_on_from_it(tmp_path, folder, capsys):
    described = tiny_trainees.config("flf", folder).to_dict()
    recipe = {"sampling": "balanced", "steps": 2, "batch": 2, "warmup": 1, "seed": 3}
    (tmp_path / "both.yaml").write_text(yaml.safe_dump({"model": described, "recipe": recipe}))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "modality_dropout": {"words_only": 0.5}}))
    made = folder / "made"
    verb = ["train", "--data", f"coco:{made / 'annotations.json'}", "--images", str(made / "images")]
    said = ran(capsys, *verb, "--model", tmp_path / "both.yaml", "-o", tmp_path / "first")[1]
    assert "of 4 episodes had nothing to learn from" in said and "Written to" in said
    first = tmp_path / "first" / "model"
    assert json.loads((first / "config.json").read_text())["model_type"] == "matcher"
    again = ["--start", first, "--recipe", tmp_path / "recipe.yaml", "-o", tmp_path / "second"]
    assert ran(capsys, *verb, *again)[0] == 0
    pose = MatchingModel.from_pretrained(tmp_path / "second" / "model").predict(
        made / "images" / "000000.png", _category(made)
    )
    assert np.isfinite(pose.xy).all()


def _category(made):
    return read_coco(made / "annotations.json", made / "images").objects[0].category


def test_the_kind_of_a_model_is_told_by_its_keys():
    assert family_of({"name": "capex"}, "m.yaml") is MATCHER
    assert family_of({"name": "flf", "crop_scale": 1.0}, "m.yaml") is MATCHER
    assert family_of({"vision": {}}, "m.yaml") is CAPELLM
    assert family_of({"crop_scale": 1.0}, "m.yaml") is CAPELLM
    assert family_of({}, "m.yaml") is CAPELLM
    assert family_of({"method": "maml", "backbone": {}}, "m.yaml") is FEW_SHOT


@pytest.mark.parametrize(
    ("described", "words"),
    [
        (
            {"visions": {}},
            r"has the unknown key 'visions' \(near: vision\); a matcher has .*backbone.*; a CapeLLM has .*vision",
        ),
        ({"backbone": {}, "language": {}}, "m.yaml has 'backbone' beside 'language'"),
        (
            {"backbone": {}, "method": "maml", "head": {}},
            "m.yaml has 'method' beside 'head'; .*a few-shot baseline has",
        ),
        ([], "must describe a model by a mapping"),
    ],
)
def test_a_file_that_describes_no_model_is_refused_in_a_sentence(described, words):
    with pytest.raises(InputError, match=words):
        family_of(described, "m.yaml")


def test_a_recipe_of_the_other_kind_is_refused(tmp_path, folder, capsys):
    (tmp_path / "model.yaml").write_text(yaml.safe_dump({"name": "capex"}))
    (tmp_path / "recipe.yaml").write_text("rounds: 4\n")
    made = folder / "made"
    verb = ["train", "--data", f"coco:{made / 'annotations.json'}", "--images", str(made / "images")]
    options = ["--model", tmp_path / "model.yaml", "--recipe", tmp_path / "recipe.yaml", "-o", tmp_path / "out"]
    code, _, err = ran(capsys, *verb, *options)
    known = ", ".join(field.name for field in fields(MatcherTrainConfig))
    assert code == 2 and f"recipe.yaml has the unknown key 'rounds'; known are {known}." in " ".join(err.split())
