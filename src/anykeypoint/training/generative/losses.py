"""What a training step minimises: the answers, and where some attention heads look.

Letters: B images, T text tokens, P prefix tokens, N = R * R image tokens (the last N of the prefix), D model width.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...decoding import packed_forward
from ...errors import InputError
from ...models.generative.base import GenerativeModel
from ...models.generative.capellm import CapeLLM
from .capellm_config import GuideConfig, TrainConfig
from .sequences import Batch, training_form


def training_loss(
    model: CapeLLM, batch: Batch, config: TrainConfig, answered: bool = True, readers: nn.ModuleDict | None = None
) -> dict[str, Tensor]:
    """One forward pass of a packed batch. Returns "loss" and its parts, each a scalar.

    answered: False when the batch holds questions only; guidance is then the whole loss.
    readers: those of `make_readers`, where the recipe has any.
    """

    def states() -> Tensor:
        prefix = model.prefix(model.encoder.normalise(batch.pixels), training_form(model, config))  # B P D
        count, size = prefix.shape[:2]
        embeddings = torch.cat([prefix, model.embed(batch.tokens)], dim=1)
        start = torch.arange(size, device=prefix.device).expand(count, -1)
        positions = torch.cat([start, batch.positions + size], dim=1)
        return packed_forward(model.language, embeddings, whole_mask(batch.sees, size), positions)[:, size:]

    def answers(hidden: Tensor) -> dict[str, Tensor]:
        return {"answers": _answer_loss(model, hidden, batch, config)}

    return guided_loss(model, batch, config.guide, states, answers, answered, readers)


def guided_loss(
    model: GenerativeModel,
    batch: Batch,
    config: GuideConfig,
    states: Callable[[], Tensor],
    answers: Callable[[Tensor], dict[str, Tensor]],
    answered: bool = True,
    readers: nn.ModuleDict | None = None,
) -> dict[str, Tensor]:
    """Any model's loss: what its answers cost, and guidance where the recipe has any. As `training_loss`.

    states: runs the model; its final hidden states of the text, B T D. answers: the parts that these cost.
    """
    parts = {}
    with Guide(model, config, stop=not answered) as guide:
        hidden = states()
        if config.layers and batch.answers:
            parts["guide"] = config.weight * guide.loss(batch)
        if answered and readers is not None and batch.answers:
            parts["read"] = config.read * guide.reading_loss(batch, readers)
    if answered:
        parts |= answers(hidden)
    return {"loss": sum(parts.values()), **{name: part.detach() for name, part in parts.items()}}


def whole_mask(sees: Tensor, size: int) -> Tensor:
    """What text sees of text, B T T, -> what all see of all, B P+T P+T, behind a prefix of `size` tokens."""
    count, length = sees.shape[:2]
    whole = torch.ones(count, size + length, size + length, dtype=torch.bool, device=sees.device).tril()
    whole[:, size:, size:] = sees
    return whole


def _answer_loss(model: CapeLLM, hidden: Tensor, batch: Batch, config: TrainConfig) -> Tensor:
    """Cross entropy of the answers' tokens given the true past, logits only where there is a target.

    A <KEYPOINT> answer costs the distance of its point from the true one, L1 in fractions of the crop.
    """
    if model.keypoint_token is not None:
        distance = point_loss(model, hidden, batch)
        return distance + text_loss(model, hidden, batch.text) if len(batch.text) else distance
    return text_loss(model, hidden, batch.text) if config.loss == "text" else digits_loss(model, hidden, batch)


def point_loss(model: GenerativeModel, hidden: Tensor, batch: Batch) -> Tensor:
    """How far points of <KEYPOINT> answers are from the true ones: the mean of their L1, in fractions of the crop."""
    places, points = batch.looks
    found = model.keypoint_token(hidden[places[:, 0], places[:, 1]])
    return (found - points).abs().sum(-1).mean()


def digits_loss(model: GenerativeModel, hidden: Tensor, batch: Batch) -> Tensor:
    """Divergence from the target distributions at the free positions, a sum over an answer's, the mean of answers."""
    head = model.language.get_output_embeddings().weight
    total = hidden.new_zeros((), dtype=torch.float32)
    for (places, target), ids in ((batch.lead, model.codec.leads), (batch.digits, model.codec.digits[0])):
        logits = (hidden[places[:, 0], places[:, 1]] @ head[list(ids)].T).float()
        # Less the target's own entropy, so that a perfect answer costs nothing.
        total = total + F.kl_div(logits.log_softmax(-1), target, reduction="sum")
    return total / batch.answers


def text_loss(model: GenerativeModel, hidden: Tensor, text: Tensor) -> Tensor:
    """Mean over tokens (n 3: image, place, next id), as every causal LM is trained."""
    states = hidden[text[:, 0], text[:, 1]]
    return F.cross_entropy((states @ model.language.get_output_embeddings().weight.T).float(), text[:, 2])


def make_readers(model: GenerativeModel, config: GuideConfig) -> nn.ModuleDict | None:
    """A linear map from hidden state to point for each layer behind a guided one; for training only, never saved."""
    if not config.read:
        return None
    width = model.language.config.hidden_size
    readers = nn.ModuleDict({str(i + 1): nn.Linear(width, 2) for i in config.layers})
    for reader in readers.values():  # start at the middle of the crop, without a pull on the model
        nn.init.zeros_(reader.weight)
        nn.init.constant_(reader.bias, 0.5)
    return readers


