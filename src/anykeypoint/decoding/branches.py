"""Branches: many continuations of one token sequence, behind one another in one cache.

A mask lets each branch see the shared beginning and its own past only, at its own positions. Nothing is ever copied per
branch, and one forward pass advances all of them.

Letters: B branches, T cached tokens, N prefix tokens, D model width, n new tokens.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

PACKED = 2048  # tokens in one forward pass at most; more questions go in several


@dataclass(frozen=True)
class Prefix:
    """An image prefix in the language model. A value: nothing changes it."""

    layers: tuple[tuple[Tensor, Tensor], ...]  # keys and values per layer, 1 H N d each
    states: Tensor  # N D final hidden states

    @property
    def length(self) -> int:
        return self.states.shape[0]


@dataclass
class Branches:
    """Continuations over one cache. Branch b sees the cached tokens where sees[b] is true."""

    language: nn.Module
    embed: Callable[[Tensor], Tensor]  # token ids n -> embeddings n D
    cache: DynamicCache
    states: Tensor  # T D final hidden states of the cached tokens
    sees: Tensor  # B T bool
    positions: list[int]  # the next token's position per branch

    @classmethod
    def of(cls, language: nn.Module, prefix: Prefix, embed: Callable[[Tensor], Tensor] | None = None) -> "Branches":
        """One branch that has read a prefix, which stays as it is. embed: None takes the model's own table."""
        sees = torch.ones(1, prefix.length, dtype=torch.bool, device=prefix.states.device)
        embed = embed or language.get_input_embeddings()
        return cls(language, embed, _cache(prefix.layers), prefix.states, sees, [prefix.length])

    def __len__(self) -> int:
        return len(self.positions)

    def alike(self, count: int) -> "Branches":
        """One branch `count` times over the same cache, which this one then leaves to them."""
        return replace(self, sees=self.sees.repeat(count, 1), positions=self.positions * count)

    def fork(self, counts: Sequence[int]) -> "Branches":
        """Each branch counts[b] times (0 leaves it out), over a cache of its own that starts with the same tokens."""
        index = [b for b, count in enumerate(counts) for _ in range(count)]
        layers = ((layer.keys, layer.values) for layer in self.cache.layers)
        positions = [self.positions[b] for b in index]
        return replace(self, cache=_cache(layers), sees=self.sees[index], positions=positions)

    def advance(self, tokens: Sequence[Sequence[int]], last: int = 1) -> Tensor:
        """Every branch reads its tokens in one forward pass; returns the states after the `last` ones: last B D.

        A branch may read none, if another reads some; its states then mean nothing.
        """
        device = self.states.device
        before = self.states.shape[0]
        counts = [len(t) for t in tokens]
        total = sum(counts)
        self.sees = nn.functional.pad(self.sees, (0, before + total - self.sees.shape[1]))
        mask = torch.repeat_interleave(self.sees, torch.tensor(counts, device=device), dim=0)  # total T
        positions, ends, start = [], [], 0
        for b, count in enumerate(counts):
            block = slice(before + start, before + start + count)
            mask[start : start + count, block] = torch.ones(count, count, dtype=torch.bool, device=device).tril()
            self.sees[b, block] = True
            positions += range(self.positions[b], self.positions[b] + count)
            self.positions[b] += count
            start += count
            ends.append(start)
        ids = torch.tensor([i for t in tokens for i in t], device=device)
        embeddings = self.embed(ids)[None]
        places = torch.tensor(positions, device=device)[None]
        hidden = packed_forward(self.language, embeddings, mask[None], places, self.cache)[0]
        self.states = torch.cat([self.states, hidden])
        return torch.stack([hidden[[end - back for end in ends]] for back in range(last, 0, -1)])

    def step_back(self, branch: int, end: int, count: int) -> None:
        """Make one branch forget `count` tokens, the last of which lies before place `end` of the cache."""
        self.sees[branch, end - count : end] = False
        self.positions[branch] -= count


def passes(questions: Iterable[Any], tokens: Callable[[Any], int] = len) -> Iterator[list[Any]]:
    """Tokenised questions in runs of at most PACKED tokens; a longer one has a run of its own.

    tokens: how many an item needs, where it is no list of them.
    """
    run: list[Any] = []
    size = 0
    for question in questions:
        if run and size + tokens(question) > PACKED:
            yield run
            run, size = [], 0
        run.append(question)
        size += tokens(question)
    if run:
        yield run


def read_prefix(language: nn.Module, embeddings: Tensor) -> Prefix:
    """Run an image prefix (1 N D embeddings) through the model once."""
    cache = DynamicCache()
    length = embeddings.shape[1]
    sees = torch.ones(1, length, length, dtype=torch.bool, device=embeddings.device).tril()
    hidden = packed_forward(language, embeddings, sees, torch.arange(length, device=embeddings.device)[None], cache)
    return Prefix(tuple((layer.keys, layer.values) for layer in cache.layers), hidden[0])


def packed_forward(
    language: nn.Module, embeddings: Tensor, sees: Tensor, positions: Tensor, cache: DynamicCache | None = None
) -> Tensor:
    """The decoder's final hidden states (B n D, after the last norm) under a free mask.

    embeddings: B n D. sees: B n T bool, T = cached + n tokens. positions: B n. Used by the engine and, without a cache,
    by training: many questions behind one image.
    """
    mask = torch.zeros(sees.shape, dtype=embeddings.dtype, device=embeddings.device)
    mask = mask.masked_fill(~sees, torch.finfo(embeddings.dtype).min)[:, None]
    output = language.base_model(
        inputs_embeds=embeddings,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=cache is not None,
    )
    return output.last_hidden_state


def _cache(layers: Iterable[tuple[Tensor, Tensor]]) -> DynamicCache:
    """A cache that starts with these keys and values and grows by itself."""
    cache = DynamicCache()
    for i, (keys, values) in enumerate(layers):
        cache.update(keys, values, i)
    return cache
