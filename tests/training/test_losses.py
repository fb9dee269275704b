"""The packed training pass against plain ones: one conversation at a time, and transformers' own loss."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.crops.augment import PLAIN, AugmentConfig
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.decoding import packed_forward
from anykeypoint.decoding.codec import CoordinateCodec
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import without_descriptions
from anykeypoint.training.generative.answer_losses import training_losses
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.generative_config import GuideConfig
from anykeypoint.training.generative.guidance import make_readers
from anykeypoint.training.generative.object_sampler import SyntheticSeeds
from anykeypoint.training.generative.sequence_batch import collate
from anykeypoint.training.generative.sequences import build_sequences
from anykeypoint.training.generative.targets import number_targets


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.capellm(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 6, seed=1, per_category=1), folder / "images").objects


def settings(**changes):
    return CapeLLMTrainConfig(**{"rounds": 2, "pack": 6, "precision": "fp32", **changes})


def sequence(model, item, config, seed=0, answered=True):
    return next(iter(build_sequences(model, item, config, np.random.default_rng(seed), answered)), None)


def test_a_model_with_released_crops_is_trained_on_the_crops_that_it_is_asked_on(tmp_path, objects):
    """The way of sampling is the model's. Without random changes the pixels of both are the same."""
    released, own = (tiny.capellm(tmp_path / str(flag), released_crop=flag) for flag in (True, False))
    config, item = settings(augment=PLAIN), objects[0]
    pixels = sequence(released, item, config).pixels
    assert np.array_equal(pixels, released.cut(item.image, item.box).pixels)
    assert not np.array_equal(pixels, sequence(own, item, config).pixels)


def split(packed):
    """The same sequence with one conversation each."""
    parts = []
    for number in sorted(set(packed.conversation)):
        keep = [i for i, owner in enumerate(packed.conversation) if owner == number]
        first = keep[0]
        answers = []
        for answer in packed.answers:
            if first <= answer.span[0] <= keep[-1]:

                def moved(pairs, by=first):
                    return [(place - by, target) for place, target in pairs]

                answers.append(
                    replace(
                        answer,
                        text=moved(answer.text),
                        lead=moved(answer.lead),
                        digits=moved(answer.digits),
                        span=(answer.span[0] - first, answer.span[1] - first),
                    )
                )
        parts.append(
            replace(
                packed,
                tokens=[packed.tokens[i] for i in keep],
                positions=[packed.positions[i] for i in keep],
                conversation=[0] * len(keep),
                answers=answers,
            )
        )
    return parts


@pytest.mark.parametrize("loss", ["text", "digits"])
def test_packed_conversations_cost_what_they_cost_alone(model, objects, loss):
    config = settings(loss=loss, sigma=0.0 if loss == "text" else 0.03)
    packed = sequence(model, objects[0], config)
    assert len(set(packed.conversation)) > 1
    together = training_losses(model, collate([packed], model.codec.base), config)["loss"]
    alone, weights = [], []
    for part in split(packed):
        alone.append(training_losses(model, collate([part], model.codec.base), config)["loss"].item())
        weights.append(sum(len(a.text) for a in part.answers) if loss == "text" else len(part.answers))
    assert together.item() == pytest.approx(np.average(alone, weights=weights), abs=1e-4)


def test_padding_and_company_change_no_loss(model, objects):
    config = settings(loss="digits", sigma=0.02)
    sequences = [sequence(model, item, config) for item in objects[:4]]
    assert len({len(e.tokens) for e in sequences}) > 1
    together = training_losses(model, collate(sequences, model.codec.base), config)["loss"].item()
    alone = [training_losses(model, collate([e], model.codec.base), config)["loss"].item() for e in sequences]
    assert together == pytest.approx(np.average(alone, weights=[len(e.answers) for e in sequences]), abs=1e-4)


