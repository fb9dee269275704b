"""Training of models that do not fit into memory: frozen weights in bfloat16, recomputed layers, and weights sharded
over processes; on a CPU also fewer kernels that are kept."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.checkpoint import checkpoint

from ...decoding import packed_forward
from ...errors import InputError
from ...models.generative.base import GenerativeModel
from ...models.generative.storage import changed_tensors
from ...models.precision import HalfLinear, fixed_linears

KERNELS = "64"  # of the 1024 that torch keeps otherwise, twice
KERNEL_VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def keep_few_kernels() -> None:
    """Let torch keep few kernels of products on a CPU, unless the environment says how many.

    Each length of a sequence has kernels with memory of their own, and hardly a length comes again: a thousand lengths
    of one layer took 2 GiB in bfloat16, and 0.3 with so few. Has an effect before the first product of a process.
    """
    for name in KERNEL_VARIABLES:
        os.environ.setdefault(name, KERNELS)


def halve_frozen(layers: Iterable[nn.Linear]) -> None:
    """Keep the weights of frozen linear layers in bfloat16, in place.

    Mixed precision rounds these very weights to bfloat16 for each product, so that no bit of a training changes.
    """
    for layer in layers:
        layer.to(torch.bfloat16)
        layer.__class__ = HalfLinear


def frozen_linears(model: GenerativeModel) -> list[nn.Linear]:
    """The `fixed_linears` of both towers that no folder of the model holds."""
    saved, towers = changed_tensors(model), {"encoder": model.encoder.model, "language": model.language}
    return [
        layer
        for tower, network in towers.items()
        for name, layer in fixed_linears(network).items()
        if f"{tower}.{name}.weight" not in saved
    ]


@contextmanager
def recomputed(model: GenerativeModel) -> Iterator[None]:
    """A context within which each layer keeps its input alone, and the backward pass computes the rest again.

    It covers the layers of the decoder and, where the image encoder trains, its layers (stages, for Hiera and Swin); a
    convolutional encoder is left as it is. Dropout repeats its draws, so gradients are the same. Hooks of the layers
    run outside the recomputation.
    """
    with recomputed_layers(recomputable(model)):
        yield


def recomputable(model: GenerativeModel) -> list[nn.Module]:
    """The layers of a model that `recomputed` computes twice."""
    layers = [*model.language.base_model.layers]
    if any(p.requires_grad for p in model.encoder.parameters()):
        layers += _recomputable_layers(model.encoder.model)
    return layers


@contextmanager
def recomputed_layers(layers: Sequence[nn.Module]) -> Iterator[None]:
    """As `recomputed`, of these layers."""
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # uncovers the method of the class


def _recomputable_layers(network: nn.Module) -> list[nn.Module]:
    """The layers of an encoder that transformers marks as recomputable."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]


def shard(model: GenerativeModel, accelerator: Accelerator) -> None:
    """Shard the frozen weights of the decoder's layers over all processes (FSDP), in place.

    Each process holds its share, and a layer's weights are gathered while it runs. Adapters, embeddings and the image
    encoder stay whole in every process, so gradients, checkpoints and saving are not affected. From then on the model
    runs only when all processes run it together. With one process nothing changes. Raises InputError where the layers
    themselves train.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    decoder = model.language.base_model
    if model.config.language.tuning == "full":
        raise InputError("shard spreads frozen weights, but the whole language model trains; set its tuning to lora.")
    if accelerator.num_processes == 1:
        return
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    sharded = {p for name, p in decoder.layers.named_parameters() if ".lora_" not in name}
    whole = {p for p in model.parameters() if p not in sharded}
    for layer in decoder.layers:
        fully_shard(layer, mesh=mesh, ignored_params=whole)
    fully_shard(decoder, mesh=mesh, ignored_params=whole)  # shards nothing more, but prefetches the next layer


def dummy_pass(model: GenerativeModel) -> None:
    """A forward and backward pass of a black crop with zero loss.

    It keeps the collective operations of a sharded model in step on processes that ran out of batches.
    """
    size = model.config.vision.image_size
    pixels = torch.zeros(1, size, size, 3, dtype=torch.uint8, device=model.device)
    prefix = model.prefix(model.encoder.normalise(pixels))
    length = prefix.shape[1]
    mask = torch.ones(1, length, length, dtype=torch.bool, device=model.device).tril()
    hidden = packed_forward(model.language, prefix, mask, torch.arange(length, device=model.device)[None])
    (0 * hidden.float().sum()).backward()
