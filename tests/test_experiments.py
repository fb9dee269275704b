"""The shipped configurations: each says what the library can do."""

import math
from dataclasses import asdict
from importlib import resources
from types import SimpleNamespace

import pytest

from anykeypoint.configs.yaml_files import from_mapping, load_yaml, read_config
from anykeypoint.decoding import Strategy
from anykeypoint.errors import InputError
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.instructions import check_describe, instruction
from anykeypoint.library.lookup import category, mp100_categories
from anykeypoint.models.generative.capellm import CapeLLMConfig
from anykeypoint.reproduction.tables import read_tables
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.capellm_trainer import CapeLLMTrainer
from anykeypoint.training.trainer import StepPlan

FOLDER = resources.files("anykeypoint") / "experiments"
# The ids of MP-100 that split 1 does not train on; the numbers of keypoints are the library's.
UNSEEN = {2, 3, 6, 10, 12, 14, 22, 24, 29, 30, 33, 35, 39, 42, 47, 48, 53, 60, 66, 68, 70, 73, 77, 78, 81, 84, 91}
UNSEEN |= {92, 95, 96}
ROWS = [
    row
    for name in ("capellm_v2.yaml", "capellm_v1.yaml")
    for table in read_tables(FOLDER / "tables" / name).tables.values()
    for row in table.rows
    if row.settings
]
# Tables and figures of the ICCV paper with the number of rows that are run: 1 compares methods, 19 lists descriptions.
TABLES = {2: 2, 3: 6, 4: 3, 5: 2, 6: 4, 7: 6, 8: 4, 9: 7, 10: 3, 11: 4, 12: 5, 13: 4, 14: 3, 15: 3, 16: 4, 17: 4, 18: 3}
FIRST = {2: 2, 3: 3, 4: 15, 6: 4, 7: 4, 8: 4, 9: 3}  # the same of the first version, whose Table 5 lists descriptions


def configured(row):
    """All that a row sets at paper scale, filled up with the defaults."""
    setting = row.settings["paper"][0]
    model = from_mapping(CapeLLMConfig, setting.model, "model")
    runs = [from_mapping(CapeLLMTrainConfig, given, "run") for given in (setting.pretrain, setting.recipe)]
    return model, runs, setting.measure, dict(setting.ask)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.table} {row.name}")
def test_a_row_of_the_tables_is_a_valid_configuration(row):
    model, runs, measure, ask = configured(row)
    instruction(model.instruction)
    assert runs[1].instruction == "" and all(0 < figure < 100 for figure in row.paper.values())
    if row.settings["paper"][0].pretrain:
        assert runs[0].frozen_precision == runs[1].frozen_precision, "both must fit the paper's cards"
    if measure == "evaluate":
        ask = EvaluationConfig(**ask)
        assert check_describe(ask.descriptions) and (ask.strategy is None or Strategy.parse(ask.strategy))


def test_every_table_has_all_its_rows_and_no_two_rows_of_a_table_are_alike():
    for name, numbers in (("capellm_v2.yaml", TABLES), ("capellm_v1.yaml", FIRST)):
        tables = read_tables(FOLDER / "tables" / name).tables
        rows = {table.name: [row for row in table.rows if row.settings] for table in tables.values()}
        counts = {table: len(found) for table, found in rows.items() if "figure" not in table}
        assert counts == {f"table-{number}": count for number, count in numbers.items()}
        for table, found in rows.items():
            every = [configured(row) for row in found]
            # Table 4 of the first version is four in one, each with the default as one of its rows.
            alike = 4 if numbers is FIRST and table == "table-4" else 1
            assert max(every.count(one) for one in every) == alike, table


def kinds():
    """The categories that train in split 1 of MP-100."""
    found = [category(f"mp100/{identity}") for identity in mp100_categories() if identity not in UNSEEN]
    assert len(found) == 70
    return found


