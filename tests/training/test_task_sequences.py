"""KptLLM's packed conversations: against plain ones, what is drawn, and what each task trains."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.generative.kptllm_network import PROMPT
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig, TaskWeights
from anykeypoint.training.generative.kptllm_trainer import task_losses
from anykeypoint.training.generative.object_sampler import SyntheticSeeds
from anykeypoint.training.generative.task_sequences import build_task_sequences, collate_tasks

ALL = TaskWeights(identify=1, example=1, text=1, both=1)


def settings(**changes):
    plain = AugmentConfig(scale=0.1, rotation=10)
    return KptLLMTrainConfig(**{"tasks": ALL, "pack": 8, "precision": "fp32", "augment": plain, **changes})


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """By the answer, with both towers adapted."""
    return {
        answer: tiny.kptllm(tmp_path_factory.mktemp(answer), "lora", answer=answer).eval()
        for answer in ("text", "token")
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Made-up objects, several of each of three kinds."""
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 9, seed=2, per_category=3), folder / "images")


def sequence(model, item, config, members, seed=0):
    """The first sequence of an object."""
    return build_task_sequences(model, item, config, np.random.default_rng(seed), members)[0]


def split(packed):
    """The same sequence with one conversation each."""
    parts, used = [], 0
    for number in sorted(set(packed.conversation)):
        keep = [i for i, owner in enumerate(packed.conversation) if owner == number]
        first, last = keep[0], keep[-1]
        tokens = [packed.tokens[i] for i in keep]
        prompts = packed.prompts[used : used + (tokens[0] <= PROMPT)]
        tokens = [token + used if token <= PROMPT else token for token in tokens]
        used += len(prompts)

        def moved(pairs, first=first, last=last):
            return [(place - first, target) for place, target in pairs if first <= place <= last]

        answers = [
            replace(
                answer,
                text=moved(answer.text),
                lead=moved(answer.lead),
                digits=moved(answer.digits),
                span=(answer.span[0] - first, answer.span[1] - first),
            )
            for answer in packed.answers
            if first <= answer.span[0] <= last
        ]
        parts.append(
            replace(
                packed,
                tokens=tokens,
                positions=[packed.positions[i] for i in keep],
                conversation=[0] * len(keep),
                answers=answers,
                word_targets=moved(packed.word_targets),
                prompts=prompts,
                example_pixels=packed.example_pixels if any(prompt.of_example for prompt in prompts) else None,
                tasks=[packed.tasks[number]],
                questions=1,
            )
        )
    return parts


def loss_of(model, sequences, config):
    return task_losses(model, collate_tasks(sequences, model.codec.base), config)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    model.zero_grad()
    return found


ALONE = [  # answer, recipe, and what of a sequence the whole loss is a mean over
    ("text", {}, lambda one: len(one.word_targets) + sum(len(answer.text) for answer in one.answers)),
    ("text", {"loss": "digits", "sigma": 0.03, "words": 0.0}, lambda one: len(one.answers)),
    ("text", {"loss": "digits", "words": 0.7, "tasks": TaskWeights(identify=1)}, lambda one: len(one.word_targets)),
    ("token", {"words": 0.0, "point": 3.0}, lambda one: len(one.answers)),
    ("token", {"words": 0.7, "point": 0.0}, lambda one: len(one.word_targets)),
]


@pytest.mark.parametrize(("answer", "recipe", "count"), ALONE)
def test_packed_conversations_cost_and_teach_what_they_do_alone(models, data, members, answer, recipe, count):
    model, config = models[answer], settings(**recipe)
    packed = sequence(model, data.objects[0], config, members, seed=3)
    assert packed.questions > 4 and (len(set(packed.tasks)) == 4 or "tasks" in recipe)
    together = loss_of(model, [packed], config)["loss"]
    alone = sum(loss_of(model, [part], config)["loss"] * count(part) / count(packed) for part in split(packed))
    assert together.item() == pytest.approx(alone.item(), abs=1e-4)
    ours, theirs = gradients(model, together), gradients(model, alone)
    assert ours.keys() == theirs.keys()
    for name, grad in ours.items():
        assert torch.allclose(grad, theirs[name], atol=2e-4, rtol=1e-3), name


