"""The answers of a form's first rounds in prediction: the true ones, or the model's own."""

import numpy as np
import pytest
import tiny
import torch

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.models.generative import capellm
from anykeypoint.models.generative.capellm import CapeLLMConfig

POINTS = (Keypoint("left ear tip", "The highest one."), Keypoint("nose"), Keypoint("tail tip", "Its end."))
CAT, DOG = (Category(noun, POINTS, noun=noun) for noun in ("cat", "dog"))
LIMIT = 6
FORM = "extends: step_by_step\nfirst:\n- {question: 'What is it?', answer: a noun}\n- {question: 'Sure?', answer: so}\n"


@pytest.fixture(autouse=True)
def short_answers(monkeypatch):
    """A random model seldom ends an answer."""
    monkeypatch.setattr(capellm, "FIRST_TOKENS", LIMIT)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def models(place):
    """By who answers the first rounds: two models of the same weights."""
    return {who: tiny.capellm(place, instruction="step_by_step", first_rounds=who) for who in ("given", "written")}


def continued(model, pixels, tokens):
    """The tokens that follow greedily, the whole sequence read anew for each, up to the ending or the limit."""
    table, tokens, ending = model.language.get_input_embeddings(), list(tokens), model.tokenize(["</s>"])[0]
    written = []
    with torch.no_grad():
        prefix = model.prefix(model.encoder.normalise(torch.from_numpy(pixels)[None]))
        for _ in range(LIMIT):
            whole = torch.cat([prefix, table(torch.tensor([tokens + written]))], dim=1)
            written.append(int(model.language(inputs_embeds=whole).logits[0, -1].argmax()))
            if written[-1] == ending[0]:
                return written[:-1]
    return written


def test_the_objects_noun_is_given_or_written_by_the_model(models):
    pixels = tiny.picture()
    given, written = models["given"], models["written"]
    assert not np.array_equal(given.predict(pixels, CAT).xy, given.predict(pixels, DOG).xy)
    poses = [written.predict(pixels, category) for category in (CAT, DOG)]
    assert np.array_equal(poses[0].xy, poses[1].xy) and np.array_equal(poses[0].confidence, poses[1].confidence)
    assert not np.array_equal(poses[0].xy, given.predict(pixels, CAT).xy)


def test_the_question_about_a_point_follows_the_models_own_answer(models):
    model, pixels = models["written"], tiny.picture()
    question = "\nUSER: What do you think is the central object in this image?\nASSISTANT:"
    own = continued(model, pixels, model.tokenize([question])[0])
    view = model.encode(pixels)
    assert view.first_answers(CAT) == [tuple(own)]
    asked = model.questions(CAT, first=view.first_answers(CAT))
    start = [*model.tokenize([question])[0], *own, *model.tokenize(["</s>"])[0]]
    assert all(tokens[: len(start)] == start for tokens in asked)
    for tokens, point, told in zip(asked, POINTS, models["given"].questions(CAT), strict=True):
        rest = model.tokenizer.decode(tokens[len(start) :])
        assert f"Can you identify location of {point.name} on the object?" in rest
        assert model.tokenizer.decode(told).endswith(rest)
    assert model.questions(CAT) == models["given"].questions(CAT)  # the true answers, as in training
    engine = view.engine.answer(view.prefix, asked)
    np.testing.assert_array_equal(view.predict(CAT).xy, view.cut.crop.to_image(engine.values.double().numpy() / 1000))


def test_a_conversation_starts_with_the_models_own_answer_too(models):
    model, pixels = models["written"], tiny.picture()
    view = model.encode(pixels)
    turns = model.turns(CAT, [2, 0, 1], first=view.first_answers(CAT))
    plain = models["given"].turns(CAT, [2, 0, 1])
    assert turns[1:] == plain[1:] and turns[0] != plain[0]
    assert turns[0] == model.questions(CAT, first=view.first_answers(CAT))[2]
    cats, dogs = (view.predict(category, cumulative=True, order=[2, 0, 1]).xy for category in (CAT, DOG))
    assert np.array_equal(cats, dogs)


def test_every_first_round_follows_the_answers_before_it(place, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(FORM)
    model, pixels = tiny.capellm(place, instruction=str(path), first_rounds="written"), tiny.picture()
    one = continued(model, pixels, model.tokenize(["\nWhat is it?"])[0])
    behind = [token for text in ("\nWhat is it?", one, "</s>", "Sure?") for token in spelled(model, text)]
    assert model.encode(pixels).first_answers(CAT) == [tuple(one), tuple(continued(model, pixels, behind))]


def spelled(model, text):
    return model.tokenize([text])[0] if isinstance(text, str) else text


def test_only_a_form_with_first_rounds_can_have_them_written():
    with pytest.raises(InputError, match="first rounds and an ending, but 'base' lacks them"):
        CapeLLMConfig(first_rounds="written")
    with pytest.raises(InputError, match="first_rounds must be one of given, written"):
        CapeLLMConfig(instruction="step_by_step", first_rounds="drawn")
    assert CapeLLMConfig(instruction="step_by_step").first_rounds == "given"
