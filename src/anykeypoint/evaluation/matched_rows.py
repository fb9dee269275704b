"""Rows of two measurements of the same labels side by side: what both were asked, in the same order.

Letters: M rows, F figures of each.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RowKey = tuple[int, str]  # an object's id and the ids of its examples


@dataclass(frozen=True)
class MeasuredRows:
    """The M rows of a measurement.

    keys: ids of object and examples of each row. labels: category label of each row.
    points: (M,) number of points that each row was scored on. values: (M, F) its figures, NaN where it has none.
    """

    keys: list[RowKey]
    labels: list[str]
    points: np.ndarray
    values: np.ndarray

    @property
    def objects(self) -> np.ndarray:
        """(M,) the id of each row's object."""
        return np.array([key[0] for key in self.keys])

    @property
    def with_examples(self) -> bool:
        """Whether any row has examples."""
        return any(key[1] for key in self.keys)

    def take(self, rows: Sequence[int] | np.ndarray) -> "MeasuredRows":
        """The rows of these numbers, in their order."""
        keys, labels = [self.keys[i] for i in rows], [self.labels[i] for i in rows]
        return MeasuredRows(keys, labels, self.points[rows], self.values[rows])

    def picked(self, keys: Sequence[RowKey]) -> "MeasuredRows":
        """The rows of these keys, in their order."""
        number_of = {key: i for i, key in enumerate(self.keys)}
        return self.take(np.array([number_of[key] for key in keys], dtype=int))

    def merged(self, with_examples: bool) -> "MeasuredRows":
        """One row for each key: the mean of its rows without NaN. Without examples the key is the object alone."""
        keys = self.keys if with_examples else [(identity, "") for identity, _ in self.keys]
        number_of = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        rows = np.array([number_of[key] for key in keys], dtype=int)
        label = dict(zip(keys, self.labels, strict=True))
        means = ratio(*group_sums(np.column_stack([self.points, self.values]), rows, len(number_of)))
        return MeasuredRows(list(number_of), [label[key] for key in number_of], means[:, 0], means[:, 1:])


def read_rows(path: Path, columns: Sequence[str]) -> MeasuredRows:
    """The rows of a per_object.csv with the figures of some of its columns, sorted, so that its order has no effect.

    Raises OSError, csv.Error, ValueError and KeyError for a file that is none.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, strict=True))
    if any(None in line or None in line.values() for line in lines):
        raise ValueError(f"{path.name} has rows of other lengths than its header")
    lines.sort(key=lambda line: [line[name] for name in ("id", "examples", "points", *columns)])
    values = [[float(line[name] or "nan") for name in columns] for line in lines]
    return MeasuredRows(
        [(int(line["id"]), " ".join(line["examples"].split())) for line in lines],
        [line["category"] for line in lines],
        np.array([float(line["points"]) for line in lines], dtype=np.float64),
        np.array(values, dtype=np.float64).reshape(-1, len(columns)),
    )


def match(first: MeasuredRows, second: MeasuredRows) -> tuple[MeasuredRows, MeasuredRows, MeasuredRows, MeasuredRows]:
    """Both measurements with one row for each key, and the rows of each whose keys both have, in the same order.

    Keys are object and examples where both have examples, else the object alone. No row is shared where the last two
    are empty.
    """
    with_examples = first.with_examples and second.with_examples
    first, second = first.merged(with_examples), second.merged(with_examples)
    shared = sorted(set(first.keys) & set(second.keys))
    return first, second, first.picked(shared), second.picked(shared)


def group_sums(values: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the finite values of each group, and the numbers of these values: both (count, F).

    values: (M, F). rows: (M,) the group of each row, from 0. count: number of groups.
    """
    known = np.isfinite(values)
    columns = [np.where(known, values, 0.0), known]
    summed = [np.stack([np.bincount(rows, part, count) for part in column.T], axis=1) for column in columns]
    return summed[0], summed[1]


def ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The means of sums over counts; NaN where nothing was counted."""
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
