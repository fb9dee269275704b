"""The codec: every value, every tokenizer kind, exact distributions, and a strict reader of foreign text."""

import json

import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain import write_answer

from anykeypoint.decoding.codec import (
    CoordinateCodec,
    bin_centres,
    mass_near,
    mode_value,
    read_answer,
    thousandths,
)
from anykeypoint.errors import InputError

KINDS = ("digits", "triples", "sentencepiece", "pairs")


@pytest.fixture(scope="module", params=[(kind, spaced) for kind in KINDS for spaced in (False, True)], ids=str)
def learned(request):
    kind, spaced = request.param
    tokenizer = tiny.tokenizer(kind)
    return kind, spaced, tokenizer, CoordinateCodec.learn(tokenizer, spaced)


def test_every_value_of_both_axes_comes_back(learned):
    *_, codec = learned
    for value in range(1001):
        assert codec.decode(codec.encode_values(value, 1000 - value)) == (value / 1000, (1000 - value) / 1000)


def test_the_spelling_is_the_tokenizers_own(learned):
    kind, spaced, tokenizer, codec = learned
    assert codec.native == (kind != "pairs")
    assert codec.base == (1000 if kind == "triples" else 10)
    for x, y in ((0, 1000), (7, 70), (123, 456), (999, 1)):
        answer = " " + write_answer(x / 1000, y / 1000, spaced)
        ids = list(codec.encode_values(x, y))
        assert tokenizer.decode(ids).strip() == answer.strip()
        if codec.native:
            probe = tokenizer("Assistant:", add_special_tokens=False)["input_ids"]
            assert tokenizer("Assistant:" + answer, add_special_tokens=False)["input_ids"] == probe + ids


def test_the_template_allows_exactly_the_ids_of_answers(learned):
    *_, codec = learned
    template = codec.template()
    columns = [set() for _ in template]
    for value in range(1001):
        ids = codec.encode_values(value, value)
        assert len(ids) == len(template)
        for column, token in zip(columns, ids, strict=True):
            column.add(token)
    assert [set(allowed) for allowed in template] == columns


def test_ids_that_break_the_template_are_refused(learned):
    *_, codec = learned
    good = list(codec.encode_values(123, 456))
    for place in range(len(good)):
        broken = [*good[:place], 10**6, *good[place + 1 :]]
        with pytest.raises(InputError, match="not an answer"):
            codec.decode(broken)
    with pytest.raises(InputError, match="not an answer"):
        codec.decode(good[:-2])
    one = list(codec.encode_values(1000, 0))
    place = len(codec.opening) + 1 + len(codec.point)
    one[place] = codec.digits[0][1]
    with pytest.raises(InputError, match="above 1"):
        codec.decode(one)


def test_a_distribution_is_the_product_of_its_conditionals():
    codec = CoordinateCodec.learn(tiny.tokenizer("digits"))
    generator = torch.Generator().manual_seed(0)

    def conditional(*shape):
        return torch.rand(*shape, generator=generator).softmax(-1)

    lead, first, second, third = (
        conditional(3, 2),
        conditional(3, 10),
        conditional(3, 10, 10),
        conditional(3, 10, 10, 10),
    )
    whole = codec.distribution(lead, [first, second, third])
    assert whole.shape == (3, 1001)
    assert torch.allclose(whole.sum(1), torch.ones(3))
    for value in (0, 7, 450, 999):
        a, b, c = codec.digit_indices(value)
        plain = lead[1, 0] * first[1, a] * second[1, a, b] * third[1, a, b, c]
        assert torch.isclose(whole[1, value], plain)
    assert torch.equal(whole[:, 1000], lead[:, 1])
    leading = codec.distribution(lead, [first, second])
    assert torch.allclose(leading[:, :100], whole[:, :1000].view(3, 100, 10).sum(-1))


def test_the_mode_is_the_best_window_of_a_brute_force_search():
    generator = torch.Generator().manual_seed(1)
    distribution = torch.rand(5, 101, generator=generator).pow(6)
    distribution /= distribution.sum(1, keepdim=True)
    centres = bin_centres(101)
    found = mode_value(distribution, centres, 0.1)
    best = torch.stack([mass_near(distribution, centres, centre.expand(5), 0.1) for centre in centres]).amax(0)
    assert torch.allclose(mass_near(distribution, centres, found, 0.1), best, atol=1e-6)


@given(st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_text_and_reader_are_inverse(x, y, spaced):
    assert read_answer(write_answer(x, y, spaced)) == (thousandths(x) / 1000, thousandths(y) / 1000)


@pytest.mark.parametrize("value", [-0.001, 1.0006, float("nan"), float("inf")])
def test_values_outside_the_crop_cannot_be_written(value):
    with pytest.raises(InputError, match="must lie in 0 to 1"):
        thousandths(value)


def test_the_reader_agrees_with_the_golden_cases(shared):
    cases = json.loads((shared / "golden" / "capellm_text.json").read_text())["decode_cases"]
    asserted = [case for case in cases if case["asserted"]]
    assert len(asserted) > 20
    for case in asserted:
        expected = None if case["correct_missing"] else tuple(case["correct_normalised"])
        assert read_answer(case["text"]) == expected, case["text"]


def test_a_tokenizer_without_digit_tokens_is_refused():
    class Bytes:
        def __call__(self, texts, add_special_tokens=False):
            single = isinstance(texts, str)
            ids = [[ord(c) % 7, ord(c) // 7] * len(t) for t in ([texts] if single else texts) for c in t[:1]]
            return {"input_ids": ids[0] if single else ids}

    with pytest.raises(InputError, match="single token for each digit"):
        CoordinateCodec.learn(Bytes())
