"""A trained CapeX or GraphCape inside FLF and DLF: what comes from it, what stays, and what trains."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_trainees
import torch
import yaml
from tiny_matchers import FISH, SIDE, config, example, matcher, picture, text_encoder

from anykeypoint import cli
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.matching.model import MatchingModel, build
from anykeypoint.models.matching.plugging import plug_in
from anykeypoint.models.towers.text import TextConfig
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig
from anykeypoint.reproduction.configured import configured
from anykeypoint.reproduction.tables import find_table
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
from anykeypoint.training.matching.matcher_trainer import train

LEADING = {"capex": "image_to_text", "graphcape": "text_to_image"}
SHORT = MatcherTrainConfig(sampling="balanced", steps=2, batch=2, lr=1e-2, warmup=0, drops=())


def described(name: str, folder, **head):
    """A new FLF or DLF that leaves the graph head to the model that it starts from."""
    whole = config(name, folder)
    kept = {"guest_width": None} if name == "flf" else {"example_width": None}
    return replace(whole, head=replace(whole.head, graph_head=None, **kept, **head))


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("starts")
    return folder, {name: matcher(name, folder, seed=i) for i, name in enumerate(LEADING)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    write_dataset(folder, 6, seed=2, per_category=3, size=64)
    return read_coco(folder / ANNOTATIONS, folder / IMAGES)


def tensors(module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(first, second) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("start", LEADING)
def test_flf_begins_with_the_tensors_of_what_it_starts_from(starts, start):
    folder, models = starts
    made = plug_in(described("flf", folder), models[start])
    assert equal(tensors(made.head.head), tensors(models[start].head))
    assert equal(tensors(made.encoder), tensors(models[start].encoder))
    assert made.config.head.host == ("text" if start == "capex" else "image") and not made.training
    assert made.predict(picture(), FISH, example=example()).present.all()


@pytest.mark.parametrize("start", LEADING)
def test_dlf_begins_with_the_tensors_of_what_it_starts_from_on_its_side(starts, start):
    folder, models = starts
    old = models[start].head
    made = plug_in(described("dlf", folder), models[start])
    if start == "capex":
        assert equal(tensors(made.head.head), tensors(old))
    else:
        assert all(equal(tensors(part), tensors(getattr(old, name))) for name, part in made.head.image_side().items())
        assert made.head.image_side().keys() == dict(old.named_children()).keys()
    # One side alone answers as the model that it came from.
    shown = {"words": True} if start == "capex" else {"example": example(), "words": False}
    given = {} if start == "capex" else {"example": example()}
    assert np.allclose(made.predict(picture(), FISH, **shown).xy, models[start].predict(picture(), FISH, **given).xy)


@pytest.mark.parametrize("start", LEADING)
def test_a_frozen_flf_trains_gamma_and_what_is_new_in_the_fusion_alone(starts, data, tmp_path, start):
    folder, _ = starts
    old = matcher(start, folder, seed=7)
    options = {"frozen": True, "direction": LEADING[start], "norm": False, "gamma": 0.0}
    made = plug_in(described("flf", folder, **options), old)
    trained = {name for name, parameter in made.named_parameters() if parameter.requires_grad}
    assert trained == {"head.fusion.gamma", "head.guest_projection.weight", "head.guest_projection.bias"}
    given = {} if start == "capex" else {"example": example()}
    plain = old.predict(picture(), FISH, **given).xy
    assert np.allclose(made.predict(picture(), FISH, example=example()).xy, plain)  # gamma is 0
    before = {part: tensors(getattr(made, part)) for part in ("encoder", "text_encoder")} | {
        "h": tensors(made.head.head)
    }
    train(made, data, SHORT, tmp_path / "run")
    after = {part: tensors(getattr(made, part)) for part in ("encoder", "text_encoder")} | {
        "h": tensors(made.head.head)
    }
    assert all(equal(before[part], after[part]) for part in before) and made.head.fusion.gamma.item() != 0
    again = MatchingModel.from_pretrained(tmp_path / "run" / "model")
    assert equal(tensors(again.encoder), before["encoder"]) and equal(tensors(again.head.head), before["h"])
    assert {name for name, parameter in again.named_parameters() if parameter.requires_grad} == trained


@pytest.mark.parametrize("start", LEADING)
def test_a_frozen_dlf_trains_its_other_matcher_alone(starts, data, tmp_path, start):
    folder, _ = starts
    made = plug_in(described("dlf", folder, frozen=True), matcher(start, folder, seed=7))
    before = tensors(made)
    train(made, data, SHORT, tmp_path / "run")
    moved = {name for name, value in made.state_dict().items() if not torch.equal(value, before[name])}
    theirs = {"capex": ("head.example_projection.", "head.image_matcher.")}
    theirs["graphcape"] = ("head.head.token_projection.", "head.head.matcher.")
    assert moved and all(name.startswith(theirs[start]) for name in moved)
    assert {name.rpartition(".")[0] for name in moved} > {f"{theirs[start][0]}".rstrip(".")}
    made.train()
    assert made.head.head.matcher.training is (start != "capex")
    assert made.head.image_matcher.training is (start != "graphcape")


@pytest.mark.parametrize("name", ["flf", "dlf"])
def test_frozen_without_a_start_is_refused(starts, name):
    with pytest.raises(InputError, match=r"frozen: true keeps a trained capex or graphcape .* give one to start from"):
        build(described(name, starts[0], frozen=True))


def test_what_does_not_fit_is_refused_in_a_sentence(starts):
    folder, models = starts
    capex, graphcape = models["capex"], models["graphcape"]
    with pytest.raises(InputError, match="can be plugged into flf and dlf, but got a flf for dlf"):
        plug_in(described("dlf", folder), matcher("flf", folder))
    with pytest.raises(InputError, match="for graphcape"):
        plug_in(config("graphcape", folder), capex)
    with pytest.raises(InputError, match=r"has its crop_scale, which is 1\.25, but got 1\.0"):
        plug_in(replace(described("flf", folder), crop_scale=1.0), capex)
    with pytest.raises(InputError, match="has its sigma, which is 1, but got 2"):
        plug_in(replace(described("flf", folder), sigma=2), graphcape)
    with pytest.raises(InputError, match="another graph head"):
        other = replace(capex.head.config, hidden=48)
        plug_in(replace(described("flf", folder), head=replace(described("flf", folder).head, graph_head=other)), capex)
    with pytest.raises(InputError, match="must lead in the fusion, which is direction: image_to_text"):
        plug_in(described("flf", folder, frozen=True), capex)


@pytest.mark.parametrize("row", find_table("fusion-plug-and-play").rows, ids=lambda row: row.name)
def test_every_row_of_plug_and_play_starts_at_field_scale(row, tmp_path):
    """On random encoders of few layers, whose maps and phrases are as wide as the field's."""
    (setting,) = row.settings["field"]
    start = next(one for one in find_table("fusion-table-4").rows if setting.start.endswith(f"/{one.name}"))
    sizes = {"embedding_size": 8, "hidden_sizes": (8, 12, 16, 328), "depths": (1, 1, 1, 1)}
    words = TextConfig("bert", text_encoder(tmp_path / "encoder", width=384))

    def tiny(whole):
        vision = VisionConfig("resnet50", RANDOM, SIDE, "frozen", sizes=sizes)
        return replace(whole, vision=vision, text=None if whole.text is None else words)

    trained = build(tiny(configured(start.settings["field"][0], start.name).model))
    made = plug_in(tiny(configured(setting, row.name).model), trained)
    assert made.config.head.frozen and made.config.head.graph_head.similarity_start == 0.25


