"""The engine: one image prefix, many keypoints, one forced template.

It knows token ids, a causal language model of transformers and a codec; nothing of text or images. What makes it fast:

- the image prefix runs through the model once and stays in a cache that is never copied;
- the K questions about it, and later every tree of digits, are *branches*: their tokens lie behind one another in the
  one cache, and a mask lets each see only the prefix and its own past, at its own positions;
- the opening that all questions share runs once;
- the template's literals ride along with the digits, and only the rows of the output layer that a free position
  allows are computed.

The digits are those of one plain `generate` per keypoint. Letters: B branches, T cached tokens, N prefix tokens,
D model width, K questions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from .coordinates import CoordinateCodec, bin_centres, expected_value, mode_value
from .errors import InputError

STRATEGIES = ("greedy", "expected", "mode")
MODE_RADIUS = 0.1  # of the crop: the window whose mass `mode` maximises
_PACKED = 2048  # tokens in one forward pass at most; more questions go in several


@dataclass(frozen=True)
class Prefix:
    """The keys and values of an image prefix, per layer 1 H N d each. A value: nothing changes it."""

    layers: tuple[tuple[Tensor, Tensor], ...]

    @property
    def length(self) -> int:
        return self.layers[0][0].shape[2]


@dataclass(frozen=True)
class Answers:
    """K answers, in the order of the questions."""

    values: Tensor  # K 2 whole thousandths of the crop, x and y
    log_prob: Tensor  # K log probability of the digits the model would have to write
    x: Tensor  # K V exact distribution of x: V = 101 (leading two decimals and 1.000) or 1001
    y: Tensor  # K V exact distribution of y given the x that was answered


@dataclass
class _Branches:
    """Continuations over one cache. Branch b sees the cached tokens where sees[b] is true."""

    cache: DynamicCache
    sees: Tensor  # B T bool
    positions: list[int]  # the next token's position per branch

    def fork(self, counts: Sequence[int]) -> "_Branches":
        """Each branch repeated counts[b] times, over a cache of its own that starts with the same tokens."""
        index = [b for b, count in enumerate(counts) for _ in range(count)]
        layers = ((layer.keys, layer.values) for layer in self.cache.layers)
        return _Branches(_cache(layers), self.sees[index], [self.positions[b] for b in index])


@dataclass
class Engine:
    """Answers questions about one prefix with a language model and the codec of its tokenizer."""

    language: nn.Module  # a causal LM of transformers with rotary positions
    codec: CoordinateCodec
    _head: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._head = self.language.get_output_embeddings().weight

    @torch.inference_mode()
    def read(self, embeddings: Tensor) -> Prefix:
        """Run an image prefix (1 N D embeddings) through the model once."""
        cache = DynamicCache()
        length = embeddings.shape[1]
        sees = torch.ones(length, length, dtype=torch.bool, device=embeddings.device).tril()
        self._forward(embeddings, cache, sees, torch.arange(length, device=embeddings.device))
        return Prefix(tuple((layer.keys, layer.values) for layer in cache.layers))

    @torch.inference_mode()
    def answer(self, prefix: Prefix, questions: Sequence[Sequence[int]], strategy: str = "greedy") -> Answers:
        """Answer K tokenised questions (without BOS; the answer follows directly).

        strategy: `greedy` takes the likeliest digit at each free position; `expected` the mean and `mode` the centre of
        the likeliest window of +-0.1, of x first and then of y given that x.
        """
        if strategy not in STRATEGIES:
            raise InputError(f"There is no decoding strategy {strategy!r}; known are {', '.join(STRATEGIES)}.")
        parts, start = [], 0
        while start < len(questions):
            stop, size = start, 0
            while stop < len(questions) and (stop == start or size + len(questions[stop]) <= _PACKED):
                size += len(questions[stop])
                stop += 1
            parts.append(self._answer(prefix, questions[start:stop], strategy))
            start = stop
        return Answers(*(torch.cat([getattr(part, name) for part in parts]) for name in Answers.__annotations__))

    def _answer(self, prefix: Prefix, questions: Sequence[Sequence[int]], strategy: str) -> Answers:
        branches, states = self._ask(prefix, questions)
        x = self._number(branches, states, strategy)
        # The last digits of x ride along with the comma and the assumed "0." of y.
        states = self._open_number(branches, [[*rest, *self.codec.comma] for rest in x.unread])
        y = self._number(branches, states, strategy)
        values = torch.tensor([x.values, y.values]).T
        return Answers(values, x.log_prob + y.log_prob, x.distribution.cpu(), y.distribution.cpu())

    @torch.inference_mode()
    def density(
        self, prefix: Prefix, question: Sequence[int], mass: float = 0.98, most: int = 64
    ) -> tuple[Tensor, float]:
        """The joint distribution of one keypoint on a 100 x 100 grid (rows y, columns x), and the mass that it covers.

        Columns are expanded from the likeliest on until `mass` is reached or `most` columns are. p(x) is exact; y is
        conditioned on each column's likeliest third decimal. The value 1.000 counts to the last row or column.
        """
        root, states = self._ask(prefix, [question])
        number = self._number(root, states, "greedy", commit=False)
        columns = _to_grid(number.distribution[0])
        order = columns.argsort(descending=True, stable=True)[:most]
        needed = int((columns[order].cumsum(0) < mass).sum()) + 1
        order = order[:needed]
        branches = root.fork([len(order)])
        if self.codec.base == 10:
            tens = [[self.codec.digits[0][i // 10], self.codec.digits[1][i % 10]] for i in order.tolist()]
            thirds = self._probabilities(self._advance(branches, tens)[-1], self.codec.digits[2]).argmax(-1).tolist()
            digits = [[self.codec.digits[2][third]] for third in thirds]
        else:
            likeliest = number.distribution[0, :1000].view(100, 10).argmax(-1)
            digits = [[self.codec.digits[0][i * 10 + int(likeliest[i])]] for i in order.tolist()]
        states = self._open_number(branches, [[*rest, *self.codec.comma] for rest in digits])
        rows = torch.stack(
            [_to_grid(row) for row in self._number(branches, states, "greedy", commit=False).distribution]
        )
        grid = torch.zeros(100, 100)
        grid[:, order.cpu()] = (rows * columns[order, None]).T.cpu()
        return grid, float(grid.sum())

    # --- one number ---------------------------------------------------------------------------------------------------

    def _ask(self, prefix: Prefix, questions: Sequence[Sequence[int]]) -> tuple[_Branches, "_Opened"]:
        """Branches that have read their question and the answer's opening, with the first number opened."""
        if not questions or any(not question for question in questions):
            raise InputError("There must be at least one question and none may be empty.")
        shared = _common_start(questions)
        trunk = _Branches(
            _cache(prefix.layers),
            torch.ones(1, prefix.length, dtype=torch.bool, device=self._head.device),
            [prefix.length],
        )
        if shared:
            self._advance(trunk, [list(questions[0][:shared])])
        branches = replace(trunk, sees=trunk.sees.repeat(len(questions), 1), positions=trunk.positions * len(questions))
        return branches, self._open_number(branches, [[*q[shared:], *self.codec.opening] for q in questions])

    def _open_number(self, branches: _Branches, tokens: list[list[int]]) -> "_Opened":
        """Read the tokens in front of a number and, on trust, its "0."."""
        before = branches.cache.get_seq_length()
        guess = [self.codec.leads[0], *self.codec.point]
        states = self._advance(branches, [[*t, *guess] for t in tokens], last=len(guess) + 1)
        # Where each branch's guessed tokens lie in the cache, should a lead turn out to be "1".
        ends = torch.tensor([len(t) + len(guess) for t in tokens]).cumsum(0) + before
        return _Opened(lead=states[0], first=states[-1], guess=len(guess), ends=ends.tolist())

    def _number(self, branches: _Branches, opened: "_Opened", strategy: str, commit: bool = True) -> "_Number":
        """Choose one number per branch; `commit` reads all of it but its last digit."""
        codec = self.codec
        lead = self._probabilities(opened.lead, codec.leads)  # B 2
        tables = [self._probabilities(opened.first, codec.digits[0])]  # B 10 or B 1000
        if codec.base == 10:
            tables.append(self._second_digits(branches))  # B 10 10
        distribution = codec.distribution(lead, tables)
        if not commit:
            return _Number([], torch.empty(0), distribution, [])
        if strategy == "greedy":
            chosen = self._greedy(lead, tables)
        else:
            pick = expected_value if strategy == "expected" else mode_value
            centres = bin_centres(distribution.shape[1]).to(distribution)
            args = (MODE_RADIUS,) if strategy == "mode" else ()
            chosen = [min(round(v * 1000), 1000) for v in pick(distribution, centres, *args).tolist()]
        values, unread, log_prob = self._commit(branches, opened, lead, tables, chosen, greedy=strategy == "greedy")
        return _Number(values, log_prob, distribution, unread)

    def _greedy(self, lead: Tensor, tables: list[Tensor]) -> list[int]:
        """The likeliest lead, then the likeliest known digits: thousandths, the unknown last digit 0."""
        chosen = []
        for b in range(len(lead)):
            if lead[b, 1] > lead[b, 0]:
                chosen.append(1000)
            elif self.codec.base == 1000:
                chosen.append(int(tables[0][b].argmax()))
            else:
                first = int(tables[0][b].argmax())
                chosen.append(first * 100 + int(tables[1][b, first].argmax()) * 10)
        return chosen

    def _commit(
        self,
        branches: _Branches,
        opened: "_Opened",
        lead: Tensor,
        tables: list[Tensor],
        chosen: list[int],
        greedy: bool,
    ) -> tuple[list[int], list[list[int]], Tensor]:
        """Read the chosen numbers but their last digit, which greedy chooses too; returns values, unread ids, log p."""
        codec = self.codec
        ones = [b for b, value in enumerate(chosen) if value == 1000]
        for b in ones:  # the guessed "0." was wrong: hide it from the branch and step back
            branches.sees[b, opened.ends[b] - opened.guess : opened.ends[b]] = False
            branches.positions[b] -= opened.guess
        log_prob = torch.tensor([lead[b, value // 1000].item() for b, value in enumerate(chosen)]).log()
        indices = [codec.digit_indices(value % 1000) for value in chosen]
        ids = [list(codec.encode_value(value)) for value in chosen]
        inside = [b for b in range(len(chosen)) if chosen[b] < 1000]
        if codec.base == 1000:
            for b in inside:
                log_prob[b] += tables[0][b, chosen[b]].log().item()
            unread = [number if b in ones else number[-1:] for b, number in enumerate(ids)]
            return chosen, unread, log_prob
        # A branch whose number is 1.000 reads all of it but the last zero; its digits are certain.
        known = [number[:-1] if b in ones else number[-3:-1] for b, number in enumerate(ids)]
        thirds = self._probabilities(self._advance(branches, known)[-1], codec.digits[2])
        values = list(chosen)
        for b in inside:
            first, second, third = indices[b]
            if greedy:
                third = int(thirds[b].argmax())
                values[b] += third
            log_prob[b] += (tables[0][b, first] * tables[1][b, first, second] * thirds[b, third]).log().item()
        return values, [list(codec.encode_value(value))[-1:] for value in values], log_prob

    def _second_digits(self, branches: _Branches) -> Tensor:
        """p(second digit | first digit) for all ten first digits of every branch: B 10 10."""
        count = len(branches.positions)
        tree = branches.fork([10] * count)
        states = self._advance(tree, [[digit] for digit in self.codec.digits[0]] * count)[-1]
        return self._probabilities(states, self.codec.digits[1]).view(count, 10, 10)

    # --- the model ----------------------------------------------------------------------------------------------------

    def _advance(self, branches: _Branches, tokens: list[list[int]], last: int = 1) -> Tensor:
        """Every branch reads its tokens in one forward pass; returns the states after the `last` ones: last B D."""
        device = self._head.device
        before = branches.cache.get_seq_length()
        counts = [len(t) for t in tokens]
        total = sum(counts)
        branches.sees = nn.functional.pad(branches.sees, (0, before + total - branches.sees.shape[1]))
        mask = torch.repeat_interleave(branches.sees, torch.tensor(counts, device=device), dim=0)  # total T
        positions, ends, start = [], [], 0
        for b, count in enumerate(counts):
            block = slice(before + start, before + start + count)
            mask[start : start + count, block] = torch.ones(count, count, dtype=torch.bool, device=device).tril()
            branches.sees[b, block] = True
            positions += range(branches.positions[b], branches.positions[b] + count)
            branches.positions[b] += count
            start += count
            ends.append(start)
        ids = torch.tensor([i for t in tokens for i in t], device=device)
        embeddings = self.language.get_input_embeddings()(ids)[None]
        hidden = self._forward(embeddings, branches.cache, mask, torch.tensor(positions, device=device))
        return torch.stack([hidden[[end - back for end in ends]] for back in range(last, 0, -1)])

    def _forward(self, embeddings: Tensor, cache: DynamicCache, sees: Tensor, positions: Tensor) -> Tensor:
        """One pass of the decoder over 1 n D embeddings; sees: n T. Returns n D final hidden states."""
        return packed_forward(self.language, embeddings, sees[None], positions[None], cache)[0]

    def _probabilities(self, states: Tensor, ids: Sequence[int]) -> Tensor:
        """The model's distribution over the allowed ids only: B D -> B len(ids), float32."""
        return (states.float() @ self._head[list(ids)].float().T).softmax(-1)


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


@dataclass(frozen=True)
class _Opened:
    """Hidden states at a number's two first decisions, and where its guessed "0." lies."""

    lead: Tensor  # B D, behind the opening: decides "0" or "1"
    first: Tensor  # B D, behind "0.": decides the first digit
    guess: int  # tokens of "0."
    ends: list[int]  # per branch the place in the cache behind its guess


@dataclass(frozen=True)
class _Number:
    values: list[int]  # thousandths per branch
    log_prob: Tensor  # B
    distribution: Tensor  # B V
    unread: list[list[int]]  # ids the branch has still to read: the last digit


def cache_of(prefix: Prefix) -> DynamicCache:
    """A cache that starts with an image prefix, for `packed_forward`; the prefix stays as it is."""
    return _cache(prefix.layers)


def _cache(layers: Iterable[tuple[Tensor, Tensor]]) -> DynamicCache:
    """A cache that starts with these keys and values and grows by itself."""
    cache = DynamicCache()
    for i, (keys, values) in enumerate(layers):
        cache.update(keys, values, i)
    return cache


def _common_start(questions: Sequence[Sequence[int]]) -> int:
    """How many leading tokens all questions share; at least one token stays to each."""
    shortest = min(len(question) for question in questions) - 1
    for i in range(shortest):
        if any(question[i] != questions[0][i] for question in questions):
            return i
    return shortest


def _to_grid(distribution: Tensor) -> Tensor:
    """V = 101 or 1001 probabilities -> 100 cells; 1.000 joins the last."""
    cells = distribution[:-1].reshape(100, -1).sum(-1)
    cells[-1] += distribution[-1]
    return cells
