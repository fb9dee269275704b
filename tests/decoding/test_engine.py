"""The engine against the slow plain way: one `generate` per keypoint over the whole sequence, no sharing."""

import pytest
import tiny
import torch
from plain import slow

from anykeypoint.decoding import Engine
from anykeypoint.decoding.codec import CoordinateCodec, bin_centres
from anykeypoint.errors import InputError

TEXTS = [
    "\nUser: Where is the nose?\nAssistant:",
    "\nUser: Where is the left ear tip of this object in this image?\nReference: It is the tip.\nAssistant:",
    "\nUser: Where is it?\nAssistant:",
    "\nUser: Where is the right ear tip of this object?\nAssistant:",
]


def setting(kind, seed=0, spaced=False):
    tokenizer = tiny.tokenizer(kind)
    language = tiny.llama(len(tokenizer), seed)
    codec = CoordinateCodec.learn(tokenizer, spaced)
    prefix = torch.randn(1, 9, 32, generator=torch.Generator().manual_seed(seed)) * 0.5
    questions = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    return language, codec, prefix, questions


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("kind", ["digits", "triples", "sentencepiece", "pairs"])
@pytest.mark.parametrize("seed", range(4))
def test_the_fast_digits_are_those_of_plain_generation(kind, seed, spaced):
    language, codec, prefix, questions = setting(kind, seed, spaced)
    engine = Engine(language, codec)
    answers = engine.answer(engine.read(prefix), questions)
    expected = [slow(language, codec, prefix, question) for question in questions]
    assert answers.values.tolist() == expected


def test_answers_of_exactly_one_are_reached_and_agree_with_plain_generation():
    language, codec, prefix, questions = setting("digits")
    reached = set()
    for push in (0.0, 30.0):  # make the lead "1" likely by moving its row of the output layer
        with torch.no_grad():
            head = language.get_output_embeddings().weight
            head[codec.leads[1]] += (
                push * torch.sign(torch.randn(32, generator=torch.Generator().manual_seed(3))) * 0.05
            )
        engine = Engine(language, codec)
        found = engine.answer(engine.read(prefix), questions).values.tolist()
        assert found == [slow(language, codec, prefix, question) for question in questions]
        reached |= {value == 1000 for point in found for value in point}
    assert reached == {True, False}


def test_number_order_and_company_of_the_questions_change_nothing():
    language, codec, prefix, questions = setting("digits", 1)
    engine = Engine(language, codec)
    view = engine.read(prefix)
    together = engine.answer(view, questions)
    for i, question in enumerate(questions):
        alone = engine.answer(view, [question])
        assert alone.values[0].tolist() == together.values[i].tolist()
        assert torch.allclose(alone.x[0], together.x[i], atol=1e-5)
        assert torch.allclose(alone.y[0], together.y[i], atol=1e-5)
    turned = engine.answer(view, questions[::-1])
    assert turned.values.flip(0).tolist() == together.values.tolist()


def test_many_questions_are_answered_in_several_passes_with_the_same_result(monkeypatch):
    language, codec, prefix, questions = setting("digits", 2)
    engine = Engine(language, codec)
    view = engine.read(prefix)
    whole = engine.answer(view, questions * 3)
    monkeypatch.setattr("anykeypoint.decoding.branches.PACKED", 40)
    assert engine.answer(view, questions * 3).values.tolist() == whole.values.tolist()


def test_asking_leaves_the_view_as_it_was():
    language, codec, prefix, questions = setting("digits")
    engine = Engine(language, codec)
    view = engine.read(prefix)
    before = [(keys.clone(), values.clone()) for keys, values in view.layers]
    first = engine.answer(view, questions)
    engine.density(view, questions[0])
    for (keys, values), (old_keys, old_values) in zip(view.layers, before, strict=True):
        assert torch.equal(keys, old_keys) and torch.equal(values, old_values)
    assert torch.equal(engine.answer(view, questions).x, first.x)


