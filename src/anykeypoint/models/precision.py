"""Half precision: which tensors of a model take it, and which stay float32 because rounding them moves points."""

import torch
from torch import nn


def to_precision(module: nn.Module, dtype: torch.dtype) -> None:
    """Cast the floating-point tensors of a module, in place.

    dtype: float32, bfloat16 or float16.

    A module with `stays_float32` is left as it is; one with `float32`, names of its own tensors, keeps these. In half
    precision the products of layers take it; what is summed, compared or exponentiated afterwards is float32.
    """
    if getattr(module, "stays_float32", False):
        return
    kept = getattr(module, "float32", ())
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if tensor is not None and tensor.is_floating_point() and name not in kept:
                tensor.data = tensor.data.to(dtype)
    for part in module.children():
        to_precision(part, dtype)