class Guide:
    """Notes what goes into some layers in a forward pass and compares where they look with where the point is.

    While an answer is written, the guided heads' attention should be a small Gaussian of mass 1 on the image tokens
    round the true point. It uses the heads' own weights, so nothing remains of it after training.

    The hooks only note tensors; queries, keys and norms are computed from them afterwards, so that layers which are
    computed twice (`memory.recomputed`) do the same both times.
    """

    def __init__(self, model: GenerativeModel, config: GuideConfig, stop: bool = False) -> None:
        """stop: guide the first of the layers only, and run none but those in front of it."""
        self.config = config
        self.decoder = model.language.base_model
        self.whole = self.decoder.layers
        if outside := [i for i in config.layers if not 0 <= i < len(self.whole)]:
            raise InputError(
                f"guide.layers names layer {outside[0]}, but the language model has layers 0 to {len(self.whole) - 1}."
            )
        self.layers = sorted(config.layers)[:1] if stop else config.layers
        self.stop = stop
        self.grid = model.encoder.grid(model.config.vision.image_size)
        self.inputs: dict[int, Tensor] = {}  # of a layer, by its number; of the last norm by the number of layers
        self.turns: tuple[Tensor, Tensor]  # cosines and sines of the positions
        self.hooks: list[Any] = []

    def __enter__(self) -> "Guide":
        watched: dict[int, nn.Module] = {i: self.whole[i] for i in self.layers}
        if self.stop:
            (last,) = self.layers
            watched = {last: _End()}
            self.decoder.layers = nn.ModuleList([*self.whole[:last], watched[last]])
        elif self.config.read:
            watched |= {i + 1: self.whole[i + 1] if i + 1 < len(self.whole) else self.decoder.norm for i in self.layers}
        for i, module in watched.items():
            self.hooks.append(module.register_forward_pre_hook(self._note(i), with_kwargs=True))
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.decoder.layers = self.whole
        for hook in self.hooks:
            hook.remove()

    def _note(self, i: int) -> Callable[[nn.Module, tuple, dict[str, Any]], None]:
        def hook(layer: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
            # The first call is the forward pass's own; one in the backward pass would be cut off from the graph.
            self.inputs.setdefault(i, args[0] if args else kwargs["hidden_states"])
            if "position_embeddings" in kwargs:
                self.turns = kwargs["position_embeddings"]

        return hook

    def _looks(self, i: int) -> tuple[Tensor, Tensor]:
        """Queries and keys of a layer's guided heads, B P+T heads d, from its input."""
        layer = self.whole[i]
        attention = layer.self_attn
        hidden = layer.input_layernorm(self.inputs[i])
        size, groups = attention.head_dim, self.config.groups
        heads = groups * attention.num_key_value_groups
        shape = (*hidden.shape[:2], -1, size)
        queries = attention.q_proj(hidden).view(shape)[:, :, :heads]
        keys = attention.k_proj(hidden).view(shape)[:, :, :groups]
        cos, sin = (t[:, :, None] for t in self.turns)
        keys = _rotate(keys, cos, sin).repeat_interleave(attention.num_key_value_groups, dim=2)
        return _rotate(queries, cos, sin), keys

    def loss(self, batch: Batch) -> Tensor:
        """Mean divergence from the target heat map over guided layers, heads and the answers' tokens."""
        prefix = self._prefix(batch)
        sees = whole_mask(batch.sees, prefix)
        rows, columns = self.grid
        places, points = batch.looks
        image, token = places[:, 0], places[:, 1] + prefix
        y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
        cells = torch.stack([x.flatten(), y.flatten()], dim=-1).to(points)
        distance = (points[:, None] - cells).square().sum(-1)
        target = (-0.5 * distance / self.config.sigma**2).softmax(-1).float()  # n N
        total = target.new_zeros(())
        for queries, keys in map(self._looks, self.layers):
            for b in image.unique().tolist():  # image by image, as keys per answer token would fill the memory
                here = image == b
                scores = torch.einsum("nhd,thd->nht", queries[b, token[here]], keys[b]) / queries.shape[-1] ** 0.5
                hidden = ~sees[b, token[here]]
                look = scores.float().masked_fill(hidden[:, None], float("-inf")).log_softmax(-1)
                look = look[..., prefix - len(cells) : prefix]
                wanted = target[here][:, None].expand_as(look)
                total = total + F.kl_div(look, wanted, reduction="sum") / look.shape[1]
        return total / (len(target) * len(self.layers))

    def _prefix(self, batch: Batch) -> int:
        """How many tokens stand before the text."""
        return self.inputs[self.layers[0]].shape[1] - batch.tokens.shape[1]

    def reading_loss(self, batch: Batch, readers: nn.ModuleDict) -> Tensor:
        """How far, in tenths of the crop, points read off the answers' hidden states are from the true ones: L1."""
        places, points = batch.looks
        prefix = self._prefix(batch)
        total = points.new_zeros((), dtype=torch.float32)
        for name, reader in readers.items():
            i = int(name)
            norm = self.whole[i].input_layernorm if i < len(self.whole) else self.decoder.norm
            states = norm(self.inputs[i][places[:, 0], places[:, 1] + prefix])
            total = total + 10 * (reader(states).float() - points).abs().sum(-1).mean()
        return total / len(readers)


class _End(nn.Module):
    """Stands in for a decoder layer whose input is all that is wanted."""

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return hidden


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions in the two-halves layout."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cos + turned * sin
