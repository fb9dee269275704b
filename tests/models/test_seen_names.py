"""The names that a model was trained on: in its folder, in training, and in an evaluation."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import tiny_matchers

from anykeypoint.category import Category
from anykeypoint.cli.evaluate import _known_names
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.loading import from_folder
from anykeypoint.models.seen_names import SEEN_NAMES, SeenNames, read_seen
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
from anykeypoint.training.matching.matcher_trainer import train

SHEEP = Category.from_text("Left_Ear; nose", noun="Sheep")
TOOL = Path(__file__).resolve().parents[2] / "tools" / "seen_names.py"


def test_names_are_in_lower_case_once_each_beside_those_seen_before():
    seen = SeenNames.of([SHEEP, SHEEP, Category.from_text("nose", noun="cat")])
    assert seen == SeenNames(("left ear", "nose"), ("cat", "sheep"))
    assert SeenNames.of([SHEEP], SeenNames(("tail",), ("cat",))).names == ("left ear", "nose", "tail")


@pytest.mark.parametrize("made", ["matcher", "capellm", "kptllm"])
def test_a_saved_model_keeps_its_names(tmp_path, made):
    model = tiny_matchers.matcher("capex", tmp_path) if made == "matcher" else getattr(tiny, made)(tmp_path)
    model.save_pretrained(tmp_path / "without")
    assert from_folder(tmp_path / "without").seen_names is None
    model.seen_names = SeenNames.of([SHEEP])
    model.save_pretrained(tmp_path / "with")
    again = from_folder(tmp_path / "with")
    assert again.seen_names == model.seen_names
    again.save_pretrained(tmp_path / "again")
    assert read_seen(tmp_path / "again") == model.seen_names


def test_training_adds_the_names_of_its_data(tmp_path):
    data = read_coco(write_dataset(tmp_path / "data", 4, seed=2), tmp_path / "data" / "images")
    model = tiny_matchers.matcher("capex", tmp_path)
    model.seen_names = SeenNames(("a name of before",), ("thing",))
    config = MatcherTrainConfig(sampling="balanced", steps=2, batch=2, warmup=1)
    train(model, data, config, tmp_path / "run", quiet=True)
    names = {name.lower() for item in data.objects for name in item.category.names}
    assert set(read_seen(tmp_path / "run" / "model").names) == names | {"a name of before"}


def test_an_evaluation_takes_the_names_of_the_folder_unless_training_data_are_given(tmp_path):
    labels = write_dataset(tmp_path, 4, seed=2)
    names = {name for item in read_coco(labels, tmp_path / "images").objects for name in item.category.names}
    seen = SeenNames.of([SHEEP])
    assert set(_known_names(f"coco:{labels}", None, seen)) == {"left ear", "nose"}
    assert set(_known_names("field:somewhere", None, seen)) == {"left ear", "nose"}
    assert set(_known_names(f"coco:{labels}", f"coco:{labels}", seen)) == names
    assert _known_names(f"coco:{labels}", None, None) is None


def test_the_tool_writes_the_names_of_a_folder_that_has_none(tmp_path, capsys):
    labels = write_dataset(tmp_path, 4, seed=2)
    model = tmp_path / "model"
    model.mkdir()
    main = runpy.run_path(str(TOOL))["main"]
    with pytest.raises(InputError, match="is not a model folder"):
        main([str(model), f"coco:{labels}"])
    (model / "config.json").write_text('{"model_type": "matcher"}')
    assert main([str(model), f"coco:{labels}"]) == 0 and "names of" in capsys.readouterr().out
    objects = read_coco(labels, tmp_path / "images").objects
    assert read_seen(model) == SeenNames.of(item.category for item in objects)
    assert main([str(model)]) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"names": [], "nouns": []}', "is damaged"),
        ('{"schema_version": 99, "names": [], "nouns": []}', "schema version 99"),
        ('{"schema_version": 1, "names": [1], "nouns": []}', "lists of texts"),
        ('{"schema_version": 1, "names": "nose", "nouns": []}', "lists of texts"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, content, words):
    (tmp_path / SEEN_NAMES).write_text(content)
    with pytest.raises(InputError, match=words):
        read_seen(tmp_path)


def test_the_file_is_plain_text(tmp_path):
    replace(SeenNames.of([SHEEP]), nouns=("schäf",)).write(tmp_path)
    text = (tmp_path / SEEN_NAMES).read_text(encoding="utf-8")
    assert json.loads(text)["names"] == ["left ear", "nose"] and "schäf" in text
