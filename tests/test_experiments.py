"""The shipped configurations: each says what the library can do."""

from dataclasses import asdict
from importlib import resources

import pytest
import yaml

from anykeypoint.configs.yaml_files import from_mapping, load_yaml, read_config
from anykeypoint.decoding import Strategy
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.instructions import check_describe, instruction
from anykeypoint.models.generative.capellm import CapeLLMConfig
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig

FOLDER = resources.files("anykeypoint") / "experiments"
ROWS = yaml.safe_load((FOLDER / "capellm_tables.yaml").read_text(encoding="utf-8"))
# Table 1 compares methods, 2 splits, 6 other words for the test categories, 19 lists descriptions.
TABLES = {3: 6, 4: 3, 5: 2, 6: 4, 7: 6, 8: 4, 9: 7, 10: 3, 11: 4, 12: 5, 13: 4, 14: 3, 15: 3, 16: 4, 17: 4, 18: 3}


def configured(row):
    """All that a row says, filled up with the defaults."""
    model = from_mapping(CapeLLMConfig, row.get("model", {}), "model")
    runs = [from_mapping(CapeLLMTrainConfig, row.get(key, {}), key) for key in ("pretrain", "recipe")]
    return model, runs, EvaluationConfig(**row.get("ask", {}))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['table']} {row['row']}")
def test_a_row_of_the_tables_is_a_valid_configuration(row):
    assert set(row) <= {"table", "row", "model", "pretrain", "recipe", "ask", "paper"}
    model, runs, ask = configured(row)
    instruction(model.instruction)
    assert runs[1].instruction == "" and check_describe(ask.descriptions)
    assert ask.strategy is None or Strategy.parse(ask.strategy)
    assert all(0 < figure < 100 for figure in row["paper"].values())


def test_every_table_has_all_its_rows_and_no_two_rows_of_a_table_are_alike():
    assert {table: sum(row["table"] == table for row in ROWS) for table in TABLES} == TABLES
    assert len(ROWS) == sum(TABLES.values())
    for table in TABLES:
        rows = [configured(row) for row in ROWS if row["table"] == table]
        assert all(rows.count(row) == 1 for row in rows), table


def test_the_defaults_are_the_papers_recipe():
    recipe, model = CapeLLMTrainConfig(), CapeLLMConfig()
    assert (recipe.lr, recipe.epochs, recipe.warmup, recipe.rounds, recipe.grouping) == (5e-4, 12, 0.03, 4, "fixed")
    for tower in (model.vision, model.language):
        lora = asdict(tower.lora)
        assert tower.tuning == "lora" and (lora["r"], lora["alpha"], lora["dropout"]) == (8, 16, 0.05)
        assert tuple(lora["targets"]) == ("q", "v")
    assert model.vision.name == "dinov2-l" and model.language.name == "llama-3.1-8b"


@pytest.mark.parametrize("path", sorted(p.name for p in FOLDER.iterdir() if p.name.startswith("default_")))
def test_the_recipes_of_the_shipped_model_are_read_as_they_are_written(path):
    kind = CapeLLMConfig if "model" in path else CapeLLMTrainConfig
    written, config = load_yaml(FOLDER / path), read_config(kind, FOLDER / path)
    assert len(written) > 2 and config != kind()
    assert differences(written, config) == []


def differences(written, config):
    """The keys whose value in a config is not the one that its file gives; a list stands for a tuple."""
    found = []
    for key, value in written.items():
        own = getattr(config, key)
        if isinstance(value, dict):
            found += differences(value, own)
        elif (list(own) if isinstance(own, tuple) else own) != value:
            found.append(key)
    return found
