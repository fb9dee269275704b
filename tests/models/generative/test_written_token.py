"""<KEYPOINT> as a word that the model writes itself and learns to write, and the confidence of such answers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from anykeypoint.category import Category, Keypoint
from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.example import Example
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.generative import keypoint_token
from anykeypoint.models.generative.capellm import CapeLLM, CapeLLMConfig
from anykeypoint.models.generative.keypoint_token import KEYPOINT
from anykeypoint.models.generative.kptllm_config import KptLLMConfig
from anykeypoint.training.generative.answer_losses import training_losses
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.capellm_trainer import train
from anykeypoint.training.generative.sequence_batch import collate
from anykeypoint.training.generative.sequences import build_sequences

POINTS = (Keypoint("left ear tip", "The highest one."), Keypoint("nose"), Keypoint("tail tip", "Its end."))
CATEGORY = Category("cat", POINTS, noun="cat")
CONFIG = CapeLLMTrainConfig(rounds=2, pack=4, precision="fp32")
WRITTEN = {"answer": "token", "keypoint_token": "written"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 4, seed=1, per_category=1), folder / "images").objects


def plain_states(model, pixels, tokens):
    """Final hidden states of a whole sequence behind a picture, by a pass of its own: T D."""
    prefix = model.prefix(model.encoder.normalise(torch.tensor(pixels)[None]))
    whole = torch.cat([prefix, model.embed(torch.tensor([tokens]))], dim=1)
    return model.language.base_model(inputs_embeds=whole).last_hidden_state[0, prefix.shape[1] :]


def plainly_written(model, pixels, question, stops=()):
    """The point and the token's probability by plain generation, the whole sequence anew for every token."""
    asked, token = list(question), model.keypoint_token
    with torch.no_grad():
        for _ in range(keypoint_token.LIMIT):
            state = plain_states(model, pixels, asked)[-1]
            logits = [*model.language.get_output_embeddings()(state).tolist(), float(state @ token.output)]
            share = torch.tensor(logits).softmax(-1)
            best = int(share.argmax())
            if best == len(logits) - 1:
                state = plain_states(model, pixels, [*asked, KEYPOINT])[-1]
                return token(state).tolist(), float(share[-1])
            if best in stops:
                break
            asked.append(best)
    return [math.nan] * 2, math.nan


def swayed(model, share=0.0):
    """A model whose token is likelier or less likely than a random one's: its output vector is turned to the states."""
    with torch.no_grad():
        states = plain_states(model, tiny.picture(), model.questions(CATEGORY)[0])
        model.keypoint_token.output += share * states[-1]
    return model


# --- asking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "points"), [(-2.0, 2), (0.15, 0), (3.0, 3)])
def test_the_token_is_written_as_plain_generation_writes_it(place, share, points, monkeypatch):
    monkeypatch.setattr(keypoint_token, "LIMIT", 5)
    model, pixels = swayed(tiny.capellm(place, **WRITTEN), share), tiny.picture()
    pose = model.predict(pixels, CATEGORY)
    stops = model.stops(model.instruction)
    expected = [plainly_written(model, pixels, question, stops) for question in model.questions(CATEGORY)]
    np.testing.assert_allclose(pose.xy / 42, [point for point, _ in expected], atol=1e-5)
    np.testing.assert_allclose(pose.confidence, [chance for _, chance in expected], atol=1e-5)
    assert pose.present.sum() == points  # random weights seldom write the token, and then behind other tokens
    assert np.array_equal(np.isfinite(pose.confidence), pose.present)


def test_an_answer_that_ends_without_the_token_has_no_point(place, monkeypatch):
    """The likeliest token ends the answer: nothing is written behind it, however likely the token is there."""
    model, pixels = swayed(tiny.capellm(place, **WRITTEN), 3.0), tiny.picture()
    token = model.keypoint_token
    found = token.locate(model.language, model.encode(pixels).prefix, model.questions(CATEGORY))
    assert found.points.isfinite().all()
    ends = model.tokenizer.eos_token_id
    with torch.no_grad():
        table = model.language.get_output_embeddings().weight
        table[ends] = 2 * token.output
    stopped = token.locate(model.language, model.encode(pixels).prefix, model.questions(CATEGORY), stops={ends})
    assert stopped.points.isnan().all() and stopped.confidence.isnan().all()


