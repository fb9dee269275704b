"""Coordinates as text: the codec between numbers 0.000 to 1.000 and one tokenizer's tokens.

CapeLLM answers ` [0.123,0.456]` (Sec. 3.1, Eq. 6). How that string is cut into tokens depends on the tokenizer: those
of SmolLM2, Vicuna, Mistral and Qwen use one token per digit, that of Llama-3 one token for three digits. The codec
learns it by tokenising all 1001 values of both axes. From then on everything is a table: the fixed template, the ids
allowed at each free position, both directions of the translation, and the exact distribution over the 1001 values.

A number is spelled `lead . digits`. The lead is "0" or "1"; after "1" every digit is "0", as 1.000 is the only such
value. The free positions of a number are its lead and its digit slots (three with 10 ids, or one with 1000 ids).

Letters: B a batch, V values of a distribution: 1001 (thousandths 0 to 1000), or 101 or 11 of the leading digits.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..density.temperature import tempered
from ..errors import InputError

VALUES = 1001  # 0.000, 0.001, ... 1.000
_PROBE = "Assistant:"  # text in front of the answer while the spelling is learnt, as most conversation forms end


@dataclass(frozen=True)
class CoordinateCodec:
    """One tokenizer's spelling of `{opening}{number}{comma}{number}{closing}`, as token ids.

    opening: ids of " [".
    leads: the ids of "0" and of "1" in front of the point.
    point: ids of ".".
    digits: for each digit slot the ids of its values: 3 slots of 10, or 1 slot of 1000.
    comma: ids of "," or ", ".
    closing: ids of "]".
    native: True where the tokenizer itself spells all values so; False where one token per digit was imposed.
    """

    opening: tuple[int, ...]
    leads: tuple[int, int]
    point: tuple[int, ...]
    digits: tuple[tuple[int, ...], ...]
    comma: tuple[int, ...]
    closing: tuple[int, ...]
    native: bool

    @property
    def base(self) -> int:
        """The number of values of one digit slot: 10 or 1000."""
        return len(self.digits[0])

    @classmethod
    def learn(cls, tokenizer: Any, spaced: bool = False) -> "CoordinateCodec":
        """The spelling of a tokenizer.

        tokenizer: of transformers. One that cuts three-decimal numbers into varying numbers of tokens gets one token
            per digit (`native` is False).
        spaced: True writes ", " between the numbers, as the paper does; False ",", as the released code does.

        Raises InputError for a tokenizer without single tokens for the ten digits.
        """
        comma = ", " if spaced else ","
        spell = _Speller(tokenizer, comma)
        for slots in (3, 1):
            codec = cls._propose(spell, slots)
            if codec is not None and codec._spells_everything(spell):
                return codec
        return cls._per_digit(tokenizer, comma)

    @classmethod
    def _propose(cls, spell: "_Speller", slots: int) -> "CoordinateCodec | None":
        """The spelling under the assumption of `slots` digit slots per number; None where it does not hold.

        It is found by tokenising every value of x: a position that varies is a digit slot.
        """
        answers = spell([(value, 0) for value in range(1000)])
        length = len(answers[0])
        one = spell([(1000, 0)])[0]
        if any(len(answer) != length for answer in [*answers, one]):
            return None
        varying = [i for i in range(length) if len({answer[i] for answer in answers}) > 1]
        lead = [i for i in range(length) if one[i] != answers[0][i]]
        if len(varying) != slots or len(lead) != 1 or varying != list(range(varying[0], varying[0] + slots)):
            return None
        first, start, stop = lead[0], varying[0], varying[-1] + 1
        zero = answers[0]
        places = 3 // slots
        tables = []
        for slot in range(slots):
            scale = 10 ** (places * (slots - 1 - slot))
            tables.append(tuple(answers[value * scale][start + slot] for value in range(10**places)))
        point = zero[first + 1 : start]
        number = stop - first  # number of tokens of one number
        second = _find(zero, zero[first:stop], after=stop)
        if second is None:
            return None
        return cls(
            opening=zero[:first],
            leads=(zero[first], one[first]),
            point=point,
            digits=tuple(tables),
            comma=zero[stop:second],
            closing=zero[second + number :],
            native=True,
        )

    def _spells_everything(self, spell: "_Speller") -> bool:
        """Whether every value of both axes is spelled as the tokenizer spells it."""
        pairs = [(value, 1000 - value) for value in range(VALUES)] + [(value, 0) for value in range(VALUES)]
        return all(self.encode_values(*pair) == ids for pair, ids in zip(pairs, spell(pairs), strict=True))

    @classmethod
    def _per_digit(cls, tokenizer: Any, comma: str) -> "CoordinateCodec":
        """A spelling with one token per digit, even where the tokenizer would merge digits."""

        def ids(text: str) -> tuple[int, ...]:
            return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

        digits = tuple(ids(str(digit)) for digit in range(10))
        if any(len(digit) != 1 for digit in digits):
            raise InputError(
                "This tokenizer has no single token for each digit, which coordinates as text need; "
                "use a language model of the Llama, Mistral, Qwen or SmolLM family."
            )
        table = tuple(digit[0] for digit in digits)
        return cls(ids(" ["), (table[0], table[1]), ids("."), (table,) * 3, ids(comma), ids("]"), native=False)

    # --- numbers and ids -------------------------------------------------------------------------------------------

    def digit_indices(self, value: int) -> tuple[int, ...]:
        """Thousandths 0 to 999 -> the index in each digit slot."""
        if self.base == 1000:
            return (value,)
        return (value // 100, value // 10 % 10, value % 10)

    def encode_value(self, value: int) -> tuple[int, ...]:
        """Thousandths 0 to 1000 -> the ids of the number."""
        if not 0 <= value < VALUES:
            raise InputError(f"A coordinate must be 0 to 1000 thousandths of the crop, but got {value}.")
        lead, rest = divmod(value, 1000)
        digits = (slot[i] for slot, i in zip(self.digits, self.digit_indices(rest), strict=True))
        return (self.leads[lead], *self.point, *digits)

    def encode_values(self, x: int, y: int) -> tuple[int, ...]:
        """Two numbers in thousandths -> the ids of the whole answer."""
        return (*self.opening, *self.encode_value(x), *self.comma, *self.encode_value(y), *self.closing)

    def encode(self, x: float, y: float) -> tuple[int, ...]:
        """A point in fractions of the crop -> the ids of the whole answer; InputError outside 0 to 1."""
        return self.encode_values(thousandths(x), thousandths(y))

    def decode(self, ids: Sequence[int]) -> tuple[float, float]:
        """The ids of an answer, after which others may follow -> the point in fractions of the crop.

        InputError for ids that are not an answer.
        """
        ids = tuple(ids)
        place, values = 0, []
        for literal, ends in ((self.opening, False), (self.comma, True)):
            place = self._expect(ids, place, literal)
            value, place = self._read_number(ids, place)
            values.append(value)
            if ends:
                self._expect(ids, place, self.closing)
        return values[0] / 1000, values[1] / 1000

    def _expect(self, ids: tuple[int, ...], place: int, literal: tuple[int, ...]) -> int:
        if ids[place : place + len(literal)] != literal:
            raise InputError(f"Token ids {list(ids)} are not an answer: position {place} breaks the template.")
        return place + len(literal)

    def _read_number(self, ids: tuple[int, ...], place: int) -> tuple[int, int]:
        if ids[place : place + 1] not in ((self.leads[0],), (self.leads[1],)):
            raise InputError(f"Token ids {list(ids)} are not an answer: position {place} is not 0 or 1.")
        value = 1000 * self.leads.index(ids[place])
        place = self._expect(ids, place + 1, self.point)
        rest = 0
        for slot in self.digits:
            if place >= len(ids) or ids[place] not in slot:
                raise InputError(f"Token ids {list(ids)} are not an answer: position {place} is not a digit.")
            rest = rest * self.base + slot.index(ids[place])
            place += 1
        if value + rest > 1000:
            raise InputError(f"Token ids {list(ids)} are not an answer: {(value + rest) / 1000} is above 1.")
        return value + rest, place

    def template(self) -> list[tuple[int, ...]]:
        """The allowed ids of each position of the answer; a literal has one.

        The template does not say that after the lead "1" only zeros are allowed.
        """
        number = [self.leads, *((i,) for i in self.point), *self.digits]
        literals = [[(i,) for i in part] for part in (self.opening, self.comma, self.closing)]
        return [*literals[0], *number, *literals[1], *number, *literals[2]]

    # --- distributions -----------------------------------------------------------------------------------------------

    def distribution(self, lead: Tensor, slots: Sequence[Tensor]) -> Tensor:
        """The exact distribution of one number from those of its free positions (Eq. 6).

        lead: B 2, probabilities of "0" and "1".
        slots: for each digit slot the probabilities given all digits in front of it: B 10, B 10 10, B 10 10 10; or a
            single B 1000. Fewer slots give the distribution of the leading digits.

        Returns B V, the probability of each value; the last one is 1.000. V is 1001, or 101 or 11 with fewer slots.
        """
        joint = slots[0]
        for slot in slots[1:]:
            joint = joint[..., None] * slot
        return torch.cat([lead[:, :1] * joint.flatten(1), lead[:, 1:]], dim=1)

    def tempered(self, distribution: Tensor, temperature: float) -> Tensor:
        """The distribution of one number at a temperature: p^(1/T), normalised, at each of its free positions.

        So the distribution of a number stays the product of its digits', which `digit_tree` expands.

        distribution: ... V, see `distribution`.
        """
        if temperature == 1:
            return distribution
        below, one = distribution[..., :-1], distribution[..., -1:]
        lead = tempered(torch.cat([below.sum(dim=-1, keepdim=True), one], dim=-1), temperature)
        weights = lead[..., :1]
        for slot in range(round(math.log(below.shape[-1], self.base))):
            sums = below.unflatten(-1, (self.base ** (slot + 1), -1)).sum(dim=-1)
            given = tempered(sums.unflatten(-1, (-1, self.base)), temperature)
            weights = (weights[..., None] * given).flatten(-2)
        return torch.cat([weights, lead[..., 1:]], dim=-1)


def thousandths(value: float) -> int:
    """A fraction of the crop in 0 to 1 -> whole thousandths, rounded as `f"{value:.3f}"` does; InputError outside."""
    rounded = round(float(f"{value:.3f}") * 1000) if math.isfinite(value) else -1
    if not 0 <= rounded <= 1000:
        raise InputError(f"A coordinate must lie in 0 to 1 of the crop, but got {value}.")
    return rounded


def bin_centres(count: int) -> Tensor:
    """The coordinate of each entry of a distribution with `count` entries, fractions of the crop: V.

    The entries of leading digits stand for all numbers that start so, and have their middle.
    """
    width = 1000 // (count - 1)  # number of thousandths per entry
    centres = (torch.arange(count - 1) * width + (width - 1) / 2) / 1000
    return torch.cat([centres, torch.ones(1)])


def expected_value(distribution: Tensor, centres: Tensor) -> Tensor:
    """The mean of each distribution.

    distribution: B V.
    centres: V, see `bin_centres`.

    Returns B, fractions of the crop.
    """
    return distribution @ centres


def mode_value(distribution: Tensor, centres: Tensor, radius: float) -> Tensor:
    """The value whose surrounding +-radius is most probable: the point of highest expected PCK on one axis.

    distribution: B V.
    centres: V, see `bin_centres`.
    radius: fraction of the crop.

    Returns B, fractions of the crop; among equally good values their mean.
    """
    window = ((centres[:, None] - centres[None]).abs() <= radius + 1e-6).to(distribution)
    mass = distribution @ window
    best = (mass >= mass.amax(-1, keepdim=True) - 1e-6).to(distribution)
    return (best @ centres) / best.sum(-1)


def mass_near(distribution: Tensor, centres: Tensor, values: Tensor, radius: float) -> Tensor:
    """The probability that a coordinate lies within +-radius of a value.

    distribution: B V.
    centres: V, see `bin_centres`.
    values: B, fractions of the crop.
    radius: fraction of the crop.

    Returns B.
    """
    near = ((centres[None] - values[:, None]).abs() <= radius + 1e-6).to(distribution)
    return (distribution * near).sum(-1)


_NUMBER = r"([01]\.\d+)"
_ANSWER = re.compile(rf"\s*\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]")


def read_answer(text: str) -> tuple[float, float] | None:
    """The point, in fractions of the crop, of an answer that another program wrote; None where there is none.

    An answer starts with two numbers from 0 to 1 in square brackets; anything may follow the closing bracket. A sign, a
    missing bracket or a missing number means that there is no answer: nothing is guessed.
    """
    match = _ANSWER.match(text)
    if match is None:
        return None
    x, y = float(match[1]), float(match[2])
    return (x, y) if x <= 1 and y <= 1 else None


class _Speller:
    """Tokenises answers that follow the probe."""

    def __init__(self, tokenizer: Any, comma: str) -> None:
        self.tokenizer, self.comma = tokenizer, comma
        self.prefix = self._ids([_PROBE])[0]

    def _ids(self, texts: list[str]) -> list[tuple[int, ...]]:
        return [tuple(ids) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]]

    def __call__(self, pairs: list[tuple[int, int]]) -> list[tuple[int, ...]]:
        """The ids of the answers of pairs of thousandths; () where the answer's tokens merge with the probe's."""
        texts = [f"{_PROBE} [{x / 1000:.3f}{self.comma}{y / 1000:.3f}]" for x, y in pairs]
        size = len(self.prefix)
        return [ids[size:] if ids[:size] == self.prefix else () for ids in self._ids(texts)]


def _find(ids: tuple[int, ...], part: tuple[int, ...], after: int) -> int | None:
    """The index at which `part` starts in `ids`, at `after` or later; None where it does not occur."""
    for i in range(after, len(ids) - len(part) + 1):
        if ids[i : i + len(part)] == part:
            return i
    return None
