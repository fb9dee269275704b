"""Each row of the papers' tables changes from the defaults exactly what the paper's row changes."""

from dataclasses import fields, is_dataclass
from importlib import resources

import pytest

from anykeypoint.configs.yaml_files import from_mapping
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.models.generative.capellm import CapeLLMConfig
from anykeypoint.reproduction.tables import read_tables
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig

FOLDER = resources.files("anykeypoint") / "experiments"
CAPELLM = {
    prefix: read_tables(FOLDER / "tables" / name).tables
    for prefix, name in (("capellm", "capellm_v2.yaml"), ("capellm-v1", "capellm_v1.yaml"))
}

SHARED = CapeLLMConfig(released_crop=True)  # crops as the released code samples them are in every row
DEFAULT = {}
SMALL_LLAMA = {"model.language.name": "llama-3.2-1b"}
LOCLLM = {"recipe.grouping": "locllm", "recipe.rounds": 5}
CUMULATIVE = {"ask.cumulative": True}
STEPS = {"model.instruction": "step_by_step", "model.first_rounds": "written"}
PAIRS = {"ask.protocol": "text-pairs-all", "ask.episodes": 200}
TOKEN = {"model.answer": "token", "model.keypoint_token": "written"}
# Table -> row -> what differs from the default configuration: of the model, of pre-training, of training, when asked.
CHANGES: dict[str, dict[str, dict[str, dict]]] = {
    "capellm": {
        "table-2": {
            "Support-Query Pairs / CapeLLM": PAIRS,
            "Only Query Images / CapeLLM": DEFAULT,
        },
        "table-3": {
            "LocLLM-style / single": LOCLLM,
            "LocLLM-style / cumulative": {**LOCLLM, **CUMULATIVE},
            "fixed / single": DEFAULT,
            "fixed / cumulative": CUMULATIVE,
            "dynamic / single": {"recipe.grouping": "dynamic"},
            "dynamic / cumulative": {"recipe.grouping": "dynamic", **CUMULATIVE},
        },
        "table-4": {"LocLLM-style": LOCLLM, "fixed": DEFAULT, "dynamic": {"recipe.grouping": "dynamic"}},
        "table-5": {
            "vague": {"recipe.descriptions": "vague", "ask.descriptions": "vague"},
            "spatial and relational": DEFAULT,
        },
        "table-6": {
            "neither": DEFAULT,
            "names": {"ask.names": "simplified"},
            "descriptions": {"ask.descriptions": "simplified"},
            "both": {"ask.names": "simplified", "ask.descriptions": "simplified"},
        },
        "table-7": {
            "trained without / detailed": DEFAULT,
            "trained without / replaced": {"ask.descriptions": "replaced"},
            "trained without / removed": {"ask.descriptions": "removed"},
            "trained with / detailed": {"recipe.replace": 0.5},
            "trained with / replaced": {"recipe.replace": 0.5, "ask.descriptions": "replaced"},
            "trained with / removed": {"recipe.replace": 0.5, "ask.descriptions": "removed"},
        },
        "table-8": {"224 x 224": DEFAULT} | {f"{size} x {size}": {"ask.image_size": size} for size in (238, 252, 336)},
        "table-9": {
            "greedy search": {"ask.strategy": "greedy"},
            "sampling": {"ask.strategy": "sampling"},
            "sampling at temperature 0.6": {"ask.strategy": "temperature-0.6"},
            "top-3 sampling": {"ask.strategy": "top-3"},
            "top-5 sampling": {"ask.strategy": "top-5"},
            "nucleus sampling": {"ask.strategy": "nucleus-0.92"},
            "contrastive search": {"ask.strategy": "contrastive-0.6"},
        },
        "table-10": {
            "neither": {"model.instruction": "no_description"},
            "description": DEFAULT,
            "description and keypoint list": {"model.instruction": "name_list"},
        },
        "table-11": {
            "neither": DEFAULT,
            "diverse questions": {"model.instruction": "diverse"},
            "conversation outline": {"model.instruction": "outline"},
            "both": {"model.instruction": "diverse_outline"},
        },
        "table-12": {f"k = {k}": {"recipe.rounds": k} if k != 4 else DEFAULT for k in (1, 2, 4, 6, 8)},
        "table-13": {
            "Llama3.1-8B / base": DEFAULT,
            "Llama3.1-8B / step by step": STEPS,
            "Llama3.2-1B / base": SMALL_LLAMA,
            "Llama3.2-1B / step by step": {**SMALL_LLAMA, **STEPS},
        },
        "table-14": {
            "DINO-v2-reg": {"model.vision.name": "dinov2-reg-l"},
            "Hiera": {"model.vision.name": "hiera-l"},
            "DINO-v2": DEFAULT,
        },
        "table-15": {
            "none (frozen)": {"model.vision.tuning": "frozen"},
            "LoRA": DEFAULT,
            "full parameters": {"model.vision.tuning": "full"},
        },
        "table-16": {
            "Llama3.2-1B": SMALL_LLAMA,
            "Vicuna-7B-v1.5": {"model.language.name": "vicuna-7b"},
            "Mistral-7B-v0.3": {"model.language.name": "mistral-7b"},
            "Llama3.1-8B": DEFAULT,
        },
        "table-17": {
            "base / text": DEFAULT,
            "base / special token": TOKEN,
            "step by step / text": STEPS,
            "step by step / special token": {**STEPS, **TOKEN},
        },
        "table-18": {
            "without": DEFAULT,
            "direct QA": {"pretrain.instruction": "direct_qa", "pretrain.train_only": "projection"},
            "step-by-step QA": {"pretrain.instruction": "step_by_step_qa", "pretrain.train_only": "projection"},
        },
    },
    # The first version's tables; 4 is four in one.
    "capellm-v1": {
        "table-2": {
            "Support-Query Pairs / CapeLLM": PAIRS,
            "Only Query Images / CapeLLM": DEFAULT,
        },
        "table-3": {
            "neither": {"model.instruction": "no_description"},
            "description": DEFAULT,
            "description and keypoint list": {"model.instruction": "name_list"},
        },
        "table-4": {
            **{f"Multi-round k / k = {k}": {"recipe.rounds": k} if k != 4 else DEFAULT for k in (1, 2, 4, 6, 8)},
            "Visual encoder fine-tuning / None (Frozen)": {"model.vision.tuning": "frozen"},
            "Visual encoder fine-tuning / LoRA": DEFAULT,
            "Visual encoder fine-tuning / Full parameters": {"model.vision.tuning": "full"},
            "Visual encoder model / DINO-v2": DEFAULT,
            "Visual encoder model / DINO-v2-reg": {"model.vision.name": "dinov2-reg-l"},
            "Visual encoder model / Hiera": {"model.vision.name": "hiera-l"},
            "LLM / Llama3.2-1B": SMALL_LLAMA,
            "LLM / Vicuna-7B-v1.5": {"model.language.name": "vicuna-7b"},
            "LLM / Mistral-7B-v0.3": {"model.language.name": "mistral-7b"},
            "LLM / Llama3.1-8B": DEFAULT,
        },
        "table-6": {
            "neither": DEFAULT,
            "diverse questions": {"model.instruction": "diverse"},
            "conversation outline": {"model.instruction": "outline"},
            "both": {"model.instruction": "diverse_outline"},
        },
        "table-7": {
            "Llama3.1-8B / base": DEFAULT,
            "Llama3.1-8B / step by step": STEPS,
            "Llama3.2-1B / base": SMALL_LLAMA,
            "Llama3.2-1B / step by step": {**SMALL_LLAMA, **STEPS},
        },
        "table-8": {
            "base / text": DEFAULT,
            "base / special token": TOKEN,
            "step by step / text": STEPS,
            "step by step / special token": {**STEPS, **TOKEN},
        },
        "table-9": {
            "without": DEFAULT,
            "direct QA": {"pretrain.instruction": "direct_qa", "pretrain.train_only": "projection"},
            "step-by-step QA": {"pretrain.instruction": "step_by_step_qa", "pretrain.train_only": "projection"},
        },
    },
}