def test_neither_company_nor_order_matters(place, monkeypatch):
    monkeypatch.setattr(keypoint_token, "LIMIT", 5)
    view = swayed(tiny.capellm(place, **WRITTEN), -2.0).encode(tiny.picture())
    together = view.predict(CATEGORY)
    turned = view.predict(replace(CATEGORY, keypoints=POINTS[::-1]))
    np.testing.assert_allclose(turned.xy[::-1], together.xy, atol=1e-4)
    np.testing.assert_allclose(turned.confidence[::-1], together.confidence, atol=1e-5)


def test_a_token_that_is_given_has_neither_an_output_vector_nor_a_confidence(place):
    model = tiny.capellm(place, answer="token")
    assert {name for name, _ in model.keypoint_token.named_parameters()} == {
        "embedding",
        *(f"decoder.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias")),
    }
    assert np.isnan(model.predict(tiny.picture(), CATEGORY).confidence).all() and not model.writes_token


@pytest.mark.parametrize("written", ["given", "written"])
def test_a_spread_gives_the_confidence_and_moves_no_point(place, written):
    options = {"answer": "token", "keypoint_token": written}
    plain, model = swayed_to(tiny.capellm(place, **options)), swayed_to(tiny.capellm(place, spread=True, **options))
    model.keypoint_token.load_state_dict(plain.keypoint_token.state_dict(), strict=False)
    pose, pixels = model.predict(tiny.picture(), CATEGORY), tiny.picture()
    np.testing.assert_array_equal(pose.xy, plain.predict(pixels, CATEGORY).xy)
    question = model.questions(CATEGORY)[1]
    with torch.no_grad():
        state = plain_states(model, pixels, [*question, KEYPOINT])[-1]
        linear = model.keypoint_token.spread
        scales = torch.nn.functional.softplus(state @ linear.weight.T + linear.bias) + 0.001
    # The mass of a Laplace distribution within a tenth of its centre, in x and in y.
    expected = np.prod(1 - np.exp(-0.1 / scales.numpy()))
    assert pose.confidence[1] == pytest.approx(expected, abs=1e-5)
    assert ((pose.confidence > 0) & (pose.confidence < 1)).all() and len(set(pose.confidence)) == len(CATEGORY)


def swayed_to(model):
    return swayed(model, 3.0) if model.writes_token else model


def test_kptllm_writes_the_token_behind_the_name(place):
    options = {"answer": "token", "keypoint_token": "written"}
    model = tiny.kptllm(place, **options)
    pixels = tiny.picture()
    name = [*model.name_tokens("nose"), *model.tokenize([model.form.between])[0]]
    with torch.no_grad():
        state = plain_states(model, pixels, [*model.question("text", CATEGORY, 1), *name])[-1]
        model.keypoint_token.output += 3 * state
        state = plain_states(model, pixels, [*model.question("text", CATEGORY, 1), *name, KEYPOINT])[-1]
        point = model.keypoint_token(state).tolist()
    pose = model.predict(pixels, CATEGORY)
    np.testing.assert_allclose(pose.xy[1] / 42, point, atol=1e-5)
    assert 0.5 < pose.confidence[1] <= 1
    shown = [Example(tiny.picture(60, 40, seed), np.array([[9.0, 9], [20, 20], [30, 30]])) for seed in (1, 2)]
    mixed = model.predict(pixels, CATEGORY, example=shown)
    single = [model.predict(pixels, CATEGORY, example=one) for one in shown]
    for row in np.flatnonzero(mixed.present):
        with np.errstate(all="ignore"):
            assert mixed.xy[row] == pytest.approx(np.nanmean([pose.xy[row] for pose in single], axis=0), abs=1e-4)
    assert mixed.present.any()


