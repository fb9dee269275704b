"""The tables of KptLLM++: every printed figure is in the file, and a row changes what the paper's row changes."""

from dataclasses import asdict
from importlib import resources

import pytest

from anykeypoint.configs.yaml_files import from_mapping, load_yaml
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.models.folders import read_settings
from anykeypoint.models.generative.capellm import CapeLLM, CapeLLMConfig
from anykeypoint.models.generative.kptllm_config import KptLLMConfig
from anykeypoint.models.loading import find
from anykeypoint.reproduction.configured import Length, asked, configured
from anykeypoint.reproduction.settings import HELD_OUT
from anykeypoint.reproduction.tables import read_tables
from anykeypoint.reproduction.trainings import training_of
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig

FOLDER = resources.files("anykeypoint") / "experiments"
FILE = FOLDER / "tables" / "kptllm.yaml"
PAPER, BASE = read_tables(FILE), load_yaml(FILE)["base"]
# The paper's tables, row by row: figures in the order of its columns, "-" where it prints none.
PRINTED = {
    "table-1": {"LLaVA": "3", "LLaVA*": "72", "KptLLM": "83"},
    "table-2": {
        "1-shot / ProtoNet": "46.05 40.84 49.13 43.34 44.54 44.78",
        "1-shot / MAML": "68.14 54.72 64.19 63.24 57.20 61.50",
        "1-shot / Finetune": "70.60 57.04 66.06 65.00 59.20 63.58",
        "1-shot / POMNet": "84.23 78.25 78.17 78.68 79.17 79.70",
        "1-shot / CapeFormer": "89.45 84.88 83.59 83.53 85.09 85.31",
        "1-shot / KptLLM": "91.66 86.58 86.19 84.76 86.32 87.10",
        "5-shot / ProtoNet": "60.31 53.51 61.92 58.44 58.61 58.56",
        "5-shot / MAML": "70.03 55.98 63.21 64.79 58.47 62.50",
        "5-shot / Finetune": "71.67 57.84 66.76 66.53 60.24 64.61",
        "5-shot / POMNet": "84.72 79.61 78.00 80.38 80.85 80.71",
        "5-shot / CapeFormer": "91.94 88.92 89.40 88.01 88.25 89.30",
        "5-shot / KptLLM": "93.17 89.45 90.08 88.74 89.52 90.19",
    },
    "table-3": {
        "ProtoNet": "37.61 57.80 28.35 42.64 -",
        "MAML": "51.93 25.72 17.68 20.09 -",
        "Fine-tune": "52.11 25.53 17.46 20.76 -",
        "POMNet": "73.82 79.63 34.92 47.27 -",
        "CapeFormer": "83.44 80.96 45.40 52.49 -",
        "KptLLM": "83.91 83.37 46.23 54.05 -",
    },
    "table-4": {
        "Bovidae to Canidae / SimpleBaseline": "41.3 79.4 36.4 26.8 41.3 49.1",
        "Bovidae to Canidae / CLAMP": "46.9 84.4 45.6 30.3 46.9 53.8",
        "Bovidae to Canidae / KptLLM": "62.2 94.5 68.7 26.0 62.3 65.8",
        "Canidae to Felidae / SimpleBaseline": "39.6 74.1 34.5 9.5 40.2 46.6",
        "Canidae to Felidae / CLAMP": "48.4 85.7 44.0 13.6 48.9 55.1",
        "Canidae to Felidae / KptLLM": "70.2 97.8 82.2 49.2 70.6 74.7",
    },
    "table-5": {
        "KptLLM / COCO": "76.2 -",
        "KptLLM / AnimalPose": "- 55.9",
        "KptLLM++ / COCO": "77.6 -",
        "KptLLM++ / AnimalPose": "- 59.1",
        "KptLLM++ scaled up / COCO": "78.1 -",
        "KptLLM++ scaled up / AnimalPose": "- 79.2",
    },
    "table-6": {
        "SimplePose": "74.4 92.6 82.5 71.5 79.2 77.6",
        "HRNet": "76.8 93.6 83.6 74.0 81.5 79.6",
        "SimCC": "76.5 93.2 83.1 73.6 81.5 79.7",
        "ViTPose": "77.4 93.6 84.8 74.7 81.9 80.2",
        "X-Pose": "76.8 91.9 83.8 71.6 84.8 -",
        "VisionLLM v2": "74.2 - - - - -",
        "LocLLM": "77.4 94.4 85.2 74.5 81.8 80.6",
        "KptLLM++": "78.1 94.3 85.3 75.0 83.1 81.3",
    },
    "table-7": {
        "SimplePose": "68.1 92.2 74.2 53.4 68.8",
        "HRNet": "73.1 93.7 80.4 57.4 73.8",
        "ViTPose": "80.1 97.5 88.0 62.3 80.3",
        "X-Pose": "79.2 95.7 87.2 58.3 79.8",
        "VisionLLM v2": "77.8 - - - -",
        "KptLLM++": "81.2 98.1 88.6 60.9 81.9",
    },
    "table-8": {
        "SimplePose": "48.4 73.0 50.7 27.2 50.7 52.8",
        "HRNet": "51.7 75.2 54.8 26.2 54.3 57.0",
        "SimCC": "53.4 76.3 56.5 30.4 55.9 57.5",
        "ViTPose": "53.8 77.9 57.4 31.4 56.6 58.7",
        "X-Pose": "75.9 89.6 81.7 42.6 80.1 -",
        "LocLLM": "64.8 87.4 70.4 40.9 67.4 69.3",
        "VisionLLM v2": "72.6 - - - - -",
        "KptLLM++": "77.3 92.2 83.1 54.7 80.1 80.6",
    },
    "table-9": {"X-Pose": "73.4", "KptLLM++": "79.2"},
    "table-10": {"ViTPose": "15.5", "X-Pose": "79.4", "VisionLLM v2": "83.1", "KptLLM++": "83.9"},
    "table-11": {"HRNet": "63.23 -", "X-Pose": "- 96.1", "VisionLLM v2": "- 95.5", "KptLLM++": "69.64 96.1"},
    "table-12": {"ED-Pose": "64.7 -", "X-Pose": "- 88.7", "KptLLM++": "79.8 99.4"},
    "table-13": {"without identify-then-detect": "87.68", "with identify-then-detect": "91.66"},
    "table-14": {"average pooling": "89.78", "prompt feature extractor": "91.66"},
    "table-15": {"visual": "91.66", "visual and textual": "92.18"},
    "table-16": {"7B": "91.66", "13B": "91.98"},
    "figure-8": {},
}
OTHERS = {
    "ProtoNet",
    "MAML",
    "POMNet",
    "CapeFormer",
    "Fine-tune",
    "SimpleBaseline",
    "CLAMP",
    "SimplePose",
    "HRNet",
    "SimCC",
}
OTHERS |= {
    "ViTPose",
    "X-Pose",
    "VisionLLM v2",
    "LocLLM",
    "ED-Pose",
    "ProtoPose",
}  # methods that are shown and never run
LLAVA_13B = "llava-hf/llava-1.5-13b-hf"
BY_EXAMPLE = {"ask.protocol": "1-shot", "ask.episodes": 200}
BY_WORDS = {"recipe.tasks": {"text": 1}}
PLUSPLUS = {
    "model.preset": "kptllm++",
    "model.llava": None,
    "model.vision.name": "dinov2-l",
    "model.vision.image_size": 224,
    "model.vision.tuning": "lora",
    "model.vision.lora": {"r": 128, "alpha": 256, "dropout": 0.05, "targets": ["q", "k", "v", "o", "up", "down"]},
    "model.projector": "linear",
    "model.answer": "text",
    "model.keypoint_token": None,
    "model.spread": None,
}
# Table and row -> what differs from the base, at the paper's scale; rows that are not here differ in their data alone.
CHANGES = {
    ("table-13", "without identify-then-detect"): {"model.identify_first": False, "recipe.tasks": {"example": 1}},
    ("table-14", "average pooling"): {"model.extractor": "pool"},
    ("table-15", "visual and textual"): {"recipe.tasks": {"identify": 1, "both": 1}, "ask.protocol": "both"},
    ("table-16", "13B"): {"model.llava": LLAVA_13B, "model.language.name": "vicuna-13b"},
    ("table-2", "5-shot / KptLLM"): {"ask.protocol": "5-shot"},
    ("table-1", "KptLLM"): {"ask.protocol": "identify", "ask.episodes": None},
    **{("table-4", f"{pair} / KptLLM"): {**BY_WORDS, "ask.protocol": "text", "ask.episodes": None, "ask.oks": "ap10k"}
       for pair in ("Bovidae to Canidae", "Canidae to Felidae")},
}  # fmt: skip
SIGMAS = {
    "table-6": "coco",
    "table-7": "ap10k",
    "table-8": "human_art",
    "table-10": "macaquepose",
    "table-12": "carfusion",
}


