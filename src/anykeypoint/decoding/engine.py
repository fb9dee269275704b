"""The engine: answers K questions about one image prefix under the codec's forced template. What makes it fast:

- the image prefix runs through the model once and stays in a cache that is never copied per keypoint;
- the K questions about it, and later every tree of digits, are branches over that cache;
- the opening that all questions share runs once;
- the template's literals ride along with the digits, and only the rows of the output layer that a free position
  allows are computed.

The digits are those of one plain `generate` per keypoint. Letters: B branches, N prefix tokens, D model width,
K questions, V values of a number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from .branches import Branches, Prefix, passes, read_prefix
from .codec import CoordinateCodec, bin_centres, expected_value, mode_value
from .digit_tree import joint
from .free_text import Written, score, write
from .mixture import Mixture
from .strategies import CANDIDATES, Strategy, penalty, seeded_draws


@dataclass(frozen=True)
class Answers:
    """K answers, in the order of the questions."""

    values: Tensor  # K 2 whole thousandths of the crop, x and y
    log_prob: Tensor  # K log probability of the digits the model would have to write
    x: Tensor  # K V exact distribution of x: V = 101 (leading two decimals and 1.000) or 1001
    y: Tensor  # K V exact distribution of y given the x that was answered

    @classmethod
    def join(cls, parts: "Sequence[Answers]") -> "Answers":
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__annotations__))

    def at(self, places: Sequence[int]) -> "Answers":
        """The answers at these places, in this order."""
        return Answers(*(getattr(self, name)[list(places)] for name in self.__annotations__))


@dataclass(frozen=True)
class Opened:
    """Hidden states at a number's two first decisions, and where its guessed "0." lies."""

    lead: Tensor  # B D, behind the opening: decides "0" or "1"
    first: Tensor  # B D, behind "0.": decides the first digit
    guess: int  # tokens of "0."
    ends: list[int]  # per branch the place in the cache behind its guess


@dataclass(frozen=True)
class _Number:
    values: list[int]  # thousandths per group
    log_prob: Tensor  # B
    distribution: Tensor  # K V
    unread: list[list[int]]  # ids the branch has still to read: the last digit


