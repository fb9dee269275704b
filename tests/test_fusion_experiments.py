"""The shipped configurations of matchers, and the rows of the fusion paper's tables."""

from dataclasses import asdict
from importlib import resources

import pytest

from anykeypoint.configs.yaml_files import from_mapping, load_yaml
from anykeypoint.crops.augment import MATCHER as AUGMENT
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.models.fewshot.fewshot_model import FewShotConfig
from anykeypoint.models.matching.heads.dlf import ANSWERS, DecisionFusionConfig
from anykeypoint.models.matching.heads.graph import GraphConfig
from anykeypoint.models.matching.heads.registry import head_class
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.towers.swinv2 import Swinv2Encoder
from anykeypoint.reproduction.configured import asked, configured
from anykeypoint.reproduction.settings import HELD_OUT
from anykeypoint.reproduction.tables import read_tables
from anykeypoint.training.fewshot.fewshot_config import FewShotTrainConfig
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig, ModalityDropout
from anykeypoint.training.trainable import FEW_SHOT, MATCHER, family_of, parts, wanted_phrases

FOLDER = resources.files("anykeypoint") / "experiments"
FILE = FOLDER / "tables" / "fusion.yaml"
PAPER, BASE = read_tables(FILE), load_yaml(FILE)["base"]
NAMES = ("pomnet", "capeformer", "graphcape", "capex", "flf", "dlf")
FEW_SHOTS = ("protonet", "maml", "finetune")
# The paper's tables, row by row: figures in the order of its columns.
PRINTED = {
    "table-2": {
        "CapeX-CLIP": "95.17 88.88 87.72 88.54 91.65 90.15",
        "CapeX-S": "95.62 90.94 88.95 87.59 92.57 91.13",
    },
    "table-3": dict.fromkeys(("FLF", "DLF"), "200 1e-5 256 0.3 256 8 3 3 768 0.1 8 1"),
    "table-4": {
        "ProtoNet": "46.05 40.84 49.13 43.34 44.54 44.78",
        "MAML": "68.14 54.72 64.19 63.24 57.20 61.50",
        "POMNet": "84.23 78.25 78.17 78.68 79.17 79.70",
        "CapeFormer-S": "92.88 89.11 89.16 87.19 88.73 89.41",
        "GraphCape-S": "94.73 89.79 90.69 88.09 90.11 90.68",
        "CapeX-S": "95.62 90.94 88.95 89.43 92.57 91.50",
        "Ours-S, as FLF": "95.95 91.24 91.00 89.61 92.60 92.08",
        "Ours-S, as DLF": "95.95 91.24 91.00 89.61 92.60 92.08",
    },
    "table-5": {
        "GraphCape": "17.657 58.742 61.85 16.15",
        "CapeX": "15.813 195.519 38.27 26.13",
        "FLF": "24.456 195.715 61.35 16.30",
        "DLF": "24.827 203.742 68.85 14.52",
    },
    "table-6": {
        "Visual-only": "93.82 88.97 90.32 83.37 89.93 89.28",
        "Textual-only": "94.70 89.76 89.18 87.36 91.92 90.58",
        "Method-FLF": "94.36 90.64 90.39 87.16 92.27 90.96",
        "Method-DLF": "95.19 89.98 89.17 87.57 91.76 90.93",
    },
    "table-7": {
        "GraphCape": "73.36 73.50 65.03 73.79 72.35 71.61",
        "CapeX": "83.65 86.51 69.09 86.13 86.30 82.24",
        "Method-FLF": "86.83 88.56 74.80 86.87 88.57 85.13",
        "Method-DLF": "84.78 86.91 70.83 86.47 86.78 83.15",
    },
}
UNPRINTED = (
    "figure-7",
    "figure-8",
    "answers-of-dlf",
    "choices",
    "plug-and-play",
)  # of which the paper prints no figures
MISPRINTS = {  # whose printed mean is not that of the splits; what it is
    ("table-2", "CapeX-CLIP"): 90.39,
    ("table-6", "Method-DLF"): 90.73,
    ("table-7", "CapeX"): 82.34,
}
# Table and row -> model, image encoder, text encoder, batch, and how it is asked.
SMALL, GTE = "swinv2-s", "gte-base-en-v1.5"
GRAPHCAPE, CAPEX = ("graphcape", SMALL, None, 8, "1-shot"), ("capex", SMALL, GTE, 8, "text-pairs")
FLF, DLF = ("flf", SMALL, GTE, 8, "both"), ("dlf", SMALL, GTE, 8, "both")
MATCHERS = {
    ("table-2", "CapeX-CLIP"): ("capex", SMALL, "clip", 8, "text-pairs"),
    ("table-2", "CapeX-S"): CAPEX,
    ("table-4", "POMNet"): ("pomnet", "resnet50", None, 16, "1-shot"),
    ("table-4", "CapeFormer-S"): ("capeformer", SMALL, None, 8, "1-shot"),
    ("table-4", "GraphCape-S"): GRAPHCAPE,
    ("table-4", "CapeX-S"): CAPEX,
    ("table-4", "Ours-S, as FLF"): FLF,
    ("table-4", "Ours-S, as DLF"): DLF,
    ("table-6", "Visual-only"): GRAPHCAPE,
    ("table-6", "Textual-only"): CAPEX,
    ("table-6", "Method-FLF"): FLF,
    ("table-6", "Method-DLF"): DLF,
    ("table-7", "GraphCape"): GRAPHCAPE,
    ("table-7", "CapeX"): CAPEX,
    ("table-7", "Method-FLF"): FLF,
    ("table-7", "Method-DLF"): DLF,
}
WORDS = {"own words": "own", "synonyms": "synonyms", "typos": "typos", "German": "german", "French": "french"}
WORDS |= {"Spanish": "spanish", "another person": "own"}


