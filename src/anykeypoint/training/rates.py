"""Schedules of the learning rate, as a factor on the full rate. Steps count from 0."""

import math
from collections.abc import Sequence


def cosine_rate(step: int, steps: int, warmup: float, hold: int = 0) -> float:
    """A linear warm-up, then the full rate up to step `hold`, then half a cosine down to 0.

    step: number of the step.
    steps: number of steps of the run.
    warmup: length of the warm-up as a share of the run.
    hold: first step at which the rate may fall.
    """
    rise = max(round(steps * warmup), 1)
    if step < rise:
        return (step + 1) / rise
    fall = max(rise, hold)
    return 0.5 * (1 + math.cos(math.pi * max(step - fall, 0) / max(steps - fall, 1)))


def step_rate(step: int, steps: int, warmup: int, warmup_from: float, drops: Sequence[float]) -> float:
    """The full rate, divided by ten at each of `drops`, with a linear warm-up.

    As in the released code of the few-shot family, step number `warmup` is the first with the whole rate.

    step: number of the step.
    steps: number of steps of the run.
    warmup: number of steps of the warm-up.
    warmup_from: factor at step 0, where there is a warm-up.
    drops: places of the drops, as shares of the run.
    """
    factor = 0.1 ** sum(step >= round(drop * steps) for drop in drops)
    if step < warmup:
        factor *= 1 - (1 - step / warmup) * (1 - warmup_from)
    return factor
