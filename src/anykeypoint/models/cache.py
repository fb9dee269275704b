"""Modules that keep what they computed until their weights may have changed."""

import hashlib
from typing import Any, ClassVar, Self

import numpy as np
from torch import nn

from .bounded_cache import BoundedCache


class CachingModule(nn.Module):
    """A module with a cache of what its weights gave.

    The cache is emptied by `load_state_dict`, by `train` (the weights may change in training), and by a move to another
    device or precision, which gives other bits.
    """

    cache_size: ClassVar[int] = 64  # number of values, of most modules the features of that many examples

    def __init__(self) -> None:
        super().__init__()
        self.cache: BoundedCache[Any] = BoundedCache(self.cache_size)
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
