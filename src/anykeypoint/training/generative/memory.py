"""Training what does not fit: layers that are computed twice, frozen weights that are spread over processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.checkpoint import checkpoint

from ...decoding import packed_forward
from ...errors import InputError
from ...models.generative.capellm import CapeLLM


@contextmanager
def recomputed(model: CapeLLM) -> Iterator[None]:
    """Within it, each layer keeps only its input in the forward pass, and the backward pass computes the rest anew.

    The decoder's layers, and the encoder's where it trains and is made of layers (stages, for Hiera and Swin); the
    convolutional encoder is left as it is. Dropout repeats its draws, so the gradients are the same.
    Hooks of the layers are outside of what is computed twice.
    """
    layers = [*model.language.base_model.layers]
    if any(p.requires_grad for p in model.encoder.parameters()):
        layers += _blocks(model.encoder.model)
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class's own shows again


def _blocks(network: nn.Module) -> list[nn.Module]:
    """The parts of an encoder that transformers itself would compute twice."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]


def spread(model: CapeLLM, accelerator: Accelerator) -> None:
    """Spread the frozen weights of the decoder's layers over all processes (FSDP), in place.

    Each process then holds its share, and a layer is gathered while it runs. Adapters, embeddings and the encoder stay
    whole in every process, so gradients, checkpoints and saving do not know of it. The model runs only when all
    processes run it together. With one process nothing changes.
    Raises InputError where the layers themselves train.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    decoder = model.language.base_model
    if model.config.language.tuning == "full":
        raise InputError("shard spreads frozen weights, but the whole language model trains; set its tuning to lora.")
    if accelerator.num_processes == 1:
        return
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    base = {p for name, p in decoder.layers.named_parameters() if ".lora_" not in name}
    whole = {p for p in model.parameters() if p not in base}
    for layer in decoder.layers:
        fully_shard(layer, mesh=mesh, ignored_params=whole)
    fully_shard(decoder, mesh=mesh, ignored_params=whole)  # holds nothing itself; lets the next layer come early


def idle_pass(model: CapeLLM) -> None:
    """Run a black crop forward and backward for nothing: every process must run a spread model equally often."""
    size = model.config.vision.image_size
    pixels = torch.zeros(1, size, size, 3, dtype=torch.uint8, device=model.device)
    prefix = model.prefix(model.encoder.normalise(pixels))
    length = prefix.shape[1]
    sees = torch.ones(1, length, length, dtype=torch.bool, device=model.device).tril()
    hidden = packed_forward(model.language, prefix, sees, torch.arange(length, device=model.device)[None])
    (0 * hidden.float().sum()).backward()