@dataclass
class Engine:
    """Answers questions about one prefix with a language model and the codec of its tokenizer.

    Questions are lists of token ids, or of whatever else `embed` knows.
    """

    language: nn.Module  # a causal LM of transformers with rotary positions
    codec: CoordinateCodec
    embed: Callable[[Tensor], Tensor] | None = None  # tokens n -> embeddings n D; None takes the model's own table
    _head: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._head = self.language.get_output_embeddings().weight

    @torch.inference_mode()
    def read(self, embeddings: Tensor) -> Prefix:
        """Run an image prefix (1 N D embeddings) through the model once."""
        return read_prefix(self.language, embeddings)

    @torch.inference_mode()
    def answer(
        self, prefix: Prefix, questions: Sequence[Sequence[int]], strategy: str = "greedy", seed: int = 0
    ) -> Answers:
        """Answer K tokenised questions (without BOS; the answer follows directly), each by itself.

        strategy: see `Strategy`. seed: of the strategies that draw; a question's draws are its own, whatever is asked
        beside it.
        """
        return self.answer_together(prefix, [[question] for question in questions], strategy, seed)

    @torch.inference_mode()
    def answer_together(
        self,
        prefix: Prefix,
        groups: Sequence[Sequence[Sequence[int]]],
        strategy: str = "greedy",
        seed: int = 0,
        keys: Sequence[Sequence[int]] | None = None,
    ) -> Answers:
        """One answer to each group of questions, read off the equal mixture of the M distributions that they get.

        p(x) is the mean of p_m(x), and p(y | x) the sum of p_m(x) p_m(y | x) over that of p_m(x); likewise within the
        digits of a number. A strategy that looks at hidden states has no mixture: InputError.
        keys: numbers that a group's draws depend on beside the seed; None takes its first question's tokens.
        """
        how = Strategy.parse(strategy)
        _check_questions([question for group in groups for question in group] if all(groups) else [])
        if how.kind == "contrastive" and any(len(group) > 1 for group in groups):
            raise InputError("Contrastive search reads one question at a time; take another strategy, or one example.")
        keys = [group[0] for group in groups] if keys is None else keys
        parts = []
        for some in passes(zip(groups, keys, strict=True), lambda item: sum(map(len, item[0]))):
            branches, opened = self.ask(prefix, [question for group, _ in some for question in group])
            mixture = Mixture.equal([len(group) for group, _ in some])
            draws = [self._draws(how, key, seed) for _, key in some]
            parts.append(self._points(branches, opened, how, draws, mixture)[0])
        return Answers.join(parts)

    @torch.inference_mode()
    def answer_in_turn(
        self, prefix: Prefix, questions: Sequence[Sequence[int]], strategy: str = "greedy", seed: int = 0
    ) -> Answers:
        """Cumulative reasoning (Sec. 4.3): one conversation; every question sees all questions and answers before it.

        questions: in the order they are asked; from the second on each starts with what closes the round before it
        (the form's ending), the answer's closing bracket excepted.
        """
        how = Strategy.parse(strategy)
        _check_questions(questions)
        branches, opened = self.ask(prefix, questions[:1])
        parts = []
        for i, question in enumerate(questions):
            part, unread = self._points(branches, opened, how, [self._draws(how, question, seed)], Mixture.equal([1]))
            parts.append(part)
            if i + 1 < len(questions):
                tokens = [*unread[0], *self.codec.closing, *questions[i + 1], *self.codec.opening]
                opened = self.open_number(branches, [tokens])
        return Answers.join(parts)

    def _draws(self, how: Strategy, question: Sequence[int], seed: int) -> np.ndarray:
        """Numbers for the free positions of x and of y: 2 (lead, digits)."""
        free = 1 + len(self.codec.digits)
        return seeded_draws(question, seed, 2 * free).reshape(2, free) if how.draws else np.zeros((2, free))

    def _points(
        self, branches: Branches, opened: Opened, how: Strategy, draws: list[np.ndarray], mixture: Mixture
    ) -> tuple[Answers, list[list[int]]]:
        """Both numbers of every group of branches, and the digits of y that the branches have not read."""
        x = self._number(branches, opened, how, [d[0] for d in draws], mixture)
        # The last digits of x ride along with the comma and the assumed "0." of y.
        opened = self.open_number(branches, [[*rest, *self.codec.comma] for rest in x.unread])
        y = self._number(branches, opened, how, [d[1] for d in draws], mixture.given(x.log_prob))
        values = torch.tensor([x.values, y.values]).T
        log_prob = mixture.total(x.log_prob + y.log_prob)
        return Answers(values, log_prob, x.distribution.cpu(), y.distribution.cpu()), y.unread

    # --- one number ---------------------------------------------------------------------------------------------------

    def ask(self, prefix: Prefix, questions: Sequence[Sequence[int]]) -> tuple[Branches, Opened]:
        """Branches that have read their question and the answer's opening, with the first number opened."""
        shared = _common_start(questions)
        trunk = Branches.of(self.language, prefix, self.embed)
        if shared:
            trunk.advance([list(questions[0][:shared])])
        branches = trunk.alike(len(questions))
        return branches, self.open_number(branches, [[*q[shared:], *self.codec.opening] for q in questions])

    def open_number(self, branches: Branches, tokens: list[list[int]]) -> Opened:
        """Read the tokens in front of a number and, on trust, its "0."."""
        before = len(branches.states)
        guess = [self.codec.leads[0], *self.codec.point]
        states = branches.advance([[*t, *guess] for t in tokens], last=len(guess) + 1)
        # Where each branch's guessed tokens lie in the cache, should a lead turn out to be "1".
        ends = torch.tensor([len(t) + len(guess) for t in tokens]).cumsum(0) + before
        return Opened(lead=states[0], first=states[-1], guess=len(guess), ends=ends.tolist())

    def _number(
        self, branches: Branches, opened: Opened, how: Strategy, draws: list[np.ndarray], mixture: Mixture
    ) -> _Number:
        """Choose one number per group and let its branches read all of it but its last digit."""
        codec = self.codec
        lead = self.probabilities(opened.lead, codec.leads)  # B 2
        tables = [self.probabilities(opened.first, codec.digits[0])]  # B 10 or B 1000
        if codec.base == 10:
            tables.append(self._second_digits(branches))  # B 10 10
        distribution = mixture.mean(codec.distribution(lead, tables))  # K V
        if how.by_digit:
            leads, mixed = mixture.digits(lead, tables)
            chosen = [self._by_digit(how, leads[k], [table[k] for table in mixed], d) for k, d in enumerate(draws)]
        elif how.kind == "contrastive":
            chosen = self._contrastive(branches, lead, tables[0], how.number)
        else:
            centres = bin_centres(distribution.shape[1]).to(distribution)
            if how.kind == "expected":
                points = expected_value(distribution, centres)
            else:
                points = mode_value(distribution, centres, how.number)
            chosen = [min(round(value * 1000), 1000) for value in points.tolist()]
        values, unread, log_prob = self._commit(branches, opened, lead, tables, chosen, how, draws, mixture)
        return _Number(values, log_prob, distribution, unread)

    def _by_digit(self, how: Strategy, lead: Tensor, tables: list[Tensor], draws: np.ndarray) -> int:
        """Lead, then the digits whose distributions are known: thousandths, the unknown last digit 0."""
        if how.pick(lead, draws[0]) == 1:
            return 1000
        first = how.pick(tables[0], draws[1])
        if self.codec.base == 1000:
            return first
        return first * 100 + how.pick(tables[1][first], draws[2]) * 10

    def _contrastive(self, branches: Branches, lead: Tensor, first: Tensor, alpha: float) -> list[int]:
        """Whole numbers by contrastive search over the digits; the lead, a template's matter, is the likelier one."""
        codec, count = self.codec, len(branches)
        values = [0] * count
        tree, p = branches, first
        for slot, ids in enumerate(codec.digits):
            keep = min(CANDIDATES, len(ids))
            top = p.topk(keep)
            past = [tree.states[tree.sees[b, : len(tree.states)]] for b in range(count)]
            tree = tree.fork([keep] * count)
            states = tree.advance([[ids[j]] for j in top.indices.flatten().tolist()])[-1].view(count, keep, -1)
            counts, chosen = [0] * (count * keep), []
            for b in range(count):
                score = (1 - alpha) * top.values[b] - alpha * penalty(states[b], past[b])
                best = int(score.argmax())
                values[b] = values[b] * codec.base + int(top.indices[b, best])
                counts[b * keep + best] = 1
                chosen.append(states[b, best])
            if slot + 1 < len(codec.digits):
                tree = tree.fork(counts)
                p = self.probabilities(torch.stack(chosen), codec.digits[slot + 1])
        return [1000 if lead[b, 1] > lead[b, 0] else value for b, value in enumerate(values)]

    def _commit(
        self,
        branches: Branches,
        opened: Opened,
        lead: Tensor,
        tables: list[Tensor],
        chosen: list[int],
        how: Strategy,
        draws: list[np.ndarray],
        mixture: Mixture,
    ) -> tuple[list[int], list[list[int]], Tensor]:
        """Read the numbers but their last digit, which strategies by digit choose here.

        Returns the values of the groups, and of the branches the unread ids and log p.
        """
        codec = self.codec
        groups, chosen = chosen, mixture.spread(chosen)
        ones = [b for b, value in enumerate(chosen) if value == 1000]
        for b in ones:  # the guessed "0." was wrong
            branches.step_back(b, opened.ends[b], opened.guess)
        log_prob = torch.tensor([lead[b, value // 1000].item() for b, value in enumerate(chosen)]).log()
        indices = [codec.digit_indices(value % 1000) for value in chosen]
        ids = [list(codec.encode_value(value)) for value in chosen]
        inside = [b for b in range(len(chosen)) if chosen[b] < 1000]
        if codec.base == 1000:
            for b in inside:
                log_prob[b] += tables[0][b, chosen[b]].log().item()
            unread = [number if b in ones else number[-1:] for b, number in enumerate(ids)]
            return groups, unread, log_prob
        # A branch whose number is 1.000 reads all of it but the last zero; its digits are certain.
        known = [number[:-1] if b in ones else number[-3:-1] for b, number in enumerate(ids)]
        thirds = self.probabilities(branches.advance(known)[-1], codec.digits[2])
        values = list(groups)
        if how.by_digit:
            before = torch.zeros(len(chosen))  # the probability of what each branch has read of its number
            for b in inside if not mixture.alone else ():
                first, second, _ = indices[b]
                before[b] = (lead[b, 0] * tables[0][b, first] * tables[1][b, first, second]).item()
            last = mixture.given(before.log()).mean(thirds)
            for k, value in enumerate(groups):
                if value < 1000:
                    values[k] += how.pick(last[k], draws[k][3])
        written = mixture.spread(values)
        for b in inside:
            first, second, third = codec.digit_indices(written[b])
            log_prob[b] += (tables[0][b, first] * tables[1][b, first, second] * thirds[b, third]).log().item()
        return values, [list(codec.encode_value(value))[-1:] for value in written], log_prob

    def _second_digits(self, branches: Branches) -> Tensor:
        """p(second digit | first digit) for all ten first digits of every branch: B 10 10."""
        count = len(branches)
        states = branches.fork([10] * count).advance([[digit] for digit in self.codec.digits[0]] * count)[-1]
        return self.probabilities(states, self.codec.digits[1]).view(count, 10, 10)

    def probabilities(self, states: Tensor, ids: Sequence[int]) -> Tensor:
        """The model's distribution over the allowed ids only: B D -> B len(ids), float32."""
        return (states.float() @ self._head[list(ids)].float().T).softmax(-1)

    @torch.inference_mode()
    def density(self, prefix: Prefix, question: Sequence[int], **options: Any) -> tuple[Tensor, float]:
        """The joint distribution of one keypoint on a grid, and the mass that it covers; see `density.joint`."""
        _check_questions([question])
        return joint(self, prefix, question, **options)

    @torch.inference_mode()
    def write(
        self, prefix: Prefix, questions: Sequence[Sequence[int]], ending: Sequence[int], limit: int, stop: int | None
    ) -> list[Written]:
        """Answers in words, written greedily; see `words.write`."""
        _check_questions(questions)
        return write(self, prefix, questions, ending, limit, stop)

    @torch.inference_mode()
    def score(self, prefix: Prefix, questions: Sequence[Sequence[int]], candidates: Sequence[Sequence[int]]) -> Tensor:
        """log p of each candidate as the answer to each question: Q W float64; see `words.score`."""
        _check_questions(questions)
        _check_questions(candidates)
        return score(self, prefix, questions, candidates)


def _check_questions(questions: Sequence[Sequence[int]]) -> None:
    if not questions or any(not question for question in questions):
        raise InputError("There must be at least one question and none may be empty.")


def _common_start(questions: Sequence[Sequence[int]]) -> int:
    """How many leading tokens all questions share; at least one token stays to each."""
    shortest = min(len(question) for question in questions) - 1
    for i in range(shortest):
        if any(question[i] != questions[0][i] for question in questions):
            return i
    return shortest
