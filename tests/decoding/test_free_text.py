"""Answers in words against transformers' own `generate`, and against one whole forward pass per candidate."""

import pytest
import tiny
import torch

from anykeypoint.decoding import Engine
from anykeypoint.decoding.codec import CoordinateCodec
from anykeypoint.errors import InputError

TEXTS = ["\nWhat is it?", "\nWhat is the keypoint above, please?", "\nName it:", "\nWhat is shown here?"]
CANDIDATES = [" ear", " ear tip", " ear tip left", " nose", " e"]


class Setting:
    def __init__(self, seed=0):
        self.tokenizer = tiny.tokenizer()
        self.language = tiny.llama(len(self.tokenizer), seed, spread=0.3)
        self.embeddings = torch.randn(1, 9, 32, generator=torch.Generator().manual_seed(seed)) * 0.5
        self.questions = self.ids(TEXTS)
        self.engine = Engine(self.language, CoordinateCodec.learn(self.tokenizer))
        self.prefix = self.engine.read(self.embeddings)

    def ids(self, texts):
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]

    def logits(self, ids):
        embeddings = torch.cat([self.embeddings, self.language.get_input_embeddings()(torch.tensor([ids]))], dim=1)
        with torch.no_grad():
            return self.language(inputs_embeds=embeddings).logits[0]

    def log_prob(self, question, answer):
        """Of an answer behind a question, by a whole forward pass."""
        logits = self.logits([*question, *answer])[-len(answer) - 1 : -1].double().log_softmax(-1)
        return sum(float(row[token]) for row, token in zip(logits, answer, strict=True))

    def generated(self, question, limit):
        start = torch.cat([self.embeddings, self.language.get_input_embeddings()(torch.tensor([question]))], dim=1)
        options = {"do_sample": False, "max_new_tokens": limit, "min_new_tokens": limit, "pad_token_id": 0}
        mask = torch.ones(start.shape[:2], dtype=torch.long)
        return self.language.generate(inputs_embeds=start, attention_mask=mask, **options)[0].tolist()


def cut(ids, ending):
    """What stands before the ending, and whether there is one."""
    for end in range(len(ending), len(ids) + 1):
        if ids[end - len(ending) : end] == ending:
            return ids[: end - len(ending)], True
    return ids, False


@pytest.mark.parametrize("seed", range(2))
def test_every_answer_is_the_one_that_generate_gives_though_they_end_at_different_times(seed, monkeypatch):
    setting = Setting(seed)
    whole = [setting.generated(question, 12) for question in setting.questions]
    endings = {(*ids[i : i + n],) for ids in whole for i in range(1, 9, 2) for n in (1, 2)}
    lengths = set()
    for ending in map(list, sorted(endings)):
        found = setting.engine.write(setting.prefix, setting.questions, ending, 12, None)
        for one, ids, question in zip(found, whole, setting.questions, strict=True):
            kept, ended = cut(ids, ending)
            assert (list(one.ids), one.ended) == (kept, ended)
            written = [*kept, *(ending if ended else [])]
            assert one.log_prob == pytest.approx(setting.log_prob(question, written), abs=1e-3)
        lengths.add(tuple(len(one.ids) for one in found))
    assert any(len(set(each)) > 2 for each in lengths)
    monkeypatch.setattr("anykeypoint.decoding.branches.PACKED", 1)
    alone = setting.engine.write(setting.prefix, setting.questions, ending, 12, None)
    assert [one.ids for one in alone] == [one.ids for one in found]


def test_another_token_may_end_an_answer_too():
    setting = Setting()
    (ids,) = [setting.generated(setting.questions[0], 8)]
    (found,) = setting.engine.write(setting.prefix, setting.questions[:1], [10**6], 8, ids[5])
    assert list(found.ids) == ids[: ids.index(ids[5])] and found.ended


@pytest.mark.parametrize("packed", [2048, 60, 1])
def test_a_candidate_is_scored_as_by_a_whole_forward_pass(packed, monkeypatch):
    monkeypatch.setattr("anykeypoint.decoding.branches.PACKED", packed)
    monkeypatch.setattr("anykeypoint.decoding.free_text.ROWS", 7)
    setting = Setting(1)
    candidates = [*setting.ids([f"{text}\n" for text in CANDIDATES]), setting.ids(["\n"])[0]]  # the last is one token
    found = setting.engine.score(setting.prefix, setting.questions, candidates)
    expected = [[setting.log_prob(question, candidate) for candidate in candidates] for question in setting.questions]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-4, rtol=0)


def test_candidates_of_one_token_alone_are_scored_too():
    setting = Setting(1)
    candidates, setting.questions = [[5], [9]], setting.questions[:2]
    found = setting.engine.score(setting.prefix, setting.questions, candidates)
    expected = [[setting.log_prob(question, candidate) for candidate in candidates] for question in setting.questions]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), atol=1e-4, rtol=0)


def test_questions_may_hold_vectors_of_the_askers_own():
    setting = Setting(2)
    vectors = torch.randn(2, 32, generator=torch.Generator().manual_seed(7))
    table = setting.language.get_input_embeddings()

    def embed(tokens):
        return torch.where((tokens < 0)[..., None], vectors[(-1 - tokens).clamp(min=0)], table(tokens.clamp(min=0)))

    engine = Engine(setting.language, setting.engine.codec, embed)
    questions = [[-1 - row, *setting.questions[0]] for row in (0, 1)]
    found = engine.write(setting.prefix, questions, [10**6], 6, None)
    for row, one in enumerate(found):
        behind = Setting(2)
        behind.embeddings = torch.cat([setting.embeddings, vectors[row][None, None]], dim=1)
        assert list(one.ids) == behind.generated(setting.questions[0], 6)
    assert found[0].ids != found[1].ids
    points = engine.answer(setting.prefix, questions)
    assert points.values[0].tolist() != points.values[1].tolist()


def test_empty_questions_and_candidates_are_refused():
    setting = Setting()
    for questions, candidates in (([], [[1]]), ([[]], [[1]]), ([[1]], []), ([[1]], [[]])):
        with pytest.raises(InputError, match="none may be empty"):
            setting.engine.score(setting.prefix, questions, candidates)
    with pytest.raises(InputError, match="none may be empty"):
        setting.engine.write(setting.prefix, [[]], [1], 4, None)
