"""Questions that are answered together, against a reference that spells out every number of every question."""

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.decoding import Engine
from anykeypoint.decoding.codec import CoordinateCodec
from anykeypoint.decoding.mixture import Mixture
from anykeypoint.errors import InputError

TEXTS = ["\nWhere is the nose?", "\nWhere is the left ear tip of this object?", "\nWhere?"]
STRATEGIES = ["greedy", "sampling", "temperature-0.7", "top-3", "nucleus-0.8", "expected", "mode-0.1"]


class Setting:
    def __init__(self, kind="digits", seed=0):
        tokenizer = tiny.tokenizer(kind)
        self.language = tiny.llama(len(tokenizer), seed, spread=0.3)
        self.codec = CoordinateCodec.learn(tokenizer)
        self.embeddings = torch.randn(1, 9, 32, generator=torch.Generator().manual_seed(seed)) * 0.5
        self.questions = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
        self.engine = Engine(self.language, self.codec)
        self.prefix = self.engine.read(self.embeddings)

    def answer(self, strategy="greedy", seed=0, questions=None):
        return self.engine.answer_together(self.prefix, [questions or self.questions], strategy, seed)


def conditional(setting, question, written, allowed):
    """p(allowed | ... written) for sequences `written` of one length: n len(allowed), each by a whole forward pass."""
    ids = torch.tensor([[*question, *setting.codec.opening, *own] for own in written])
    start = setting.embeddings.expand(len(written), -1, -1)
    embeddings = torch.cat([start, setting.language.get_input_embeddings()(ids)], dim=1)
    with torch.no_grad():
        logits = setting.language(inputs_embeds=embeddings).logits[:, -1]
    return logits[:, list(allowed)].double().softmax(-1)


def whole(setting, question, before=()):
    """p of all 1001 values of the number that follows `before`."""
    codec = setting.codec
    lead = conditional(setting, question, [[*before]], codec.leads)[0]
    paths, weights = [[*before, codec.leads[0], *codec.point]], lead[:1]
    for ids in codec.digits:
        weights = (weights[:, None] * conditional(setting, question, paths, ids)).flatten()
        paths = [[*path, digit] for path in paths for digit in ids]
    return torch.cat([weights, lead[1:]])


def greedy_value(codec, p):
    """Lead and digits by what each holds in a distribution of 1001 values, one after the other."""
    if p[1000] > p[:1000].sum():
        return 1000
    value, table = 0, p[:1000]
    for slot in range(len(codec.digits)):
        parts = table.view(codec.base, -1)
        best = int(parts.sum(1).argmax())
        value, table = value + best * 1000 // codec.base ** (slot + 1), parts[best]
    return value


