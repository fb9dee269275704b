"""Values in memory, bounded by their bytes and, if wanted, by their age."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class _Entry:
    value: Any
    size: int
    ends: float


class BoundedStore(Generic[Value]):
    """Values by key; where they have too many bytes, those used longest ago go. Safe to use from several threads.

    most: bytes that are kept at once; a value that is larger by itself is not kept.
    seconds: after which a value goes, counted from when it was last used; None keeps it.
    changed: called with the bytes that are kept, after every change.
    """

    def __init__(
        self, most: int, seconds: float | None = None, changed: Callable[[int], None] = lambda size: None
    ) -> None:
        self.most, self.seconds, self.changed = most, seconds, changed
        self.size = 0
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        """The value of a key, which counts as used; None where it is not kept, or not any longer."""
        with self._lock:
            self._drop_old()
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries[key] = _Entry(entry.value, entry.size, self._end())
            self._entries.move_to_end(key)
            return entry.value

    def put(self, key: Hashable, value: Value, size: int) -> bool:
        """Keep a value of so many bytes; False where it is too large to be kept."""
        with self._lock:
            self._drop_old()
            self._drop(key)
            if size > self.most:
                return False
            while self.size + size > self.most:
                self._drop(next(iter(self._entries)))
            self._entries[key] = _Entry(value, size, self._end())
            self.size += size
            self.changed(self.size)
            return True

    def __len__(self) -> int:
        return len(self._entries)

    def _end(self) -> float:
        return float("inf") if self.seconds is None else time.monotonic() + self.seconds

    def _drop_old(self) -> None:
        """Entries stand in the order of their last use, so that those that are too old come first."""
        now = time.monotonic()
        while self._entries and next(iter(self._entries.values())).ends < now:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= entry.size
            self.changed(self.size)
