"""Branches: many continuations of one token sequence, side by side in one cache.

An attention mask lets each branch attend to the shared beginning and to its own past only, at its own positions. No
keys or values are copied per branch, and one forward pass advances all branches. This is also the one place where the
library calls a language model with a cache.

Letters: B branches, T cached tokens, N prefix tokens, D model width, n new tokens, H key-value heads, d head width.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache as memoised
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

PACKED = 2048  # largest number of tokens in one forward pass; questions beyond it go into further passes


@dataclass(frozen=True)
class Prefix:
    """An image prefix that the language model has read. Nothing changes it afterwards.

    layers: keys and values of each layer, 1 H N d each.
    states: N D, the final hidden states.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    states: Tensor

    @property
    def length(self) -> int:
        """The number of prefix tokens N."""
        return self.states.shape[0]


@dataclass
class Branches:
    """Continuations over one cache.

    language: a causal language model of transformers.
    embed: token ids n -> embeddings n D.
    cache: keys and values of all T tokens, of every branch.
    states: T D, the final hidden states of the cached tokens.
    attends: B T bool, the cached tokens that each branch attends to.
    positions: position of the next token of each branch, B.
    """

    language: nn.Module
    embed: Callable[[Tensor], Tensor]
    cache: DynamicCache
    states: Tensor
    attends: Tensor
    positions: list[int]

    @classmethod
    def of(cls, language: nn.Module, prefix: Prefix, embed: Callable[[Tensor], Tensor] | None = None) -> "Branches":
        """A single branch that has read a prefix; the prefix itself is not changed.

        embed: None takes the language model's own embedding table.
        """
        attends = torch.ones(1, prefix.length, dtype=torch.bool, device=prefix.states.device)
        embed = embed or language.get_input_embeddings()
        return cls(language, embed, _cache(prefix.layers), prefix.states, attends, [prefix.length])

    def __len__(self) -> int:
        return len(self.positions)

    def repeated(self, count: int) -> "Branches":
        """A single branch `count` times over the same cache. The original must not be advanced any more."""
        return replace(self, attends=self.attends.repeat(count, 1), positions=self.positions * count)

    def fork(self, counts: Sequence[int]) -> "Branches":
        """Branch b repeated counts[b] times (0 drops it), over a new cache that starts with the same tokens."""
        index = [b for b, count in enumerate(counts) for _ in range(count)]
        layers = ((layer.keys, layer.values) for layer in self.cache.layers)
        positions = [self.positions[b] for b in index]
        return replace(self, cache=_cache(layers), attends=self.attends[index], positions=positions)

    def advance(self, tokens: Sequence[Sequence[int]], last: int = 1) -> Tensor:
        """Let every branch read its own tokens in one forward pass.

        tokens: one list per branch. A list may be empty as long as another one is not; the states returned for its
            branch then mean nothing.
        last: number of final tokens of each list whose hidden states are returned.

        Returns the hidden states behind those tokens, last B D, the earliest first.
        """
        device = self.states.device
        before = self.states.shape[0]
        counts = [len(t) for t in tokens]
        total = sum(counts)
        self.attends = nn.functional.pad(self.attends, (0, before + total - self.attends.shape[1]))
        mask = torch.repeat_interleave(self.attends, torch.tensor(counts, device=device), dim=0)  # total T
        positions, ends, start = [], [], 0
        for b, count in enumerate(counts):
            block = slice(before + start, before + start + count)
            mask[start : start + count, block] = torch.ones(count, count, dtype=torch.bool, device=device).tril()
            self.attends[b, block] = True
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
        """Make one branch ignore `count` cached tokens that end in front of index `end` of the cache."""
        self.attends[branch, end - count : end] = False
        self.positions[branch] -= count


def passes(questions: Iterable[Any], tokens: Callable[[Any], int] = len) -> Iterator[list[Any]]:
    """Group tokenised questions into lists of at most PACKED tokens together; a longer question stands alone.

    tokens: the number of tokens that an item needs, where an item is not itself a list of tokens.
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
    """Run an image prefix, embeddings 1 N D, through the language model once."""
    cache = DynamicCache()
    length = embeddings.shape[1]
    causal = torch.ones(1, length, length, dtype=torch.bool, device=embeddings.device).tril()
    positions = torch.arange(length, device=embeddings.device)[None]
    hidden = packed_forward(language, embeddings, causal, positions, cache)
    return Prefix(tuple((layer.keys, layer.values) for layer in cache.layers), hidden[0])


def packed_forward(
    language: nn.Module, embeddings: Tensor, attends: Tensor, positions: Tensor, cache: DynamicCache | None = None
) -> Tensor:
    """The language model's final hidden states (B n D, after the last norm) under any attention mask.

    Used by the engine with a cache, and by training without one: many questions packed behind one image.

    embeddings: B n D, of the new tokens.
    attends: B n T bool, T = cached + n: the tokens that each new token attends to.
    positions: B n, rotary position of each new token.
    cache: receives the keys and values of the new tokens; None computes without one.
    """
    mask = torch.zeros(attends.shape, dtype=embeddings.dtype, device=embeddings.device)
    mask = mask.masked_fill(~attends, torch.finfo(embeddings.dtype).min)[:, None]
    decoder = language.base_model
    output = decoder(
        inputs_embeds=embeddings,
        attention_mask=mask,
        position_ids=positions,
        use_cache=cache is not None,
        **({} if cache is None else {_cache_parameter(type(decoder)): cache}),
    )
    return output.last_hidden_state


@memoised
def _cache_parameter(decoder: type[nn.Module]) -> str:
    """The name under which a decoder's `forward` takes its cache.

    transformers calls it `cache` from 5.24 on; up to 5.23 it is `past_key_values`, which 5.40 no longer accepts.
    """
    return "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"


def _cache(layers: Iterable[tuple[Tensor, Tensor]]) -> DynamicCache:
    """A cache that starts with these keys and values and grows by itself."""
    cache = DynamicCache()
    for i, (keys, values) in enumerate(layers):
        cache.update(keys, values, i)
    return cache