@pytest.mark.parametrize("kind", [CapeLLMConfig, KptLLMConfig])
def test_the_options_of_the_token_are_for_models_that_answer_with_it(kind):
    for options in ({"keypoint_token": "written"}, {"spread": True}):
        with pytest.raises(InputError, match="are for the answer 'token'; leave them out"):
            kind(**options)
    with pytest.raises(InputError, match="keypoint_token must be one of given, written, but got 'drawn'"):
        kind(answer="token", keypoint_token="drawn")


# --- training ------------------------------------------------------------------------------------------------------


def sequence(model, item, config=CONFIG):
    return build_sequences(model, item, config, np.random.default_rng(0))[0]


def test_the_token_and_what_ends_it_are_learnt_beside_the_distance(place, objects):
    model = tiny.capellm(place, **WRITTEN)
    built = sequence(model, objects[0])
    at = np.flatnonzero(np.array(built.tokens) == KEYPOINT).tolist()
    ending = model.tokenize(["</s>"])[0]
    assert [answer.text for answer in built.answers] == [[(i - 1, KEYPOINT), (i, *ending)] for i in at]
    batch = collate([built], model.codec.base)
    found = training_losses(model, batch, CONFIG)["answers"].item()
    distances, costs = [], []
    for number in range(len(set(built.conversation))):
        here = [i for i, owner in enumerate(built.conversation) if owner == number]
        states = plain_states(model, built.pixels, [built.tokens[i] for i in here])
        logits = torch.cat(
            [model.language.get_output_embeddings()(states), states @ model.keypoint_token.output[:, None]], 1
        )
        logs = logits.log_softmax(-1)
        for answer in built.answers:
            if answer.span[0] in here:
                place_of = answer.span[0] - here[0]
                point = model.keypoint_token(states[place_of])
                distances.append((point - torch.tensor(answer.point)).abs().sum().item())
                costs += [-logs[place_of - 1, -1].item(), -logs[place_of, ending[0]].item()]
    assert found == pytest.approx(np.mean(distances) + np.mean(costs), abs=1e-4)


def test_the_spread_learns_alone(place, objects):
    model = tiny.capellm(place, "lora", answer="token", spread=True)
    batch = collate([sequence(model, objects[0])], model.codec.base)
    parts = training_losses(model, batch, CONFIG)
    assert set(parts) == {"loss", "answers", "spread"}
    with_spread = gradients(model, parts["loss"])
    linear, model.keypoint_token.spread = model.keypoint_token.spread, None
    without = gradients(model, training_losses(model, batch, CONFIG)["loss"])
    model.keypoint_token.spread = linear
    assert {name for name in with_spread if name not in without} == {
        "keypoint_token.spread.weight",
        "keypoint_token.spread.bias",
    }
    assert all(torch.equal(with_spread[name], grad) for name, grad in without.items())


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


def test_training_teaches_to_write_the_token_and_a_saved_model_answers_alike(place, objects, tmp_path):
    model = tiny.capellm(place, "lora", **WRITTEN, spread=True)
    before = {name: p.clone() for name, p in model.named_parameters()}
    asked = objects[0].category
    image, box = objects[0].image, objects[0].box
    unskilled = model.predict(image, asked, box=box).present
    config = CapeLLMTrainConfig(
        rounds=1,
        pack=8,
        precision="fp32",
        sampling="balanced",
        steps=30,
        accumulate=1,
        lr=3e-2,
        save_every=100,
        augment=AugmentConfig(scale=0, rotation=0),
    )
    losses = []
    train(model, objects[:1], config, tmp_path / "run", on_step=lambda step, figures: losses.append(dict(figures)))
    assert {"answers", "spread"} <= losses[0].keys()
    skilled = model.predict(image, asked, box=box)
    assert skilled.present.all() and not unskilled.all() and np.isfinite(skilled.confidence).all()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert {"keypoint_token.embedding", "keypoint_token.output", "keypoint_token.spread.weight"} <= changed
    assert not any("embed_tokens" in name or "lm_head" in name for name in changed)
    again = CapeLLM.from_pretrained(tmp_path / "run" / "model")
    assert again.config == model.config
    assert np.array_equal(again.predict(image, asked, box=box).xy, skilled.xy)
