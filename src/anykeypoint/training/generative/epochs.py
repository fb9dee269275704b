"""The items of each epoch of a generative training: which object, and which of its keypoints, a sample is about."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np

from ...errors import InputError

Groups = list[list[int]]


class EpochItems:
    """The items of every epoch, numbered through the run and shuffled anew in each epoch.

    An item is an object, or one group of an object's keypoints. All follows from the seed and the numbers of epoch and
    object, so that a resumed run and every process have the same items.
    """

    def __init__(
        self,
        objects: int,
        seed: int,
        groups: Callable[[int, np.random.Generator], Groups] | None = None,
        anew: bool = False,
    ) -> None:
        """Raises InputError where an epoch has no item.

        objects: number of objects.
        seed: seed of the order and the groups.
        groups: gives an object's groups of keypoints by its index, each group an item; None makes each object an item.
        anew: whether the groups are drawn again in every epoch, so that their number may change.
        """
        self.objects, self.seed, self._draw_groups, self.anew = objects, seed, groups, anew
        self._ends_of: dict[int, np.ndarray] = {}
        self._epoch_ends: list[int] = []
        self._order: tuple[int, np.ndarray] | None = None
        if not self.size(0):
            raise InputError("There is no object with a labelled point to train on; check the data file.")

    def size(self, epoch: int) -> int:
        """Number of items in an epoch, counted from 0."""
        return self.objects if self._draw_groups is None else int(self._ends(epoch)[-1])

    def at(self, number: int) -> tuple[int, list[int] | None]:
        """The item of a sample: index of the object, and indices of the group's keypoints or None for the whole object.

        number: number of the sample in the run.
        """
        epoch, place = self._locate(number)
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng([self.seed, 3, epoch]).permutation(self.size(epoch))
            self._order = (epoch, order)
        return self._item(epoch, int(self._order[1][place]))

    def another(self, number: int, rng: np.random.Generator) -> tuple[int, list[int] | None]:
        """An item that is drawn from the epoch of a sample, as `at` gives it.

        number: number of the sample in the run.
        rng: generator of the draw.
        """
        epoch, _ = self._locate(number)
        return self._item(epoch, int(rng.integers(self.size(epoch))))

    def _locate(self, number: int) -> tuple[int, int]:
        """The epoch of a sample and the sample's place in it."""
        if not self.anew:
            return divmod(number, self.size(0))
        while not self._epoch_ends or self._epoch_ends[-1] <= number:
            size = self.size(len(self._epoch_ends))
            self._epoch_ends.append(size + (self._epoch_ends[-1] if self._epoch_ends else 0))
        epoch = bisect_right(self._epoch_ends, number)
        return epoch, number - (self._epoch_ends[epoch - 1] if epoch else 0)

    def _item(self, epoch: int, position: int) -> tuple[int, list[int] | None]:
        """The item at a position of an epoch before it is shuffled, where the groups of an object follow each other."""
        if self._draw_groups is None:
            return position, None
        ends = self._ends(epoch)
        index = int(np.searchsorted(ends, position, side="right"))
        first = int(ends[index - 1]) if index else 0
        return index, self._groups(epoch, index)[position - first]

    def _ends(self, epoch: int) -> np.ndarray:
        """For each object the number of items of an epoch up to and with its own."""
        epoch = epoch if self.anew else 0
        if epoch not in self._ends_of:
            self._ends_of[epoch] = np.cumsum([len(self._groups(epoch, index)) for index in range(self.objects)])
        return self._ends_of[epoch]

    def _groups(self, epoch: int, index: int) -> Sequence[list[int]]:
        epoch = epoch if self.anew else 0
        return self._draw_groups(index, np.random.default_rng([self.seed, 4, epoch, index]))