def test_padding_company_and_others_examples_change_no_loss(models, data, members):
    model, config = models["text"], settings()
    sequences = [sequence(model, item, config, members) for item in data.objects[:4]]
    assert len({len(one.tokens) for one in sequences}) > 1
    assert sum(one.example_pixels is not None for one in sequences) > 1
    alone = [loss_of(model, [one], config)["loss"].item() for one in sequences]
    weights = [len(one.word_targets) + sum(len(a.text) for a in one.answers) for one in sequences]
    together = loss_of(model, sequences, config)["loss"].item()
    assert together == pytest.approx(np.average(alone, weights=weights), abs=1e-4)


@pytest.mark.parametrize("task", ["identify", "example", "text", "both"])
def test_the_text_loss_is_transformers_own_with_labels_on_the_answer(models, data, members, task):
    model, config = models["text"], settings(tasks=TaskWeights(**{task: 1}), pack=1, describe=0.0, noun=1.0)
    item = data.objects[0]
    packed = sequence(model, item, config, members)
    batch = collate_tasks([packed], model.codec.base)
    normalise = model.encoder.normalise
    table = model.language.get_input_embeddings()
    pieces = [model.prefix(normalise(batch.pixels))]
    plain = list(packed.tokens)
    if task != "text":
        assert plain.pop(0) == PROMPT and len(packed.prompts) == 1
        looked = batch.pixels if task == "identify" else batch.examples
        pieces.append(model.prompt_tokens(model.encoder(normalise(looked)), batch.prompts[None]))
    pieces.append(table(torch.tensor([plain])))
    embeddings = torch.cat(pieces, dim=1)
    question = model.form.of(task).prompt(item.category, _asked(model, item, packed, task), "removed")
    assert model.tokenizer.decode(plain).startswith("".join(segment.text for segment in question))
    labels = torch.full((1, embeddings.shape[1]), -100)
    start = embeddings.shape[1] - len(packed.tokens)
    for place, token in batch.text_targets[:, 1:].tolist():
        assert packed.tokens[place + 1] == token
        labels[0, start + place + 1] = token
    theirs = model.language(inputs_embeds=embeddings, labels=labels).loss.item()
    assert loss_of(model, [packed], config)["loss"].item() == pytest.approx(theirs, abs=1e-4)


def _asked(model, item, packed, task):
    """The keypoint that a single conversation is about, by the name in it."""
    text = model.tokenizer.decode([token for token in packed.tokens if token >= 0])
    names = [keypoint.name for keypoint in item.category.keypoints]
    return max((i for i, name in enumerate(names) if name in text), key=lambda i: len(names[i]))


@pytest.mark.parametrize("identify_first", [True, False])
def test_a_name_is_learnt_where_the_question_does_not_tell_it_and_stands_there_where_it_does(
    tmp_path, data, members, identify_first
):
    model = tiny.kptllm(tmp_path, identify_first=identify_first)
    item = data.objects[0]
    for task in ("identify", "example", "text", "both"):
        config = settings(tasks=TaskWeights(**{task: 1}), pack=1, describe=0.0)
        packed = sequence(model, item, config, members)
        name = item.category.keypoints[_asked(model, item, packed, task) if task != "example" or identify_first else 0]
        words = model.tokenizer.decode([token for _, token in packed.word_targets])
        point = model.tokenizer.decode([token for answer in packed.answers for _, token in answer.text])
        written = model.tokenizer.decode([token for token in packed.tokens if token >= 0])
        answer = written[written.index("ASSISTANT:") + len("ASSISTANT:") :]
        if task == "identify":
            assert (words, point) == (f" {name.name}</s>", "")
        else:
            assert point.startswith(" [") and point.endswith("]</s>")
            lead = f" {name.name}\n" if identify_first else ""
            assert answer == lead + point and words == (lead if task == "example" else "")


PARTS = {"encoder", "projection", "language", "extractor", "prompt_projection", "keypoint_token"}


@pytest.mark.parametrize("answer", ["text", "token"])
@pytest.mark.parametrize("task", ["identify", "example", "text", "both"])
def test_a_task_trains_all_that_it_uses_and_nothing_else(models, data, members, task, answer):
    model, config = models[answer], settings(tasks=TaskWeights(**{task: 1}))
    packed = sequence(model, data.objects[0], config, members)
    found = gradients(model, loss_of(model, [packed], config)["loss"])
    used = PARTS - ({"keypoint_token"} if answer == "text" or task == "identify" else set())
    used -= {"extractor", "prompt_projection"} if task == "text" else set()
    assert {name.split(".")[0] for name in found} == used
    beside = {name for name, _ in model.named_parameters() if name.split(".")[0] in used - {"encoder", "language"}}
    assert beside <= found.keys()