def test_the_text_loss_is_transformers_own_with_labels_on_answers_only(model, objects):
    config = settings(rounds=3, pack=3, describe=0.5)
    packed = sequence(model, objects[1], config)
    batch = collate([packed], model.codec.base)
    ours = training_losses(model, batch, config)["loss"].item()
    prefix = model.prefix(model.encoder.normalise(batch.pixels))
    tokens = torch.tensor([packed.tokens])
    labels = torch.full((1, prefix.shape[1] + tokens.shape[1]), -100)
    for answer in packed.answers:
        for place, token in answer.text:
            assert packed.tokens[place + 1] == token
            labels[0, prefix.shape[1] + place + 1] = token
    embeddings = torch.cat([prefix, model.language.get_input_embeddings()(tokens)], dim=1)
    theirs = model.language(inputs_embeds=embeddings, labels=labels).loss.item()
    assert ours == pytest.approx(theirs, abs=1e-4)
    written = model.tokenizer.decode(packed.tokens)
    supervised = model.tokenizer.decode([t for t in labels[0].tolist() if t >= 0])
    assert supervised.count("[0.") + supervised.count("[1.") == 3 == written.count("Assistant:")
    assert "Where" not in supervised


def test_guidance_compares_the_heads_own_attention_with_a_gaussian(model, objects):
    config = settings(loss="digits", sigma=0.02, guide=GuideConfig(layers=(1,), groups=1, sigma=0.1))
    packed = sequence(model, objects[2], settings(rounds=1, pack=1, loss="digits", sigma=0.02))
    batch = collate([packed], model.codec.base)
    ours = training_losses(model, batch, config)["guide"].item()
    prefix = model.prefix(model.encoder.normalise(batch.pixels))
    embeddings = torch.cat([prefix, model.language.get_input_embeddings()(batch.tokens)], dim=1)
    model.language.set_attn_implementation("eager")
    try:
        attention = model.language(inputs_embeds=embeddings, output_attentions=True).attentions[1][0]
    finally:
        model.language.set_attn_implementation("sdpa")
    rows, columns = model.encoder.grid(model.config.vision.image_size)
    heads = model.language.config.num_attention_heads // model.language.config.num_key_value_heads
    start = prefix.shape[1] - rows * columns
    (answer,) = packed.answers
    costs = []
    for place in range(answer.span[0], answer.span[1] + 1):
        target = np.zeros((rows, columns))
        for row in range(rows):
            for column in range(columns):
                dx, dy = (column + 0.5) / columns - answer.point[0], (row + 0.5) / rows - answer.point[1]
                target[row, column] = np.exp(-(dx**2 + dy**2) / 2 / 0.1**2)
        target = target.ravel() / target.sum()
        for head in range(heads):
            look = attention[head, prefix.shape[1] + place, start : prefix.shape[1]].detach().double().numpy()
            costs.append(float((target * (np.log(target + 1e-30) - np.log(look))).sum()))
    assert ours == pytest.approx(np.mean(costs), rel=1e-3)


def test_guidance_alone_runs_no_layer_behind_the_guided_one(model, objects):
    config = settings(loss="digits", sigma=0.02, guide=GuideConfig(layers=(0,), alone=5))
    asked = sequence(model, objects[0], config, answered=False)
    assert "[" not in model.tokenizer.decode(asked.tokens).replace(" [image", "")
    calls = []
    hook = model.language.base_model.layers[1].register_forward_hook(lambda *args: calls.append(1))
    try:
        parts = training_losses(model, collate([asked], model.codec.base), config, answered=False)
    finally:
        hook.remove()
    assert not calls and set(parts) == {"loss", "guide"}
    assert len(model.language.base_model.layers) == 2


