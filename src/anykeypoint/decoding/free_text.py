"""Answers in free text: written greedily, or chosen among candidates by their whole probability.

All questions are branches over one cache. An answer ends with the tokens of an ending, and its probability includes
them: otherwise "left" would always be at least as probable as "left ear".

Letters: Q questions, W candidates, n tokens, D model width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .branches import Branches, Prefix, passes
from .reader import NumberReader

ROWS = 256  # number of states whose logits over the whole vocabulary are held at a time


@dataclass(frozen=True)
class WrittenText:
    """One answer.

    ids: its tokens, without the ending.
    log_prob: log probability of the tokens and the ending.
    ended: False where the limit of tokens cut the answer off.
    """

    ids: tuple[int, ...]
    log_prob: float
    ended: bool


def write(
    reader: NumberReader,
    prefix: Prefix,
    questions: Sequence[Sequence[int]],
    ending: Sequence[int],
    limit: int,
    stop: int | None = None,
) -> list[WrittenText]:
    """The greedy answer to each tokenised question.

    ending: tokens that end an answer.
    limit: largest number of tokens of an answer, its ending included.
    stop: a single further token that ends an answer (the tokenizer's end-of-text); None has no such token.
    """
    answers = []
    for packed in passes(questions, lambda question: len(question) + limit):
        branches = Branches.of(reader.language, prefix, reader.embed).repeated(len(packed))
        states = branches.advance(packed)[-1]
        ids: list[list[int]] = [[] for _ in packed]
        log_prob = [0.0] * len(packed)
        going = list(range(len(packed)))
        ended: dict[int, int] = {}  # branch -> number of its last tokens that are the ending
        for step in range(limit):
            best = reader.logits(states[going]).log_softmax(-1).max(-1)
            for b, token, log_p in zip(going, best.indices.tolist(), best.values.tolist(), strict=True):
                ids[b].append(token)
                log_prob[b] += log_p
                if ids[b][-len(ending) :] == list(ending):
                    ended[b] = len(ending)
                elif token == stop:
                    ended[b] = 1
            going = [b for b in going if b not in ended]
            if not going or step + 1 == limit:
                break
            states = branches.advance([ids[b][-1:] if b in going else [] for b in range(len(packed))])[-1]
        for b, written in enumerate(ids):
            kept = tuple(written[: len(written) - ended.get(b, 0)])
            answers.append(WrittenText(kept, log_prob[b], b in ended))
    return answers


def score(
    reader: NumberReader, prefix: Prefix, questions: Sequence[Sequence[int]], candidates: Sequence[Sequence[int]]
) -> Tensor:
    """log p of each tokenised candidate as the answer to each question: Q W float64.

    candidates: W lists of tokens, each with its ending.
    """
    cost = sum(map(len, candidates))
    rows = []
    for packed in passes(questions, lambda question: len(question) + cost):
        trunk = Branches.of(reader.language, prefix, reader.embed).repeated(len(packed))
        first = trunk.advance(packed)[-1]  # states behind each question, which predict a candidate's first token
        branches = trunk.fork([len(candidates)] * len(packed))
        start = len(branches.states)
        read = [list(candidate[:-1]) for candidate in candidates] * len(packed)
        if any(read):
            branches.advance(read)
        behind = branches.states[start:]
        # Each token is predicted by the state in front of it: the first one by the question's last state.
        states, tokens, owners, offset = [], [], [], 0
        for b, candidate in enumerate(list(candidates) * len(packed)):
            size = len(candidate) - 1
            states += [first[b // len(candidates)][None], behind[offset : offset + size]]
            tokens += candidate
            owners += [b] * len(candidate)
            offset += size
        each = _log_probs(reader, torch.cat(states), tokens)
        total = torch.zeros(len(read), dtype=torch.float64).index_add_(0, torch.tensor(owners), each)
        rows.append(total.view(len(packed), -1))
    return torch.cat(rows)


def _log_probs(reader: NumberReader, states: Tensor, tokens: Sequence[int]) -> Tensor:
    """log p of each token given the state in front of it: states n D, tokens n -> n float64 on the CPU."""
    wanted = torch.tensor(tokens, device=states.device)
    parts = []
    for rows, ids in zip(states.split(ROWS), wanted.split(ROWS), strict=True):
        logits = reader.logits(rows)
        parts.append((logits.gather(1, ids[:, None])[:, 0] - logits.logsumexp(-1)).cpu().double())
    return torch.cat(parts)
