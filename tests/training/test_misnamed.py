"""Conversations in which the user calls a point by a name that may be wrong: names, words, losses and refusals."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from anykeypoint.category import Category, Keypoint
from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.instructions.tasks import TaskForm, task_form
from anykeypoint.models.generative.kptllm_network import PROMPT
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig, TaskWeights
from anykeypoint.training.generative.kptllm_trainer import KptLLMTrainer, train
from anykeypoint.training.generative.task_sequences import build_task_sequences
from anykeypoint.training.generative.wrong_names import draw_given_name, has_wrong_name

CAT = Category("cat", tuple(map(Keypoint, ("left ear", "right ear", "nose", "tail tip"))))


def settings(task, **changes):
    plain = AugmentConfig(scale=0, rotation=0)
    options = {"tasks": TaskWeights(**{task: 1}), "pack": 1, "precision": "fp32", "augment": plain}
    return KptLLMTrainConfig(**{**options, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Made-up objects, several of each of two kinds."""
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 4, seed=2, per_category=2), folder / "images")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.kptllm(tmp_path_factory.mktemp("tiny"))


def said(model, item, config, members, seed=0):
    """Of each conversation of an object: the question, the answer in words, and the sequence."""
    for packed in build_task_sequences(model, item, config, np.random.default_rng(seed), members):
        text = model.tokenizer.decode([token for token in packed.tokens if token >= 0])
        words = model.tokenizer.decode([token for _, token in packed.word_targets])
        yield text[: text.index("ASSISTANT:")], words, packed


def test_half_of_the_wrong_names_are_those_of_the_other_side():
    rng = np.random.default_rng(0)
    counts = Counter(draw_given_name(CAT, 0, 0.75, rng) for _ in range(4000))
    shares = {name: count / 4000 for name, count in counts.items()}
    expected = {"left ear": 0.25, "right ear": 0.75 * (0.5 + 0.5 / 3), "nose": 0.125, "tail tip": 0.125}
    assert shares == pytest.approx(expected, abs=0.03)
    assert {draw_given_name(CAT, 2, 1.0, rng) for _ in range(99)} == {"left ear", "right ear", "tail tip"}
    assert {draw_given_name(CAT, 2, 0.0, rng) for _ in range(99)} == {"nose"}


def test_a_point_of_the_same_name_has_no_wrong_one():
    twice = Category("worm", (Keypoint("end", "One end."), Keypoint("end", "The other."), Keypoint("middle")))
    assert {draw_given_name(twice, 0, 1.0, np.random.default_rng(seed)) for seed in range(9)} == {"middle"}
    assert has_wrong_name(twice, 0) and not has_wrong_name(Category("worm", twice.keypoints[:2]), 0)


def test_the_answer_to_a_wrong_name_is_the_right_one(model, data, members):
    item = data.objects[0]
    names = set(item.category.names)
    for wrong, expected in ((1.0, False), (0.0, True)):
        answered = set()
        for question, words, packed in said(model, item, settings("misnamed", wrong=wrong), members):
            assert words.startswith(" ") and words.endswith("</s>") and not packed.answers
            right = words[1:-4]
            given = next(name for name in sorted(names, key=len, reverse=True) if f"the {name}" in question)
            assert right in names and (given == right) == expected
            point = packed.prompts[0].point
            nearest = np.nanargmin(np.abs(_crop_points(item) - point).sum(1))
            assert item.category.names[nearest] == right and packed.tokens[0] == PROMPT
            answered.add(right)
        assert answered == {name for name, seen in zip(item.category.names, item.visibility, strict=True) if seen}


def _crop_points(item):
    x, y, w, h = item.box
    side = max(w, h)
    return (item.points - [x + w / 2 - side / 2, y + h / 2 - side / 2]) / side


