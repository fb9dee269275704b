"""CapeLLM's tables as files: every printed figure, every stated value, every row as a configuration at both scales."""

from importlib import resources
from types import SimpleNamespace

import pytest

from anykeypoint.configs.yaml_files import from_mapping, load_yaml
from anykeypoint.decoding import Strategy
from anykeypoint.evaluation.density_comparison import DensityComparisonConfig
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.instructions import check_describe, instruction
from anykeypoint.models.generative.capellm import CapeLLM, CapeLLMConfig
from anykeypoint.models.loading import find
from anykeypoint.reproduction.tables import read_tables
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.sequences import training_form

FOLDER = resources.files("anykeypoint") / "experiments"
FILES = {"capellm": FOLDER / "tables" / "capellm_v2.yaml", "capellm-v1": FOLDER / "tables" / "capellm_v1.yaml"}
GIVEN = {prefix: load_yaml(path) for prefix, path in FILES.items()}
TABLES = {table.id: table for path in FILES.values() for table in read_tables(path).tables.values()}
SETTINGS = [
    pytest.param(setting, id=f"{table.id} {row.name} {scale} {setting.split}")
    for table in TABLES.values()
    for row in table.rows
    for scale, found in row.settings.items()
    for setting in found
]
# Copied from the two papers: the columns of each table, and the figures of each row. Table 9 prints shares of one.
PRINTED = """\
capellm-table-2: splits
Support-Query Pairs / GraphCAPE-S (1-shot) | 94.63 89.79 90.30 87.81 90.07 90.52
Support-Query Pairs / GraphCAPE-S (5-shot) | 95.81 90.78 90.94 90.42 92.27 92.04
Support-Query Pairs / CapeX | 95.29 91.08 88.94 89.83 92.96 91.62
Support-Query Pairs / CapeLLM | 97.01 92.40 90.58 90.90 92.11 92.60
Only Query Images / CapeX | 95.28 91.08 89.06 89.67 92.87 91.59
Only Query Images / CapeLLM | 96.98 92.34 90.57 90.87 92.24 92.60
capellm-table-3: 0.15 0.2 0.25
LocLLM-style / single | 91.00 94.85 96.98
LocLLM-style / cumulative | 90.56 93.39 95.03
fixed / single | 95.26 96.98 97.90
fixed / cumulative | 93.02 94.59 95.42
dynamic / single | 94.31 96.05 97.26
dynamic / cumulative | 95.62 97.28 98.27
capellm-table-4: 0.05 0.2 mpck
LocLLM-style | 55.15 94.85 84.00
fixed | 78.43 96.98 91.98
dynamic | 76.55 96.05 90.92
capellm-table-5: 0.05 0.2 mpck
vague | 69.82 91.97 85.98
spatial and relational | 78.43 96.98 91.98
capellm-table-6: 0.05 0.2 0.25
neither | 78.43 96.98 97.90
names | 78.24 96.94 97.83
descriptions | 70.11 96.67 97.69
both | 66.16 96.09 97.26
capellm-table-7: 0.2 mpck
trained without / detailed | 96.98 91.98
trained without / replaced | 95.28 86.66
trained without / removed | 95.15 85.69
trained with / detailed | 96.65 89.87
trained with / replaced | 96.39 89.65
trained with / removed | 96.07 88.84
capellm-table-8: 0.05 0.2 0.25
224 x 224 | 78.43 96.98 97.90
238 x 238 | 78.68 97.07 97.93
252 x 252 | 78.45 97.11 97.99
336 x 336 | 78.25 96.85 97.81
capellm-table-9: 0.2 0.25 mpck
greedy search | 96.98 97.90 91.98
sampling | 96.06 97.26 89.58
sampling at temperature 0.6 | 96.69 97.76 90.95
top-3 sampling | 97.07 97.92 92.00
top-5 sampling | 97.05 97.91 91.97
nucleus sampling | 96.69 97.77 90.71
contrastive search | 96.98 97.90 91.98
capellm-table-10: 0.05 0.2 mpck
neither | 72.60 96.22 89.86
description | 78.43 96.98 91.98
description and keypoint list | 77.36 95.80 90.97
capellm-table-11: 0.05 0.2 mpck
neither | 78.43 96.98 91.98
diverse questions | 74.24 96.56 90.56
conversation outline | 75.08 96.27 90.63
both | 68.24 95.93 88.52
capellm-table-12: 0.05 0.1 0.15 0.2 0.25 mpck
k = 1 | 78.29 91.55 95.19 96.89 97.88 91.96
k = 2 | 72.82 88.06 92.79 95.30 96.56 89.11
k = 4 | 78.43 91.34 95.26 96.98 97.90 91.98
k = 6 | 74.33 89.82 94.17 96.36 97.46 90.43
k = 8 | 75.28 89.89 93.99 96.16 97.41 90.55
capellm-table-13: 0.05 0.2 mpck
Llama3.1-8B / base | 78.43 96.98 91.98
Llama3.1-8B / step by step | 76.06 96.48 91.11
Llama3.2-1B / base | 76.46 96.41 91.20
Llama3.2-1B / step by step | 76.65 96.75 91.49
capellm-table-14: 0.05 0.1 0.15 0.2 0.25 mpck
DINO-v2-reg | 62.52 86.00 92.83 95.83 97.34 86.90
Hiera | 56.13 83.31 91.99 95.67 97.35 84.89
DINO-v2 | 78.43 91.34 95.26 96.98 97.90 91.98
capellm-table-15: 0.05 0.1 0.15 0.2 0.25 mpck
none (frozen) | 69.69 88.16 92.62 95.07 96.41 88.39
LoRA | 78.43 91.34 95.26 96.98 97.90 91.98
full parameters | 6.93 23.72 42.41 55.31 64.56 38.59
capellm-table-16: 0.05 0.1 0.15 0.2 0.25 mpck
Llama3.2-1B | 76.46 91.05 94.69 96.41 97.40 91.20
Vicuna-7B-v1.5 | 62.15 84.40 91.51 94.79 96.33 85.84
Mistral-7B-v0.3 | 77.63 91.32 94.90 96.46 97.54 91.57
Llama3.1-8B | 78.43 91.34 95.26 96.98 97.90 91.98
capellm-table-17: 0.05 0.2 mpck
base / text | 78.43 96.98 91.98
base / special token | 76.06 96.48 91.11
step by step / text | 76.46 96.41 91.20
step by step / special token | 76.65 96.75 91.49
capellm-table-18: 0.05 0.2 mpck
without | 78.43 96.98 91.98
direct QA | 78.98 96.60 91.96
step-by-step QA | 78.05 96.23 91.40
capellm-v1-table-2: splits
Support-Query Pairs / GraphCAPE-S (1-shot) | 94.63 89.79 90.30 87.81 90.07 90.52
Support-Query Pairs / GraphCAPE-S (5-shot) | 95.81 90.78 90.94 90.42 92.27 92.04
Support-Query Pairs / CapeX | 95.29 91.08 88.94 89.83 92.96 91.62
Support-Query Pairs / CapeLLM | 97.01 92.40 90.58 90.90 92.11 92.60
Only Query Images / CapeX | 95.28 91.08 89.06 89.67 92.87 91.59
Only Query Images / CapeLLM | 96.98 92.34 90.57 90.87 92.24 91.60
capellm-v1-table-3: 0.05 0.1 0.15 0.2 0.25 mpck
neither | 72.60 89.02 94.02 96.22 97.44 89.86
description | 78.43 91.34 95.26 96.98 97.90 91.98
description and keypoint list | 77.36 90.72 94.28 95.80 96.67 90.97
capellm-v1-table-4: 0.05 0.1 0.15 0.2 0.25 mpck
Multi-round k / k = 1 | 78.29 91.55 95.19 96.89 97.88 91.96
Multi-round k / k = 2 | 72.82 88.06 92.79 95.30 96.56 89.11
Multi-round k / k = 4 | 78.43 91.34 95.26 96.98 97.90 91.98
Multi-round k / k = 6 | 74.33 89.82 94.17 96.36 97.46 90.43
Multi-round k / k = 8 | 75.28 89.89 93.99 96.16 97.41 90.55
Visual encoder fine-tuning / None (Frozen) | 69.69 88.16 92.62 95.07 96.41 88.39
Visual encoder fine-tuning / LoRA | 78.43 91.34 95.26 96.98 97.90 91.98
Visual encoder fine-tuning / Full parameters | 6.93 23.72 42.41 55.31 64.56 38.59
Visual encoder model / DINO-v2 | 78.43 91.34 95.26 96.98 97.90 91.98
Visual encoder model / DINO-v2-reg | 62.52 86.00 92.83 95.83 97.34 86.90
Visual encoder model / Hiera | 56.13 83.31 91.99 95.67 97.35 84.89
LLM / Llama3.2-1B | 76.46 91.05 94.69 96.41 97.40 91.20
LLM / Vicuna-7B-v1.5 | 62.15 84.40 91.51 94.79 96.33 85.84
LLM / Mistral-7B-v0.3 | 77.63 91.32 94.90 96.46 97.54 91.57
LLM / Llama3.1-8B | 78.43 91.34 95.26 96.98 97.90 91.98
capellm-v1-table-6: 0.05 0.1 0.15 0.2 0.25 mpck
neither | 78.43 91.34 95.26 96.98 97.90 91.98
diverse questions | 74.24 89.82 94.45 96.56 97.74 90.56
conversation outline | 75.08 90.02 94.14 96.27 97.66 90.63
both | 68.24 87.63 93.32 95.93 97.49 88.52
capellm-v1-table-7: 0.05 0.1 0.15 0.2 0.25 mpck
Llama3.1-8B / base | 78.43 91.34 95.26 96.98 97.90 91.98
Llama3.1-8B / step by step | 76.06 90.74 94.62 96.48 97.63 91.11
Llama3.2-1B / base | 76.46 91.05 94.69 96.41 97.40 91.20
Llama3.2-1B / step by step | 76.65 91.13 95.02 96.75 97.88 91.49
capellm-v1-table-8: 0.05 0.1 0.15 0.2 0.25 mpck
base / text | 78.43 91.34 95.26 96.98 97.90 91.98
base / special token | 76.06 90.74 94.62 96.48 97.63 91.11
step by step / text | 76.46 91.05 94.69 96.41 97.40 91.20
step by step / special token | 76.65 91.13 95.02 96.75 97.88 91.49
capellm-v1-table-9: 0.05 0.1 0.15 0.2 0.25 mpck
without | 78.43 91.34 95.26 96.98 97.90 91.98
direct QA | 78.98 91.57 94.96 96.60 97.70 91.96
step-by-step QA | 78.05 90.85 94.51 96.23 97.35 91.40
"""
SPLITS = ["split1", "split2", "split3", "split4", "split5", "mean"]
# Tables whose rows at field scale measure the held-out checkpoint: they differ in what is asked alone.
UNTRAINED = {"capellm-table-2", "capellm-table-6", "capellm-table-8", "capellm-table-9", "capellm-v1-table-2"}
ENCODERS = ("DINO-v2", "DINO-v2-reg", "Hiera")
LANGUAGES = ("Llama3.2-1B", "Vicuna-7B-v1.5", "Mistral-7B-v0.3", "Llama3.1-8B")
# Rows that need towers of which there is one at most offline.
PAPER_ALONE = {("capellm-table-14", name) for name in ENCODERS} | {("capellm-table-16", name) for name in LANGUAGES}
PAPER_ALONE |= {("capellm-v1-table-4", f"Visual encoder model / {name}") for name in ENCODERS}
PAPER_ALONE |= {("capellm-v1-table-4", f"LLM / {name}") for name in LANGUAGES}
PAPER_ALONE |= {
    (table, f"Llama3.2-1B / {form}")
    for table in ("capellm-table-13", "capellm-v1-table-7")
    for form in ("base", "step by step")
}


