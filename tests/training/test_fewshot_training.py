"""Few-shot baselines from a model file to a folder that answers: falling losses, exact resumes, figures."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_encoders
import torch
import yaml
from safetensors.torch import load_file

import anykeypoint
from anykeypoint import cli
from anykeypoint.crops.augment import PLAIN
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import Dataset
from anykeypoint.models.fewshot.fewshot_model import FewShotConfig, FewShotModel, build
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig
from anykeypoint.training.fewshot.fewshot_config import FewShotTrainConfig
from anykeypoint.training.fewshot.fewshot_trainer import FewShotTrainer, train

METHODS = ("protonet", "maml", "finetune")
OPTIONS = {
    "protonet": {"width": 16},
    "maml": {"width": 16, "steps": 2, "fit_steps": 3},
    "finetune": {"width": 16, "steps": 5},
}
CONFIG = FewShotTrainConfig(
    sampling="balanced", steps=4, batch=2, accumulate=2, lr=1e-3, warmup=2, drops=(0.5,), save_every=2, ema=0.9
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, 6, seed=2, per_category=3, size=64)
    return folder


@pytest.fixture(scope="module")
def data(folder) -> Dataset:
    return read_coco(folder / ANNOTATIONS, folder / IMAGES)


def config(method: str, tuning: str = "frozen") -> FewShotConfig:
    sizes = tiny_encoders.TINY["resnet50"]
    vision = VisionConfig("resnet50", RANDOM, 64, tuning, sizes=sizes)
    return FewShotConfig.from_dict({"method": method, "options": OPTIONS[method], "vision": vision.to_dict()})


def baseline(method: str, tuning: str = "full") -> FewShotModel:
    model = build(config(method, tuning))
    tiny_encoders.loud(model.encoder)
    return model


def run(method: str, data: Dataset, out, recipe: FewShotTrainConfig = CONFIG, **options):
    figures, model = [], baseline(method)
    train(model, data, recipe, out, on_step=lambda step, found: figures.append(found), **options)
    return model, figures


def same(one: FewShotModel, other: FewShotModel) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_falls_on_what_is_seen_again_and_again(tmp_path, data, method):
    recipe = replace(CONFIG, steps=25, batch=4, accumulate=1, lr=5e-3, drops=(), ema=0.0, augment=PLAIN)
    few = replace(data, objects=data.objects[:3])
    _, figures = run(method, few, tmp_path, recipe)
    losses = [found["loss"] for found in figures]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


@pytest.mark.parametrize("method", METHODS)
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(tmp_path, data, method):
    whole, figures = run(method, data, tmp_path / "whole")
    _, first = run(method, data, tmp_path / "parts", stop_after=3)  # the checkpoint is from step 2
    resumed, second = run(method, data, tmp_path / "parts")
    assert first + second[1:] == figures and second[0] == first[2] and len(figures) == 4
    assert same(whole, resumed) and same(anykeypoint.load(str(tmp_path / "parts" / "model"), "cpu"), whole)
    assert not same(whole, baseline(method)) if method != "finetune" else whole.method.rows.any()


def test_a_fine_tuned_head_gets_rows_for_the_datas_categories_once(tmp_path, data):
    model, _ = run("finetune", data, tmp_path / "first")
    known = {(category.name, len(category)) for category in data.categories.values()}
    assert set(model.config.options.known) == known == set(model.method.config.known)
    only = data.objects[0].category_id
    less = replace(data, objects=data.objects[:3], categories={only: data.categories[only]})
    model.meet((one.name, len(one)) for one in less.categories.values())  # some of them
    assert set(model.method.config.known) == known
    other = baseline("finetune")
    train(other, less, replace(CONFIG, steps=1, warmup=0), tmp_path / "second")
    with pytest.raises(InputError, match="run of another model"):
        train(baseline("finetune"), less, CONFIG, tmp_path / "first")
    with pytest.raises(InputError, match="was not made to be trained on"):
        train(other, data, CONFIG, tmp_path / "third")
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize("method", METHODS)
def test_backbones_have_a_rate_of_their_own(data, method):
    trainer = FewShotTrainer(baseline(method), data, replace(CONFIG, encoder_lr=1e-6))
    head, backbone = trainer.parameter_groups()
    assert (head["lr"], backbone["lr"]) == (1e-3, 1e-6)
    assert len(backbone["params"]) == len(list(trainer.model.encoder.parameters()))
    assert len(FewShotTrainer(baseline(method, "frozen"), data, CONFIG).parameter_groups()) == 1


# --- on the command line ---------------------------------------------------------------------------------------------


def ran(capsys, *arguments):
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


@pytest.mark.parametrize("method", METHODS)
def test_a_baseline_is_trained_trained_on_and_measured(tmp_path, folder, capsys, method):
    recipe = {"sampling": "balanced", "steps": 2, "batch": 2, "warmup": 1}
    both = {"model": config(method).to_dict(), "recipe": recipe}
    (tmp_path / "both.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(both))))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    read = ["--data", f"coco:{folder / ANNOTATIONS}", "--images", folder / IMAGES]
    code, out, _ = ran(capsys, "train", *read, "--model", tmp_path / "both.yaml", "-o", tmp_path / "first")
    assert code == 0 and "of 4 episodes had nothing to learn from" in out
    first = tmp_path / "first" / "model"
    again = ["--start", first, "--recipe", tmp_path / "recipe.yaml", "-o", tmp_path / "second"]
    assert ran(capsys, "train", *read, *again)[0] == 0
    second = tmp_path / "second" / "model"
    one, other = (load_file(path / "model.safetensors") for path in (first, second))
    assert any(not torch.equal(one[name], other[name]) for name in one)
    asked = ["evaluate", second, *read, "--protocol", "1-shot", "--no-baselines", "--device", "cpu"]
    code, out, _ = ran(capsys, *asked, "-o", tmp_path / "report")
    assert code == 0 and "6 objects" in out and "pck@0.2" in out
    lines = [json.loads(line) for line in (tmp_path / "report" / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 6 and all(any(point[0] is not None for point in line["points"]) for line in lines)
    assert ran(capsys, *asked[:-4], "text", "-o", tmp_path / "other")[0] == 2
    assert ran(capsys, "weights", second)[:2] == (0, "")
    picture = folder / IMAGES / "000000.png"
    (tmp_path / "points.json").write_text(json.dumps({"nose": [20, 20], "tail": [40, 30], "paw": None}))
    shown = ["--model", second, "--example", f"{picture}:{tmp_path / 'points.json'}"]
    code, out, _ = ran(capsys, "predict", picture, *shown)
    assert code == 0 and [word in out for word in ("nose", "tail", "absent")] == [True] * 3
