"""A bounded cache. It needs no torch, as the server keeps things before that is loaded."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")
Made = TypeVar("Made")


@dataclass(frozen=True)
class _Entry:
    value: Any
    size: int
    ends: float


class BoundedCache(Generic[Value]):
    """Values by key; where there are too many, those used longest ago go. Safe to use from several threads.

    most: the sum of the sizes that are kept at once: bytes, or a number of values where each has the size 1. A
        value that is larger by itself is not kept.
    seconds: after which a value goes, counted from when it was last used; None keeps it.
    changed: called with the sum of the sizes after every change; None calls nothing.
    """

    def __init__(self, most: int, seconds: float | None = None, changed: Callable[[int], None] | None = None) -> None:
        self.most, self.seconds, self.changed = most, seconds, changed
        self.held = 0
        self._entries: dict[Hashable, _Entry] = {}  # in the order of their last use
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies, in this process or another, which start empty: a value may be anything, and can be made again."""
        return BoundedCache, (self.most, self.seconds, self.changed)

    def find(self, key: Hashable) -> Value | None:
        """The value of a key, which counts as used; None where it is not kept, or not any longer."""
        with self._lock:
            self._drop_old()
            entry = self._entries.pop(key, None)
            if entry is None:
                return None
            self._entries[key] = replace(entry, ends=self._end())
            return entry.value

    def get(self, key: Hashable, make: Callable[[], Made], size: Callable[[Made], int] = lambda value: 1) -> Made:
        """The value of a key, which is not None; `make` computes it where it is not kept, `size` says its size."""
        value: Any = self.find(key)
        if value is None:
            value = make()  # without the lock: another thread may compute the same meanwhile, and none waits
            self.put(key, value, size(value))
        return value

    def put(self, key: Hashable, value: Value, size: int = 1) -> bool:
        """Keep a value of a size, in the place of an earlier one of that key; False where it is too large."""
        with self._lock:
            self._drop_old()
            self._drop(key)
            if size > self.most:
                return False
            while self.held + size > self.most:
                self._drop(next(iter(self._entries)))
            self._entries[key] = _Entry(value, size, self._end())
            self._add(size)
            return True

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._entries.clear()
            self._add(-self.held)

    def __len__(self) -> int:
        return len(self._entries)

    def _end(self) -> float:
        return float("inf") if self.seconds is None else time.monotonic() + self.seconds

    def _drop_old(self) -> None:
        """Those that are too old come first."""
        now = -float("inf") if self.seconds is None else time.monotonic()
        while self._entries and next(iter(self._entries.values())).ends < now:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Hashable) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._add(-entry.size)

    def _add(self, size: int) -> None:
        self.held += size
        if self.changed is not None:
            self.changed(self.held)
