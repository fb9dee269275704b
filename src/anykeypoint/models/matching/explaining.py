"""Attention, recorded while a head computes an output; recording changes no bit of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from .heads.base import MatchingHead


@contextmanager
def recorded_attention(head: MatchingHead) -> Iterator[dict[str, list[Tensor]]]:
    """Inside this context, the attention of a head's decoders to the query's cells is recorded.

    The mapping that it yields has, by the names of `head.attention()`, one tensor [B, K, h*w] for each layer that ran,
    the mean over the attention heads. Each is computed once more beside the output. Raises InputError for a head
    without such a decoder.
    """
    layers = head.attention()
    if not layers:
        raise InputError("This model has no decoder that looks at the picture, so its answers cannot be explained.")
    recorded: dict[str, list[Tensor]] = {name: [] for name in layers}
    handles = [
        attention.register_forward_hook(_recorder(recorded[name]), with_kwargs=True)
        for name, attentions in layers.items()
        for attention in attentions
    ]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()


def stacked(recorded: Mapping[str, list[Tensor]]) -> dict[str, Tensor]:
    """The recorded attention [L, B, K, h*w] of each decoder that ran."""
    return {name: torch.stack(layers) for name, layers in recorded.items() if layers}


def _recorder(record: list[Tensor]) -> Any:
    def hook(attention: nn.MultiheadAttention, given: tuple, options: dict[str, Any], _: Any) -> None:
        record.append(attention.forward(*given, **{**options, "need_weights": True})[1].float())

    return hook
