"""The <KEYPOINT> answer: one packed pass against plain ones, training, and what it cannot say."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from anykeypoint.category import Category, Keypoint
from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.decoding import branches
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.instructions import instruction
from anykeypoint.models.generative.capellm import CapeLLM, CapeLLMConfig
from anykeypoint.models.generative.keypoint_token import KEYPOINT
from anykeypoint.training.generative.answer_losses import training_losses
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.capellm_trainer import train
from anykeypoint.training.generative.generative_config import GuideConfig
from anykeypoint.training.generative.sequence_batch import collate
from anykeypoint.training.generative.sequences import build_sequences

POINTS = (Keypoint("left ear tip", "The highest one."), Keypoint("nose"), Keypoint("tail tip", "Its end."))
CATEGORY = Category("cat", POINTS, noun="cat")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def model(place):
    return tiny.capellm(place, answer="token")


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 4, seed=1, per_category=1), folder / "images").objects


def slow(model, pixels, question) -> np.ndarray:
    """The point of one question by a plain pass over the whole sequence."""
    with torch.no_grad():
        prefix = model.prefix(model.encoder.normalise(torch.from_numpy(pixels)[None]))
        asked = model.language.get_input_embeddings()(torch.tensor([question]))
        token = model.keypoint_token
        whole = torch.cat([prefix, asked, token.embedding[None, None]], dim=1)
        state = model.language.base_model(inputs_embeds=whole).last_hidden_state[0, -1]
        hidden = torch.nn.functional.gelu(state @ token.decoder[0].weight.T + token.decoder[0].bias)
        return torch.sigmoid(hidden @ token.decoder[2].weight.T + token.decoder[2].bias).numpy()


# --- asking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["base", "step_by_step", "locllm"])
def test_all_points_come_out_of_one_pass_as_out_of_plain_ones(place, form, monkeypatch):
    model = tiny.capellm(place, answer="token", instruction=form)
    pixels, passes = tiny.picture(), []
    view = model.encode(pixels)
    forward = branches.packed_forward
    monkeypatch.setattr(branches, "packed_forward", lambda *a: passes.append(1) or forward(*a))
    pose = view.predict(CATEGORY)
    assert len(passes) == 1 and np.isnan(pose.confidence).all() and pose.present.all()
    expected = [slow(model, pixels, question) for question in model.questions(CATEGORY)]
    np.testing.assert_allclose(pose.xy / 42, expected, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 1e-3  # the questions matter


def test_neither_company_nor_order_nor_the_size_of_a_pass_matters(model, monkeypatch):
    view = model.encode(tiny.picture())
    together = view.predict(CATEGORY).xy
    np.testing.assert_allclose(view.predict(replace(CATEGORY, keypoints=POINTS[::-1])).xy, together[::-1], atol=1e-4)
    alone = [view.predict(replace(CATEGORY, keypoints=(point,))).xy[0] for point in POINTS]
    np.testing.assert_allclose(alone, together, atol=1e-4)
    monkeypatch.setattr(branches, "PACKED", 1)  # each question in a pass of its own
    np.testing.assert_allclose(view.predict(CATEGORY).xy, together, atol=1e-4)


def test_a_token_has_no_distribution(model):
    for options in ({"strategy": "greedy"}, {"density": True}):
        with pytest.raises(InputError, match="answers with <KEYPOINT>, not digits"):
            model.predict(tiny.picture(), CATEGORY, **options)
    with pytest.raises(InputError, match="has no distribution of places"):
        model.encode(tiny.picture()).draw_points(CATEGORY, [0])


def test_the_config_knows_two_answers(model):
    with pytest.raises(InputError, match="one of text, token, but got 'digits'"):
        CapeLLMConfig(answer="digits")
    with pytest.raises(InputError, match="no strategy, but got 'mode'"):
        CapeLLMConfig(answer="token", strategy="mode")
    with pytest.raises(InputError, match="is a place, but this model's instruction form asks for words"):
        CapeLLMConfig(answer="token", instruction="direct_qa")
    assert CapeLLMConfig.from_dict(model.config.to_dict()) == model.config and CapeLLMConfig().answer == "text"


def test_the_vocabulary_stays_and_the_new_token_starts_as_its_mean(place):
    fresh, plain = tiny.capellm(place, answer="token").untrained(), tiny.capellm(place)
    table = fresh.language.get_input_embeddings().weight
    assert torch.equal(table, plain.language.get_input_embeddings().weight)
    torch.testing.assert_close(fresh.keypoint_token.embedding, table.mean(0))
    assert plain.keypoint_token is None
    ids = torch.tensor([[3, KEYPOINT, 4]])
    embedded = fresh.embed(ids)[0]
    assert torch.equal(embedded[[0, 2]], table[[3, 4]]) and torch.equal(embedded[1], fresh.keypoint_token.embedding)


# --- training ------------------------------------------------------------------------------------------------------

CONFIG = CapeLLMTrainConfig(rounds=2, pack=4, precision="fp32")


def sequence(model, item, config=CONFIG, **options):
    sequence, *_ = build_sequences(model, item, config, np.random.default_rng(0), **options)
    return sequence


@pytest.mark.parametrize("form", ["base", "step_by_step"])
def test_the_loss_is_the_distance_of_the_points_and_the_words_beside_them(place, objects, form):
    model = tiny.capellm(place, answer="token", instruction=form)
    built = sequence(model, objects[0])
    tokens = np.array(built.tokens)
    assert [answer.span[0] for answer in built.answers] == np.flatnonzero(tokens == KEYPOINT).tolist()
    assert not any(answer.text for answer in built.answers)  # neither the token nor what ends it is to be learnt
    learnt = model.tokenizer.decode([token for _, token in built.word_targets])
    rounds = len(set(built.conversation))
    noun = objects[0].category.noun
    words = f" The object that this image is trying to express seems to be a {noun}.</s>"
    assert learnt == (words * rounds if form == "step_by_step" else "")
    found = training_losses(model, collate([built], model.codec.base), CONFIG)["answers"].item()
    # The same by hand, one conversation at a time.
    pixels = torch.tensor(built.pixels)[None]
    prefix = model.prefix(model.encoder.normalise(pixels))
    distances, costs = [], []
    for number in range(rounds):
        here = [i for i, owner in enumerate(built.conversation) if owner == number]
        embedded = model.embed(torch.tensor([[built.tokens[i] for i in here]]))
        whole = torch.cat([prefix, embedded], dim=1)
        states = model.language.base_model(inputs_embeds=whole).last_hidden_state[0, prefix.shape[1] :]
        for answer in built.answers:
            if answer.span[0] in here:
                point = model.keypoint_token(states[answer.span[0] - here[0]])
                distances.append((point - torch.tensor(answer.point)).abs().sum().item())
        logits = model.language.get_output_embeddings()(states).log_softmax(-1)
        costs += [-logits[i - here[0], token].item() for i, token in built.word_targets if i in here]
    expected = np.mean(distances) + (np.mean(costs) if costs else 0)
    assert found == pytest.approx(expected, abs=1e-4)


def test_training_brings_the_points_closer_and_a_saved_model_answers_alike(place, objects, tmp_path):
    model = tiny.capellm(place, "lora", answer="token")
    before = {name: p.clone() for name, p in model.named_parameters()}
    still = AugmentConfig(scale=0, rotation=0)
    config = CapeLLMTrainConfig(
        rounds=1, pack=8, precision="fp32", sampling="balanced", steps=20, accumulate=1, lr=1e-2
    )
    config = replace(config, accumulate=1, lr=1e-2, save_every=100, augment=still)
    losses = []
    train(model, objects[:1], config, tmp_path / "run", on_step=lambda step, figures: losses.append(figures["answers"]))
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert {"keypoint_token.embedding", "keypoint_token.decoder.0.weight", "projection.weight"} <= changed
    assert not any("embed_tokens" in name or "lm_head" in name for name in changed)
    again = CapeLLM.from_pretrained(tmp_path / "run" / "model")
    assert again.config == model.config
    picture = tiny.picture(60, 40)
    assert np.array_equal(again.predict(picture, CATEGORY).xy, model.predict(picture, CATEGORY).xy)
    assert not np.allclose(model.untrained().predict(picture, CATEGORY).xy, model.predict(picture, CATEGORY).xy)


def test_guidance_looks_at_the_token(model, objects):
    config = replace(CONFIG, guide=GuideConfig(layers=(1,)))
    parts = training_losses(model, collate([sequence(model, objects[0], config)], model.codec.base), config)
    assert torch.isfinite(parts["guide"]) and set(parts) == {"loss", "guide", "answers"}
    asked = sequence(model, objects[0], config, answered=False)
    assert KEYPOINT not in asked.tokens


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "digits"}, "cannot train a model that answers with <KEYPOINT>"),
        ({"instruction": "direct_qa"}, "'direct_qa' answers in words about given coordinates"),
    ],
)
def test_a_recipe_that_does_not_fit_the_token_is_refused_before_anything_is_written(
    model, objects, tmp_path, changes, words
):
    with pytest.raises(InputError, match=words):
        train(model, objects, replace(CONFIG, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- forms of one's own --------------------------------------------------------------------------------------------


def test_a_models_folder_holds_the_form_of_a_file(place, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: base\nwordings: ['Show the {name}.']\nfirst: [{question: 'a:', answer: 'b'}]\n")
    model = tiny.capellm(place, instruction=str(path))
    path.unlink()
    model.save_pretrained(tmp_path / "saved")
    again = CapeLLM.from_pretrained(tmp_path / "saved")
    assert again.config == model.config and again.questions(CATEGORY) == model.questions(CATEGORY)
    assert model.tokenizer.decode(again.questions(CATEGORY)[1]) == "\na: b</s>User: Show the nose.\nAssistant:"
    stored = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert stored["instruction"]["wordings"] == ["Show the {name}."] and str(path) not in str(stored)
    stored["instruction"]["wordings"] = ["{x}"]
    with pytest.raises(InputError, match="unknown slot"):
        CapeLLMConfig.from_dict({key: value for key, value in stored.items() if key != "model_type"})
    assert tiny.capellm(place).config.to_dict()["instruction"] == "base"


def test_what_stands_before_the_picture_is_part_of_the_prefix(place):
    model, plain = (tiny.capellm(place, instruction=form) for form in ("locllm", "base"))
    pixels = torch.zeros(1, 3, 42, 42)
    ids = model.tokenize([instruction("locllm").before])[0]
    found, bare = model.prefix(pixels), plain.prefix(pixels)
    assert torch.equal(found[:, [0, *range(1 + len(ids), found.shape[1])]], bare)
    assert torch.equal(found[0, 1 : 1 + len(ids)], model.language.get_input_embeddings().weight[ids])


def test_a_form_that_asks_for_words_finds_no_points(place):
    model = tiny.capellm(place, instruction="direct_qa")
    with pytest.raises(InputError, match="'direct_qa' asks for words about a given place and finds none"):
        model.predict(tiny.picture(), CATEGORY)
