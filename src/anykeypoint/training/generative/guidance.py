"""Attention guidance: while an answer is written, some attention heads are trained to attend to the true point.

This is not from the papers. The target of a guided head is a Gaussian round the true point over the image tokens. No
parameters are added, so a guided model is saved and used like any other.

Letters: B sequences, T text tokens, P prefix tokens, N = R * C image tokens in rows (the last N of the prefix), D width
of the language model, d width of a head, n tokens from which a point is predicted.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InputError
from ...models.generative.base import GenerativeModel
from .generative_config import GuideConfig
from .sequence_batch import SequenceBatch


def guided_losses(
    model: GenerativeModel,
    batch: SequenceBatch,
    config: GuideConfig,
    states: Callable[[], Tensor],
    answers: Callable[[Tensor], dict[str, Tensor]],
    answered: bool = True,
    readers: nn.ModuleDict | None = None,
) -> dict[str, Tensor]:
    """The loss of answers, and guidance where the recipe has any. Returns scalars: "loss", and its terms.

    model: the model that is trained.
    batch: its sequences.
    config: the options of guidance.
    states: runs the model and returns the final hidden states of the text, B T D.
    answers: returns the losses of the answers, by name, from these hidden states.
    answered: False where the batch has questions alone; guidance is then the whole loss.
    readers: the modules of `make_readers`, where the recipe has any.
    """
    terms = {}
    with Guide(model, config, stop=not answered) as guide:
        hidden = states()
        if config.layers and batch.answers:
            terms["guide"] = config.weight * guide.loss(batch)
        if answered and readers is not None and batch.answers:
            terms["read"] = config.read * guide.reading_loss(batch, readers)
    if answered:
        terms |= answers(hidden)
    return {"loss": sum(terms.values()), **{name: term.detach() for name, term in terms.items()}}


def prefixed_mask(mask: Tensor, size: int) -> Tensor:
    """The attention mask of text behind a prefix, B P+T P+T. The prefix is causal, and all text attends to all of it.

    mask: B T T bool, text to text.
    size: P.
    """
    count, length = mask.shape[:2]
    whole = torch.ones(count, size + length, size + length, dtype=torch.bool, device=mask.device).tril()
    whole[:, size:, size:] = mask
    return whole


def make_readers(model: GenerativeModel, config: GuideConfig) -> nn.ModuleDict | None:
    """For each guided layer a linear map from the hidden states behind it to a point; None where `read` is 0.

    The maps serve training and are not saved with the model. The keys of the dictionary are the layers' numbers plus 1.
    """
    if not config.read:
        return None
    width = model.language.config.hidden_size
    readers = nn.ModuleDict({str(i + 1): nn.Linear(width, 2) for i in config.layers})
    for reader in readers.values():  # predicts the middle of the crop at first, without a gradient for the model
        nn.init.zeros_(reader.weight)
        nn.init.constant_(reader.bias, 0.5)
    return readers


class Guide:
    """A context manager that records the inputs of some decoder layers in a forward pass and computes their losses.

    The hooks record tensors and compute nothing; queries, keys and norms are computed afterwards. Layers that are
    computed twice (`memory.recomputed`) therefore do the same both times.
    """

    def __init__(self, model: GenerativeModel, config: GuideConfig, stop: bool = False) -> None:
        """Raises InputError for layers that the language model does not have.

        model: the model whose layers are guided.
        config: the options of guidance.
        stop: guide the first of the layers alone, and run only the layers in front of it.
        """
        self.config = config
        self.decoder = model.language.base_model
        self.all_layers = self.decoder.layers
        count = len(self.all_layers)
        if outside := [i for i in config.layers if not 0 <= i < count]:
            raise InputError(
                f"guide.layers names layer {outside[0]}, but the language model has layers 0 to {count - 1}."
            )
        self.layers = sorted(config.layers)[:1] if stop else config.layers
        self.stop = stop
        self.grid = model.encoder.grid(model.config.vision.image_size)
        self.inputs: dict[int, Tensor] = {}  # input of each layer by its number; that of the final norm by their count
        self.rotations: tuple[Tensor, Tensor]  # cosines and sines of the rotary position embedding
        self.hooks: list[Any] = []

    def __enter__(self) -> "Guide":
        recorded: dict[int, nn.Module] = {i: self.all_layers[i] for i in self.layers}
        if self.stop:
            (last,) = self.layers
            recorded = {last: _NoLayer()}
            self.decoder.layers = nn.ModuleList([*self.all_layers[:last], recorded[last]])
        elif self.config.read:
            recorded |= {i + 1: self._behind(i) for i in self.layers}
        for i, module in recorded.items():
            self.hooks.append(module.register_forward_pre_hook(self._recorder(i), with_kwargs=True))
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.decoder.layers = self.all_layers
        for hook in self.hooks:
            hook.remove()

    def loss(self, batch: SequenceBatch) -> Tensor:
        """Kullback-Leibler divergence of attention from the target, mean over guided layers, heads and tokens."""
        size = self._prefix_size(batch)
        mask = prefixed_mask(batch.mask, size)
        positions, target_points = batch.point_targets
        sequence, token = positions[:, 0], positions[:, 1] + size
        target = self._target(target_points)
        cells = target.shape[1]
        total = target.new_zeros(())
        for queries, keys in map(self._queries_and_keys, self.layers):
            for b in sequence.unique().tolist():  # one sequence at a time: keys for every token would fill the memory
                own = sequence == b
                scores = torch.einsum("nhd,thd->nht", queries[b, token[own]], keys[b]) / queries.shape[-1] ** 0.5
                masked = ~mask[b, token[own]]
                attention = scores.float().masked_fill(masked[:, None], float("-inf")).log_softmax(-1)
                attention = attention[..., size - cells : size]
                wanted = target[own][:, None].expand_as(attention)
                total = total + F.kl_div(attention, wanted, reduction="sum") / attention.shape[1]
        return total / (len(target) * len(self.layers))

    def reading_loss(self, batch: SequenceBatch, readers: nn.ModuleDict) -> Tensor:
        """L1 distance, in tenths of the crop, of the points that the readers predict, mean over points and layers."""
        positions, target_points = batch.point_targets
        size = self._prefix_size(batch)
        total = target_points.new_zeros((), dtype=torch.float32)
        for name, reader in readers.items():
            i = int(name)
            norm = self.all_layers[i].input_layernorm if i < len(self.all_layers) else self.decoder.norm
            states = norm(self.inputs[i][positions[:, 0], positions[:, 1] + size])
            total = total + 10 * (reader(states).float() - target_points).abs().sum(-1).mean()
        return total / len(readers)

    def _behind(self, i: int) -> nn.Module:
        """The module whose input is the output of layer i."""
        return self.all_layers[i + 1] if i + 1 < len(self.all_layers) else self.decoder.norm

    def _recorder(self, i: int) -> Callable[[nn.Module, tuple, dict[str, Any]], None]:
        def hook(layer: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
            # The first call is that of the forward pass. A call in the backward pass would be cut off from the graph.
            self.inputs.setdefault(i, args[0] if args else kwargs["hidden_states"])
            if "position_embeddings" in kwargs:
                self.rotations = kwargs["position_embeddings"]

        return hook

    def _queries_and_keys(self, i: int) -> tuple[Tensor, Tensor]:
        """Queries and keys of the guided heads of a layer, each B P+T heads d, from the layer's input."""
        layer = self.all_layers[i]
        attention = layer.self_attn
        hidden = layer.input_layernorm(self.inputs[i])
        size, groups = attention.head_dim, self.config.groups
        heads = groups * attention.num_key_value_groups
        shape = (*hidden.shape[:2], -1, size)
        queries = attention.q_proj(hidden).view(shape)[:, :, :heads]
        keys = attention.k_proj(hidden).view(shape)[:, :, :groups]
        cos, sin = (t[:, :, None] for t in self.rotations)
        keys = _rotate(keys, cos, sin).repeat_interleave(attention.num_key_value_groups, dim=2)
        return _rotate(queries, cos, sin), keys

    def _target(self, points: Tensor) -> Tensor:
        """Gaussians of mass 1 on the image tokens, n N, round points n 2 in normalised coordinates."""
        rows, columns = self.grid
        y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
        cells = torch.stack([x.flatten(), y.flatten()], dim=-1).to(points)
        distance = (points[:, None] - cells).square().sum(-1)
        return (-0.5 * distance / self.config.sigma**2).softmax(-1).float()

    def _prefix_size(self, batch: SequenceBatch) -> int:
        """P, number of tokens in front of the text."""
        return self.inputs[self.layers[0]].shape[1] - batch.tokens.shape[1]


class _NoLayer(nn.Module):
    """Takes the place of a decoder layer whose input alone is needed."""

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return hidden


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The rotary position embedding, in the layout of two halves."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cos + turned * sin
