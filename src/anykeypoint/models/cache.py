"""A bounded cache, and modules that keep what they computed until their weights may have changed."""

import hashlib
import threading
from collections.abc import Callable, Hashable
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from torch import nn

Value = TypeVar("Value")


class BoundedCache:
    """Values by key; beyond `size` values, the one that was used longest ago goes. Several threads may share it.

    size: number of values that are kept, from 1.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: dict[Hashable, Any] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies, in this process or another, which start empty: a value may be anything, and can be made again."""
        return BoundedCache, (self.size,)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key; `make` computes it where it is not kept."""
        missing = object()
        with self._lock:
            value = self._values.pop(key, missing)
        if value is missing:
            value = make()  # without the lock: another thread may compute the same meanwhile, and none waits
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = value  # at the end: the most recently used
            while len(self._values) > self.size:
                del self._values[next(iter(self._values))]
        return value

    def clear(self) -> None:
        """Drop all values."""
        with self._lock:
            self._values.clear()

    def __len__(self) -> int:
        return len(self._values)


class CachingModule(nn.Module):
    """A module with a cache of what its weights gave.

    The cache is emptied by `load_state_dict`, by `train` (the weights may change in training), and by a move to another
    device or precision, which gives other bits.
    """

    cache_size: ClassVar[int] = 64  # number of values, of most modules the features of that many examples

    def __init__(self) -> None:
        super().__init__()
        self.cache = BoundedCache(self.cache_size)
        self.register_load_state_dict_post_hook(_forget)

    def _apply(self, *arguments: Any, **options: Any) -> Self:
        self.cache.clear()
        return super()._apply(*arguments, **options)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and inference, with an empty cache in both."""
        self.cache.clear()
        return super().train(mode)


def _forget(module: Any, _: Any) -> None:
    """What a module does when its weights are loaded; a named function, so that models can go to other processes."""
    module.cache.clear()


def pixels_key(pixels: np.ndarray) -> bytes:
    """A key that is equal for equal pixels, wherever they come from."""
    return hashlib.sha256(np.ascontiguousarray(pixels)).digest()
