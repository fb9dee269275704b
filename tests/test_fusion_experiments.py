"""The shipped configurations of matchers, and the rows of the fusion paper's tables."""

from importlib import resources

import pytest
import yaml

from anykeypoint.configs.yaml_files import from_mapping, load_yaml
from anykeypoint.crops.augment import MATCHER as AUGMENT
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.models.fewshot.fewshot_model import FewShotConfig
from anykeypoint.models.matching.heads.dlf import ANSWERS, DecisionFusionConfig
from anykeypoint.models.matching.heads.graph import GraphConfig
from anykeypoint.models.towers.swinv2 import Swinv2Encoder
from anykeypoint.training.fewshot.fewshot_config import FewShotTrainConfig
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig, ModalityDropout
from anykeypoint.training.trainable import FEW_SHOT, MATCHER, family_of, parts, wanted_phrases

FOLDER = resources.files("anykeypoint") / "experiments"
ROWS = yaml.safe_load((FOLDER / "fusion_tables.yaml").read_text(encoding="utf-8"))
NAMES = ("pomnet", "capeformer", "graphcape", "capex", "flf", "dlf")
MISPRINTS = {
    (2, "CapeX-CLIP"): 90.39,
    (6, "DLF"): 90.73,
    (7, "CapeX"): 82.34,
}  # whose printed mean is not that of the splits; what it is


UNPRINTED = {"answers of DLF", "choices", "plug-and-play"}  # rows of which the paper prints no figures
FEW_SHOTS = ("protonet", "maml", "finetune")


def configured(described, recipe):
    family = family_of(described, "model")
    return family.described(described, "model"), from_mapping(family.recipe, recipe, "recipe")


def asked(row):
    """The settings of the row's evaluation."""
    return EvaluationConfig(**row.get("ask", {}))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_matcher_is_a_model_file_with_its_recipe(name):
    described, recipe = parts(load_yaml(FOLDER / f"{name}.yaml"), name)
    assert family_of(described, name) is MATCHER
    model, run = configured(described, recipe)
    assert model.name == name and model.vision.tuning == "full" and model.vision.image_size == 256
    assert model.released_crop and model.crop_scale == 1.25 and model.cells == 64
    assert model.sigma == (2 if name in ("pomnet", "capeformer") else 1)
    assert (model.text is not None) == (name in ("capex", "flf", "dlf"))
    assert run.batch == (16 if name in ("pomnet", "capeformer") else 8)


def test_the_fast_recipe_trains_a_head_on_features_of_a_published_backbone():
    model, run = configured(*parts(load_yaml(FOLDER / "fast.yaml"), "fast"))
    assert (model.name, model.vision.name, model.vision.tuning) == ("evidence", "efficientnet-lite2", "frozen")
    assert model.text.name == "minilm-l6" and model.prompts == ("text", "example", "both")
    assert (
        run.features == "cached"
        and run.versions > 1
        and run.modality_dropout.words_only + run.modality_dropout.example_only < 1
    )


def test_pomnet_is_trained_as_released():
    model, run = configured(*parts(load_yaml(FOLDER / "pomnet.yaml"), "pomnet"))
    assert model.own_example_encoder and model.vision.name == "resnet50"
    assert (run.lr, run.epochs, run.batch, run.warmup, run.warmup_from) == (5e-4, 210, 16, 500, 0.001)
    assert [round(drop * run.epochs) for drop in run.drops] == [170, 200] and run.heat_weight == 1


@pytest.mark.parametrize("name", FEW_SHOTS)
def test_a_shipped_baseline_is_a_model_file_with_its_recipe(name):
    described, recipe = parts(load_yaml(FOLDER / f"{name}.yaml"), name)
    assert family_of(described, name) is FEW_SHOT
    model, run = configured(described, recipe)
    assert isinstance(model, FewShotConfig) and isinstance(run, FewShotTrainConfig)
    assert (model.method, model.vision.name, model.vision.image_size) == (name, "resnet50", 256)


@pytest.mark.parametrize("name", ["ProtoNet", "MAML", "POMNet", "Fine-tune"])
def test_rows_of_older_papers_are_the_shipped_files(name):
    (row,) = [row for row in ROWS if row["row"] == name]
    described, recipe = parts(load_yaml(FOLDER / f"{name.lower().replace('-', '')}.yaml"), name)
    assert (row["model"], row["recipe"]) == (described, recipe)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['table']} {row['row']}")
def test_a_row_of_the_tables_is_a_valid_configuration_with_the_printed_figures(row):
    assert (
        {"table", "row", "model", "recipe", "paper"}
        <= set(row)
        <= {"table", "row", "model", "recipe", "ask", "start", "paper"}
    )
    configured(row["model"], row["recipe"])
    EvaluationProtocol.parse(asked(row).protocol)
    if row["table"] in UNPRINTED:
        assert row["paper"] == {}
        return
    if row["table"] == 3:
        return
    splits = [row["paper"][f"split{i}"] for i in range(1, 6)]
    mean = MISPRINTS.get((row["table"], row["row"]), row["paper"]["mean"])
    assert len(row["paper"]) == 6 and round(sum(splits) / 5, 2) == pytest.approx(mean, abs=0.011)


