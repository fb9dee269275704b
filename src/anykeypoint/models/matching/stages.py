"""The stages of a matcher's answer, watched from outside while it is found, so that watching changes nothing.

Letters: B objects, K keypoints, N = h * w cells, L layers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from .heads.evidence import Evidence, Member
from .heads.fusion import Decision
from .heads.graph import Match, Matcher

if TYPE_CHECKING:
    from .model import MatchingModel

Seen = dict[nn.Module, list[Tensor]]  # a decoder's owner -> its layers' cross-attention (B K N), layer by layer


@dataclass(frozen=True, eq=False)
class Stages:
    """attention: (L B K h w), sums to 1 over the cells. path: (L+1 B K 2), the first guess and each layer's answer."""

    attention: Tensor
    path: Tensor


@contextmanager
def watched(head: nn.Module) -> Iterator[Seen]:
    """While this lasts, what a head's decoders look at is kept.

    Each attention is worked out once more beside the answer, which stays the same to the bit. Raises InputError for a
    head without such a decoder.
    """
    looking = {part: found for part in head.modules() if (found := _looking(part))}
    seen: Seen = {part: [] for part in looking}
    if not seen:
        raise InputError("This model has no decoder that looks at the picture, so its answers cannot be explained.")

    def keeper(kept: list[Tensor]) -> Any:
        def keep(attention: nn.MultiheadAttention, given: tuple, options: dict[str, Any], _: Any) -> None:
            kept.append(attention.forward(*given, **{**options, "need_weights": True})[1].float())

        return keep

    handles = [
        attention.register_forward_hook(keeper(seen[part]), with_kwargs=True)
        for part, attentions in looking.items()
        for attention in attentions
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _looking(part: nn.Module) -> list[nn.MultiheadAttention]:
    """What looks at the picture in a decoder, layer by layer; nothing of any other part."""
    if isinstance(part, Matcher):
        return [layer.cross_attention for layer in part.decoder.layers]
    return [layer.at_image for layer in part.layers] if isinstance(part, Member) else []


def stages(model: "MatchingModel", answer: Match | Decision | Evidence, seen: Seen) -> Stages:
    """The stages of what was answered while `seen` was watched; of a decision fusion both matchers' count as in the
    answer."""
    if isinstance(answer, Evidence):
        members = torch.stack([torch.stack(layers) for layers in seen.values()])
        share = answer.share
        rows = members.mean(dim=0).unflatten(1, share.shape[:2])  # layers B M K n
        attention = torch.einsum("bmk,lbmkn->lbkn", share, rows).unflatten(-1, answer.maps[-1].shape[-2:])
        return Stages(attention, torch.stack([answer.peaks(stage) for stage in range(len(answer.maps))]))
    if isinstance(answer, Match):
        return _of(answer, next(iter(seen.values())))
    asked = {"text": model.head.head.matcher, "image": model.head.image_matcher}
    found = {
        name: _of(match, seen[matcher])
        for name, matcher in asked.items()
        if (match := getattr(answer, name)) is not None
    }
    if len(found) == 1:
        return next(iter(found.values()))
    share = answer.share[..., None]
    words, looks = found["text"], found["image"]
    attention = torch.lerp(looks.attention, words.attention, share[..., None])
    return Stages(attention, torch.lerp(looks.path, words.path, share))


def _of(match: Match, attention: list[Tensor]) -> Stages:
    grid = match.proposals.similarity.shape[-2:]
    return Stages(torch.stack(attention).unflatten(-1, grid), torch.cat([match.proposals.peak[None], match.points]))
