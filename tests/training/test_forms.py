"""Training in every form: what is supervised, packed against alone, pre-training, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from plain import write_answer

from anykeypoint.category import Category, Keypoint
from anykeypoint.configs.yaml_files import from_mapping
from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.instructions import Point, instruction, instruction_names
from anykeypoint.training.generative.answer_losses import training_losses
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.capellm_trainer import train
from anykeypoint.training.generative.generative_config import GuideConfig
from anykeypoint.training.generative.sequence_batch import collate
from anykeypoint.training.generative.sequences import ConversationWriter, build_sequences

FINDING = [name for name in instruction_names() if instruction(name).answers_points]
CONFIG = CapeLLMTrainConfig(rounds=2, pack=6, precision="fp32")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.capellm(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """By the tokenizer's way with numbers: one token per digit, per three digits, and no fixed one."""
    return {kind: tiny.capellm(tmp_path_factory.mktemp(kind), kind=kind) for kind in ("digits", "triples", "pairs")}


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """Made-up objects whose first two keypoints have descriptions."""
    folder = tmp_path_factory.mktemp("data")
    found = read_coco(write_dataset(folder, 4, seed=1, per_category=1), folder / "images").objects
    described = []
    for item in found:
        first, second, *rest = item.category.keypoints
        points = (replace(first, description="The first one."), replace(second, description="The second one."), *rest)
        described.append(replace(item, category=replace(item.category, keypoints=points)))
    return described


def sequence(model, item, config=CONFIG, seed=0):
    sequence, *_ = build_sequences(model, item, config, np.random.default_rng(seed))
    return sequence


def converse(model, item, group, points, config):
    writer = ConversationWriter(model, config, np.random.default_rng(0))
    writer.converse(item, group, points)
    return writer


def supervised(writer):
    """The tokens that are targets, in order, each checked to be the token that follows its place."""
    targets = dict([*writer.word_targets, *(pair for answer in writer.answers for pair in answer.text)])
    assert all(writer.tokens[place + 1] == token for place, token in targets.items())
    return [targets[place] for place in sorted(targets)]


@pytest.mark.parametrize("kind", ["digits", "triples", "pairs"])
@pytest.mark.parametrize("name", instruction_names())
def test_a_conversation_and_its_answers_read_as_the_form_says(models, objects, name, kind):
    model, item, form = models[kind], objects[0], instruction(name)
    count = len(item.category)
    points = np.linspace(0.1, 0.9, 2 * count).reshape(count, 2)
    points[2] = np.nan
    writer = converse(model, item, [1, 0, 3], points, replace(CONFIG, instruction=name))
    visible = [i for i in range(count) if i != 2]
    segments = form.conversation(item.category, [1, 0, 3], visible=visible)

    def text(parts):
        return "".join(
            f" {write_answer(*points[part.keypoint])}" if isinstance(part, Point) else part.text for part in parts
        )

    if len(form.wordings) == 1:
        assert model.tokenizer.decode(writer.tokens) == text(segments)
    answers = model.tokenizer.decode(supervised(writer))
    assert answers == text([segment for segment in segments if segment.answer])
    assert [answer.point for answer in writer.answers] == (
        [tuple(points[i]) for i in (1, 0, 3)] if form.answers_points else []
    )
    assert bool(writer.word_targets) == form.answers_text


@pytest.mark.parametrize("kind", ["digits", "sentencepiece"])
@pytest.mark.parametrize("name", [name for name in FINDING if len(instruction(name).wordings) == 1])
def test_a_question_in_training_is_the_question_of_inference_to_the_token(tmp_path, objects, name, kind):
    model, item = tiny.capellm(tmp_path, kind=kind, instruction=name), objects[0]
    points = np.full((len(item.category), 2), 0.5)
    for i, question in enumerate(model.questions(item.category)):
        writer = converse(model, item, [i], points, CONFIG)
        assert writer.tokens[: writer.answers[0].span[0] + 1] == question