def rows():
    """All rows of the file that have settings."""
    return [row for table in PAPER.tables.values() for row in table.rows if row.settings]


def row_of(table, name):
    return PAPER.row(f"{table}/{name}", "the test")


def built(table, name, scale="paper"):
    """The configs of a row's first split, and how it is asked."""
    setting = row_of(table, name).settings[scale][0]
    return configured(setting, name), asked(setting, name)


def shipped(name):
    """The configs of a shipped file of experiments/."""
    described, recipe = parts(load_yaml(FOLDER / f"{name}.yaml"), name)
    family = family_of(described, name)
    return family, family.described(described, name), from_mapping(family.recipe, recipe, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_matcher_is_a_model_file_with_its_recipe(name):
    family, model, run = shipped(name)
    assert family is MATCHER
    assert model.name == name and model.vision.tuning == "full" and model.vision.image_size == 256
    assert model.released_crop and model.crop_scale == 1.25 and model.cells == 64
    assert model.sigma == (2 if name in ("pomnet", "capeformer") else 1)
    assert (model.text is not None) == (name in ("capex", "flf", "dlf"))
    assert run.batch == (16 if name in ("pomnet", "capeformer") else 8)


def test_the_fast_recipe_trains_a_head_on_features_of_a_published_backbone():
    _, model, run = shipped("fast")
    assert (model.name, model.vision.name, model.vision.tuning) == ("evidence", "efficientnet-lite2", "frozen")
    assert model.text.name == "minilm-l6" and model.prompts == ("text", "example", "both")
    assert (
        run.features == "cached"
        and run.versions > 1
        and run.modality_dropout.words_only + run.modality_dropout.example_only < 1
    )


def test_pomnet_is_trained_as_released():
    _, model, run = shipped("pomnet")
    assert model.own_example_encoder and model.vision.name == "resnet50"
    assert (run.lr, run.epochs, run.batch, run.warmup, run.warmup_from) == (5e-4, 210, 16, 500, 0.001)
    assert [round(drop * run.epochs) for drop in run.drops] == [170, 200] and run.heat_weight == 1


@pytest.mark.parametrize("name", FEW_SHOTS)
def test_a_shipped_baseline_is_a_model_file_with_its_recipe(name):
    family, model, run = shipped(name)
    assert family is FEW_SHOT
    assert isinstance(model, FewShotConfig) and isinstance(run, FewShotTrainConfig)
    assert (model.method, model.vision.name, model.vision.image_size) == (name, "resnet50", 256)


@pytest.mark.parametrize("name", ["ProtoNet", "MAML", "POMNet", "Fine-tune"])
def test_rows_of_older_papers_are_the_shipped_files(name):
    """Fine-tuning is not in the paper's tables; it is a row of KptLLM++'s Table 2, as are the other three."""
    kptllm = read_tables(FOLDER / "tables" / "kptllm.yaml")
    row = row_of("table-4", name) if name != "Fine-tune" else kptllm.row("table-2/1-shot / Finetune", "the test")
    found = configured(row.settings["paper"][0], name)
    _, model, run = shipped(name.lower().replace("-", ""))
    assert (found.model, found.recipe) == (model, run)


# --- the tables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", PRINTED)
def test_every_printed_figure_is_in_the_file(table):
    columns = PAPER.tables[table].columns
    own = [row for row in PAPER.tables[table].rows if not row.published]
    found = {row.name: [row.paper[column] for column in columns] for row in own}
    assert found == {name: [float(one) for one in text.split()] for name, text in PRINTED[table].items()}


@pytest.mark.parametrize("table", ["table-2", "table-4", "table-6", "table-7"])
def test_a_printed_mean_is_that_of_its_splits_but_for_three(table):
    for row in PAPER.tables[table].rows:
        splits = [row.paper[f"split{i}"] for i in range(1, 6)]
        mean = MISPRINTS.get((table, row.name), row.paper["mean"])
        assert round(sum(splits) / 5, 2) == pytest.approx(mean, abs=0.011)


def test_the_tables_have_their_rows_and_no_two_rows_of_a_table_are_alike():
    assert list(PAPER.tables) == [*PRINTED, *UNPRINTED]
    for name, table in PAPER.tables.items():
        alike = [repr(row.settings) for row in table.rows if row.settings]
        assert all(alike.count(one) == 1 for one in alike), name
        assert name in PRINTED or not any(row.paper for row in table.rows)


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.table} {row.name}")
def test_a_row_builds_strictly_at_both_scales(row):
    for scale, settings in row.settings.items():
        for setting in settings:
            assert setting.trained != HELD_OUT
            configs, question = configured(setting, row.name), asked(setting, row.name)
            assert isinstance(question, EvaluationConfig)
            protocol, prompts = EvaluationProtocol.parse(question.protocol), ("example",)
            if isinstance(configs.model, MatcherConfig):
                prompts = configs.model.prompts
            assert protocol.prompt in prompts and protocol.drawn == 1
            if scale == "field":
                assert configs.recipe.steps * configs.recipe.batch == setting.items == 16000
                assert configs.model.vision.name == "efficientnet-lite2" and configs.model.vision.tuning == "frozen"
            else:
                assert configs.model.vision.tuning == "full"


