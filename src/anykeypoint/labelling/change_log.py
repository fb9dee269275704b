"""Which pictures of a project changed since when, so that nobody looks through thousands for the one that did."""

import threading
from collections.abc import Iterable


class ChangeLog:
    """The ids of pictures in the order of their last change. Safe to use from several threads.

    Every change has a number, its revision; they count from 1 in each run of a program.
    """

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        """numbers: the ids that there are already; each counts as a change."""
        self._lock = threading.Lock()
        self._revision = 0
        self._last: dict[int, int] = {}  # id -> the revision of its last change, the latest at the end
        for number in numbers:
            self.mark(number)

    @property
    def revision(self) -> int:
        """That of the last change; 0 before the first."""
        with self._lock:
            return self._revision

    def mark(self, number: int) -> None:
        """A picture has changed."""
        with self._lock:
            self._revision += 1
            self._last.pop(number, None)
            self._last[number] = self._revision

    def since(self, revision: int) -> tuple[int, list[int]]:
        """The revision now, and the ids that changed after one, the latest first."""
        with self._lock:
            changed = []
            for number, last in reversed(self._last.items()):
                if last <= revision:
                    break
                changed.append(number)
            return self._revision, changed