@pytest.mark.parametrize("kind", ["digits", "triples"])
def test_the_distribution_is_the_models_own(kind):
    language, codec, prefix, questions = setting(kind, 1)
    engine = Engine(language, codec)
    answers = engine.answer(engine.read(prefix), questions[:1])
    assert torch.allclose(answers.x.sum(1), torch.ones(1), atol=1e-5)
    assert torch.allclose(answers.y.sum(1), torch.ones(1), atol=1e-5)

    def conditional(written, allowed):
        ids = torch.tensor([[*questions[0], *codec.opening, *written]])
        embeddings = torch.cat([prefix, language.get_input_embeddings()(ids)], dim=1)
        logits = language(inputs_embeds=embeddings).logits[0, -1]
        return logits[list(allowed)].softmax(-1)

    for value in (0, 380, 990):
        slow_p = conditional([], codec.leads)[0]
        written = [codec.leads[0], *codec.point]
        slots = codec.digits[:2]  # leading two decimals, or the one slot of three
        for slot, index in zip(slots, codec.digit_indices(value), strict=False):
            slow_p = slow_p * conditional(written, slot)[index]
            written.append(slot[index])
        place = value if codec.base == 1000 else value // 10
        assert torch.isclose(answers.x[0, place], slow_p, atol=1e-5)


def test_the_expected_answer_is_the_mean_of_the_distribution_it_reports():
    language, codec, prefix, questions = setting("digits", 3)
    engine = Engine(language, codec)
    answers = engine.answer(engine.read(prefix), questions, "expected")
    mean = answers.x @ bin_centres(answers.x.shape[1])
    assert torch.allclose(answers.values[:, 0] / 1000, mean, atol=6e-4)


@pytest.mark.parametrize("strategy", ["sampling", "top-3", "greedy"])
@pytest.mark.parametrize("kind", ["digits", "triples"])
def test_the_answers_of_several_seeds_are_to_the_bit_those_of_each_and_read_the_questions_once(
    kind, strategy, monkeypatch
):
    language, codec, prefix, questions = setting(kind, 1)
    engine = Engine(language, codec)
    view = engine.read(prefix)
    groups = [questions[:2], questions[2:3], questions[3:]]
    seeds = [4, 0, 4, 11]
    expected = [engine.answer_together(view, groups, strategy, seed) for seed in seeds]
    opened, open_questions = [], engine.reader.open_questions
    monkeypatch.setattr(engine.reader, "open_questions", lambda *asked: opened.append(asked) or open_questions(*asked))
    for found, one in zip(engine.answers_of_seeds(view, groups, strategy, seeds), expected, strict=True):
        assert all(torch.equal(getattr(found, name), getattr(one, name)) for name in ("values", "log_prob", "x", "y"))
    assert len(opened) == 1
    differs = not torch.equal(expected[0].values, expected[1].values)
    assert differs is (strategy != "greedy")
    with pytest.raises(InputError, match="at least one seed"):
        engine.answers_of_seeds(view, groups, strategy, [])


@pytest.mark.parametrize("kind", ["digits", "triples"])
def test_questions_in_turn_see_the_rounds_before_them_as_plain_generation_does(kind):
    language, codec, prefix, questions = setting(kind, 2)
    ending = tiny.tokenizer(kind)("</s>", add_special_tokens=False)["input_ids"]
    turns = [questions[0], *([*ending, *question] for question in questions[1:])]
    engine = Engine(language, codec)
    answers = engine.answer_in_turn(engine.read(prefix), turns)
    written: list[int] = []
    for turn, value in zip(turns, answers.values.tolist(), strict=True):
        written += turn
        assert slow(language, codec, prefix, written) == value
        written += codec.encode_values(*value)
    alone = engine.answer(engine.read(prefix), questions).values
    assert alone[0].tolist() == answers.values[0].tolist() and not torch.equal(alone, answers.values)


def test_unknown_strategies_and_empty_questions_are_refused():
    language, codec, prefix, questions = setting("digits")
    engine = Engine(language, codec)
    view = engine.read(prefix)
    with pytest.raises(InputError, match="greedy, sampling, temperature-T"):
        engine.answer(view, questions, "guess")
    with pytest.raises(InputError, match="none may be empty"):
        engine.answer(view, [[]])