def rows(measured=True):
    """All rows of the file that are run, or all."""
    return [row for table in PAPER.tables.values() for row in table.rows if row.settings or not measured]


def row_of(table, name):
    return PAPER.row(f"{table}/{name}", "the test")


def flat(level, place):
    """The values of a mapping by their dotted place; a list of tasks counts as one value."""
    found = {}
    for key, value in level.items():
        inner = isinstance(value, dict) and key not in ("tasks", "lora", "augment")
        found |= flat(value, f"{place}.{key}") if inner else {f"{place}.{key}": value}
    return found


def changes(setting):
    """What a setting's model, recipe and questions have otherwise than the base; None for what it takes away."""
    own = {}
    for key in ("model", "recipe", "ask"):
        mine, base = flat(getattr(setting, key), key), flat(BASE[key], key)
        own |= {place: mine.get(place) for place in {*mine, *base} if mine.get(place) != base.get(place)}
    return own


@pytest.mark.parametrize("table", PRINTED)
def test_every_printed_figure_is_in_the_file(table):
    columns = PAPER.tables[table].columns
    found = {
        row.name: " ".join("-" if column not in row.paper else f"{row.paper[column]:g}" for column in columns)
        for row in PAPER.tables[table].rows
        if not row.name.startswith("later: ") and row.paper
    }
    plain = lambda text: " ".join(one if one == "-" else f"{float(one):g}" for one in text.split())  # noqa: E731
    assert found == {name: plain(text) for name, text in PRINTED[table].items()}