def printed() -> dict[str, dict[str, list]]:
    """Id of a table -> row -> its figures; under "" the columns."""
    found: dict[str, dict[str, list]] = {}
    table = ""
    for line in PRINTED.strip().splitlines():
        name, _, rest = line.partition(" | ")
        if rest:
            found[table][name] = [float(figure) for figure in rest.split()]
            continue
        table, columns = line.split(": ")
        named = [one if one == "mpck" else f"pck@{one}" for one in columns.split()]
        found[table] = {"": SPLITS if columns == "splits" else named}
    return found


def own_rows(table):
    """The rows of a table that its paper prints."""
    return [row for row in table.rows if not row.name.startswith("later: ")]


def test_the_tables_are_those_of_the_papers_that_have_figures():
    assert {name for name in TABLES if "-table-" in name} == set(printed())


@pytest.mark.parametrize("table", printed())
def test_every_printed_figure_is_in_the_file_under_its_column(table):
    rows = printed()[table]
    columns = rows.pop("")
    assert list(TABLES[table].columns) == columns
    found = {row.name: row.paper for row in own_rows(TABLES[table])}
    assert found == {name: dict(zip(columns, figures, strict=True)) for name, figures in rows.items()}
    assert list(found) == list(rows)


def test_figures_of_other_methods_are_shown_and_never_run():
    others = {(table.id, row.name) for table in TABLES.values() for row in table.rows if row.published}
    assert all(not row.settings for table in TABLES.values() for row in table.rows if row.published)
    assert {table for table, _ in others} == {"capellm-table-2", "capellm-v1-table-2"}
    assert len(others) == 11
    assert not any("CapeLLM" in name for _, name in others)


