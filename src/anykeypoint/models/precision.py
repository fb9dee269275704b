"""Half precision: which tensors of a model take it, and which stay float32 because rounding them moves points."""

import torch
from torch import nn


def to_precision(module: nn.Module, dtype: torch.dtype) -> None:
    """Cast the floating-point tensors of a module, in place.

    dtype: float32, bfloat16 or float16.

    A module names in `float32` those of its own tensors that stay as they are. In half precision the products take it;
    what is summed, compared or exponentiated afterwards is float32.
    """
    for part in module.modules():
        kept = getattr(part, "float32", ())
        for tensors in (part._parameters, part._buffers):
            for name, tensor in tensors.items():
                if tensor is not None and tensor.is_floating_point() and name not in kept:
                    tensor.data = tensor.data.to(dtype)