def test_token_answers_cost_their_l1_by_its_weight(models, data, members):
    model, config = models["token"], settings(tasks=TaskWeights(text=1), words=0.0, point=2.0)
    packed = sequence(model, data.objects[0], config, members)
    batch = collate_tasks([packed], model.codec.base)
    pixels = model.encoder.normalise(batch.pixels)
    hidden = model(pixels, batch.tokens, batch.mask, batch.positions)[0]
    distances = []
    for answer in packed.answers:
        x, y = model.keypoint_token(hidden[answer.span[0]]).tolist()
        distances.append(abs(x - answer.point[0]) + abs(y - answer.point[1]))
    parts = loss_of(model, [packed], config)
    assert parts["points"].item() == pytest.approx(2 * np.mean(distances), rel=1e-5)
    assert parts["loss"].item() == parts["points"].item()


def test_tasks_are_drawn_by_their_weights(models, data, members):
    weights = TaskWeights(identify=1, example=1, both=0.5, text=2.5)
    config, model = settings(tasks=weights, pack=99, augment=AugmentConfig(scale=0, rotation=0)), models["text"]
    counts = Counter()
    for seed in range(40):
        counts.update(sequence(model, data.objects[seed % len(data.objects)], config, members, seed).tasks)
    total = sum(counts.values())
    shares = {task: count / total for task, count in counts.items()}
    assert shares == pytest.approx({"identify": 0.2, "example": 0.2, "both": 0.1, "text": 0.5}, abs=0.06)


def test_every_keypoint_is_asked_about_as_often_as_told(models, data, members):
    item, plain = data.objects[0], AugmentConfig(scale=0, rotation=0)
    config = settings(tasks=TaskWeights(text=1), asks=3, pack=5, augment=plain)
    built = build_task_sequences(models["text"], item, config, np.random.default_rng(0), members)
    assert all(one.questions <= 5 for one in built)
    points = Counter(answer.point for one in built for answer in one.answers)
    assert set(points.values()) == {3} and len(points) == (item.visibility > 0).sum()


def test_only_what_the_example_shows_is_asked_for_by_it(models, data, members):
    model, item = models["text"], data.objects[0]
    other = next(one for one in members[item.category_id] if one is not item)
    points = other.points.copy()
    points[1:] = np.nan
    few = {item.category_id: [item, replace(other, points=points)]}
    plain = AugmentConfig(scale=0, rotation=0)
    shown = sequence(model, item, settings(tasks=TaskWeights(example=1), augment=plain), few)
    assert shown.tasks == ["example"]
    mixed = sequence(model, item, settings(tasks=TaskWeights(example=1e9, text=1), augment=plain), few)
    assert Counter(mixed.tasks) == {"example": 1, "text": mixed.questions - 1}
    none = {item.category_id: [item, replace(other, points=np.full_like(points, np.nan))]}
    config = settings(tasks=TaskWeights(example=1), augment=plain)
    assert build_task_sequences(model, item, config, np.random.default_rng(0), none) == []


def test_a_prompt_is_the_place_in_the_picture_that_it_is_of(models, data, members):
    model, item = models["text"], data.objects[0]
    config = settings(tasks=TaskWeights(identify=1, example=1), augment=AugmentConfig(scale=0, rotation=0))
    pair = members[item.category_id][:2]
    item, other = pair
    packed = sequence(model, item, config, {item.category_id: pair})
    for prompt, task in zip(packed.prompts, packed.tasks, strict=True):
        assert prompt.of_example == (task == "example")
        of = other if prompt.of_example else item
        x, y, w, h = of.box
        side = max(w, h)
        expected = (of.points - [x + w / 2 - side / 2, y + h / 2 - side / 2]) / side
        assert np.nanmin(np.abs(expected - prompt.point).sum(1)) < 1e-6


def test_made_up_objects_have_examples_of_their_own_kind_and_are_the_same_every_time(models):
    config = settings(sampling="balanced", steps=1, made_up=1.0)
    first, again = (sequence(models["text"], SyntheticSeeds(3, 4), config, {}, seed=5) for _ in range(2))
    assert first.example_pixels is not None and not np.array_equal(first.example_pixels, first.pixels)
    assert first.tokens == again.tokens and first.prompts == again.prompts
    assert np.array_equal(first.pixels, again.pixels) and np.array_equal(first.example_pixels, again.example_pixels)