@pytest.mark.parametrize("kind", ["digits", "triples"])
@pytest.mark.parametrize("seed", range(3))
def test_the_answer_is_read_off_the_equal_mixture_of_all_questions(kind, seed):
    setting = Setting(kind, seed)
    codec, found = setting.codec, setting.answer()
    each = torch.stack([whole(setting, question) for question in setting.questions])
    x = each.mean(0)
    value = greedy_value(codec, x)
    written = [*codec.encode_value(value), *codec.comma]
    then = torch.stack([whole(setting, question, written) for question in setting.questions])
    weights = each[:, value] / each[:, value].sum()
    y = (weights[:, None] * then).sum(0)
    assert found.values[0].tolist() == [value, greedy_value(codec, y)]
    expected = (each[:, value] * then[:, found.values[0, 1]]).mean().log()
    assert found.log_prob[0].item() == pytest.approx(expected.item(), abs=1e-3)
    for distribution, exact in ((found.x[0], x), (found.y[0], y)):
        bins = 1000 // (len(distribution) - 1)
        coarse = torch.cat([exact[:1000].view(-1, bins).sum(1), exact[1000:]])
        torch.testing.assert_close(distribution.double(), coarse, atol=2e-5, rtol=0)
    assert not torch.allclose(weights, torch.full_like(weights, 1 / 3), atol=0.02)  # else the test would be blind


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", ["digits", "triples"])
def test_equal_questions_answer_as_one_and_order_changes_nothing(kind, strategy):
    setting = Setting(kind, 1)
    one = setting.answer(strategy, 3, setting.questions[:1])
    many = setting.answer(strategy, 3, setting.questions[:1] * 3)
    assert one.values.tolist() == many.values.tolist()
    torch.testing.assert_close(one.x, many.x, atol=1e-6, rtol=0)
    torch.testing.assert_close(one.log_prob, many.log_prob, atol=1e-5, rtol=0)
    groups = [setting.questions, [setting.questions[i] for i in (2, 0, 1)]]
    both = setting.engine.answer_together(setting.prefix, groups, strategy, 3, [[7], [7]])
    assert both.values[0].tolist() == both.values[1].tolist()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_groups_in_one_pass_or_in_many_answer_as_each_alone(strategy, monkeypatch):
    setting = Setting("digits", 2)
    first, second, third = setting.questions
    groups = [[first, second], [third], [second, third, first]]
    together = setting.engine.answer_together(setting.prefix, groups, strategy, 5)
    alone = [
        setting.engine.answer_together(setting.prefix, [group], strategy, 5).values[0].tolist() for group in groups
    ]
    assert together.values.tolist() == alone
    assert setting.engine.answer(setting.prefix, [third], strategy, 5).values[0].tolist() == alone[1]
    monkeypatch.setattr("anykeypoint.decoding.branches.PACKED", 1)
    assert setting.engine.answer_together(setting.prefix, groups, strategy, 5).values.tolist() == alone


def test_a_mixture_reaches_one_where_it_is_likely_enough():
    reached = set()
    for push in (0.0, 0.5, 1.5):
        setting = Setting("digits", 4)
        with torch.no_grad():
            head = setting.language.get_output_embeddings().weight
            head[setting.codec.leads[1]] += push * torch.randn(32, generator=torch.Generator().manual_seed(3))
        each = torch.stack([whole(setting, question) for question in setting.questions])
        value = greedy_value(setting.codec, each.mean(0))
        assert setting.answer().values[0, 0].item() == value
        reached.add(value == 1000)
    assert reached == {True, False}


def test_what_has_no_mixture_and_what_is_no_group_are_refused():
    setting = Setting()
    with pytest.raises(InputError, match="Contrastive search reads one question at a time"):
        setting.answer("contrastive-0.5")
    assert setting.answer("contrastive-0.5", questions=setting.questions[:1]).values.shape == (1, 2)
    for groups in ([], [[]], [setting.questions, []], [[[]]]):
        with pytest.raises(InputError, match="none may be empty"):
            setting.engine.answer_together(setting.prefix, groups)


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(0, 99))
def test_a_mixtures_digits_and_shares_are_those_of_its_joint(counts, seed):
    generator = torch.Generator().manual_seed(seed)
    size = sum(counts)

    def draw(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64).softmax(-1)

    lead, first, second = draw(size, 2), draw(size, 4), draw(size, 4, 4)
    mixture = Mixture.equal(counts)
    mixed_lead, (one, two) = mixture.digits(lead, [first, second])
    joint = lead[:, :1, None] * first[..., None] * second
    for k, part in enumerate(joint.split(counts)):
        mean = part.mean(0)
        torch.testing.assert_close(mixed_lead[k, 0] * one[k][:, None] * two[k], mean)
    chosen = joint[:, 1, 2].log()
    torch.testing.assert_close(
        mixture.total(chosen), torch.stack([part.mean(0)[1, 2] for part in joint.split(counts)]).log()
    )
    shares = mixture.given(chosen).shares
    for part, own in zip(joint[:, 1, 2].split(counts), shares.split(counts), strict=True):
        torch.testing.assert_close(own, part / part.sum())
    impossible = mixture.given(torch.full((size,), float("-inf"), dtype=torch.float64)).shares
    torch.testing.assert_close(impossible, mixture.shares)
