"""Strategies against what they are by definition."""

import numpy as np
import pytest
import tiny
import torch
from test_digit_tree import setting

from anykeypoint.decoding import Strategy
from anykeypoint.decoding.codec import bin_centres
from anykeypoint.decoding.strategies import CANDIDATES, seeded_draws
from anykeypoint.errors import InputError

SAMPLINGS = ["sampling", "temperature-0.6", "top-3", "top-5", "nucleus-0.92"]
TEXTS = [
    "\nUser: Where is the nose?\nAssistant:",
    "\nUser: Where is the left ear tip of this object in this image?\nReference: It is the tip.\nAssistant:",
    "\nUser: Where is it?\nAssistant:",
]


def asked(kind, sharp=3.0):
    engine, view, prefix, _ = setting(kind, 4, sharp)
    return engine, view, prefix, tiny.tokenizer(kind)(TEXTS, add_special_tokens=False)["input_ids"]


def shares(strategy, probabilities, draws=20_000):
    how = Strategy.parse(strategy)
    grid = (np.arange(draws) + 0.5) / draws  # every part of [0, 1) once
    picked = [how.pick(probabilities, float(draw)) for draw in grid]
    return torch.tensor(np.bincount(picked, minlength=len(probabilities)) / draws)


P = torch.tensor([0.05, 0.4, 0.0, 0.25, 0.2, 0.1])


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ("sampling", P),
        ("temperature-0.5", P**2 / (P**2).sum()),
        ("temperature-1", P),
        ("top-2", torch.tensor([0, 0.4, 0, 0.25, 0, 0]) / 0.65),
        ("top-99", P),
        ("nucleus-0.6", torch.tensor([0, 0.4, 0, 0.25, 0, 0]) / 0.65),
        ("nucleus-0.66", torch.tensor([0, 0.4, 0, 0.25, 0.2, 0]) / 0.85),
        ("nucleus-1", P),
        ("greedy", torch.tensor([0, 1.0, 0, 0, 0, 0])),
        ("top-1", torch.tensor([0, 1.0, 0, 0, 0, 0])),
    ],
)
def test_a_digit_is_drawn_with_the_probability_that_the_strategy_gives_it(strategy, wanted):
    assert torch.allclose(shares(strategy, P).double(), wanted.double(), atol=2e-4)


@pytest.mark.parametrize("kind", ["digits", "triples"])
@pytest.mark.parametrize("strategy", SAMPLINGS)
def test_a_drawn_answer_depends_on_seed_and_question_and_on_nothing_else(kind, strategy):
    engine, view, _, questions = asked(kind)
    together = engine.answer(view, questions, strategy, seed=7).values
    assert torch.equal(together, engine.answer(view, questions, strategy, seed=7).values)
    assert torch.equal(together.flip(0), engine.answer(view, questions[::-1], strategy, seed=7).values)
    alone = [engine.answer(view, [question], strategy, seed=7).values[0] for question in questions]
    assert torch.equal(together, torch.stack(alone))
    assert any(not torch.equal(together, engine.answer(view, questions, strategy, seed=s).values) for s in range(4))


