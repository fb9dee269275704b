"""KptLLM's training: packed conversations of four tasks against plain ones, what each task trains, and the loop."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
import yaml

from anykeypoint.commands.train import KPTLLM, family_of
from anykeypoint.commands.train import run as train_verb
from anykeypoint.data.augment import AugmentConfig
from anykeypoint.data.coco import read_coco
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.models.generative.folder import changed_tensors
from anykeypoint.models.generative.kptllm import PROMPT
from anykeypoint.models.loading import from_folder
from anykeypoint.training.config import GuideConfig, from_mapping, to_mapping
from anykeypoint.training.kptllm import KptCourse, from_capellm, task_loss, train
from anykeypoint.training.kptllm_config import KptTrainConfig, TaskWeights
from anykeypoint.training.sequences import MadeUp
from anykeypoint.training.tasks import build_task_sequences, collate_tasks

ALL = TaskWeights(identify=1, example=1, text=1, both=1)


def settings(**changes):
    plain = AugmentConfig(scale=0.1, rotation=10)
    return KptTrainConfig(**{"tasks": ALL, "pack": 8, "precision": "fp32", "augment": plain, **changes})


RUN = settings(
    loss="digits",
    sigma=0.03,
    sampling="balanced",
    made_up=0.3,
    steps=4,
    batch=2,
    lr=1e-3,
    prompt_lr=3e-3,
    ema=0.9,
    save_every=2,
    guide=GuideConfig(layers=(1,), read=0.5),
)


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


@pytest.fixture(scope="module")
def members(data):
    found = {}
    for item in data.objects:
        found.setdefault(item.category_id, []).append(item)
    return found


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
                places=[packed.places[i] for i in keep],
                conversation=[0] * len(keep),
                answers=answers,
                words=moved(packed.words),
                prompts=prompts,
                shown=packed.shown if any(prompt.of_example for prompt in prompts) else None,
                tasks=[packed.tasks[number]],
                questions=1,
            )
        )
    return parts


def loss_of(model, sequences, config):
    return task_loss(model, collate_tasks(sequences, model.codec.base), config)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    model.zero_grad()
    return found


ALONE = [  # answer, recipe, and what of a sequence the whole loss is a mean over
    ("text", {}, lambda one: len(one.words) + sum(len(answer.text) for answer in one.answers)),
    ("text", {"loss": "digits", "sigma": 0.03, "words": 0.0}, lambda one: len(one.answers)),
    ("text", {"loss": "digits", "words": 0.7, "tasks": TaskWeights(identify=1)}, lambda one: len(one.words)),
    ("token", {"words": 0.0, "point": 3.0}, lambda one: len(one.answers)),
    ("token", {"words": 0.7, "point": 0.0}, lambda one: len(one.words)),
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
    assert sum(one.shown is not None for one in sequences) > 1
    alone = [loss_of(model, [one], config)["loss"].item() for one in sequences]
    weights = [len(one.words) + sum(len(a.text) for a in one.answers) for one in sequences]
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
        looked = batch.pixels if task == "identify" else batch.shown
        pieces.append(model.prompt_tokens(model.encoder(normalise(looked)), batch.prompts[None]))
    pieces.append(table(torch.tensor([plain])))
    embeddings = torch.cat(pieces, dim=1)
    question = model.form.of(task).prompt(item.category, _asked(model, item, packed, task), "removed")
    assert model.tokenizer.decode(plain).startswith("".join(segment.text for segment in question))
    labels = torch.full((1, embeddings.shape[1]), -100)
    start = embeddings.shape[1] - len(packed.tokens)
    for place, token in batch.text[:, 1:].tolist():
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
        words = model.tokenizer.decode([token for _, token in packed.words])
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
    hidden = model(pixels, batch.tokens, batch.sees, batch.positions)[0]
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
    first, again = (sequence(models["text"], MadeUp(3, 4), config, {}, seed=5) for _ in range(2))
    assert first.shown is not None and not np.array_equal(first.shown, first.pixels)
    assert first.tokens == again.tokens and first.prompts == again.prompts
    assert np.array_equal(first.pixels, again.pixels) and np.array_equal(first.shown, again.shown)


def test_a_category_of_one_object_gets_the_tasks_without_examples_and_it_is_said(tmp_path, data, members, capsys):
    single = data.objects[0]
    few = replace(data, objects=[single, *[one for one in data.objects if one.category_id != single.category_id]])
    model = tiny.kptllm(tmp_path / "base", "lora")
    course = KptCourse(model, few, settings())
    tasks = [task for seed in range(9) for task in course.built(single, np.random.default_rng(seed))[0].tasks]
    assert set(tasks) == {"identify", "text"}
    train(model, few, RUN, tmp_path / "out", stop_after=1)
    assert f"a single object and no example: {single.category.name}" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"needs an example, but .* has a single object"):
        KptCourse(model, few, settings(tasks=TaskWeights(example=1, both=1)))


# --- the loop ---------------------------------------------------------------------------------------------------------


def run(folder, data, out, config=RUN, tuning="lora", **options):
    """A run of a new model: the model, and each step's figures but its speed."""
    model, figures = tiny.kptllm(folder / "base", tuning), []
    train(model, data, config, out, on_step=lambda step, found: figures.append(dict(found)), **options)
    for found in figures:
        found.pop("crops_per_second", None)
    return model, figures


