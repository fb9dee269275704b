"""What a model costs: its parameters, and the multiply-accumulates of one forward pass.

For Table 5 of the fusion paper ("Computational cost, model size"), which counts multiply-accumulates and calls them
FLOPs, as is usual. A multiply-accumulate is one product added to a sum. Linear layers, convolutions and matrix products
have them, also those of attention and einsum; norms, activations, softmax and interpolation have none.
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
    """The cost of a network.

    parameters: number of parameters, trainable or frozen.
    macs: number of multiply-accumulates of one forward pass.
    """

    parameters: int
    macs: int


def cost(module: nn.Module, *inputs: Any, **options: Any) -> Cost:
    """The cost of `module(*inputs, **options)` in eval mode; the module keeps the mode that it had.

    On the device "meta" the count takes neither time nor memory.
    """
    was = {part: part.training for part in module.modules()}
    module.eval()
    try:
        return Cost(count_parameters(module), count_macs(lambda: module(*inputs, **options)))
    finally:
        for part, training in was.items():
            part.training = training


def count_parameters(module: nn.Module) -> int:
    """The number of parameters, frozen ones too; a parameter that is used in several places counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_trainable(module: nn.Module) -> int:
    """The number of parameters that train; one that is used in several places counts once."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def count_macs(call: Callable[[], Any]) -> int:
    """The number of multiply-accumulates of the matrix products and convolutions that `call` runs, without gradients.

    call: a function without arguments that runs the network.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused attention hides its products from the counter
    counter = FlopCounterMode(display=False, custom_mapping=_VECTORS)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            call()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() // 2


# torch's counter leaves out products with a vector. They have two operations for each entry of the other factor; torch
# passes these functions shapes, not tensors.
_VECTORS = {
    torch.ops.aten.mv: lambda matrix, vector, **_: 2 * math.prod(matrix),
    torch.ops.aten.addmv: lambda offset, matrix, vector, **_: 2 * math.prod(matrix),
    torch.ops.aten.dot: lambda first, second, **_: 2 * math.prod(first),
}