@pytest.mark.parametrize("kind", ["digits", "triples"])
def test_drawn_answers_follow_the_density(kind):
    engine, view, _, questions = asked(kind, sharp=12.0)
    grid, mass = engine.density(view, questions[0], cells=4, mass=0.9999, most=3000)
    assert mass > 0.98
    count = 300
    values = torch.cat([engine.answer(view, questions[:1], "sampling", seed=s).values for s in range(count)])
    cells = (values * 4 // 1000).clamp(max=3)
    drawn = torch.zeros(4, 4).index_put_((cells[:, 1], cells[:, 0]), torch.tensor(1 / count), accumulate=True)
    assert (drawn - grid).abs().max() < 4 * 0.5 / count**0.5  # four standard errors of the worst cell


def test_top_one_and_a_small_nucleus_are_greedy():
    engine, view, _, questions = asked("digits")
    greedy = engine.answer(view, questions).values
    for strategy in ("top-1", "nucleus-0.01", "temperature-0.001", "contrastive-0"):
        assert torch.equal(engine.answer(view, questions, strategy, seed=3).values, greedy), strategy


def contrastive_by_hand(engine, prefix, question, alpha):
    """Contrastive search position by position, everything from scratch, leads as greedy."""
    language, codec = engine.language, engine.codec
    table = language.get_input_embeddings()

    def states(ids):
        embeddings = torch.cat([prefix, table(torch.tensor([ids]))], dim=1)
        return language.base_model(inputs_embeds=embeddings).last_hidden_state[0]

    def likely(ids, allowed):
        return (language.get_output_embeddings().weight[list(allowed)] @ states(ids)[-1]).softmax(-1)

    ids, values = [*question, *codec.opening], []
    for behind in (codec.comma, codec.closing):
        lead = int(likely(ids, codec.leads).argmax())
        ids += [codec.leads[lead], *codec.point]
        value = lead * 1000
        for slot, allowed in enumerate(codec.digits):
            index = 0
            if not lead:
                p = likely(ids, allowed)
                top = p.topk(min(CANDIDATES, len(allowed)))
                scores = []
                for probability, i in zip(top.values, top.indices.tolist(), strict=True):
                    found = torch.nn.functional.normalize(states([*ids, allowed[i]]), dim=-1)
                    scores.append((1 - alpha) * probability - alpha * (found[:-1] @ found[-1]).max())
                index = int(top.indices[int(torch.stack(scores).argmax())])
                value += index * 1000 // codec.base ** (slot + 1)
            ids.append(allowed[index])
        values.append(value)
        ids += behind
    return values


@pytest.mark.parametrize("kind", ["digits", "triples"])
@pytest.mark.parametrize("alpha", [0.3, 0.6])
@torch.no_grad()
def test_contrastive_search_is_its_definition(kind, alpha):
    engine, view, prefix, questions = asked(kind, sharp=1.0)
    found = engine.answer(view, questions, f"contrastive-{alpha}").values.tolist()
    assert found == [contrastive_by_hand(engine, prefix, question, alpha) for question in questions]
    assert found != engine.answer(view, questions).values.tolist()


@pytest.mark.parametrize("radius", [0.05, 0.2])
def test_mode_is_the_value_whose_window_holds_most_of_the_distribution(radius):
    engine, view, _, questions = asked("digits")
    answers = engine.answer(view, questions, f"mode-{radius}")
    centres = bin_centres(101)
    for value, p in zip(answers.values[:, 0] / 1000, answers.x, strict=True):
        mass = [float(p[(centres - c).abs() <= radius + 1e-6].sum()) for c in centres]
        assert float(p[(centres - value).abs() <= radius + 1e-3].sum()) == pytest.approx(max(mass), abs=0.02)


@pytest.mark.parametrize(
    "text",
    ["", "guess", "top", "top-0", "top-2.5", "nucleus", "nucleus-0", "nucleus-1.1", "temperature", "temperature-0",
     "contrastive", "contrastive-2", "greedy-1", "mode-0", "mode-2", "expected-1", "Top-3", None],
)  # fmt: skip
def test_what_is_no_strategy_is_refused_with_the_list_of_those_that_are(text):
    with pytest.raises(InputError, match="known are greedy, sampling, temperature-T, top-K, nucleus-P"):
        Strategy.parse(text)


def test_draws_are_uniform_and_differ_between_questions_and_seeds():
    draws = np.concatenate([seeded_draws([i, 5], 3, 8) for i in range(400)])
    assert draws.min() >= 0 and draws.max() < 1 and abs(draws.mean() - 0.5) < 0.03
    assert not np.array_equal(seeded_draws([1], 0, 4), seeded_draws([2], 0, 4))
    assert not np.array_equal(seeded_draws([1], 0, 4), seeded_draws([1], 1, 4))
    with pytest.raises(InputError, match="seed"):
        seeded_draws([1], -1, 4)
