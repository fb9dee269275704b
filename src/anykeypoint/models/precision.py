"""Half precision: which tensors of a model take it, and which stay float32 because rounding them moves points."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from .maps import full_precision


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
            if tensor is not None and tensor.is_floating_point():
                # What stays float32 need not be it yet: torch's default, with which it was made, may be float64.
                tensor.data = tensor.data.to(torch.float32 if name in kept else dtype)
    for part in module.children():
        to_precision(part, dtype)


@contextmanager
def float32_parts(module: nn.Module) -> Iterator[None]:
    """A context in which the parts of a module with `stays_float32` compute in float32 under autocast too."""
    parts = [part for part in module.modules() if getattr(part, "stays_float32", False)]
    for part in parts:
        part.forward = partial(_in_float32, part.forward)
    try:
        yield
    finally:
        for part in parts:
            del part.forward  # the class has it again


def _in_float32(forward: Callable[..., Any], values: Tensor, *more: Any) -> Any:
    with full_precision(values):
        return forward(values, *more)


def language_to_precision(language: Any, dtype: torch.dtype) -> None:
    """Cast a causal language model of transformers, in place: the MLPs of all layers but the first compute in `dtype`.

    They hold most of the weights. Rounding the rest moves more: the sum that runs through the layers, the output layer,
    attention and its cache, and the first layer, whose changes pass through all others, are float32.
    `language.layer_dtype` is then the precision asked for.

    Raises InputError for a network whose layers have no `mlp`.
    """
    layers = language.base_model.layers
    if not all(hasattr(layer, "mlp") for layer in layers):
        raise InputError(f"{type(language).__name__} has layers without an mlp, so it has no half precision here.")
    halves = [layer.mlp for layer in layers[1:]]
    for part in halves:
        part.to(dtype)
        part.register_forward_pre_hook(partial(_first_cast, dtype))
    cast = {id(tensor) for part in halves for tensor in part.parameters()}
    for tensor in (*language.parameters(), *language.buffers()):
        if tensor.is_floating_point() and id(tensor) not in cast:
            tensor.data = tensor.data.float()
    language.layer_dtype = dtype


def _first_cast(dtype: torch.dtype, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return inputs[0].to(dtype), *inputs[1:]