def test_the_strongest_later_figures_are_those_of_the_published_tables():
    published = [one for one in load_yaml(FOLDER / "published_tables.yaml") if one["data"] == "mp100"]
    later = {row.name: row for row in TABLES["capellm-table-2"].rows if row.name.startswith("later: ")}
    of_splits = {
        ("ProtoPose", "1-shot"): "later: ProtoPose (1-shot)",
        ("ProtoPose", "5-shot"): "later: ProtoPose (5-shot)",
        ("CapeNext", "text-pairs"): "later: CapeNext (words)",
    }
    found = {
        of_splits[one["method"], one["protocol"]]: (one["figures"], one["source"])
        for one in published
        if one["metric"] == "pck@0.2" and "mean" in one["figures"]
    }
    assert {name: (dict(row.paper), row.published) for name, row in later.items()} == found


@pytest.mark.parametrize("prefix", FILES)
def test_every_value_of_the_base_is_applied_and_is_the_configs_default_but_for_the_released_crops(prefix):
    base = GIVEN[prefix]["base"]
    model = from_mapping(CapeLLMConfig, base["model"], "model")
    recipe = from_mapping(CapeLLMTrainConfig, base["recipe"], "recipe")
    assert disagreeing(base["model"], model.to_dict()) == disagreeing(base["recipe"], recipe.to_dict()) == []
    kept = CapeLLMTrainConfig(frozen_precision="bf16")  # as their cards of 48 GB need it; it changes no bit
    assert (model, recipe) == (CapeLLMConfig(released_crop=True), kept)
    assert EvaluationConfig(**base["ask"]) == EvaluationConfig()


