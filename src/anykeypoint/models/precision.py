"""Half precision: which tensors of a model take it, and which stay float32 because rounding them moves points; and the
frozen weights of a training, which may keep it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
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


class HalfLinear(nn.Linear):
    """A frozen linear layer with weights in half precision. Where nothing is mixed, it computes in its input's
    precision."""

    def forward(self, values: Tensor) -> Tensor:
        """As of any linear layer."""
        if torch.is_autocast_enabled(values.device.type):
            return super().forward(values)
        bias = None if self.bias is None else self.bias.to(values.dtype)
        return F.linear(values, self.weight.to(values.dtype), bias)


def fixed_linears(network: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers of a network, by name, whose weights no training changes; adapters are none of them.

    Nor is an output layer that has the weights of the embeddings, as mixed precision does not round these.
    """
    others = (part for part in network.modules() if type(part) not in _LINEAR)
    shared = {id(parameter) for part in others for parameter in part.parameters(recurse=False)}
    found = {}
    for name, layer in _linear_layers(network):
        parameters = list(layer.parameters(recurse=False))
        fixed = not any(parameter.requires_grad or id(parameter) in shared for parameter in parameters)
        if fixed and ".lora_" not in name:
            found[name] = layer
    return found


_LINEAR = (nn.Linear, HalfLinear)


def _linear_layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers of a network by name, but for those of parts that stay float32."""
    if type(module) in _LINEAR:
        yield name, module  # type: ignore[misc]
    elif not getattr(module, "stays_float32", False):
        for key, part in module.named_children():
            yield from _linear_layers(part, f"{name}.{key}" if name else key)


def load_unrounded(load: Callable[[torch.dtype], nn.Module], stored: torch.dtype | None) -> nn.Module:
    """A network in the half precision that its weights are stored in, or in float32 where that rounds anything.

    load: gives the network in a precision.
    stored: the half precision of its files, see `stored_half`; None takes float32.

    Weights that are taken as they are stored stay in the mapped file, which all processes of a machine share, until
    something moves or changes them. `keep_frozen_halves` must follow.
    """
    if stored is None:
        return load(torch.float32)
    network = load(stored)
    read = network.state_dict().keys()
    computed = [table for name, table in network.named_buffers() if name not in read and table.is_floating_point()]
    # What a network computes when it is built, such as the scale of its embeddings, is rounded to its precision.
    return network if all(table.dtype == torch.float32 for table in computed) else load(torch.float32)


def keep_frozen_halves(network: Any) -> None:
    """Cast a tuned network of transformers to float32, in place, but for frozen linear layers in half precision.

    These become `HalfLinear`: no number of the network, and no bit of what it gives, is another one than in float32.
    """
    kept: set[int] = set()
    for layer in fixed_linears(network).values():
        if layer.weight.dtype in (torch.bfloat16, torch.float16):
            layer.__class__ = HalfLinear
            kept |= {id(parameter) for parameter in layer.parameters()}
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point() and id(tensor) not in kept:
            tensor.data = tensor.data.float()
    network.config.dtype = torch.float32


def _first_cast(dtype: torch.dtype, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return inputs[0].to(dtype), *inputs[1:]
