"""What the made-up kinds share: random choice, wordings, colours."""

import numpy as np

Rng = np.random.Generator
DARK, LIGHT = (25, 22, 25), (240, 238, 232)


def pick(rng: Rng, *options):
    return options[int(rng.integers(len(options)))]


def namer(kind: Rng):
    """How this kind says 'part of the whole': 'left ear tip' or 'tip of the left ear'."""
    swapped = kind.random() < 0.5
    return lambda part, whole: f"{part} of the {whole}" if swapped else f"{whole} {part}"
