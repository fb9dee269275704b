"""The exact joint distribution of a keypoint's place, expanded by probability mass (Sec. 3.1, Eq. 6; Sec. 4.4).

p(x, y) is the product of the conditional distributions of all free positions: a tree of digits. Its nodes are expanded
level by level, the likeliest first, until the wanted mass is reached; what a node is worth is exact. Probability that
was not expanded is missing from the grid, and nothing lies outside the crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import InputError
from .branches import Branches, Prefix
from .codec import VALUES

if TYPE_CHECKING:
    from .engine import Engine, Opened

MAX_CELLS = 1000  # on one side: finer than the digits there is nothing


def joint(
    engine: "Engine",
    prefix: Prefix,
    question: Sequence[int],
    cells: int = 100,
    mass: float = 0.98,
    most: int = 1024,
    exact: bool = False,
) -> tuple[Tensor, float]:
    """The distribution on `cells` x `cells` equal cells of the crop (rows y, columns x), and the mass that it covers.

    A value of 0.000 to 0.999 belongs to the cell that it lies in, 1.000 to the last one. Expansion stops at `mass` or
    at `most` nodes of one level, whichever comes first.
    exact: True expands every digit, which a keypoint of wide uncertainty makes slow. False, where a digit has a token:
    p(x) is exact; y is conditioned on x's first two decimals and its likeliest third, and spread evenly below 0.01.
    """
    if not 1 <= cells <= MAX_CELLS:
        raise InputError(f"The grid of a density must have 1 to {MAX_CELLS} cells on a side, but got {cells}.")
    if not 0 < mass <= 1 or most < 1:
        raise InputError(f"A density needs a mass in (0, 1] and at least one node, but got {mass} and {most}.")
    codec = engine.codec
    whole = exact or codec.base == 1000
    slots = len(codec.digits)
    depth = (slots if whole else 2, slots if whole and 100 % cells else min(slots, 2))  # of x and of y
    budget = _Budget((1 - mass) / (sum(depth) + 1), most)  # what a level, or x = 1.000, may leave out
    grid = torch.zeros(cells, cells, dtype=torch.float64)

    def fill(branches: Branches, tokens: list[list[int]], weights: Tensor, columns: Tensor, shares: Tensor) -> None:
        """Expand y behind every x: branches that still have to read `tokens`; each x's weight is shared by columns."""
        opened = engine.open_number(branches, [[*t, *codec.comma] for t in tokens])
        found = _expand(engine, branches, opened, weights, depth[1], budget)
        if depth[1] == slots:
            rows, parts = _cell(found.values[:, None], cells), torch.ones(len(found.values), 1)
        else:  # all ten thousandths alike; where cells are whole hundredths, they lie in one
            rows, parts = (
                _cell(found.values[:, None] + torch.arange(10), cells),
                torch.full((len(found.values), 10), 0.1),
            )
        _add(grid, found.weights, rows, parts, columns[found.owners], shares[found.owners])
        last = torch.full((len(columns), 1), cells - 1)
        _add(grid, found.ones, last, torch.ones(len(columns), 1), columns, shares)

    branches, opened = engine.ask(prefix, [question])
    x = _expand(engine, branches, opened, torch.ones(1, dtype=torch.float64), depth[0], budget)
    branches = x.branches.fork(x.children)
    if whole:
        last = (x.values % codec.base).tolist()
        columns, shares = _cell(x.values[:, None], cells), torch.ones(len(last), 1)
    else:
        states = branches.advance([[codec.digits[1][value // 10 % 10]] for value in x.values.tolist()])[-1]
        thirds = engine.probabilities(states, codec.digits[2]).double().cpu()
        last = thirds.argmax(-1).tolist()
        columns, shares = _cell(x.values[:, None] + torch.arange(10), cells), thirds
    fill(branches, [[codec.digits[-1][digit]] for digit in last], x.weights, columns, shares)
    if x.ones[0] > budget.loss:  # x = 1.000, on a branch that never read "0."
        branches, opened = engine.ask(prefix, [question])
        branches.step_back(0, opened.ends[0], opened.guess)
        fill(branches, [list(codec.encode_value(VALUES - 1))], x.ones, torch.tensor([[cells - 1]]), torch.ones(1, 1))
    return grid.float(), float(grid.sum())


def _cell(values: Tensor, cells: int) -> Tensor:
    """Thousandths -> the cell they lie in."""
    return values * cells // 1000


def _add(grid: Tensor, weights: Tensor, rows: Tensor, row_shares: Tensor, columns: Tensor, shares: Tensor) -> None:
    """Spread n weights over the cells rows (n R) x columns (n C) by their shares."""
    spread = weights[:, None, None] * row_shares.double()[:, :, None] * shares.double()[:, None, :]
    grid.index_put_(
        (rows[:, :, None].expand_as(spread), columns[:, None, :].expand_as(spread)), spread, accumulate=True
    )


class _Budget:
    """Which nodes of a level are kept: the fewest that leave out no more than `loss`, and no more than `most`."""

    def __init__(self, loss: float, most: int) -> None:
        self.loss, self.most = loss, most

    def __call__(self, weights: Tensor) -> Tensor:
        """Indices of the kept nodes, rising."""
        ordered, order = weights.sort(descending=True, stable=True)
        needed = int((ordered.cumsum(0) < ordered.sum() - self.loss).sum()) + 1
        return order[: min(needed, self.most)].sort().values


@dataclass(frozen=True)
class _Expanded:
    """The kept nodes of a number's tree, n of them."""

    owners: Tensor  # n, the branch that each belongs to
    values: Tensor  # n thousandths below 1000, digits that were not expanded 0
    weights: Tensor  # n
    ones: Tensor  # B weights of 1.000
    branches: Branches  # that have read all expanded digits but the last
    children: list[int]  # how many nodes each of these branches has


def _expand(
    engine: "Engine", branches: Branches, opened: "Opened", weights: Tensor, depth: int, budget: _Budget
) -> _Expanded:
    """Expand an opened number on branches of given weights by its first `depth` digit slots."""
    codec = engine.codec
    lead = engine.probabilities(opened.lead, codec.leads).double().cpu()
    ones, weights = weights * lead[:, 1], weights * lead[:, 0]
    owners, values, states = torch.arange(len(weights)), torch.zeros(len(weights), dtype=torch.long), opened.first
    for slot in range(depth):
        base = len(codec.digits[slot])
        children = (weights[:, None] * engine.probabilities(states, codec.digits[slot]).double().cpu()).flatten()
        kept = budget(children)
        parents, digits = kept // base, kept % base
        counts = torch.bincount(parents, minlength=len(weights)).tolist()
        owners, values, weights = (
            owners[parents],
            values[parents] + digits * (1000 // base ** (slot + 1)),
            children[kept],
        )
        if slot + 1 < depth:
            branches = branches.fork(counts)
            states = branches.advance([[codec.digits[slot][digit]] for digit in digits.tolist()])[-1]
    return _Expanded(owners, values, weights, ones, branches, counts)