def differences(one: object, other: object, place: str) -> dict[str, object]:
    """The fields of a config, by their dotted place, whose value is not the other config's."""
    if not is_dataclass(one) or type(one) is not type(other):
        return {} if one == other else {place: one}
    found: dict[str, object] = {}
    for field in fields(one):
        found |= differences(getattr(one, field.name), getattr(other, field.name), f"{place}.{field.name}")
    return found


def test_every_row_of_the_papers_tables_is_here():
    for prefix, tables in CAPELLM.items():
        trained = {name: {row.name for row in table.rows if row.settings} for name, table in tables.items()}
        assert {name: rows for name, rows in trained.items() if "figure" not in name} == {
            name: set(rows) for name, rows in CHANGES[prefix].items()
        }


@pytest.mark.parametrize(
    ("prefix", "table", "name"),
    [(prefix, table, name) for prefix, tables in CHANGES.items() for table, rows in tables.items() for name in rows],
)
def test_a_row_changes_what_the_papers_row_changes(prefix, table, name):
    (row,) = [row for row in CAPELLM[prefix][table].rows if row.name == name]
    for setting in row.settings["paper"]:
        found = differences(from_mapping(CapeLLMConfig, setting.model, "model"), SHARED, "model")
        for key in ("pretrain", "recipe"):
            run = from_mapping(CapeLLMTrainConfig, getattr(setting, key), key)
            found |= differences(run, CapeLLMTrainConfig(frozen_precision=run.frozen_precision), key)  # changes nothing
        found |= differences(EvaluationConfig(**setting.ask), EvaluationConfig(), "ask")
        assert found == CHANGES[prefix][table][name]
