"""Half precision: which tensors of a model take it, and which stay float32 because rounding them moves points."""

from typing import Any

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


def language_to_precision(language: Any, dtype: torch.dtype) -> None:
    """Cast a causal language model of transformers, in place: its layers compute in `dtype`, what they add up does not.

    The sum that runs through the layers, the norms, the rotation angles and the output layer are float32, and so is the
    embedding table where the output layer shares it. That halves what half precision changes in the distributions of
    digits. `language.layer_dtype` is then the precision of attention masks; `packed_forward` reads it.
    """
    decoder, head, table = language.base_model, language.get_output_embeddings(), language.get_input_embeddings()
    norms = [part for layer in decoder.layers for name, part in layer.named_children() if "norm" in name]
    kept = [*norms, head, *([table] if table.weight is head.weight else [])]
    kept += [part for name in ("norm", "rotary_emb") if (part := getattr(decoder, name, None)) is not None]
    for part in kept:
        part.stays_float32 = True
        part.float()
    to_precision(language, dtype)
    for part in norms:
        part.register_forward_hook(lambda _, __, output: output.to(dtype))
    if (rotary := getattr(decoder, "rotary_emb", None)) is not None:
        rotary.register_forward_hook(lambda _, __, output: tuple(one.to(dtype) for one in output))
    language.layer_dtype = dtype
