"""What a forward pass keeps in memory for its backward pass, found on torch's device "meta": nothing is computed.

torch says of every tensor that a backward pass will need (`saved_tensors_hooks`). "meta" has no automatic mixed
precision and no fused attention, so `OnGpu` does here what a GPU does.

Letters: B samples, H heads, T tokens, d channels of a head.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

# Functions that automatic mixed precision computes in bfloat16, and those that it computes in float32.
_PRODUCTS = {F.linear, F.conv1d, F.conv2d, F.conv3d, torch.matmul, torch.bmm, torch.einsum, torch.addmm, torch.mm}
_PRODUCTS |= {Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__, Tensor.bmm, Tensor.mm}
_FULL = {F.layer_norm, F.group_norm, F.softmax, F.log_softmax, F.cross_entropy, F.softplus, F.l1_loss, F.mse_loss}
_FULL |= {torch.layer_norm, torch.softmax, torch.log_softmax, torch.norm, torch.exp, torch.pow, Tensor.softmax}


class OnGpu(TorchFunctionMode):
    """A context in which tensors on "meta" are kept for the backward pass as a GPU keeps them.

    Attention keeps its inputs and its output, not its weights, as fused kernels do.

    half: whether products are computed in bfloat16, as under automatic mixed precision.
    """

    def __init__(self, half: bool) -> None:
        super().__init__()
        self.half = half

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            query, key, value = (self._cast(one, torch.bfloat16) if self.half else one for one in args[:3])
            return _FusedAttention.apply(query, key, value)
        if self.half and func in _PRODUCTS | _FULL:
            dtype = torch.bfloat16 if func in _PRODUCTS else torch.float32
            args, kwargs = tree_map(lambda one: self._cast(one, dtype), (args, kwargs))
        return func(*args, **kwargs)

    @staticmethod
    def _cast(value: Any, dtype: torch.dtype) -> Any:
        return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


class _FusedAttention(torch.autograd.Function):
    """Attention that keeps its inputs, its output and a number for each query; the numbers themselves mean nothing."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        context.save_for_backward(query, key, value, output, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return output

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, *_ = context.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


@dataclass
class Kept:
    """What is kept for the backward pass, in bytes.

    whole: all of it but the parameters themselves.
    copies: the part of it that is copies of frozen weights in bfloat16.
    layers: for each layer that can be computed twice, what it keeps.
    layer_copies: for each of them, the part of it that is such copies.
    inputs: for each of them, its input.
    """

    whole: int = 0
    copies: int = 0
    layers: list[int] = field(default_factory=list)
    layer_copies: list[int] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)

    @property
    def recomputed(self) -> int:
        """What is kept at most where each layer keeps its input alone and is computed again."""
        return self.whole - sum(self.layers) + sum(self.inputs) + max(self.layers, default=0)

    @property
    def recomputed_copies(self) -> int:
        """The part of `recomputed` that is copies of frozen weights."""
        return self.copies - sum(self.layer_copies) + max(self.layer_copies, default=0)


def kept(call: Callable[[], Any], model: nn.Module, layers: Sequence[nn.Module], half: bool) -> Kept:
    """What a forward pass on "meta" keeps for its backward pass.

    call: runs the forward pass.
    model: the model that it runs, whose parameters do not count, as they are there anyway.
    layers: the layers that `training.generative.memory` can compute twice.
    half: whether under automatic mixed precision.
    """
    found, seen = Kept(), {}
    own = {one.untyped_storage()._cdata for one in (*model.parameters(), *model.buffers())}
    shapes = {tuple(parameter.shape) for parameter in model.parameters() if not parameter.requires_grad}
    shapes |= {shape[::-1] for shape in shapes}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own and storage._cdata not in seen:
            seen[storage._cdata] = storage  # keeps it alive, so that no other one gets its number
            found.whole += storage.nbytes()
            copied = tensor.dtype == torch.bfloat16 and tensor.ndim == 2 and tuple(tensor.shape) in shapes
            found.copies += storage.nbytes() * (copied and not tensor.requires_grad)
        return tensor

    with _watched(layers, found), OnGpu(half), torch.autograd.graph.saved_tensors_hooks(note, lambda one: one):
        result = call()
    del result
    return found


@contextmanager
def _watched(layers: Sequence[nn.Module], found: Kept) -> Iterator[None]:
    """A context in which each of the layers notes its input and what it keeps."""
    before: list[tuple[int, int]] = []

    def enter(module: nn.Module, args: tuple, options: dict) -> None:
        given = args[0] if args else options["hidden_states"]
        found.inputs.append(given.untyped_storage().nbytes())
        before.append((found.whole, found.copies))

    def leave(*_: Any) -> None:
        whole, copies = before.pop()
        found.layers.append(found.whole - whole)
        found.layer_copies.append(found.copies - copies)

    hooks = [layer.register_forward_pre_hook(enter, with_kwargs=True) for layer in layers]
    hooks += [layer.register_forward_hook(leave) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