@pytest.mark.parametrize("identify_first", [True, False])
def test_a_wrong_name_beside_an_example_leads_to_the_examples_point(tmp_path, data, members, identify_first):
    model, item = tiny.kptllm(tmp_path, identify_first=identify_first), data.objects[0]
    found = list(said(model, item, settings("misnamed_example", wrong=1.0), members))
    assert found
    for question, words, packed in found:
        (answer,) = packed.answers
        right = item.category.names[np.nanargmin(np.abs(_crop_points(item) - answer.point).sum(1))]
        assert f"the {right}." not in question and packed.prompts[0].of_example
        assert words == (f" {right}\n" if identify_first else "")


def test_a_seed_decides_the_names_and_without_the_tasks_nothing_else_is_drawn(model, data, members):
    first, again = ([q for q, _, _ in said(model, data.objects[0], settings("misnamed"), members)] for _ in range(2))
    other = [q for q, _, _ in said(model, data.objects[0], settings("misnamed"), members, seed=1)]
    assert first == again and set(first) != set(other)
    plain, changed = (settings("text", wrong=wrong) for wrong in (0.5, 1.0))
    tokens = [
        [one.tokens for one in build_task_sequences(model, data.objects[0], c, np.random.default_rng(3), members)]
        for c in (plain, changed)
    ]
    assert tokens[0] == tokens[1]


def test_the_tasks_are_off_by_default_and_shares_are_checked():
    weights = KptLLMTrainConfig().tasks
    assert (weights.misnamed, weights.misnamed_example) == (0, 0)
    with pytest.raises(InputError, match="wrong must be"):
        KptLLMTrainConfig(wrong=1.5)


def test_an_object_with_one_name_is_asked_in_other_ways(model, data, members):
    item = data.objects[0]
    names = tuple(Keypoint("point", f"Number {i}.") for i in range(len(item.category)))
    alike = replace(item, category=replace(item.category, keypoints=names, pairs=()))
    few = {item.category_id: [alike, alike]}
    assert build_task_sequences(model, alike, settings("misnamed"), np.random.default_rng(0), few) == []
    mixed = settings("misnamed", tasks=TaskWeights(misnamed=1e6, text=1))
    built = build_task_sequences(model, alike, mixed, np.random.default_rng(0), few)
    assert built and {task for one in built for task in one.tasks} == {"text"}
    with pytest.raises(InputError, match="needs a wrong name, but no category has two names"):
        KptLLMTrainer(model, replace(data, objects=[alike]), settings("misnamed"))


def test_a_form_without_the_task_is_refused(tmp_path, data):
    form = task_form("kptllm")
    bare = replace(form, name="mine", misnamed=None)
    assert TaskForm.from_dict(bare.to_dict()) == bare and bare.tasks[-1] == "misnamed_example"
    model = tiny.kptllm(tmp_path, instruction=bare)
    with pytest.raises(InputError, match="The task form 'mine' has no misnamed; add it there"):
        KptLLMTrainer(model, data, settings("misnamed"))
    with pytest.raises(InputError, match="cannot be told what the point is called"):
        model.identify(tiny.picture(40, 40), (9, 9), called="left ear")


def test_training_lowers_the_loss_and_the_model_takes_the_name_that_it_is_given(tmp_path, data):
    model = tiny.kptllm(tmp_path / "base", "lora")
    config = settings(
        "misnamed",
        tasks=TaskWeights(misnamed=1, misnamed_example=1),
        item="object",
        pack=8,
        sampling="balanced",
        steps=20,
        batch=2,
        lr=2e-2,
    )
    losses = []
    few = replace(data, objects=data.objects[:2])
    train(model, few, config, tmp_path / "out", on_step=lambda step, found: losses.append(found["loss"]), quiet=True)
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])
    picture, category = tiny.picture(40, 40), CAT
    plain, one, other = (
        model.identify(picture, (9.0, 12.0), category=category, called=called)
        for called in (None, "left ear", "right ear")
    )
    assert len({answer.confidence for answer in (plain, one, other)}) == 3
    assert torch.isclose(torch.tensor(sum(one.probabilities.values())), torch.tensor(1.0))
    with pytest.raises(InputError, match="must be text that is not blank"):
        model.identify(picture, (9.0, 12.0), called=" ")