def disagreeing(stated, built, place=""):
    """The values that a file states and a config does not have."""
    found = []
    for key, value in stated.items():
        if isinstance(value, dict):
            found += disagreeing(value, built[key], f"{place}{key}.")
        elif value != built[key]:
            found.append((f"{place}{key}", value, built[key]))
    return found


@pytest.mark.parametrize("prefix", FILES)
def test_the_implementation_sections_are_stated_each_with_its_source(prefix):
    text = FILES[prefix].read_text(encoding="utf-8")
    values = [line for line in text[text.index("base:") : text.index("field:")].splitlines() if ": " in line]
    assert all("#" in line for line in values if line.strip() and line.split(":")[0].strip() not in UNSOURCED), values
    recipe, model = GIVEN[prefix]["base"]["recipe"], GIVEN[prefix]["base"]["model"]
    stated = {"lr", "epochs", "warmup", "rounds", "grouping", "item", "batch", "accumulate", "precision", "augment"}
    assert stated <= set(recipe) and {"image_size", "tuning", "lora"} <= set(model["vision"])
    assert {"instruction", "answer", "strategy"} <= set(model) and {"tuning", "lora"} <= set(model["language"])


UNSOURCED = {"test", "images", "measure"}  # said by the line before, or the form of the file


def test_the_first_version_has_the_settings_of_the_second_and_the_same_other_scale():
    first, second = GIVEN["capellm-v1"], GIVEN["capellm"]
    assert first["base"] == second["base"] and first["field"] == second["field"]


def model_of(setting):
    return from_mapping(CapeLLMConfig, setting.model, "model")


