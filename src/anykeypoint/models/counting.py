"""What a model costs: its parameters, and the multiply-accumulates of one forward pass.

For Table 5 of the fusion paper ("Computational cost, model size"). The paper counts multiply-accumulates and calls them
FLOPs, as is usual; here one is one product added to a sum, in linear layers, convolutions and matrix products, those of
attention and einsum included. Norms, activations, softmax and interpolation have none.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """parameters: numbers that are learnt or were; macs: multiply-accumulates of one forward pass."""

    parameters: int
    macs: int


def cost(module: nn.Module, *inputs: Any, **options: Any) -> Cost:
    """The cost of `module(*inputs, **options)` in eval mode. On the device "meta" it takes neither time nor memory."""
    was = {part: part.training for part in module.modules()}
    module.eval()
    try:
        return Cost(count_parameters(module), count_macs(lambda: module(*inputs, **options)))
    finally:
        for part, training in was.items():
            part.training = training


def count_parameters(module: nn.Module) -> int:
    """All parameters, frozen ones too; one that is used in several places counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(call: Callable[[], Any]) -> int:
    """The multiply-accumulates of the matrix products and convolutions that `call` runs, without gradients."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused attention hides its products from the counter
    counter = FlopCounterMode(display=False, custom_mapping=_VECTORS)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() // 2


# Products with a vector, which torch's counter leaves out: two operations per entry of the other factor.
_VECTORS = {
    torch.ops.aten.mv: lambda matrix, vector, **_: 2 * math.prod(matrix),  # shapes, as torch passes them
    torch.ops.aten.addmv: lambda offset, matrix, vector, **_: 2 * math.prod(matrix),
    torch.ops.aten.dot: lambda first, second, **_: 2 * math.prod(first),
}