def steps(**changes):
    """Items of an epoch and steps of a run on split 1 of MP-100, with 200 objects of each of its 70 categories."""
    recipe = CapeLLMTrainConfig(**changes)
    objects = [SimpleNamespace(category=kind, category_id=i) for i, kind in enumerate(kinds()) for _ in range(200)]
    sampler = CapeLLMTrainer(None, objects, recipe).make_sampler()
    return sampler.sizes(), StepPlan.of(recipe, sampler.sizes(), processes=4).steps


def test_the_defaults_train_as_many_items_as_the_paper():
    """Sec. 3.3 and 4.1: about 200 pictures of a category, groups of 4, 12 epochs, 32 items on each of 4 GPUs."""
    recipe = CapeLLMTrainConfig()
    assert recipe.item == "group" and 4 * recipe.batch * recipe.accumulate == 128
    # The 70 categories have 316 groups of 4, so an epoch has 316 x 200 items (v1, Sec. 3.3: "over 60,000"), which are
    # 493.75 steps of 128; the last one is filled up from the next epoch.
    assert steps() == ([316 * 200] * 12, 12 * 494) == ([63_200] * 12, 5_928)
    assert steps(rounds=1) == ([1_093 * 200] * 12, 12 * 1_708)  # Table 12: as many groups as keypoints
    assert steps(grouping="locllm", rounds=5) == ([70 * 200] * 12, 12 * 110)  # LocLLM: one item an object


def test_dynamic_groups_make_epochs_of_different_sizes():
    sizes, count = steps(grouping="dynamic", epochs=2)
    assert sizes[0] != sizes[1] and count == sum(math.ceil(size / 128) for size in sizes)
    # A group starts at each keypoint with the probability 1 / (number of keypoints from there on).
    mean = sum(200 * sum(1 / left for left in range(1, len(kind) + 1)) for kind in kinds())
    assert sizes == pytest.approx([mean, mean], rel=0.02)


def test_a_capellm_is_read_with_the_sizes_of_its_encoder():
    described = {"vision": {"name": "dinov2-l", "source": "random", "sizes": {"hidden_size": 64}}}
    assert from_mapping(CapeLLMConfig, described, "model.yaml").vision.sizes == {"hidden_size": 64}
    with pytest.raises(InputError, match=r"model.yaml: vision: sizes must be a mapping, but got \[64\]"):
        from_mapping(CapeLLMConfig, {"vision": {"name": "dinov2-l", "sizes": [64]}}, "model.yaml")


def test_the_papers_rows_name_the_papers_item():
    settings = [setting for row in ROWS for of in row.settings.values() for setting in of]
    assert all(setting.recipe["item"] == "group" for setting in settings)
    assert CapeLLMTrainConfig().item == "group"  # which a pre-training takes, where it states none
    assert all(setting.pretrain.get("item", "group") == "group" for setting in settings)


def test_the_defaults_are_the_papers_recipe():
    recipe, model = CapeLLMTrainConfig(), CapeLLMConfig()
    assert (recipe.lr, recipe.epochs, recipe.warmup, recipe.rounds, recipe.grouping) == (5e-4, 12, 0.03, 4, "fixed")
    for tower in (model.vision, model.language):
        lora = asdict(tower.lora)
        assert tower.tuning == "lora" and (lora["r"], lora["alpha"], lora["dropout"]) == (8, 16, 0.05)
        assert tuple(lora["targets"]) == ("q", "v")
    assert model.vision.name == "dinov2-l" and model.language.name == "llama-3.1-8b"


@pytest.mark.parametrize("path", sorted(p.name for p in FOLDER.iterdir() if p.name.startswith("capellm_small")))
def test_the_recipes_of_the_shipped_model_are_read_as_they_are_written(path):
    kind = CapeLLMTrainConfig if "recipe" in path else CapeLLMConfig
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


def test_what_the_paper_has_written_by_the_model_is_not_given_in_its_rows():
    models = [configured(row)[0] for row in ROWS]
    steps = [model for model in models if model.instruction == "step_by_step"]
    tokens = [model for model in models if model.answer == "token"]
    assert len(steps) == 8 and {model.first_rounds for model in steps} == {"written"}
    assert len(tokens) == 4 and {model.keypoint_token for model in tokens} == {"written"}