def test_the_verb_starts_a_fusion_from_a_saved_capex(starts, data, tmp_path, capsys):
    folder, models = starts
    models["capex"].save_pretrained(tmp_path / "capex")
    new = described("flf", folder, frozen=True, direction="image_to_text").to_dict()
    recipe = {"sampling": "balanced", "steps": 1, "batch": 2, "warmup": 0}
    (tmp_path / "flf.yaml").write_text(yaml.safe_dump({"model": new, "recipe": recipe}))
    root = data.objects[0].image.parent.parent
    verb = [
        "train",
        "--data",
        f"coco:{root / ANNOTATIONS}",
        "--images",
        root / IMAGES,
        "--model",
        tmp_path / "flf.yaml",
    ]

    def ran(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in (*verb, *arguments)])
        return ended.value.code, " ".join(capsys.readouterr().err.split())

    code, err = ran("-o", tmp_path / "none")
    assert code == 2 and "give one to start from" in err
    assert ran("--start", tmp_path / "capex", "-o", tmp_path / "run")[0] == 0
    made = MatchingModel.from_pretrained(tmp_path / "run" / "model")
    assert equal(tensors(made.head.head), tensors(models["capex"].head))
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text())["vision"]["tuning"] == "frozen"
    (tmp_path / "graphcape.yaml").write_text(yaml.safe_dump(tiny_trainees.config("graphcape", folder).to_dict()))
    verb[-1] = tmp_path / "graphcape.yaml"
    code, err = ran("--start", tmp_path / "capex", "-o", tmp_path / "other")
    assert code == 2 and "can be plugged into flf and dlf" in err
