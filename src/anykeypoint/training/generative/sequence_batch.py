"""Training sequences as one padded batch of tensors.

Letters: B sequences, T text tokens of the longest, S side of a crop in pixels, n targets of a kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .sequences import PackedSequence


@dataclass(frozen=True)
class SequenceBatch:
    """Sequences padded to one length. Positions of targets are (sequence, index among its text tokens).

    pixels: B S S 3 uint8.
    tokens: B T, ids.
    positions: B T, positions behind the prefix.
    mask: B T T bool, which text tokens a text token attends to. All text attends to the whole prefix.
    text_targets: n 3: position of the prediction (two numbers) and id of the token that is predicted; of all answers.
    word_targets: n 3: those of them that belong to answers in words.
    lead_targets: n 2 positions, and n 2 distributions over "0" and "1".
    digit_targets: n 2 positions, and n base distributions over the ids of a digit slot.
    point_targets: n 2 positions, one for every token from which a point is predicted, and n 2 true points.
    answers: number of answers that are points.
    """

    pixels: Tensor
    tokens: Tensor
    positions: Tensor
    mask: Tensor
    text_targets: Tensor
    word_targets: Tensor
    lead_targets: tuple[Tensor, Tensor]
    digit_targets: tuple[Tensor, Tensor]
    point_targets: tuple[Tensor, Tensor]
    answers: int

    def to(self, device: torch.device) -> "SequenceBatch":
        """The same batch on another device."""

        def move(value: object) -> object:
            if isinstance(value, tuple):
                return tuple(map(move, value))
            return value.to(device) if isinstance(value, Tensor) else value

        return replace(self, **{name: move(value) for name, value in vars(self).items()})


def collate(sequences: Sequence[PackedSequence], base: int) -> SequenceBatch:
    """Pad sequences into one batch. Padding attends to itself alone and has no target.

    base: number of ids of a digit slot.
    """
    length = max(len(sequence.tokens) for sequence in sequences)
    tokens = torch.zeros(len(sequences), length, dtype=torch.long)
    positions = torch.zeros(len(sequences), length, dtype=torch.long)
    mask = torch.eye(length, dtype=torch.bool).repeat(len(sequences), 1, 1)
    text, words, lead, digits, points = [], [], ([], []), ([], []), ([], [])
    for b, sequence in enumerate(sequences):
        n = len(sequence.tokens)
        tokens[b, :n] = torch.tensor(sequence.tokens)
        positions[b, :n] = torch.tensor(sequence.positions)
        conversation = torch.tensor(sequence.conversation)
        mask[b, :n, :n] = (conversation[:, None] == conversation[None]).tril()
        own_words = [(b, position, token) for position, token in sequence.word_targets]
        text += own_words
        words += own_words
        for answer in sequence.answers:
            text += [(b, position, token) for position, token in answer.text]
            for (places, distributions), targets in ((lead, answer.lead), (digits, answer.digits)):
                places.extend((b, position) for position, _ in targets)
                distributions.extend(target for _, target in targets)
            span = range(answer.span[0], min(answer.span[1] + 1, n))
            points[0].extend((b, position) for position in span)
            points[1].extend([answer.point] * len(span))
    return SequenceBatch(
        pixels=torch.from_numpy(np.stack([sequence.pixels for sequence in sequences])),
        tokens=tokens,
        positions=positions,
        mask=mask,
        text_targets=torch.tensor(text, dtype=torch.long).view(-1, 3),
        word_targets=torch.tensor(words, dtype=torch.long).view(-1, 3),
        lead_targets=_distributions(*lead, width=2),
        digit_targets=_distributions(*digits, width=base),
        point_targets=(torch.tensor(points[0], dtype=torch.long).view(-1, 2), torch.tensor(points[1]).view(-1, 2)),
        answers=sum(len(sequence.answers) for sequence in sequences),
    )


def _distributions(positions: list[tuple[int, int]], targets: list[Tensor], width: int) -> tuple[Tensor, Tensor]:
    """Positions and their distributions as tensors n 2 and n width, also where there are none."""
    places = torch.tensor(positions, dtype=torch.long).view(-1, 2)
    return places, torch.stack(targets) if targets else torch.zeros(0, width)