def test_reading_is_the_distance_of_points_read_off_the_states_behind_guided_layers(model, objects):
    config = settings(loss="digits", sigma=0.02, guide=GuideConfig(layers=(0, 1), read=2.0))
    packed = sequence(model, objects[0], config)
    batch = collate([packed], model.codec.base)
    readers = make_readers(model, config.guide)
    assert set(readers) == {"1", "2"} and not any(reader.weight.any() for reader in readers.values())
    torch.nn.init.normal_(readers["2"].weight, std=0.1, generator=torch.Generator().manual_seed(0))
    ours = training_losses(model, batch, config, readers=readers)["read"].item()
    prefix = model.prefix(model.encoder.normalise(batch.pixels))
    embeddings = torch.cat([prefix, model.language.get_input_embeddings()(batch.tokens)], dim=1)
    sees = torch.ones(embeddings.shape[1], embeddings.shape[1], dtype=torch.bool).tril()
    sees[prefix.shape[1] :, prefix.shape[1] :] = batch.mask[0]
    positions = torch.cat([torch.arange(prefix.shape[1]), batch.positions[0] + prefix.shape[1]])
    last = packed_forward(model.language, embeddings, sees[None], positions[None])[0]  # behind the final norm
    distances = {"1": [], "2": []}
    for answer in packed.answers:
        for place in range(answer.span[0], min(answer.span[1] + 1, len(packed.tokens))):
            for name, point in (("1", torch.tensor([0.5, 0.5])), ("2", readers["2"](last[prefix.shape[1] + place]))):
                distances[name].append((point - torch.tensor(answer.point)).abs().sum().item())
    assert ours == pytest.approx(2.0 * 10 * np.mean([np.mean(d) for d in distances.values()]), rel=1e-4)


def test_guidance_of_a_missing_layer_is_refused(model, objects):
    config = settings(loss="digits", guide=GuideConfig(layers=(7,)))
    with pytest.raises(InputError, match="layers 0 to 1"):
        training_losses(model, collate([sequence(model, objects[0], config)], model.codec.base), config)


@given(st.floats(0, 1), st.floats(0.005, 0.2), st.integers(0, 2**32), st.sampled_from(["digits", "triples"]))
def test_soft_targets_are_the_conditionals_of_a_cut_normal(value, sigma, seed, kind):
    codec = _codec(kind)
    soft = number_targets(codec, value, sigma, np.random.default_rng(seed))
    grid = np.arange(1001) / 1000
    normal = np.exp(-0.5 * ((grid - value) / sigma) ** 2)
    normal /= normal.sum()
    assert soft.lead[1].item() == pytest.approx(normal[1000], abs=1e-6)
    if soft.value == 1000:
        assert soft.digits == []
        return
    probability = soft.lead[0].item()
    for slot, index in zip(soft.digits, codec.digit_indices(soft.value), strict=True):
        assert slot.sum().item() == pytest.approx(1, abs=1e-5)
        probability *= slot[index].item()
    assert probability == pytest.approx(normal[soft.value], rel=1e-3, abs=1e-7)


def test_a_target_without_spread_is_the_rounded_value():
    soft = number_targets(_codec("digits"), 0.4567, 0.0, np.random.default_rng(0))
    assert soft.value == 457
    assert [slot.argmax().item() for slot in soft.digits] == [4, 5, 7]
    assert all(slot.max().item() == 1 for slot in soft.digits)


_CODECS = {}


def _codec(kind):
    if kind not in _CODECS:
        _CODECS[kind] = CoordinateCodec.learn(tiny.tokenizer(kind))
    return _CODECS[kind]


def test_a_flipped_picture_asks_with_left_and_right_exchanged(model, objects):
    item = next(o for o in objects if o.category.pairs and o.category.flips)
    plain = settings(rounds=1, pack=99, loss="digits", augment=AugmentConfig(scale=0, rotation=0))
    flipped = settings(rounds=1, pack=99, loss="digits", augment=AugmentConfig(scale=0, rotation=0, flip=1.0))
    answers = []
    for config in (plain, flipped):
        built = sequence(model, item, config)
        texts = {}
        for number, answer in enumerate(built.answers):
            owner = [i for i, c in enumerate(built.conversation) if c == number]
            texts[model.tokenizer.decode([built.tokens[i] for i in owner]).split(" of this")[0]] = answer.point
        answers.append(texts)
    for question, point in answers[0].items():
        swapped = " ".join({"left": "right", "right": "left"}.get(word, word) for word in question.split(" "))
        match = answers[1].get(swapped, answers[1].get(question))
        assert match is not None
        assert match[1] == pytest.approx(point[1], abs=1e-9)
        assert match[0] == pytest.approx(1 - point[0], abs=1e-9)


