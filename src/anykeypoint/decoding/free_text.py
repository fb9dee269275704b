"""Answers in words: written greedily, or chosen among given ones by their whole probability.

All questions go on as branches over one cache. An answer ends with the tokens of an ending, and its probability
includes them: without, a beginning of a name would be likelier than the name.

Letters: Q questions, W candidates, D model width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .branches import Branches, Prefix, passes

if TYPE_CHECKING:
    from .engine import Engine

ROWS = 256  # of the output layer's whole width at a time


@dataclass(frozen=True)
class Written:
    """ids: without the ending. log_prob: of the ids and the ending. ended: False where the limit cut it off."""

    ids: tuple[int, ...]
    log_prob: float
    ended: bool


def write(
    engine: "Engine",
    prefix: Prefix,
    questions: Sequence[Sequence[int]],
    ending: Sequence[int],
    limit: int,
    stop: int | None = None,
) -> list[Written]:
    """The greedy answer to each question, of at most `limit` tokens with its ending.

    stop: another token that ends an answer, the tokenizer's end-of-text.
    """
    answers = []
    for some in passes(questions, lambda question: len(question) + limit):
        branches = Branches.of(engine.language, prefix, engine.embed).alike(len(some))
        states = branches.advance(some)[-1]
        ids: list[list[int]] = [[] for _ in some]
        log_prob = [0.0] * len(some)
        going = list(range(len(some)))
        ended: dict[int, int] = {}  # by branch, how many of its tokens are the ending
        for step in range(limit):
            best = _logits(engine, states[going]).log_softmax(-1).max(-1)
            for b, token, chance in zip(going, best.indices.tolist(), best.values.tolist(), strict=True):
                ids[b].append(token)
                log_prob[b] += chance
                if ids[b][-len(ending) :] == list(ending):
                    ended[b] = len(ending)
                elif token == stop:
                    ended[b] = 1
            going = [b for b in going if b not in ended]
            if not going or step + 1 == limit:
                break
            states = branches.advance([ids[b][-1:] if b in going else [] for b in range(len(some))])[-1]
        for b, written in enumerate(ids):
            kept = tuple(written[: len(written) - ended.get(b, 0)])
            answers.append(Written(kept, log_prob[b], b in ended))
    return answers


def score(
    engine: "Engine", prefix: Prefix, questions: Sequence[Sequence[int]], candidates: Sequence[Sequence[int]]
) -> Tensor:
    """log p of each candidate, with whatever ends it, as the answer to each question: Q W float64."""
    cost = sum(map(len, candidates))
    rows = []
    for some in passes(questions, lambda question: len(question) + cost):
        trunk = Branches.of(engine.language, prefix, engine.embed).alike(len(some))
        first = trunk.advance(some)[-1]  # behind each question
        branches = trunk.fork([len(candidates)] * len(some))
        start = len(branches.states)
        read = [list(candidate[:-1]) for candidate in candidates] * len(some)
        if any(read):
            branches.advance(read)
        behind = branches.states[start:]
        states, tokens, owners, place = [], [], [], 0
        for b, candidate in enumerate(list(candidates) * len(some)):
            size = len(candidate) - 1
            states += [first[b // len(candidates)][None], behind[place : place + size]]
            tokens += candidate
            owners += [b] * len(candidate)
            place += size
        each = _log_probs(engine, torch.cat(states), tokens)
        total = torch.zeros(len(read), dtype=torch.float64).index_add_(0, torch.tensor(owners), each)
        rows.append(total.view(len(some), -1))
    return torch.cat(rows)


def _logits(engine: "Engine", states: Tensor) -> Tensor:
    """States n D -> n V float32, in the language model's own way."""
    return engine.language.get_output_embeddings()(states).float()


def _log_probs(engine: "Engine", states: Tensor, tokens: Sequence[int]) -> Tensor:
    """log p of each token behind its state: n float64 on the CPU."""
    wanted = torch.tensor(tokens, device=states.device)
    found = []
    for some, ids in zip(states.split(ROWS), wanted.split(ROWS), strict=True):
        logits = _logits(engine, some)
        found.append((logits.gather(1, ids[:, None])[:, 0] - logits.logsumexp(-1)).double().cpu())
    return torch.cat(found)
