"""Targets of answers: which tokens, distributions and points a training sequence is compared with.

A number is written as a lead ("0" or "1", before the decimal point) and its three decimals. With the loss "digits" each
of these free positions has a target distribution over the token ids that are allowed there.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ...decoding.codec import CoordinateCodec, thousandths


@dataclass(frozen=True)
class AnswerTargets:
    """The targets of one answer that is a point. Positions are indices in the sequence's text tokens.

    The span of a <KEYPOINT> answer is the position of the token itself. One that is given has no target but the point;
    one that the model writes has itself and what ends the answer as text.

    text: (position whose next token is predicted, id of that token), for the whole answer.
    lead: (position, distribution over "0" and "1"), for x and y.
    digits: (position, distribution over the ids of a digit slot), for the decimals of x and y.
    point: true point x y in normalised coordinates of the crop.
    span: first and last position from which the answer is predicted: the token before the answer, and its last token.
    """

    text: list[tuple[int, int]]
    lead: list[tuple[int, Tensor]]
    digits: list[tuple[int, Tensor]]
    point: tuple[float, float]
    span: tuple[int, int]


@dataclass(frozen=True)
class NumberTargets:
    """The targets of one number.

    value: what is written in the sequence, in thousandths.
    lead: (2,) distribution over "0" and "1".
    digits: a distribution for each digit slot; none where 1.000 is written, as its decimals are certain.
    """

    value: int
    lead: Tensor
    digits: list[Tensor]


def number_targets(codec: CoordinateCodec, value: float, sigma: float, rng: np.random.Generator) -> NumberTargets:
    """Spread a coordinate over the 1001 values that can be written, and draw the value that is written.

    The distribution is a normal one, cut off at the sides of the crop. The targets of each position are conditioned on
    what is written in front of it.

    codec: how coordinates are written in tokens.
    value: the coordinate, from 0 to 1.
    sigma: standard deviation of the normal distribution; 0 puts all probability on the rounded coordinate.
    rng: generator of the draw.
    """
    if sigma <= 0:
        return _certain_number(codec, thousandths(value))
    weights = np.exp(-0.5 * ((np.arange(1001) / 1000 - value) / sigma) ** 2)
    probabilities = weights / weights.sum()
    return _conditioned(codec, probabilities, int(rng.choice(1001, p=probabilities)))


def answer_targets(
    codec: CoordinateCodec,
    start: int,
    ids: list[int],
    numbers: tuple[NumberTargets, NumberTargets],
    point: tuple[float, float],
) -> AnswerTargets:
    """The targets of a point that is written in tokens.

    codec: how coordinates are written in tokens.
    start: position of the answer's first token.
    ids: tokens of the answer.
    numbers: targets of x and y.
    point: true point in normalised coordinates of the crop.
    """
    lead, digits = [], []
    position = start + len(codec.opening) - 1  # predicts the lead of x
    for number in numbers:
        lead.append((position, number.lead))
        first = position + 1 + len(codec.point)
        digits += [(first + slot, target) for slot, target in enumerate(number.digits)]
        last = first + len(codec.digits) - 1
        position += 1 + len(codec.point) + len(codec.digits) + len(codec.comma)
    text = [(start - 1 + i, token) for i, token in enumerate(ids)]
    return AnswerTargets(text, lead, digits, point, (start - 1, last))


@lru_cache(maxsize=2002)
def _certain_number(codec: CoordinateCodec, written: int) -> NumberTargets:
    """All probability on one value, in thousandths."""
    return _conditioned(codec, np.eye(1, 1001, written)[0], written)


def _conditioned(codec: CoordinateCodec, probabilities: np.ndarray, written: int) -> NumberTargets:
    """A distribution (1001,) as targets of the free positions, each conditioned on what is written in front of it."""
    lead = torch.tensor([1 - probabilities[1000], probabilities[1000]], dtype=torch.float32)
    if written == 1000:
        return NumberTargets(written, lead, [])
    table, digits = probabilities[:1000], []
    for chosen in codec.digit_indices(written):
        split = table.reshape(codec.base, -1)
        share = split.sum(1)
        digits.append(torch.from_numpy(share / share.sum()).float())
        table = split[chosen]
    return NumberTargets(written, lead, digits)
