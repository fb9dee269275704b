"""Coordinates as text: the codec between numbers 0.000 to 1.000 and one tokenizer's tokens.

CapeLLM answers ` [0.123,0.456]` (Sec. 3.1, Eq. 6). How that string falls into tokens is the tokenizer's business:
SmolLM2, Vicuna, Mistral and Qwen spend one token on each digit, Llama-3 one token on three digits. The codec learns it
by asking the tokenizer, checks all 1001 values of both axes, and from then on everything is a table: the forced
template, the ids allowed at each free position, both directions of the translation and the exact distribution over the
1001 values.

A number is spelled `lead . digits`. The lead is "0" or "1"; after "1" every digit is "0": 1.000 is the only such value.
The free positions of a number are its lead and its digit slots (three of 10 ids, or one of 1000 ids).

Letters: B a batch, V = 1001 values (thousandths 0 to 1000).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError

VALUES = 1001  # 0.000, 0.001, ... 1.000
_PROBE = "Assistant:"  # what stands before the answer in every conversation form


@dataclass(frozen=True)
class CoordinateCodec:
    """One tokenizer's spelling of `{opening}{number}{comma}{number}{closing}`, each a tuple of token ids."""

    opening: tuple[int, ...]  # " ["
    leads: tuple[int, int]  # ids of "0" and "1" in front of the point
    point: tuple[int, ...]  # "."
    digits: tuple[tuple[int, ...], ...]  # per slot the ids of its values: 3 slots x 10, or 1 slot x 1000
    comma: tuple[int, ...]  # "," or ", "
    closing: tuple[int, ...]  # "]"
    native: bool  # True: the tokenizer itself spells all values so; False: forced to one token per digit

    @property
    def base(self) -> int:
        """How many values one digit slot tells apart: 10 or 1000."""
        return len(self.digits[0])

    @classmethod
    def learn(cls, tokenizer: Any, spaced: bool = False) -> "CoordinateCodec":
        """Find the tokenizer's spelling. `spaced` writes ", " between the numbers (the paper's), else "," (released).

        A tokenizer that spells three-decimal numbers in no fixed number of tokens gets one token per digit
        (`native` is False). Raises InputError if it has no single tokens for the ten digits.
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
        """Read the tables off a sweep of answers, assuming `slots` digit slots per number; None if they do not fit."""
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
        number = stop - first  # tokens of one number
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
        pairs = [(value, 1000 - value) for value in range(VALUES)] + [(value, 0) for value in range(VALUES)]
        return all(self.encode_values(*pair) == found for pair, found in zip(pairs, spell(pairs), strict=True))

    @classmethod
    def _per_digit(cls, tokenizer: Any, comma: str) -> "CoordinateCodec":
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
        """Thousandths 0..999 -> the index chosen in each digit slot."""
        if self.base == 1000:
            return (value,)
        return (value // 100, value // 10 % 10, value % 10)

    def encode_value(self, value: int) -> tuple[int, ...]:
        """Thousandths 0..1000 -> the ids of the number."""
        if not 0 <= value < VALUES:
            raise InputError(f"A coordinate must be 0 to 1000 thousandths of the crop, but got {value}.")
        lead, rest = divmod(value, 1000)
        digits = (slot[i] for slot, i in zip(self.digits, self.digit_indices(rest), strict=True))
        return (self.leads[lead], *self.point, *digits)

    def encode_values(self, x: int, y: int) -> tuple[int, ...]:
        """Two numbers in thousandths -> the ids of the whole answer."""
        return (*self.opening, *self.encode_value(x), *self.comma, *self.encode_value(y), *self.closing)

    def encode(self, x: float, y: float) -> tuple[int, ...]:
        """A normalised point -> the ids of the whole answer; InputError outside [0, 1]."""
        return self.encode_values(thousandths(x), thousandths(y))

    def decode(self, ids: Sequence[int]) -> tuple[float, float]:
        """The ids of an answer (junk may follow) -> the normalised point; InputError if they are not one."""
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
        """Per position of the answer the allowed ids; a literal allows one. (After lead "1" only zeros are allowed.)"""
        number = [self.leads, *((i,) for i in self.point), *self.digits]
        literals = [[(i,) for i in part] for part in (self.opening, self.comma, self.closing)]
        return [*literals[0], *number, *literals[1], *number, *literals[2]]

    # --- distributions -----------------------------------------------------------------------------------------------

    def distribution(self, lead: Tensor, slots: Sequence[Tensor]) -> Tensor:
        """The exact distribution of one number from the conditional ones of its free positions (Eq. 6).

        lead: B 2 probabilities of "0" and "1". slots: per digit slot the probabilities given every choice before it:
        [B 10], [B 10 10], [B 10 10 10], or [B 1000]; fewer slots give the distribution of the leading digits.
        Returns B 1001 (B 101, B 11 with fewer slots): probability of each value, the last one being 1.000.
        """
        joint = slots[0]
        for slot in slots[1:]:
            joint = joint[..., None] * slot
        return torch.cat([lead[:, :1] * joint.flatten(1), lead[:, 1:]], dim=1)


def thousandths(value: float) -> int:
    """A fraction in [0, 1] -> whole thousandths, rounded as `f"{value:.3f}"` does."""
    rounded = round(float(f"{value:.3f}") * 1000) if math.isfinite(value) else -1
    if not 0 <= rounded <= 1000:
        raise InputError(f"A coordinate must lie in 0 to 1 of the crop, but got {value}.")
    return rounded


def write_answer(x: float, y: float, spaced: bool = False) -> str:
    """A normalised point as text, `[0.123,0.456]`; InputError outside [0, 1] or for NaN."""
    values = [thousandths(value) / 1000 for value in (x, y)]
    return f"[{values[0]:.3f},{' ' if spaced else ''}{values[1]:.3f}]"


def bin_centres(count: int) -> Tensor:
    """The coordinate that each entry of a distribution stands for: V = 1001 values, or 101 or 11 leading-digit bins."""
    width = 1000 // (count - 1)  # thousandths per bin
    centres = (torch.arange(count - 1) * width + (width - 1) / 2) / 1000
    return torch.cat([centres, torch.ones(1)])


def expected_value(distribution: Tensor, centres: Tensor) -> Tensor:
    """The mean of each row: B V, V -> B."""
    return distribution @ centres


def mode_value(distribution: Tensor, centres: Tensor, radius: float) -> Tensor:
    """The value whose surrounding +-radius holds most mass: the point of highest expected PCK on one axis. B V, V -> B.

    A plateau of equally good values gives its middle.
    """
    window = ((centres[:, None] - centres[None]).abs() <= radius + 1e-6).to(distribution)
    mass = distribution @ window
    best = (mass >= mass.amax(-1, keepdim=True) - 1e-6).to(distribution)
    return (best @ centres) / best.sum(-1)


def mass_near(distribution: Tensor, centres: Tensor, values: Tensor, radius: float) -> Tensor:
    """The probability that a coordinate lies within +-radius of a value: B V, V, B -> B."""
    near = ((centres[None] - values[:, None]).abs() <= radius + 1e-6).to(distribution)
    return (distribution * near).sum(-1)


_NUMBER = r"([01]\.\d+)"
_ANSWER = re.compile(rf"\s*\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]")


def read_answer(text: str) -> tuple[float, float] | None:
    """The point in text written elsewhere; None unless it starts with two numbers from 0 to 1 in square brackets.

    Anything may follow the closing bracket. Signs, further digits, a missing bracket or number mean that there is no
    answer: nothing is guessed.
    """
    match = _ANSWER.match(text)
    if match is None:
        return None
    x, y = float(match[1]), float(match[2])
    return (x, y) if x <= 1 and y <= 1 else None


class _Speller:
    """Asks the tokenizer how it writes answers after the probe."""

    def __init__(self, tokenizer: Any, comma: str) -> None:
        self.tokenizer, self.comma = tokenizer, comma
        self.prefix = self._ids([_PROBE])[0]

    def _ids(self, texts: list[str]) -> list[tuple[int, ...]]:
        return [tuple(ids) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]]

    def __call__(self, pairs: list[tuple[int, int]]) -> list[tuple[int, ...]]:
        """Answers' ids for pairs of thousandths; () where the answer's tokens merge with the probe's."""
        texts = [f"{_PROBE} [{x / 1000:.3f}{self.comma}{y / 1000:.3f}]" for x, y in pairs]
        size = len(self.prefix)
        return [ids[size:] if ids[:size] == self.prefix else () for ids in self._ids(texts)]


def _find(ids: tuple[int, ...], part: tuple[int, ...], after: int) -> int | None:
    """Where `part` starts in `ids` at or after a place."""
    for i in range(after, len(ids) - len(part) + 1):
        if ids[i : i + len(part)] == part:
            return i
    return None
