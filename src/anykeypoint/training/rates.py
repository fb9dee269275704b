"""How the learning rate goes over a run, as a share of the full one; steps count from 0."""

import math
from collections.abc import Sequence


def cosine_rate(step: int, steps: int, warmup: float, hold: int = 0) -> float:
    """Linear warm-up over a share of the steps, then full for `hold` steps, then cosine."""
    rise = max(round(steps * warmup), 1)
    if step < rise:
        return (step + 1) / rise
    fall = max(rise, hold)
    return 0.5 * (1 + math.cos(math.pi * max(step - fall, 0) / max(steps - fall, 1)))


def step_rate(step: int, steps: int, warmup: int, warmup_from: float, drops: Sequence[float]) -> float:
    """Full, and a tenth of it from each of the `drops` (shares of the steps) on.

    The first `warmup` steps rise in a straight line from `warmup_from` times that; step `warmup` is the first that has
    all of it, as in the released code of the few-shot family.
    """
    share = 0.1 ** sum(step >= round(drop * steps) for drop in drops)
    if step < warmup:
        share *= 1 - (1 - step / warmup) * (1 - warmup_from)
    return share