def test_a_resumed_run_ends_where_the_whole_one_does_to_the_bit(tmp_path, data):
    whole, figures = run(tmp_path, data, tmp_path / "whole")
    _, first = run(tmp_path, data, tmp_path / "parts", stop_after=3)  # its last checkpoint is of step 2
    resumed, rest = run(tmp_path, data, tmp_path / "parts")
    assert first == figures[:3] and rest == figures[2:]
    for (name, a), b in zip(changed_tensors(whole).items(), changed_tensors(resumed).values(), strict=True):
        assert torch.equal(a, b), name
    assert set(figures[0]) >= {"loss", "points", "words", "guide", "read"}


def test_a_seed_decides_everything(tmp_path, data):
    _, first = run(tmp_path, data, tmp_path / "a", stop_after=1)
    _, again = run(tmp_path, data, tmp_path / "b", stop_after=1)
    _, other = run(tmp_path, data, tmp_path / "c", replace(RUN, seed=7), stop_after=1)
    assert first == again != other


def test_a_frozen_tower_stays_and_what_is_beside_it_moves_by_its_own_rate(tmp_path, data):
    model = tiny.kptllm(tmp_path / "base")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    course = KptCourse(model, data, RUN)
    sizes = {group["lr"]: sum(p.numel() for p in group["params"]) for group in course.groups()}
    prompts = sum(p.numel() for part in (model.extractor, model.prompt_projection) for p in part.parameters())
    assert sizes == {1e-3: sum(p.numel() for p in model.projection.parameters()), 3e-3: prompts}
    train(model, data, RUN, tmp_path / "out", stop_after=2)
    moved = {name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(before[name], p)}
    assert moved == {"projection", "extractor", "prompt_projection"}


def test_training_lowers_the_loss_on_what_it_sees(tmp_path, data):
    config = replace(RUN, steps=16, made_up=0.0, lr=3e-2, prompt_lr=0.0, ema=0.0, save_every=99, guide=GuideConfig())
    few = replace(data, objects=[one for one in data.objects if one.category_id == data.objects[0].category_id])
    _, figures = run(tmp_path, few, tmp_path / "out", config)
    losses = [found["loss"] for found in figures]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


@pytest.mark.parametrize(("answer", "preset"), [("text", {}), ("token", {"answer": "token"})])
def test_the_verb_trains_a_model_from_its_yaml_and_goes_on_from_its_folder(tmp_path, data, answer, preset):
    described = json.loads(json.dumps(tiny.kptllm(tmp_path / "base", "lora", **preset).config.to_dict(), default=str))
    recipe = {"tasks": {"text": 1, "example": 1}, "batch": 2, "steps": 1, "sampling": "balanced", "precision": "fp32"}
    model_file, recipe_file = tmp_path / "m.yaml", tmp_path / "r.yaml"
    model_file.write_text(yaml.safe_dump({"preset": "kptllm++", **described}))
    recipe_file.write_text(yaml.safe_dump(recipe))
    write_dataset(tmp_path / "data", 4, seed=3, per_category=2)
    spec, images = f"coco:{next((tmp_path / 'data').glob('*.json'))}", tmp_path / "data" / "images"
    options = {"model": model_file, "start": None, "recipe": recipe_file, "allow_missing": False}
    train_verb(spec, images, tmp_path / "one", **options)
    options |= {"model": None, "start": str(tmp_path / "one" / "model")}
    train_verb(spec, images, tmp_path / "two", **options)
    first, second = (changed_tensors(from_folder(tmp_path / out / "model")) for out in ("one", "two"))
    assert first.keys() == second.keys() and any(not torch.equal(first[name], second[name]) for name in first)


# --- from a CapeLLM ---------------------------------------------------------------------------------------------------