@pytest.mark.parametrize("name", instruction_names())
def test_packed_conversations_cost_what_they_cost_alone(model, objects, name):
    config = replace(CONFIG, instruction=name)
    packed = sequence(model, objects[0], config)
    assert len(set(packed.conversation)) > 1
    together = training_losses(model, collate([packed], model.codec.base), config)["loss"].item()
    alone, weights = [], []
    targets = [*packed.word_targets, *(pair for answer in packed.answers for pair in answer.text)]
    for number in sorted(set(packed.conversation)):
        keep = [i for i, owner in enumerate(packed.conversation) if owner == number]
        words = [(place - keep[0], token) for place, token in targets if place in keep]
        part = replace(
            packed,
            tokens=[packed.tokens[i] for i in keep],
            positions=[packed.positions[i] for i in keep],
            conversation=[0] * len(keep),
            answers=[],
            word_targets=words,
        )
        alone.append(training_losses(model, collate([part], model.codec.base), config)["loss"].item())
        weights.append(len(words))
    assert together == pytest.approx(np.average(alone, weights=weights), abs=1e-4)


def test_many_wordings_are_drawn_in_training_and_the_first_is_asked_at_inference(model, objects, tmp_path):
    config = replace(CONFIG, instruction="diverse", rounds=1)
    seen = set()
    for seed in range(8):
        text = model.tokenizer.decode(sequence(model, objects[0], config, seed).tokens)
        seen |= {line for line in text.replace("</s>", "\n").split("\n") if line.startswith("User: ")}
    assert len(seen) > 15
    again = [sequence(model, objects[0], config, seed=3).tokens for _ in range(2)]
    assert again[0] == again[1]
    diverse = tiny.capellm(tmp_path, instruction="diverse")
    assert diverse.questions(objects[0].category) == model.questions(objects[0].category)


def test_vague_descriptions_take_the_place_of_the_given_ones(model, objects):
    def words(**changes):
        return model.tokenizer.decode(sequence(model, objects[0], replace(CONFIG, rounds=1, **changes)).tokens)

    vague, given = words(descriptions="vague", pack=99), words(pack=99)
    assert vague.count("Reference: ") == vague.count("is one of the keypoints of") == vague.count("Assistant:") > 2
    assert "The second one." in given and "The second one." not in vague
    assert given.count("Reference: ") == 2  # as many as there are
    assert "Reference" not in words(descriptions="vague", describe=0.0)


def test_the_words_before_the_picture_are_those_of_the_runs_form(model, objects):
    config = replace(CONFIG, instruction="locllm")
    batch = collate([sequence(model, objects[0], config)], model.codec.base)
    found = training_losses(model, batch, config)["loss"].item()
    prefix = model.prefix(model.encoder.normalise(batch.pixels), instruction("locllm"))
    assert prefix.shape[1] == model.prefix(model.encoder.normalise(batch.pixels)).shape[1] + 7  # bytes
    assert found != pytest.approx(training_losses(model, batch, CONFIG)["loss"].item(), abs=1e-6)


# --- pre-training --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["direct_qa", "step_by_step_qa"])
def test_pre_training_moves_the_projection_alone_and_lowers_the_loss(tmp_path, objects, name):
    model = tiny.capellm(tmp_path / "base", "lora")
    before = {key: p.clone() for key, p in model.named_parameters()}
    wanted = {key: p.requires_grad for key, p in model.named_parameters()}
    config = replace(CONFIG, instruction=name, train_only="projection", sampling="balanced", steps=12, accumulate=1)
    config = replace(config, pack=6 if name == "direct_qa" else 2, lr=3e-2, save_every=100)
    losses = []
    config = replace(config, augment=AugmentConfig(scale=0, rotation=0))
    train(model, objects[:1], config, tmp_path / "run", on_step=lambda step, figures: losses.append(figures["loss"]))
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1
    changed = {key for key, p in model.named_parameters() if not torch.equal(p, before[key])}
    assert changed == {"projection.weight", "projection.bias"}
    assert {key: p.requires_grad for key, p in model.named_parameters()} == wanted  # the next stage trains all again
    assert model.config.instruction == "base" and model.predict(tiny.picture(), objects[0].category).present.all()