def test_the_tables_and_the_figure_are_all_here():
    assert list(PAPER.tables) == [*(f"table-{number}" for number in range(1, 17)), "figure-8"] == list(PRINTED)


def test_other_peoples_methods_are_shown_and_never_run():
    for row in rows(measured=False):
        method = row.name.rpartition(" / ")[2].removeprefix("later: ")
        assert bool(row.published) == (method in OTHERS), row.name


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.table} {row.name}")
def test_a_row_builds_strictly_at_both_scales(row):
    for scale, settings in row.settings.items():
        for setting in settings:
            question = asked(setting, row.name)
            assert isinstance(question, EvaluationConfig)
            EvaluationProtocol.parse(question.protocol)
            if setting.trained == HELD_OUT:
                assert scale == "paper" or setting.held_out == "kptllm-small@held-out"
                continue
            built = configured(setting, row.name)
            recipe = built.recipe
            if scale == "field":
                started = isinstance(built.model, KptLLMConfig)
                assert setting.start == ("capellm-small@held-out" if started else "")
                assert recipe.steps * recipe.batch * recipe.accumulate == setting.items > 0
            if isinstance(recipe, KptLLMTrainConfig) and question.protocol in ("1-shot", "5-shot", "both", "text"):
                task = {"both": "both", "text": "text"}.get(question.protocol, "example")
                assert getattr(recipe.tasks, task), "it is trained on what it is asked"


@pytest.mark.parametrize(("table", "name"), CHANGES)
def test_a_kptllm_row_changes_what_the_papers_row_changes(table, name):
    assert all(changes(setting) == CHANGES[table, name] for setting in row_of(table, name).settings["paper"])


@pytest.mark.parametrize("table", ["table-2", "table-3", "table-13", "table-14", "table-15", "table-16"])
def test_the_papers_own_model_is_a_row_that_changes_nothing(table):
    plain = [row for row in PAPER.tables[table].rows if row.settings and not any(map(changes, row.settings["paper"]))]
    assert len(plain) == 1


@pytest.mark.parametrize("number", range(5, 13))
def test_kptllm_plusplus_is_the_other_model_by_words(number):
    expected = {**PLUSPLUS, **BY_WORDS, "ask.protocol": "text", "ask.episodes": None}
    for row in PAPER.tables[f"table-{number}"].rows:
        if row.settings and "KptLLM++" in row.name:
            found = changes(row.settings["paper"][0])
            assert found.pop("ask.oks", None) == (
                ("coco" if "COCO" in row.name else None) if number == 5 else SIGMAS.get(f"table-{number}")
            )
            assert found == expected


def test_the_scaled_up_model_is_one_training_for_all_its_tables():
    trained = {
        (repr(s.model), repr(s.recipe), s.train, s.train_images)
        for row in rows() if (s := row.settings["paper"][0]).train.startswith("joint:")
    }  # fmt: skip
    assert len(trained) == 1


