"""Which words of KptLLM's answers are learnt: names in front of points, and a <KEYPOINT> that the model writes."""

import numpy as np
import pytest
import tiny

from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.generative.keypoint_token import KEYPOINT
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig, TaskWeights
from anykeypoint.training.generative.kptllm_trainer import KptLLMTrainer, task_losses
from anykeypoint.training.generative.task_sequences import build_task_sequences, collate_tasks


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Made-up objects, several of each of two kinds."""
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 4, seed=2, per_category=2), folder / "images")


def settings(**changes):
    plain = AugmentConfig(scale=0.1, rotation=10)
    options = {"pack": 1, "describe": 0.0, "precision": "fp32", "augment": plain}
    return KptLLMTrainConfig(**{**options, **changes})


def written(model, item, config, members):
    """The one conversation of a sequence: what is learnt as words, with the point's own, and the whole answer."""
    packed = build_task_sequences(model, item, config, np.random.default_rng(0), members)[0]

    def text(tokens):
        parts = [
            "<KEYPOINT>" if token == KEYPOINT else model.tokenizer.decode([token]) for token in tokens if token >= -1
        ]
        return "".join(parts)

    whole = text(packed.tokens)
    answer = whole[whole.index("ASSISTANT:") + len("ASSISTANT:") :]
    points = [token for answer in packed.answers for _, token in answer.text]
    return text([token for _, token in packed.word_targets]), text(points), answer, packed


@pytest.mark.parametrize(("names", "learnt"), [("unknown", {"example"}), ("all", {"example", "text", "both"})])
def test_the_name_in_front_of_a_point_is_learnt_by_the_recipe(place, data, members, names, learnt):
    model, item = tiny.kptllm(place), data.objects[0]
    for task in ("example", "text", "both"):
        config = settings(tasks=TaskWeights(**{task: 1}), learn_names=names)
        words, point, answer, _ = written(model, item, config, members)
        assert point.startswith(" [") and answer.endswith(point)
        name = answer[: -len(point)]
        assert name.endswith("\n") and name.strip() in item.category.names
        assert words == (name if task in learnt else ""), task


def test_without_names_first_nothing_but_the_point_is_learnt(place, data, members):
    model = tiny.kptllm(place, identify_first=False)
    for names in ("unknown", "all"):
        words, point, answer, _ = written(
            model, data.objects[0], settings(tasks=TaskWeights(text=1), learn_names=names), members
        )
        assert words == "" and answer == point


def test_a_token_that_the_model_writes_is_learnt_with_the_name_and_the_ending(place, data, members):
    item, config = data.objects[0], settings(tasks=TaskWeights(example=1))
    for who, learnt in (("given", ""), ("written", "<KEYPOINT></s>")):
        model = tiny.kptllm(place, answer="token", keypoint_token=who)
        words, point, answer, packed = written(model, item, config, members)
        assert answer == f"{words}<KEYPOINT></s>" and words.endswith("\n") and point == learnt
        batch = collate_tasks([packed], model.codec.base)
        terms = task_losses(model, batch, config)
        assert set(terms) == {"loss", "points", "words"} and len(batch.text_targets) == len(batch.word_targets) + (
            2 if who == "written" else 0
        )


def test_the_spread_has_a_term_of_its_own(place, data, members):
    model = tiny.kptllm(place, "lora", answer="token", keypoint_token="written", spread=True)
    config = settings(tasks=TaskWeights(text=1))
    packed = build_task_sequences(model, data.objects[0], config, np.random.default_rng(0), members)[0]
    terms = task_losses(model, collate_tasks([packed], model.codec.base), config)
    assert set(terms) == {"loss", "points", "words", "spread"}
    assert {*terms} == {*KptLLMTrainer(model, data, config).loss_names(0)}
    assert terms["loss"].item() == pytest.approx(
        sum(terms[key].item() for key in ("points", "words", "spread")), abs=1e-5
    )


def test_a_recipe_says_which_names_are_learnt():
    with pytest.raises(InputError, match="learn_names must be"):
        settings(learn_names="none")