def test_a_stopped_or_failed_pre_training_leaves_the_model_trainable(tmp_path, objects):
    model = tiny.capellm(tmp_path / "base", "lora")
    wanted = sum(p.requires_grad for p in model.parameters())
    config = replace(CONFIG, train_only="projection", sampling="balanced", steps=5, accumulate=1)
    train(model, objects, config, tmp_path / "run", stop_after=1)
    assert sum(p.requires_grad for p in model.parameters()) == wanted
    with pytest.raises(ZeroDivisionError):
        train(model, objects, config, tmp_path / "more", on_step=lambda *_: 1 / 0)
    assert sum(p.requires_grad for p in model.parameters()) == wanted


# --- recipes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["step_by_step", "direct_qa", "step_by_step_qa"])
def test_digits_alone_cannot_teach_words(model, objects, name):
    with pytest.raises(InputError, match=f"'{name}' also answers in words; use the loss 'text'"):
        sequence(model, objects[0], replace(CONFIG, loss="digits", instruction=name))


def test_words_about_a_place_cannot_be_guided_to_it(model, objects):
    config = replace(CONFIG, instruction="direct_qa", guide=GuideConfig(layers=(1,)))
    with pytest.raises(InputError, match=r"guide.layers needs answers that are points"):
        sequence(model, objects[0], config)


def test_a_run_must_be_longer_than_its_guidance_alone(tmp_path, objects):
    model = tiny.capellm(tmp_path / "base", "lora")
    config = replace(CONFIG, sampling="balanced", steps=2, accumulate=1, guide=GuideConfig(layers=(1,), alone=2))
    with pytest.raises(InputError, match=r"guide\.alone must be less than the 2 steps of the run, .* but got 2; lower"):
        train(model, objects, config, tmp_path / "run")
    answered = []
    config = replace(config, guide=replace(config.guide, alone=1))
    train(model, objects, config, tmp_path / "longer", on_step=lambda _, figures: answered.append("answers" in figures))
    assert answered == [False, True]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"instruction": "polite"}, "no instruction form 'polite'"),
        ({"instruction": 3}, "instruction must be of type str"),
        ({"train_only": "encoder"}, "train_only must be one of '', projection, but got 'encoder'"),
        ({"descriptions": "removed"}, "descriptions must be one of detailed, vague"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_by_name(settings, words):
    with pytest.raises(InputError, match=words):
        from_mapping(CapeLLMTrainConfig, settings, "recipe")


def test_a_recipe_keeps_what_a_form_of_ones_own_says(tmp_path, model, objects):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: base\nwordings: ['Show the {name}.']\n")
    config = replace(CONFIG, instruction=str(path))
    path.unlink()
    assert config.to_dict()["instruction"]["wordings"] == ["Show the {name}."]
    assert from_mapping(CapeLLMTrainConfig, config.to_dict(), "checkpoint") == config
    assert "User: Show the " in model.tokenizer.decode(sequence(model, objects[0], config).tokens)


def test_words_that_look_like_coordinates_or_slots_stay_words(model, objects):
    points = (Keypoint("a {coordinates} \0 b", "{x} \0."), Keypoint("[0.5,0.5]</s>"))
    item = replace(objects[0], category=Category("c", points, noun="{noun}"))
    places = np.array([[0.1, 0.2], [0.3, 0.4]])
    for name in ("direct_qa", "step_by_step"):
        written = model.tokenizer.decode(
            converse(model, item, [0, 1], places, replace(CONFIG, instruction=name)).tokens
        )
        assert "a {coordinates} b" in written and "{x} ." in written
        assert written.count("[0.100,0.200]") == written.count("[0.300,0.400]") == 1
        assert written.count("</s>") == (2 if name == "direct_qa" else 3)