def runs_of(setting):
    """The trainings of a setting, pre-training first; items become steps where it has them."""
    runs = []
    for given in (setting.pretrain, setting.recipe):
        steps = {"steps": max(setting.items // given.get("accumulate", 32), 1)} if setting.items else {}
        runs += [from_mapping(CapeLLMTrainConfig, {**given, **steps}, "recipe")] if given else []
    return runs


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_row_is_a_model_that_can_learn_its_answers_and_an_evaluation(setting):
    config = model_of(setting)
    form, token = instruction(config.instruction), config.answer == "token" or None
    for run in runs_of(setting):
        training_form(SimpleNamespace(instruction=form, keypoint_token=token), run)
    if setting.measure == "density":
        assert DensityComparisonConfig(**setting.ask).sampled == {"paper": 100, "field": 25}[setting.scale]
        return
    ask = EvaluationConfig(**setting.ask)
    assert not EvaluationProtocol.parse(ask.protocol).examples and check_describe(ask.descriptions)
    assert ask.strategy is None or Strategy.parse(ask.strategy)
    assert config.answer == "text" or ask.strategy is None  # a <KEYPOINT> has no strategy


@pytest.mark.parametrize("setting", [param for param in SETTINGS if param.values[0].scale == "paper"])
def test_at_paper_scale_every_row_trains_on_its_splits_training_file_and_is_measured_on_its_test_file(setting):
    names = [f"mp100:annotations/mp100_split{setting.split}_{part}.json" for part in ("train", "test")]
    assert [setting.train, setting.test] == names and setting.trained == "own" and not setting.items
    assert setting.recipe["epochs"] == 12 and setting.recipe["item"] == "group"
    assert setting.processes * setting.recipe["batch"] * setting.recipe["accumulate"] == 128  # Sec. 4.1: 4 GPUs, 32


@pytest.mark.parametrize("setting", [param for param in SETTINGS if param.values[0].scale == "field"])
def test_at_field_scale_no_row_measures_weights_that_saw_the_test_kinds(setting):
    assert (setting.train, setting.test) == ("coco:field2_train.json", "coco:field2_test.json")
    assert setting.held_out == "capellm-small@held-out" and setting.items == GIVEN["capellm"]["field"]["items"]
    assert setting.recipe["item"] == "group"
    assert setting.items == setting.recipe["steps"] * setting.recipe["accumulate"] * setting.recipe["batch"]


@pytest.mark.parametrize("setting", [param for param in SETTINGS if param.values[0].scale == "field"])
def test_trainings_at_field_scale_start_from_the_held_out_checkpoint_where_it_has_their_encoder(setting):
    saved = CapeLLM.read_config(find(setting.held_out))
    config = model_of(setting)
    shared = [getattr(config, key) == getattr(saved, key) for key in ("vision", "language", "spaced")]
    assert all(shared) == (config.vision.name == "efficientnet-lite2")
    starts = "table-2/Only Query Images / CapeLLM" if all(shared) and (setting.trained == "own") else setting.start
    assert setting.start == starts and bool(starts) <= all(shared)


def test_rows_that_differ_in_what_is_asked_alone_measure_the_held_out_checkpoint():
    for table in TABLES.values():
        found = {setting.trained for row in table.rows for setting in row.settings.get("field", ())}
        assert found <= ({"held_out"} if table.id in UNTRAINED or "figure" in table.id else {"own"}), table.id


def test_rows_that_cannot_be_asked_at_field_scale_say_why():
    without = {
        (table.id, row.name): row.why
        for table in TABLES.values()
        for row in table.rows
        if row.settings and "field" not in row.settings
    }
    assert set(without) == PAPER_ALONE
    assert all(why.startswith(("There is one", "None of these")) and why.endswith(".") for why in without.values())


@pytest.mark.parametrize("table", [name for name in TABLES if name not in UNTRAINED])
def test_at_field_scale_rows_differ_from_each_other_as_they_do_in_the_paper(table):
    both = [row for row in TABLES[table].rows if set(row.settings) == {"paper", "field"}]
    firsts = {part_of(table, row): row for row in reversed(both)}
    for row in both:
        first = firsts[part_of(table, row)]
        assert changed(first, row, "paper") == changed(first, row, "field"), row.name


def part_of(table, row):
    """The part of a table that a row is compared within: Table 4 of the first version is four tables in one."""
    return row.name.split(" / ")[0] if table == "capellm-v1-table-4" else ""


def changed(first, row, scale):
    """What a row sets otherwise than the first row of its table, at one scale."""
    one, other = (flat(found.settings[scale][0]) for found in (first, row))
    return {key: other.get(key) for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def flat(setting):
    """The values of a setting by dotted key; of a pre-training what the papers say of it."""
    pretrain = {key: setting.pretrain.get(key) for key in ("instruction", "train_only")}
    found = {}
    for part, given in (("model", setting.model), ("recipe", setting.recipe), ("ask", setting.ask)):
        found |= leaves(given, part)
    return found | leaves(pretrain, "pretrain")


def leaves(given, place):
    found = {}
    for key, value in given.items():
        found |= leaves(value, f"{place}.{key}") if isinstance(value, dict) else {f"{place}.{key}": value}
    return found