def test_the_base_is_the_preset_with_every_value_written_out():
    preset = KptLLMConfig.from_dict({"preset": "kptllm", "keypoint_token": "written", "spread": True})
    assert KptLLMConfig.from_dict(dict(BASE["model"])) == preset
    whole = KptLLMConfig.from_dict({**dict(BASE["model"]), **{}}).to_dict()
    unsaid = set(whole) - set(BASE["model"])
    assert unsaid == {
        "sigma",
        "spaced",
        "released_crop",
        "temperature",
        "presence",
    }  # Table 14's, text's, fitted afterwards
    recipe = from_mapping(KptLLMTrainConfig, BASE["recipe"], "base")
    of_ours = {
        "pack",
        "sigma",
        "replace",
        "made_up",
        "guide",
        "wrong",
    }  # options that the paper's recipe has no part in
    assert set(asdict(recipe)) - set(BASE["recipe"]) == of_ours | {
        "steps",
        "ema",
        "save_every",
        "keep",
        "allow_unpaired",
        "shard",
        "frozen_precision",
    }


def test_the_base_is_the_implementation_section():
    model, recipe = KptLLMConfig.from_dict(dict(BASE["model"])), from_mapping(KptLLMTrainConfig, BASE["recipe"], "base")
    assert (model.vision.name, model.vision.image_size, model.vision.tuning) == ("clip-vit-l-336", 336, "full")
    assert (model.language.name, model.language.lora.r, model.language.lora.alpha) == ("vicuna-7b", 128, 256)
    assert (model.layers, model.answer, model.identify_first, model.llava) == (
        2,
        "token",
        True,
        "llava-hf/llava-1.5-7b-hf",
    )
    assert (recipe.lr, recipe.weight_decay, recipe.batch, recipe.accumulate) == (2e-4, 0, 16, 1)
    assert (recipe.point, recipe.learn_names, recipe.item) == (2, "all", "group")


def test_every_value_of_the_base_says_where_it_is_from():
    lines = FILE.read_text(encoding="utf-8").split("\nfield:")[0].split("\nbase:")[1].splitlines()[1:]
    values = [line for line in lines if line.strip() and not line.rstrip().endswith(":") and ": &" not in line]
    silent = [line.split(":")[0].strip() for line in values if "#" not in line]
    assert set(silent) <= {"preset", "test", "images", "measure"} and len(values) > 45


@pytest.mark.parametrize("name", ["kptllm", "kptllm_pp"])
def test_the_papers_recipes_name_the_papers_choices(name):
    file = load_yaml(FOLDER / f"{name}.yaml")
    model = KptLLMConfig.from_dict(file["model"])
    assert from_mapping(KptLLMTrainConfig, file["recipe"], name).learn_names == "all" and model.identify_first
    assert (model.keypoint_token, model.spread) == (("written", True) if name == "kptllm" else ("given", False))


def test_without_identify_then_detect_neither_answers_nor_training_name_points():
    for scale in ("paper", "field"):
        without, with_names = (
            configured(row_of("table-13", f"{word} identify-then-detect").settings[scale][0], word)
            for word in ("without", "with")
        )
        assert not without.model.identify_first and without.recipe.tasks.identify == 0
        assert with_names.model.identify_first and with_names.recipe.tasks.identify > 0


def test_the_larger_model_differs_in_its_language_model_alone():
    small, large = (configured(row_of("table-16", name).settings["paper"][0], name).model for name in ("7B", "13B"))
    assert (small.language.name, large.language.name) == ("vicuna-7b", "vicuna-13b")
    assert small.language.lora == large.language.lora and small.vision.name == large.vision.name


def test_at_field_scale_trainings_start_from_the_held_out_capellm_as_kptllm_small_does():
    row = row_of("table-13", "with identify-then-detect")
    training = training_of(PAPER, row, row.settings["field"][0], Length())
    assert (training.start, training.start_folder) == (None, "capellm-small@held-out")
    source = CapeLLMConfig.from_dict(read_settings(find("capellm-small@held-out"), CapeLLM.model_type))
    for key in ("vision", "language", "answer", "keypoint_token", "spread", "spaced"):  # what `--start` compares
        assert getattr(training.configs.model, key) == getattr(source, key), key


def test_the_shifted_and_scaled_boxes_and_the_hidden_points_are_questions_alone():
    found = [changes(row.settings["paper"][0]) for row in PAPER.tables["figure-8"].rows]
    plain = {**PLUSPLUS, **BY_WORDS, "ask.protocol": "text", "ask.episodes": None}
    own = [{key: value for key, value in one.items() if key not in plain} for one in found]
    assert own == [
        {},
        *({"ask.box_shift": share} for share in (0.1, 0.2, 0.4)),
        *({"ask.box_scale": factor} for factor in (0.6, 0.8, 1.25, 1.67)),
        *({"ask.points": which} for which in ("visible", "hidden")),
    ]
    assert all(row.settings["field"][0].trained == HELD_OUT for row in PAPER.tables["figure-8"].rows)
