"""Reading numbers off a language model: the distributions of a number's free positions, and the number chosen.

A number of the codec's template is `lead . digits`. The reader opens it by reading what stands in front of it together
with an assumed "0.", so that the two first decisions (the lead, and the first digit after "0.") cost one forward pass.
Where the lead turns out to be "1", the assumed tokens are masked out again.

Letters: B branches, K groups of branches that share one answer, D model width, V values of a number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ..density.temperature import tempered
from .branches import Branches, Prefix
from .codec import CoordinateCodec, bin_centres, expected_value, mode_value
from .mixture import Mixture
from .strategies import CANDIDATES, Strategy, penalty


@dataclass(frozen=True)
class OpenedNumber:
    """Hidden states at the two first decisions of a number, and where the assumed "0." lies in the cache.

    lead: B D, states behind the tokens in front of the number; they decide between "0" and "1".
    first: B D, states behind "0."; they decide the first digit.
    assumed: number of tokens of "0.".
    ends: index in the cache behind each branch's "0.", B.
    """

    lead: Tensor
    first: Tensor
    assumed: int
    ends: list[int]


@dataclass(frozen=True)
class ReadNumber:
    """One number per group, and what the branches still have to read of it.

    values: thousandths, K.
    log_prob: B, log probability of the number in each branch.
    distribution: K V, the exact distribution of the number, at the reader's temperature.
    unread: B lists of token ids that the branch has not read yet: the last digit.
    """

    values: list[int]
    log_prob: Tensor
    distribution: Tensor
    unread: list[list[int]]


@dataclass(frozen=True)
class DigitTables:
    """The model's distributions of an opened number's first free positions.

    opened: the number.
    lead: B 2, probabilities of the leads "0" and "1".
    slots: B 10 and B 10 10 (second digit given the first), or a single B 1000.
    """

    opened: OpenedNumber
    lead: Tensor
    slots: list[Tensor]


@dataclass
class NumberReader:
    """Reads numbers with a language model and the codec of its tokenizer.

    language: a causal language model of transformers with rotary positions.
    codec: how the tokenizer spells coordinates.
    embed: tokens n -> embeddings n D; None takes the language model's own table.
    temperature: of the distributions that are given beside the numbers; the numbers themselves are chosen at 1.
    """

    language: nn.Module
    codec: CoordinateCodec
    embed: Callable[[Tensor], Tensor] | None = None
    temperature: float = 1.0
    _head: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._head = self.language.get_output_embeddings().weight

    def probabilities(self, states: Tensor, ids: Sequence[int]) -> Tensor:
        """The model's distribution over the allowed ids only: states B D -> B len(ids), float32."""
        return (states.float() @ self._head[list(ids)].float().T).softmax(-1)

    def logits(self, states: Tensor) -> Tensor:
        """The model's logits over its whole vocabulary: states n D -> n vocabulary, float32."""
        return self.language.get_output_embeddings()(states).float()

    def tempered(self, states: Tensor, ids: Sequence[int]) -> Tensor:
        """`probabilities` at the reader's temperature."""
        return tempered(self.probabilities(states, ids), self.temperature)

    # --- opening a number ---------------------------------------------------------------------------------------------

    def open_questions(self, prefix: Prefix, questions: Sequence[Sequence[int]]) -> tuple[Branches, OpenedNumber]:
        """One branch per tokenised question, which has read the question and the answer's opening; x is opened."""
        shared = _common_start(questions)
        trunk = Branches.of(self.language, prefix, self.embed)
        if shared:
            trunk.advance([list(questions[0][:shared])])
        branches = trunk.repeated(len(questions))
        return branches, self.open_number(branches, [[*q[shared:], *self.codec.opening] for q in questions])

    def open_number(self, branches: Branches, tokens: list[list[int]]) -> OpenedNumber:
        """Let every branch read its tokens in front of a number, and the assumed "0." behind them."""
        before = len(branches.states)
        assumed = [self.codec.leads[0], *self.codec.point]
        states = branches.advance([[*t, *assumed] for t in tokens], last=len(assumed) + 1)
        ends = torch.tensor([len(t) + len(assumed) for t in tokens]).cumsum(0) + before
        return OpenedNumber(lead=states[0], first=states[-1], assumed=len(assumed), ends=ends.tolist())

    def tables(self, branches: Branches, opened: OpenedNumber) -> DigitTables:
        """The distributions of an opened number's first positions; the branches read nothing."""
        slots = [self.probabilities(opened.first, self.codec.digits[0])]
        if self.codec.base == 10:
            slots.append(self._second_digits(branches))
        return DigitTables(opened, self.probabilities(opened.lead, self.codec.leads), slots)

    # --- choosing a number --------------------------------------------------------------------------------------------

    def read_number(
        self, branches: Branches, tables: DigitTables, strategy: Strategy, draws: list[np.ndarray], mixture: Mixture
    ) -> ReadNumber:
        """Choose one number per group and let its branches read all of it but the last digit.

        tables: of the number that the branches have opened.
        draws: per group one number in [0, 1) for each free position, used by strategies that draw.
        mixture: the groups, and the share of each branch in its group's distribution.
        """
        codec = self.codec
        each = codec.distribution(tables.lead, tables.slots)
        distribution = mixture.mean(each)
        if strategy.by_digit:
            leads, mixed = mixture.digits(tables.lead, tables.slots)
            chosen = [self._by_digit(strategy, leads[k], [table[k] for table in mixed], d) for k, d in enumerate(draws)]
        elif strategy.kind == "contrastive":
            chosen = self._contrastive(branches, tables, strategy.number)
        else:
            centres = bin_centres(distribution.shape[1]).to(distribution)
            if strategy.kind == "expected":
                points = expected_value(distribution, centres)
            else:
                points = mode_value(distribution, centres, strategy.number)
            chosen = [min(round(value * 1000), 1000) for value in points.tolist()]
        self._take_back_assumed(branches, tables.opened, mixture.spread(chosen))
        read = self._read_triples if codec.base == 1000 else self._read_digits
        values, log_prob, unread = read(branches, tables, chosen, strategy, draws, mixture)
        return ReadNumber(values, log_prob, mixture.mean(codec.tempered(each, self.temperature)), unread)

    def _second_digits(self, branches: Branches) -> Tensor:
        """p(second digit | first digit) for all ten first digits of every branch: B 10 10."""
        count = len(branches)
        states = branches.fork([10] * count).advance([[digit] for digit in self.codec.digits[0]] * count)[-1]
        return self.probabilities(states, self.codec.digits[1]).view(count, 10, 10)

    def _by_digit(self, strategy: Strategy, lead: Tensor, slots: list[Tensor], draws: np.ndarray) -> int:
        """Choose the lead, then the digits whose distributions are known: thousandths, with 0 for the last of three
        digits, whose distribution is not known yet."""
        if strategy.pick(lead, draws[0]) == 1:
            return 1000
        first = strategy.pick(slots[0], draws[1])
        if self.codec.base == 1000:
            return first
        return first * 100 + strategy.pick(slots[1][first], draws[2]) * 10

    def _contrastive(self, branches: Branches, tables: DigitTables, alpha: float) -> list[int]:
        """Whole numbers by contrastive search over the digits. The lead is part of the template rather than of the
        search: the more probable one is taken."""
        codec, count = self.codec, len(branches)
        values = [0] * count
        tree, p = branches, tables.slots[0]
        for slot, ids in enumerate(codec.digits):
            keep = min(CANDIDATES, len(ids))
            top = p.topk(keep)
            past = [tree.states[tree.attends[b, : len(tree.states)]] for b in range(count)]
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
        return [1000 if tables.lead[b, 1] > tables.lead[b, 0] else value for b, value in enumerate(values)]

    # --- reading the chosen number ------------------------------------------------------------------------------------

    def _take_back_assumed(self, branches: Branches, opened: OpenedNumber, values: list[int]) -> None:
        """Mask out the assumed "0." of the branches whose number is 1.000."""
        for b, value in enumerate(values):
            if value == 1000:
                branches.step_back(b, opened.ends[b], opened.assumed)

    def _lead_log_prob(self, tables: DigitTables, values: list[int]) -> Tensor:
        """log p of the lead of each branch's number (thousandths): B."""
        return torch.tensor([tables.lead[b, value // 1000].item() for b, value in enumerate(values)]).log()

    def _read_triples(
        self,
        branches: Branches,
        tables: DigitTables,
        chosen: list[int],
        strategy: Strategy,
        draws: list[np.ndarray],
        mixture: Mixture,
    ) -> tuple[list[int], Tensor, list[list[int]]]:
        """Of a codec with one token for three digits: nothing is left to choose, and the one token is left unread.

        Returns the values K of the groups, and of the branches log p B and the unread ids.
        """
        codec, values = self.codec, mixture.spread(chosen)
        log_prob = self._lead_log_prob(tables, values)
        unread = []
        for b, value in enumerate(values):
            ids = list(codec.encode_value(value))
            if value < 1000:
                log_prob[b] += tables.slots[0][b, value].log().item()
            unread.append(ids if value == 1000 else ids[-1:])
        return chosen, log_prob, unread

    def _read_digits(
        self,
        branches: Branches,
        tables: DigitTables,
        chosen: list[int],
        strategy: Strategy,
        draws: list[np.ndarray],
        mixture: Mixture,
    ) -> tuple[list[int], Tensor, list[list[int]]]:
        """Of a codec with one token per digit: read all but the third digit, which a strategy by digit chooses here.

        Returns as `_read_triples`.
        """
        codec, known = self.codec, mixture.spread(chosen)
        log_prob = self._lead_log_prob(tables, known)
        inside = [b for b, value in enumerate(known) if value < 1000]
        # A branch whose number is 1.000 reads all of it but the last zero; its digits are certain.
        numbers = [list(codec.encode_value(value)) for value in known]
        read = [ids[-3:-1] if value < 1000 else ids[:-1] for ids, value in zip(numbers, known, strict=True)]
        thirds = self.probabilities(branches.advance(read)[-1], codec.digits[2])
        values = list(chosen)
        if strategy.by_digit:
            # Probability that each branch gave to the digits chosen so far; the mixture of the third digit needs it.
            before = torch.zeros(len(known))
            for b in inside if not mixture.alone else ():
                first, second, _ = codec.digit_indices(known[b])
                before[b] = (tables.lead[b, 0] * tables.slots[0][b, first] * tables.slots[1][b, first, second]).item()
            last = mixture.given(before.log()).mean(thirds)
            for k, value in enumerate(chosen):
                if value < 1000:
                    values[k] += strategy.pick(last[k], draws[k][3])
        written = mixture.spread(values)
        for b in inside:
            first, second, third = codec.digit_indices(written[b])
            p = tables.slots[0][b, first] * tables.slots[1][b, first, second] * thirds[b, third]
            log_prob[b] += p.log().item()
        return values, log_prob, [list(codec.encode_value(value))[-1:] for value in written]


def _common_start(questions: Sequence[Sequence[int]]) -> int:
    """The number of leading tokens that all questions share; every question keeps at least one token of its own."""
    shortest = min(len(question) for question in questions) - 1
    for i in range(shortest):
        if any(question[i] != questions[0][i] for question in questions):
            return i
    return shortest
