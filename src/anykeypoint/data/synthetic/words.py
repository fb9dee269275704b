"""What the families of synthetic objects share: random choice, wordings, colours."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

Rng = np.random.Generator
Namer = Callable[[str, str], str]  # (part, whole) -> name of the part
Sides = Sequence[tuple[str, int]]  # name of a side, and the sign of its x
DARK, LIGHT = (25, 22, 25), (240, 238, 232)

Choice = TypeVar("Choice")


def pick(rng: Rng, *options: Choice) -> Choice:
    """One of the options, each with the same probability."""
    return options[int(rng.integers(len(options)))]


def namer(kind: Rng) -> Namer:
    """A function that names the part of a whole in the way of this kind: "left ear tip" or "tip of the left ear"."""
    swapped = kind.random() < 0.5
    return lambda part, whole: f"{part} of the {whole}" if swapped else f"{whole} {part}"