@pytest.mark.parametrize("loss", ["text", "digits"])
def test_a_point_written_as_one_and_one_can_be_trained_on(model, objects, loss):
    item = replace(objects[0], box=(0.0, 0.0, 100.0, 100.0), points=np.full_like(objects[0].points, 99.999))
    config = settings(loss=loss, augment=AugmentConfig(scale=0, rotation=0), guide=GuideConfig(layers=(1,)))
    packed = sequence(model, item, config)
    assert "[1.000,1.000" in model.tokenizer.decode(packed.tokens) or loss == "digits"
    assert torch.isfinite(training_losses(model, collate([packed], model.codec.base), config)["loss"])


def test_an_object_outside_its_crop_gives_no_sequence(model, objects):
    item = replace(objects[0], points=objects[0].points + 10_000)
    assert sequence(model, item, settings()) is None


def test_made_up_objects_are_the_same_every_time(model):
    config = settings(loss="digits", sampling="balanced", steps=1, made_up=1.0)
    first, again = (sequence(model, SyntheticSeeds(3, 4), config) for _ in range(2))
    assert first.tokens == again.tokens and np.array_equal(first.pixels, again.pixels)


def references(model, item, config, seeds):
    """For every question asked how it refers to a description."""
    found = []
    for seed in range(seeds):
        for built in build_sequences(model, item, config, np.random.default_rng(seed)):
            for question in model.tokenizer.decode(built.tokens).split("User:")[1:]:
                replaced = "Reference: There is no description to refer to.\nAssistant:" in question
                found.append("replaced" if replaced else "detailed" if "Reference:" in question else "removed")
    return [found.count(how) / len(found) for how in ("detailed", "removed", "replaced")]


def test_descriptions_are_left_out_and_replaced_as_often_as_told(model, objects):
    item = objects[0]
    described = tuple(replace(keypoint, description="Here.") for keypoint in item.category.keypoints)
    item = replace(item, category=replace(item.category, keypoints=described))
    assert references(model, item, settings(pack=99), 3) == [1, 0, 0]
    assert references(model, item, settings(pack=99, replace=1.0), 3) == [0, 0, 1]
    assert references(model, item, settings(pack=99, replace=1.0, describe=0.0), 3) == [0, 1, 0]
    mixed = references(model, item, settings(pack=99, replace=0.5, describe=0.6), 60)
    assert mixed == pytest.approx([0.3, 0.4, 0.3], abs=0.06)


def test_a_point_without_a_description_has_none_to_replace(model, objects):
    item = replace(objects[0], category=without_descriptions(objects[0].category))
    assert references(model, item, settings(replace=1.0), 2) == [0, 1, 0]


@pytest.mark.parametrize("grouping", ["dynamic", "locllm"])
def test_conversations_hold_the_groups_of_the_recipe(model, objects, grouping):
    config = settings(grouping=grouping, rounds=3, pack=64, augment=AugmentConfig(scale=0, rotation=0))
    shapes = set()
    for seed in range(8):
        built = sequence(model, objects[0], config, seed)
        owners = [built.conversation[answer.span[0]] for answer in built.answers]
        shapes.add(tuple(owners.count(number) for number in sorted(set(owners))))
        assert len({answer.point for answer in built.answers}) == len(built.answers)
    if grouping == "locllm":
        assert shapes == {(3,)}
    else:
        count = len(sequence(model, objects[0], settings(rounds=1, pack=64, augment=config.augment)).answers)
        assert len(shapes) > 2 and {sum(shape) for shape in shapes} == {count}
