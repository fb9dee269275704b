"""The engine: answers K questions about one image prefix under the codec's fixed template.

What makes it fast:

- the image prefix runs through the model once, and its cache is never copied per keypoint;
- the K questions, and later every tree of digits, are branches over that cache;
- the opening that all questions share runs once;
- the template's literals are read in the same pass as the digits next to them, and only those rows of the output layer
  are computed that a free position allows.

The digits are those of one plain `generate` per keypoint.

Letters: N prefix tokens, D model width, K questions, V values of a number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from .branches import Branches, Prefix, passes, read_prefix
from .codec import CoordinateCodec
from .digit_tree import joint
from .free_text import WrittenText, score, write
from .mixture import Mixture
from .reader import DigitTables, NumberReader
from .strategies import Strategy, seeded_draws


@dataclass(frozen=True)
class DecodedPoints:
    """K points, in the order of the questions.

    values: K 2, x and y in whole thousandths of the crop.
    log_prob: K, log probability of the digits, given the template.
    x: K V, exact distribution of x at the engine's temperature; V = 101 (first two decimals, and 1.000) or 1001.
    y: K V, the same of y given the x of `values`.
    """

    values: Tensor
    log_prob: Tensor
    x: Tensor
    y: Tensor

    @classmethod
    def join(cls, parts: "Sequence[DecodedPoints]") -> "DecodedPoints":
        """Several groups of points as one, in this order."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__annotations__))

    @property
    def places(self) -> np.ndarray:
        """The points as fractions of the crop, K 2 float64."""
        return self.values.double().numpy() / 1000

    def at(self, indices: Sequence[int]) -> "DecodedPoints":
        """The points of these indices, in this order."""
        return DecodedPoints(*(getattr(self, name)[list(indices)] for name in self.__annotations__))