def test_a_model_from_a_capellm_has_its_towers_and_projection_and_new_prompt_tokens(tmp_path):
    source = tiny.capellm(tmp_path / "base", "lora")
    config = tiny.kptllm(tmp_path / "base", "lora").config
    model = from_capellm(config, source, seed=1)
    kept = changed_tensors(source)
    found = changed_tensors(model)
    assert all(torch.equal(found[name], tensor) for name, tensor in kept.items())
    assert {name.split(".")[0] for name in found.keys() - kept.keys()} == {"extractor", "prompt_projection"}
    again, other = (changed_tensors(from_capellm(config, source, seed=seed)) for seed in (1, 2))
    assert torch.equal(found["prompt_projection.weight"], again["prompt_projection.weight"])
    assert not torch.equal(found["prompt_projection.weight"], other["prompt_projection.weight"])


def test_a_capellm_of_other_towers_is_no_start(tmp_path):
    source = tiny.capellm(tmp_path / "base", "lora")
    config = tiny.kptllm(tmp_path / "base", "lora").config
    with pytest.raises(InputError, match="has its vision"):
        from_capellm(replace(config, vision=replace(config.vision, image_size=56)), source)
    with pytest.raises(InputError, match="projector is 'mlp'"):
        from_capellm(replace(config, projector="mlp"), source)


def test_the_verb_starts_a_new_model_from_a_saved_capellm_and_no_other_from_another(tmp_path):
    source = tiny.capellm(tmp_path / "base", "lora")
    source.save_pretrained(tmp_path / "cape")
    described = json.loads(json.dumps(tiny.kptllm(tmp_path / "base", "lora").config.to_dict(), default=str))
    recipe = {"tasks": {"text": 1}, "batch": 1, "steps": 1, "sampling": "balanced", "precision": "fp32", "lr": 1e-9}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump({"model": described, "recipe": recipe}))
    write_dataset(tmp_path / "data", 2, seed=3)
    spec, images = f"coco:{next((tmp_path / 'data').glob('*.json'))}", tmp_path / "data" / "images"
    options = {"model": tmp_path / "m.yaml", "start": str(tmp_path / "cape"), "recipe": None, "allow_missing": False}
    train_verb(spec, images, tmp_path / "out", **options)
    found = changed_tensors(from_folder(tmp_path / "out" / "model"))
    for name, tensor in changed_tensors(source).items():
        assert torch.allclose(found[name], tensor, atol=1e-6), name
    with pytest.raises(InputError, match="not both"):
        train_verb(spec, images, tmp_path / "x", **(options | {"start": str(tmp_path / "out" / "model")}))
    (tmp_path / "m.yaml").write_text("{instruction: brief}")
    with pytest.raises(InputError, match="not both"):
        train_verb(spec, images, tmp_path / "x", **options)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tasks": {"locate": 1}}, "unknown key 'locate'; known are identify, example, text, both"),
        ({"tasks": {"text": 0}}, "No task has a weight"),
        ({"tasks": {"text": -1}}, "task text must be finite and 0 or more"),
        ({"asks": 0}, "asks must be at least 1"),
        ({"grouping": "fixed"}, "unknown key 'grouping'"),
        ({"point": -1}, "point must be finite and 0 or more"),
        ({"sampling": "balanced"}, "say how many optimiser steps"),
        ({"made_up": 0.5}, "needs sampling 'balanced'"),
        ({"sigma": 0.1}, "needs loss 'digits'"),
        ({"guide": {"layers": [1], "alone": 3}}, "start from a CapeLLM"),
        ({"shard": True, "guide": {"layers": [1]}}, "use one of them only"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_by_name(settings, words):
    with pytest.raises(InputError, match=words):
        from_mapping(KptTrainConfig, settings, "recipe")


def test_digits_of_a_model_that_writes_none_are_refused(models, data):
    with pytest.raises(InputError, match="use the loss 'text'"):
        KptCourse(models["token"], data, settings(loss="digits"))


def test_a_recipe_survives_being_written_down_and_a_task_that_is_not_named_is_off():
    assert from_mapping(KptTrainConfig, to_mapping(RUN), "recipe") == RUN
    assert from_mapping(KptTrainConfig, {"tasks": {"text": 1}}, "recipe").tasks == TaskWeights(text=1)


def test_a_yaml_with_a_key_of_kptllms_alone_describes_one():
    assert family_of({"preset": "kptllm"}, "m.yaml") is KPTLLM
    assert family_of({"vision": {}, "identify_first": False}, "m.yaml") is KPTLLM