@pytest.mark.parametrize(("table", "name"), MATCHERS)
def test_a_fusion_row_is_the_matcher_that_the_paper_names(table, name):
    configs, question = built(table, name)
    model, text = configs.model, configs.model.text.name if configs.model.text else None
    assert (model.name, model.vision.name, text, configs.recipe.batch, question.protocol) == MATCHERS[table, name]
    assert (model.head is None) == (model.name not in ("flf", "dlf"))  # as published
    assert model.released_crop and question.episodes == (None if table == "table-7" else 200)


@pytest.mark.parametrize("name", ["graphcape", "capex", "flf", "dlf"])
def test_a_row_is_the_shipped_file_and_the_files_words(name):
    row = {"graphcape": "GraphCape-S", "capex": "CapeX-S"}
    configs, _ = built("table-4", row.get(name, f"Ours-S, as {name.upper()}"))
    _, model, run = shipped(name)
    assert configs.model.to_dict() | {"head": None} == model.to_dict() | {"head": None}
    changed = {key for key, value in asdict(run).items() if value != asdict(configs.recipe)[key]}
    assert changed <= {"phrases"}


def test_every_answer_of_dlf_is_a_row_and_the_default_is_the_mean():
    table = PAPER.tables["answers-of-dlf"].rows
    questions = [asked(row.settings["paper"][0], row.name) for row in table]
    assert [one.answer for one in questions] == [row.name for row in table]
    assert {row.name for row in table} == set(ANSWERS) and DecisionFusionConfig().answer == "mean"
    assert all(one.protocol == "both" for one in questions)
    assert len({repr((row.settings["field"][0].model, row.settings["field"][0].recipe)) for row in table}) == 1


def test_the_fusions_take_the_mean_over_layers_and_what_they_build_on_the_sum():
    for row in rows():
        configs = configured(row.settings["paper"][0], row.name)
        if "sum over layers" not in row.name and isinstance(configs.model, MatcherConfig):
            expected = "mean" if configs.model.name in ("flf", "dlf") else "sum"
            assert configs.recipe.layer_loss == expected, row.name
    for name in NAMES:
        assert shipped(name)[2].layer_loss == ("mean" if name in ("flf", "dlf") else "sum")


def test_table_7_measures_the_models_of_tables_3_and_4_on_pictures_of_one_person():
    made = {
        "GraphCape": "GraphCape-S",
        "CapeX": "CapeX-S",
        "Method-FLF": "Ours-S, as FLF",
        "Method-DLF": "Ours-S, as DLF",
    }
    for row in PAPER.tables["table-7"].rows:
        assert asked(row.settings["paper"][0], row.name).single and "field" not in row.settings
        for mine, theirs in zip(
            row.settings["paper"], row_of("table-4", made[row.name]).settings["paper"], strict=True
        ):
            assert (mine.model, mine.recipe, mine.train, mine.split) == (
                theirs.model,
                theirs.recipe,
                theirs.train,
                theirs.split,
            )


def test_table_6_is_trained_on_half_of_what_table_4_is():
    for row in PAPER.tables["table-6"].rows:
        assert [s.train for s in row.settings["paper"]] == [
            f"mp100:annotations/mp100_split{split}_train_half.json" for split in range(1, 6)
        ]