@dataclass
class Engine:
    """Answers questions about one prefix with a language model and the codec of its tokenizer.

    A question is a list of token ids, or of any other integers that `embed` turns into embeddings.

    language: a causal language model of transformers with rotary positions.
    codec: how the tokenizer spells coordinates.
    embed: tokens n -> embeddings n D; None takes the language model's own table.
    temperature: of the distributions; it moves no point and no draw, see `density.temperature`.
    """

    language: nn.Module
    codec: CoordinateCodec
    embed: Callable[[Tensor], Tensor] | None = None
    temperature: float = 1.0
    reader: NumberReader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.reader = NumberReader(self.language, self.codec, self.embed, self.temperature)

    @torch.inference_mode()
    def read(self, embeddings: Tensor) -> Prefix:
        """Run an image prefix, embeddings 1 N D, through the language model once."""
        return read_prefix(self.language, embeddings)

    # --- points -------------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def answer(
        self, prefix: Prefix, questions: Sequence[Sequence[int]], strategy: str = "greedy", seed: int = 0
    ) -> DecodedPoints:
        """Answer K tokenised questions, each independently of the others.

        questions: without BOS; the answer follows the question directly.
        strategy: how a number is chosen, see `Strategy`.
        seed: of strategies that draw. The draws of a question do not depend on the other questions.
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
    ) -> DecodedPoints:
        """Give one answer to each group of questions: that of the equal mixture of the questions' distributions.

        With p_m of each of M questions, p(x) is the mean of p_m(x), and p(y | x) is the sum of p_m(x) p_m(y | x) over
        that of p_m(x); the digits within a number are mixed likewise.

        groups: K groups of one or more tokenised questions.
        strategy, seed: as in `answer`. Contrastive search has no mixture: InputError with groups of several questions.
        keys: integers that a group's draws depend on beside the seed; None takes the tokens of its first question.
        """
        return self.answers_of_seeds(prefix, groups, strategy, [seed], keys)[0]

    @torch.inference_mode()
    def answers_of_seeds(
        self,
        prefix: Prefix,
        groups: Sequence[Sequence[Sequence[int]]],
        strategy: str,
        seeds: Sequence[int],
        keys: Sequence[Sequence[int]] | None = None,
    ) -> list[DecodedPoints]:
        """The answers of `answer_together` with each of several seeds, to the bit; the questions are read once.

        groups, strategy, keys: as in `answer_together`.
        """
        parsed = Strategy.parse(strategy)
        _check_questions([question for group in groups for question in group] if all(groups) else [])
        if parsed.kind == "contrastive" and any(len(group) > 1 for group in groups):
            raise InputError("Contrastive search reads one question at a time; take another strategy, or one example.")
        keys = [group[0] for group in groups] if keys is None else keys
        if not seeds:
            raise InputError("There must be at least one seed; give as many as answers are wanted.")
        parts: list[list[DecodedPoints]] = [[] for _ in seeds]
        for packed in passes(zip(groups, keys, strict=True), lambda item: sum(map(len, item[0]))):
            questions = [question for group, _ in packed for question in group]
            branches, opened = self.reader.open_questions(prefix, questions)
            mixture = Mixture.equal([len(group) for group, _ in packed])
            tables = self.reader.tables(branches, opened)
            for number, seed in enumerate(seeds, 1):
                # What a seed's branches read is theirs alone; the last seed may go on with the branches themselves.
                own = branches if number == len(seeds) else branches.fork([1] * len(branches))
                draws = [self._draws(parsed, key, seed) for _, key in packed]
                parts[number - 1].append(self._points(own, tables, parsed, draws, mixture)[0])
        return [DecodedPoints.join(of_seed) for of_seed in parts]

    @torch.inference_mode()
    def answer_in_turn(
        self, prefix: Prefix, questions: Sequence[Sequence[int]], strategy: str = "greedy", seed: int = 0
    ) -> DecodedPoints:
        """Cumulative reasoning (Sec. 4.3): one conversation, in which every question follows all earlier answers.

        questions: in the order of the conversation. From the second on, each starts with the tokens that end the
            round before it (the form's ending), without the answer's closing bracket.
        strategy, seed: as in `answer`.
        """
        parsed = Strategy.parse(strategy)
        _check_questions(questions)
        branches, opened = self.reader.open_questions(prefix, questions[:1])
        parts = []
        for i, question in enumerate(questions):
            draws = [self._draws(parsed, question, seed)]
            tables = self.reader.tables(branches, opened)
            part, unread = self._points(branches, tables, parsed, draws, Mixture.equal([1]))
            parts.append(part)
            if i + 1 < len(questions):
                tokens = [*unread[0], *self.codec.closing, *questions[i + 1], *self.codec.opening]
                opened = self.reader.open_number(branches, [tokens])
        return DecodedPoints.join(parts)

    def _draws(self, strategy: Strategy, key: Sequence[int], seed: int) -> np.ndarray:
        """Random numbers in [0, 1) for the free positions of x and of y: 2 (lead, digits)."""
        free = 1 + len(self.codec.digits)
        return seeded_draws(key, seed, 2 * free).reshape(2, free) if strategy.draws else np.zeros((2, free))

    def _points(
        self, branches: Branches, tables: DigitTables, strategy: Strategy, draws: list[np.ndarray], mixture: Mixture
    ) -> tuple[DecodedPoints, list[list[int]]]:
        """Read x, whose tables are given, and y of every group of branches; also the digits of y that the branches
        have not read."""
        x = self.reader.read_number(branches, tables, strategy, [d[0] for d in draws], mixture)
        # The last digits of x are read in one pass with the comma and the assumed "0." of y.
        opened = self.reader.open_number(branches, [[*rest, *self.codec.comma] for rest in x.unread])
        tables = self.reader.tables(branches, opened)
        given = mixture.given(x.log_prob)
        y = self.reader.read_number(branches, tables, strategy, [d[1] for d in draws], given)
        values = torch.tensor([x.values, y.values]).T
        log_prob = mixture.total(x.log_prob + y.log_prob)
        return DecodedPoints(values, log_prob, x.distribution.cpu(), y.distribution.cpu()), y.unread

    @torch.inference_mode()
    def density(self, prefix: Prefix, question: Sequence[int], **options: Any) -> tuple[Tensor, float]:
        """The joint distribution of one keypoint on a grid, and the probability that the grid covers.

        options: see `digit_tree.joint`.
        """
        _check_questions([question])
        return joint(self.reader, prefix, question, **options)

    # --- text ---------------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def write(
        self, prefix: Prefix, questions: Sequence[Sequence[int]], ending: Sequence[int], limit: int, stop: int | None
    ) -> list[WrittenText]:
        """Greedy answers in free text; see `free_text.write`."""
        _check_questions(questions)
        return write(self.reader, prefix, questions, ending, limit, stop)

    @torch.inference_mode()
    def score(self, prefix: Prefix, questions: Sequence[Sequence[int]], candidates: Sequence[Sequence[int]]) -> Tensor:
        """log p of each of W candidates as the answer to each of Q questions: Q W float64; see `free_text.score`."""
        _check_questions(questions)
        _check_questions(candidates)
        return score(self.reader, prefix, questions, candidates)


def _check_questions(questions: Sequence[Sequence[int]]) -> None:
    if not questions or any(not question for question in questions):
        raise InputError("There must be at least one question and none may be empty.")
