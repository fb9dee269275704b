"""A misspelt name of any closed set is answered with the nearest name."""

import pytest

import anykeypoint as ak
from anykeypoint import cli
from anykeypoint.category import Category
from anykeypoint.configs.checks import near_names
from anykeypoint.data.registry import known_dataset
from anykeypoint.data.splits import split
from anykeypoint.decoding import Strategy
from anykeypoint.detection.registry import load as load_detector
from anykeypoint.errors import InputError
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.oks import sigmas
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.forms.registry import form_of, parse
from anykeypoint.instructions import check_describe
from anykeypoint.instructions.conversation import Instruction, instruction
from anykeypoint.library.lookup import category
from anykeypoint.models.device import pick_device
from anykeypoint.models.matching.heads.registry import head_class
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.sources.packages import fetch
from anykeypoint.models.towers.text import TextConfig
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig

EMPTY = {"images": [], "annotations": [], "categories": []}


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        (lambda: ak.load("fsat"), "fast"),
        (lambda: category("human_bdy"), "human_body"),
        (lambda: category("mp100/camel_fcae"), "camel_face"),
        (lambda: parse("coc:x.json"), "coco"),
        (lambda: form_of("labelstudo"), "labelstudio"),
        (lambda: known_dataset("ap10"), "ap10k"),
        (lambda: load_detector("yolov3tiny"), "yolov3-tiny"),
        (lambda: fetch("minilm"), "minilm-l6"),
        (lambda: head_class("capx"), "capex"),
        (lambda: MatcherConfig.from_dict({"name": "capx"}), "capex"),
        (lambda: MatcherConfig.from_dict({"name": "capex", "visio": "dinov2-s"}), "vision"),
        (lambda: TextConfig("minilm-16"), "minilm-l6"),
        (lambda: Strategy.parse("greedi"), "greedy"),
        (lambda: check_describe("detaled"), "detailed"),
        (lambda: instruction("bas"), "base"),
        (lambda: Instruction.from_dict({"question": "{wording}", "wordings": ["x"], "anwser": "y"}), "answer"),
        (lambda: EvaluationProtocol.parse("1shot"), "1-shot"),
        (lambda: EvaluationProtocol.parse("identfy"), "identify"),
        (lambda: sigmas("coc"), "coco"),
        (lambda: split(EMPTY, "categry", [0.7, 0.1, 0.2], 0), "category"),
        (lambda: pick_device("cudda"), "cuda"),
        (lambda: Category.from_dict({"keypoints": ["a"], "nuon": "cat"}), "noun"),
        (lambda: CapeLLMTrainConfig(grouping="dynamc"), "dynamic"),
        (lambda: EvaluationConfig.from_dict({"model": "fast", "protocl": "text"}), "protocol"),
    ],
)
def test_a_misspelt_name_gets_the_nearest_one(wrong, near):
    with pytest.raises(InputError) as caught:
        wrong()
    assert f"near: {near}" in str(caught.value) or f"near names are {near}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["predcit", "a.jpg"], "predict"),
        (["data", "chek"], "check"),
        (["predict", "a.jpg", "--keypoint", "nose"], "--keypoints"),
        (["predict", "a.jpg", "--catgory", "cat"], "--category"),
    ],
)
def test_a_misspelt_verb_or_option_gets_the_nearest_one(capsys, arguments, near):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2 and near in capsys.readouterr().err


def test_near_names_are_few_and_only_near():
    assert near_names("kat", ["cat", "dog", "horse"]) == " (near: cat)"
    assert near_names("unicorn", ["cat", "dog"]) == near_names("", ["cat"]) == near_names(None, ["cat"]) == ""
    assert near_names("CAT", ["cat"]) == " (near: cat)"


@pytest.mark.parametrize("typo", ["cco", "cocoo", "ccoo", "coca", "oco", "occo"])
def test_one_letter_more_less_or_elsewhere_is_near(typo):
    assert "near: coco" in near_names(typo, ["coco", "sleap"])