def test_the_tables_have_their_rows_and_no_two_rows_of_a_table_are_alike():
    printed = [row["table"] for row in ROWS if row["table"] not in UNPRINTED]
    assert printed == [2, 2, 3, 3, 4, 4, 4, "KptLLM++ 2", 4, 4, 4, 6, 6, 6, 6, 7, 7, 7, 7]
    for table in {row["table"] for row in ROWS}:
        models = [(*configured(row["model"], row["recipe"]), asked(row)) for row in ROWS if row["table"] == table]
        assert all(models.count(model) == 1 for model in models)


def test_every_answer_of_dlf_is_a_row_and_the_default_is_the_mean():
    rows = [row for row in ROWS if row["table"] == "answers of DLF"]
    assert [row["ask"]["answer"] for row in rows] == [row["row"] for row in rows]
    assert {row["row"] for row in rows} == set(ANSWERS) and DecisionFusionConfig().answer == "mean"
    assert all(asked(row).protocol == "both" for row in rows)


def test_the_fusions_take_the_mean_over_layers_and_what_they_build_on_the_sum():
    for row in ROWS:
        name, recipe = row["model"].get("name"), row["recipe"]
        if "sum over layers" not in row["row"] and "name" in row["model"]:
            assert recipe.get("layer_loss", "sum") == ("mean" if name in ("flf", "dlf") else "sum"), row["row"]
    for name in NAMES:
        _, run = configured(*parts(load_yaml(FOLDER / f"{name}.yaml"), name))
        assert run.layer_loss == ("mean" if name in ("flf", "dlf") else "sum")


def test_table_7_measures_the_models_of_tables_3_and_4_on_pictures_of_one_person():
    rows = [row for row in ROWS if row["table"] == 7]
    assert [asked(row).protocol for row in rows] == ["1-shot", "text-pairs", "both", "both"]
    assert all(asked(row).single for row in rows)
    made = {row["row"].removesuffix("-S"): (row["model"], row["recipe"]) for row in ROWS if row["table"] in (3, 4)}
    assert all((row["model"], row["recipe"]) == made[row["row"]] for row in rows)


def test_plug_and_play_rows_start_from_rows_of_table_4():
    matchers = {row["row"]: row["model"]["name"] for row in ROWS if row["table"] == 4 and "name" in row["model"]}
    rows = [row for row in ROWS if "start" in row]
    assert {(row["model"]["name"], matchers[row["start"]]) for row in rows} == {
        (fusion, start) for fusion in ("flf", "dlf") for start in ("capex", "graphcape")
    }
    for row in rows:
        head = configured(row["model"], row["recipe"])[0].head
        assert head.frozen and head.host == ("text" if matchers[row["start"]] == "capex" else "image")


@pytest.mark.parametrize("row", [row for row in ROWS if row["table"] == 3], ids=lambda row: row["row"])
def test_the_hyperparameters_are_those_of_table_3(row):
    model, run = configured(row["model"], row["recipe"])
    assert model.head is None  # the fusions are on CapeX's head as published
    head = GraphConfig()
    assert row["paper"] == {
        "total_epochs": run.epochs,
        "learning_rate": run.lr,
        "img_size": model.vision.image_size,
        "drop_path_rate": model.vision.drop_path,
        "d_model": head.width,
        "nhead": head.heads,
        "encoder_layers": head.encoder_layers,
        "decoder_layers": head.decoder_layers,
        "dim_feedforward": head.hidden,
        "dropout": head.dropout,
        "batch_size": run.batch,
        "num_shots": run.shots,
    }
    sizes = Swinv2Encoder.published[model.vision.name].sizes
    assert (sizes["embed_dim"], sizes["depths"], sizes["num_heads"]) == (96, (2, 2, 18, 2), (3, 6, 12, 24))
    assert model.text.name == "gte-base-en-v1.5"


def test_models_that_read_words_are_trained_in_those_of_the_file():
    for row in ROWS:
        described, recipe = row["model"], row["recipe"]
        words = described.get("name") in ("capex", "flf", "dlf")
        assert recipe.get("phrases") == ("file" if words else None), row["row"]
    for name in NAMES:  # in the shipped files where the labels are phrases, as people's own labels may be codes
        described, recipe = parts(load_yaml(FOLDER / f"{name}.yaml"), name)
        model, run = configured(described, recipe)
        expected = None if name in ("capex", "flf", "dlf") else "library"
        assert wanted_phrases(run, model) == expected


def test_the_defaults_are_the_recipe_that_the_released_codes_share():
    run = MatcherTrainConfig()
    assert (run.lr, run.epochs, run.batch, run.weight_decay, run.clip) == (1e-5, 200, 16, 0.0, 0.0)
    assert (run.schedule, run.warmup, run.warmup_from, run.drops) == ("step", 1000, 0.001, (0.8, 0.9))
    assert (run.sampling, run.shots, run.augment, run.heat_weight) == ("released", 1, AUGMENT, 2.0)
    assert run.modality_dropout == ModalityDropout() and run.support_points_fraction is None