@pytest.mark.parametrize("model", ["CapeX", "FLF", "DLF"])
def test_other_words_are_questions_to_one_training(model):
    found = {
        row.name.partition(" / ")[2]: row.settings
        for row in PAPER.tables["figure-7"].rows
        if row.name.startswith(model)
    }
    assert {name: asked(of["paper"][0], name).names for name, of in found.items()} == WORDS
    other = {scale: asked(found["another person"][scale][0], model) for scale in ("paper", "field")}
    assert other["paper"].phrases == "library" and other["field"].names == "field2_plain.yaml"
    for scale in ("paper", "field"):
        assert len({repr((of[scale][0].model, of[scale][0].recipe)) for of in found.values()}) == 1


def test_the_words_of_another_person_are_whole_and_no_name_of_the_labels():
    words = load_yaml(FOLDER / "words" / "field2_plain.yaml")
    assert len(words) == 15 and all(len(set(names)) == len(names) for names in words.values())


def test_plug_and_play_rows_start_from_rows_of_table_4():
    for row in PAPER.tables["plug-and-play"].rows:
        for scale in ("paper", "field"):
            setting = row.settings[scale][0]
            start = PAPER.row(setting.start, row.name).settings[scale][0].model["name"]
            head = configured(setting, row.name).model.head
            assert head.frozen and head.host == ("text" if start == "capex" else "image")
            assert start == ("capex" if "CapeX" in row.name else "graphcape")
    fusions = {configured(row.settings["paper"][0], row.name).model.name for row in PAPER.tables["plug-and-play"].rows}
    assert fusions == {"flf", "dlf"}


@pytest.mark.parametrize("name", ["FLF", "DLF"])
def test_the_hyperparameters_are_those_of_table_3(name):
    configs, _ = built("table-3", name)
    model, run, head = configs.model, configs.recipe, configs.model.head.graph_head
    assert (
        head == GraphConfig() and head == head_class("capex").published()
    )  # the fusions are on CapeX's head as published
    assert row_of("table-3", name).paper == {
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


def test_a_fusions_choices_are_the_defaults_written_out():
    for name in ("flf", "dlf"):
        head = built("table-3", name.upper())[0].model.head
        default = head_class(name).published()
        graph = {"graph_head": None}
        assert head.to_dict() | graph == default.to_dict() | graph
        unsaid = {"guest_width", "example_width", "frozen"}  # fitted to the encoders; plug-and-play's
        assert set(head.to_dict()) - set(row_of("table-3", name.upper()).settings["paper"][0].model["head"]) <= unsaid


def test_the_base_states_every_value_of_the_recipe_and_says_where_it_is_from():
    run = from_mapping(MatcherTrainConfig, BASE["recipe"], "base")
    of_ours = {"support_points_fraction", "most_keypoints", "modality_dropout", "prompts_per_picture", "describe"}
    of_ours |= {
        "phrase_draws",
        "contrast",
        "features",
        "versions",
        "small",
        "steps",
        "ema",
        "save_every",
        "keep",
        "allow_unpaired",
    }
    assert set(asdict(run)) - set(BASE["recipe"]) == of_ours
    lines = FILE.read_text(encoding="utf-8").split("\nfield:")[0].split("\nbase:")[1].splitlines()[1:]
    values = [line for line in lines if line.strip() and not line.rstrip().endswith(":") and "  model:" not in line]
    silent = [line.split(":")[0].strip() for line in values if "#" not in line]
    assert set(silent) <= {"decoder_layers", "test", "images", "measure"} and len(values) > 45


def test_models_that_read_words_are_trained_in_those_of_the_file():
    for row in rows():
        configs = configured(row.settings["paper"][0], row.name)
        if isinstance(configs.model, MatcherConfig):
            assert configs.recipe.phrases == ("file" if configs.model.takes_text else None), row.name
    for name in NAMES:  # in the shipped files where the labels are phrases, as people's own labels may be codes
        _, model, run = shipped(name)
        expected = None if name in ("capex", "flf", "dlf") else "library"
        assert wanted_phrases(run, model) == expected


def test_the_defaults_are_the_recipe_that_the_released_codes_share():
    run = MatcherTrainConfig()
    assert (run.lr, run.epochs, run.batch, run.weight_decay, run.clip) == (1e-5, 200, 16, 0.0, 0.0)
    assert (run.schedule, run.warmup, run.warmup_from, run.drops) == ("step", 1000, 0.001, (0.8, 0.9))
    assert (run.sampling, run.shots, run.augment, run.heat_weight) == ("released", 1, AUGMENT, 2.0)
    assert run.modality_dropout == ModalityDropout() and run.support_points_fraction is None
