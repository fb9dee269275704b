"""The rows of KptLLM's ablations, and the choices that its recipes name."""

from importlib import resources

import pytest
import yaml

from anykeypoint.configs.yaml_files import from_mapping, load_yaml
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.metrics import KEYS
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.models.generative.kptllm_config import KptLLMConfig
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig

FOLDER = resources.files("anykeypoint") / "experiments"
ROWS = yaml.safe_load((FOLDER / "kptllm_tables.yaml").read_text(encoding="utf-8"))
BASE = load_yaml(FOLDER / "kptllm.yaml")


def configured(row):
    """The model, the run and the evaluation of a row, whose keys take the place of those of kptllm.yaml."""
    model = KptLLMConfig.from_dict({**BASE["model"], **row.get("model", {})})
    recipe = from_mapping(KptLLMTrainConfig, {**BASE["recipe"], **row.get("recipe", {})}, "recipe")
    return model, recipe, EvaluationConfig(**row["ask"])


def named(table, row):
    (found,) = [one for one in ROWS if one["table"] == table and one["row"] == row]
    return configured(found)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['table']} {row['row']}")
def test_a_row_is_a_model_its_run_and_an_evaluation(row):
    assert set(row) <= {"table", "row", "model", "recipe", "ask", "paper"} and set(row["paper"]) <= {*KEYS}
    model, recipe, ask = configured(row)
    assert EvaluationProtocol.parse(ask.protocol).prompt in ("example", "both") and ask.episodes == 200
    assert recipe.tasks.both if ask.protocol == "both" else recipe.tasks.example
    assert model.answer == "token" and recipe.lr == 2e-4


def test_a_table_has_two_rows_of_which_one_is_the_papers_model():
    assert sorted(row["table"] for row in ROWS) == [table for table in (13, 14, 15, 16) for _ in range(2)]
    for table in (13, 14, 15, 16):
        rows = [configured(row) for row in ROWS if row["table"] == table]
        assert rows[0] != rows[1] and configured({"ask": {"protocol": "1-shot", "episodes": 200}}) in rows


def test_without_identify_then_detect_neither_answers_nor_training_name_points():
    (without, bare, _), (with_names, full, _) = (
        named(13, f"{word} identify-then-detect") for word in ("without", "with")
    )
    assert not without.identify_first and bare.tasks.identify == 0
    assert with_names.identify_first and full.tasks.identify > 0


def test_the_larger_model_differs_in_its_language_model_alone():
    (small, _, _), (large, _, _) = named(16, "7B"), named(16, "13B")
    assert (small.language.name, large.language.name) == ("vicuna-7b", "vicuna-13b")
    assert small.language.lora == large.language.lora and small.vision.name == large.vision.name


@pytest.mark.parametrize("name", ["kptllm", "kptllm_pp"])
def test_the_papers_recipes_name_the_papers_choices(name):
    file = load_yaml(FOLDER / f"{name}.yaml")
    model = KptLLMConfig.from_dict(file["model"])
    assert from_mapping(KptLLMTrainConfig, file["recipe"], name).learn_names == "all" and model.identify_first
    assert (model.keypoint_token, model.spread) == (("written", True) if name == "kptllm" else ("given", False))
