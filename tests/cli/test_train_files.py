"""The YAML files of `train`: by path or by name, with a model, a recipe or both; and the page of all recipe keys."""

import importlib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import yaml

from anykeypoint import cli
from anykeypoint.configs.yaml_files import from_mapping
from anykeypoint.errors import InputError
from anykeypoint.training.trainable import EXPERIMENTS, FAMILIES, find_yaml, recipe_of

ROOT = Path(__file__).resolve().parents[2]

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "tools")
    recipes_page = importlib.import_module("recipes_page")


@pytest.mark.parametrize("given", ["fast", "fast.yaml"])
def test_a_file_of_the_package_is_found_by_its_name_and_a_file_of_that_name_here_goes_first(
    tmp_path, monkeypatch, given
):
    monkeypatch.chdir(tmp_path)
    assert find_yaml(Path(given)) == EXPERIMENTS / "fast.yaml"
    Path(given).write_text("{}")
    assert find_yaml(Path(given)) == Path(given)


def test_an_unknown_name_is_refused_with_the_near_ones_before_any_data_is_read(capsys):
    with pytest.raises(InputError, match=r"no file fastt \(near: fast\).*capex"):
        find_yaml(Path("fastt"))
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "--data", "coco:none.json", "--images", ".", "-o", "run", "--model", "grapcape"])
    assert ended.value.code == 2 and "near: graphcape" in capsys.readouterr().err


def test_an_empty_description_is_no_description_of_the_default_model(tmp_path, capsys):
    """It was trained as the paper's CapeLLM of eight billion parameters."""
    (tmp_path / "empty.yaml").write_text("# to do\n")
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "--data", "coco:none.json", "-o", str(tmp_path), "--model", str(tmp_path / "empty.yaml")])
    assert ended.value.code == 2 and "empty.yaml is empty; describe a model in it" in capsys.readouterr().err


def test_the_recipe_of_a_file_with_model_and_recipe_is_its_recipe():
    both = yaml.safe_load((EXPERIMENTS / "fast.yaml").read_text())
    assert recipe_of(both) == both["recipe"] and recipe_of(both["recipe"]) == both["recipe"]
    assert from_mapping(FAMILIES["a matcher"].recipe, recipe_of(both), "fast").versions == 3


def test_the_page_of_recipes_is_that_of_the_code_and_says_what_every_key_means():
    assert recipes_page.main(["--check"]) == 0
    for family in FAMILIES.values():
        said = recipes_page.meanings(family.recipe)
        assert not [field.name for field in fields(family.recipe) if not said.get(field.name)]


def test_the_defaults_on_the_page_are_read_back_as_they_are():
    for family in FAMILIES.values():
        whole = family.recipe()
        plain = [field for field in fields(whole) if not is_dataclass(getattr(whole, field.name))]
        texts = {field.name: recipes_page.default(field) for field in plain}
        values = {name: yaml.safe_load(text) for name, text in texts.items() if text != "not given"}
        assert len(values) > 10 and from_mapping(family.recipe, values, "the page") == whole
