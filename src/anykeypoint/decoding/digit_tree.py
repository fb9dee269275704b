"""The exact joint distribution of a keypoint's position, expanded by probability (Sec. 3.1, Eq. 6; Sec. 4.4).

p(x, y) is the product of the conditional distributions of all free positions of the answer: a tree of digits. Its nodes
are expanded level by level, the most probable first, until the requested probability is covered. The probability of an
expanded node is exact; probability that was not expanded is missing from the grid. Nothing lies outside the crop.

Letters: n nodes of one level, B branches, C cells on a side that a node's weight is shared among in x, R in y.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .branches import Branches, Prefix
from .codec import VALUES
from .reader import NumberReader, OpenedNumber

MAX_CELLS = 1000  # largest number of cells on a side: the answers have three decimals


def joint(
    reader: NumberReader,
    prefix: Prefix,
    question: Sequence[int],
    cells: int = 100,
    mass: float = 0.98,
    most: int = 1024,
    exact: bool = False,
) -> tuple[Tensor, float]:
    """The joint distribution on `cells` x `cells` equal cells of the crop, and the probability that it covers.

    It is at the reader's temperature, which applies to each free position.

    Row i of the grid is y, column j is x. A value of 0.000 to 0.999 belongs to the cell that contains it, 1.000 to the
    last cell. Expansion stops at `mass` or at `most` nodes of one level, whichever comes first.

    cells: number of cells on a side, 1 to MAX_CELLS.
    mass: probability to cover, in (0, 1].
    most: largest number of nodes expanded on one level.
    exact: True expands every digit, which is slow for a very uncertain keypoint. False, with a codec of one token per
        digit: p(x) is exact; y is conditioned on the first two decimals of x and the most probable third, and is spread
        evenly over the thousandths of one hundredth.

    Raises InputError for a value outside these ranges.
    """
    if not 1 <= cells <= MAX_CELLS:
        raise InputError(f"The grid of a density must have 1 to {MAX_CELLS} cells on a side, but got {cells}.")
    if not 0 < mass <= 1 or most < 1:
        raise InputError(f"A density needs a mass in (0, 1] and at least one node, but got {mass} and {most}.")
    codec = reader.codec
    whole = exact or codec.base == 1000
    slots = len(codec.digits)
    depth_x, depth_y = slots if whole else 2, slots if whole and 100 % cells else min(slots, 2)
    # The probability that may be left out is divided evenly among the levels and x = 1.000.
    budget = _Budget((1 - mass) / (depth_x + depth_y + 1), most)
    grid = _Grid(reader, cells, depth_y, budget)

    branches, opened = reader.open_questions(prefix, [question])
    x = _expand(reader, branches, opened, torch.ones(1, dtype=torch.float64), depth_x, budget)
    branches = x.branches.fork(x.children)
    if whole:
        last = (x.values % codec.base).tolist()
        columns, shares = _cell(x.values[:, None], cells), torch.ones(len(last), 1)
    else:
        states = branches.advance([[codec.digits[1][value // 10 % 10]] for value in x.values.tolist()])[-1]
        thirds = reader.tempered(states, codec.digits[2]).cpu().double()
        last = thirds.argmax(-1).tolist()
        columns, shares = _cell(x.values[:, None] + torch.arange(10), cells), thirds
    grid.fill(branches, [[codec.digits[-1][digit]] for digit in last], x.weights, columns, shares)
    if x.ones[0] > budget.loss:  # x = 1.000 needs a branch of its own, which has not read the assumed "0."
        branches, opened = reader.open_questions(prefix, [question])
        branches.step_back(0, opened.ends[0], opened.assumed)
        ids = list(codec.encode_value(VALUES - 1))
        grid.fill(branches, [ids], x.ones, torch.tensor([[cells - 1]]), torch.ones(1, 1))
    return grid.cells.float(), float(grid.cells.sum())


def _cell(values: Tensor, cells: int) -> Tensor:
    """Thousandths -> index of the cell that contains them."""
    return values * cells // 1000


class _Grid:
    """The grid, filled column by column: y is expanded behind every value of x.

    depth: number of digit slots of y that are expanded.
    """

    def __init__(self, reader: NumberReader, cells: int, depth: int, budget: "_Budget") -> None:
        self.reader, self.depth, self.budget = reader, depth, budget
        self.cells = torch.zeros(cells, cells, dtype=torch.float64)

    def fill(
        self, branches: Branches, tokens: list[list[int]], weights: Tensor, columns: Tensor, shares: Tensor
    ) -> None:
        """Expand y on branches that each stand for one value of x.

        tokens: the rest of x that each branch has not read.
        weights: B, probability of each branch's x.
        columns, shares: B C, the columns of each x, and the share of its weight that each column gets.
        """
        side, codec = len(self.cells), self.reader.codec
        opened = self.reader.open_number(branches, [[*t, *codec.comma] for t in tokens])
        y = _expand(self.reader, branches, opened, weights, self.depth, self.budget)
        if self.depth == len(codec.digits):
            rows, parts = _cell(y.values[:, None], side), torch.ones(len(y.values), 1)
        else:  # the ten thousandths of a hundredth get equal shares
            rows, parts = _cell(y.values[:, None] + torch.arange(10), side), torch.full((len(y.values), 10), 0.1)
        self._add(y.weights, rows, parts, columns[y.owners], shares[y.owners])
        last = torch.full((len(columns), 1), side - 1)
        self._add(y.ones, last, torch.ones(len(columns), 1), columns, shares)

    def _add(self, weights: Tensor, rows: Tensor, row_shares: Tensor, columns: Tensor, shares: Tensor) -> None:
        """Add n weights to the cells of rows (n R) and columns (n C), by their shares."""
        spread = weights[:, None, None] * row_shares.double()[:, :, None] * shares.double()[:, None, :]
        self.cells.index_put_(
            (rows[:, :, None].expand_as(spread), columns[:, None, :].expand_as(spread)), spread, accumulate=True
        )


class _Budget:
    """Which nodes of a level are expanded: the fewest that leave out at most `loss` probability; at most `most`."""

    def __init__(self, loss: float, most: int) -> None:
        self.loss, self.most = loss, most

    def __call__(self, weights: Tensor) -> Tensor:
        """Weights n -> indices of the nodes to expand, ascending."""
        ordered, order = weights.sort(descending=True, stable=True)
        needed = int((ordered.cumsum(0) < ordered.sum() - self.loss).sum()) + 1
        return order[: min(needed, self.most)].sort().values


@dataclass(frozen=True)
class _Expanded:
    """The expanded nodes of a number's tree, n of them.

    owners: n, the branch that each node belongs to.
    values: n, thousandths below 1000, with 0 for digits that were not expanded.
    weights: n, probability of each node.
    ones: B, probability of 1.000 on each branch.
    branches: have read all expanded digits but the last.
    children: number of nodes of each of these branches.
    """

    owners: Tensor
    values: Tensor
    weights: Tensor
    ones: Tensor
    branches: Branches
    children: list[int]


def _expand(
    reader: NumberReader, branches: Branches, opened: OpenedNumber, weights: Tensor, depth: int, budget: _Budget
) -> _Expanded:
    """Expand the first `depth` digit slots of an opened number on branches of these weights (B)."""
    codec = reader.codec
    lead = reader.tempered(opened.lead, codec.leads).cpu().double()
    ones, weights = weights * lead[:, 1], weights * lead[:, 0]
    owners, values = torch.arange(len(weights)), torch.zeros(len(weights), dtype=torch.long)
    states = opened.first
    for slot in range(depth):
        base = len(codec.digits[slot])
        children = (weights[:, None] * reader.tempered(states, codec.digits[slot]).cpu().double()).flatten()
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
