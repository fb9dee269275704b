"""How fast a device multiplies matrices, and whether bfloat16 is worth its rounding there."""

import time

import torch

_SIDE = 1024  # of the matrices


def product_speed(device: str, dtype: torch.dtype) -> float:
    """TFLOPS of products of matrices, measured in a fraction of a second.

    device: as torch names it.
    """
    side = _SIDE * (8 if device == "cuda" else 1)
    one = torch.ones(side, side, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(3):  # the first one warms up
        began = time.perf_counter()
        (one @ one)[0, 0].item()
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best / 1e12


def slow_precision(precision: str, device: str) -> str:
    """A sentence where a CPU without instructions for bfloat16 would train faster in float32, else "".

    precision: of a recipe.
    """
    if precision != "bf16" or device != "cpu":
        return ""
    times = product_speed(device, torch.float32) / product_speed(device, torch.bfloat16)
    if times < 1.5:  # less may be chance
        return ""
    return (
        f"This CPU takes {times:.1f} times as long for products in bfloat16 as in float32, as measured now; "
        "'precision: fp32' in the recipe saves that time."
    )
