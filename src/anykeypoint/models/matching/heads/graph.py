"""The head of CapeFormer, GraphCape and CapeX: from a query's feature map and support tokens to points.

    image   = image_projection(feature map)                              tokens of the query's cells
    support = support_projection(tokens)                                 of examples (`pool`) or of words (CapeX)
    image, support = encoder(image, support)
    proposals      = proposal generator: where the query looks like a support token
    points         = decoder: from the proposals on, layer by layer, along the skeleton

The three models differ in their `HeadConfig` and in where the support tokens come from. Every row of a batch is
answered as it would be alone, with however many keypoints and edges; slots that are not valid change nothing.

Letters: B objects, h x w cells, K keypoints, C channels, L decoder layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ....errors import InputError
from ..parts.decoder import Decoder, make_step
from ..parts.encoder import Encoder
from ..parts.losses import HEAT_WEIGHT, matching_losses
from ..parts.positions import grid_code
from ..parts.proposals import ProposalGenerator, Proposals
from ..parts.skeleton import Skeleton, adjacency
from .graph_config import HeadConfig


@dataclass(frozen=True, eq=False)
class Match:
    """What a head answers; points are x and y as fractions of the query's crop.

    points: (L B K 2), one answer per decoder layer; `found` is the last. path: (L+1 B K 2), where each layer started,
    and the last one's end. In slots that are not valid all figures are finite and mean nothing.
    """

    points: Tensor
    path: Tensor
    proposals: Proposals

    @property
    def found(self) -> Tensor:
        """The answer (B K 2)."""
        return self.points[-1]

    @property
    def chances(self) -> Tensor:
        """Where the points seemed to be at first (B K h w): the softmax of the proposals' similarity maps."""
        similarity = self.proposals.similarity
        return similarity.flatten(2).softmax(dim=-1).view_as(similarity)


class Matcher(nn.Module):
    """Encoder, proposal generator and decoder: all between projected tokens and points."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        c = config
        self.encoder = Encoder(c.width, c.heads, c.hidden, c.encoder_layers, c.dropout)
        self.proposals = ProposalGenerator(c.width, c.gate)
        self.decoder = Decoder(c.width, c.heads, c.hidden, c.decoder_layers, c.dropout, c.graph)
        self.graph = c.graph

    def forward(
        self,
        image: Tensor,
        support: Tensor,
        order: Tensor,
        valid: Tensor,
        skeletons: Sequence[Skeleton] | None,
        steps: nn.ModuleList,
    ) -> Match:
        """Projected image (B C h w) and support tokens (B K C), the order's code (K C); the rest as in `Head`."""
        grid = image.shape[-2:]
        code = grid_code(*grid, image.shape[1], like=image)
        image, support = self.encoder(image.flatten(2).transpose(1, 2), support, code, order, valid)
        proposals = self.proposals(support, image, grid)
        seen = something(valid)
        links = None
        if self.graph != "none":
            links = adjacency([()] * len(valid) if skeletons is None else skeletons, seen)
        points, path = self.decoder(support, image, code, order, proposals.peak, seen, links, steps)
        return Match(points, path, proposals)


class Head(nn.Module):
    """One matcher between its projections and the steps of its decoder layers."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        self.image_projection = nn.Conv2d(config.image_width, config.width, 1)
        self.support_projection = nn.Linear(config.support_width, config.width)
        self.order = Order(config)
        self.matcher = Matcher(config)
        self.steps = nn.ModuleList(make_step(config.width) for _ in range(config.decoder_layers))
        initialise(self)

    def forward(
        self, query: Tensor, support: Tensor, valid: Tensor, skeletons: Sequence[Skeleton] | None = None
    ) -> Match:
        """Find K keypoints in each of B queries.

        query: feature map (B image_width h w). support: tokens (B K support_width), of examples (`support.pool`) or of
        words. valid: (B K) bool, which slots are asked for; what the others hold is never read. skeletons: B lists of
        pairs of indices; None, or an empty list, for none. They are ignored where the config has no graph.
        """
        tokens = self.support_tokens(support, valid)
        return self.match(query, tokens, valid, skeletons)

    def support_tokens(self, support: Tensor, valid: Tensor) -> Tensor:
        """Support (B K support_width) -> tokens (B K width)."""
        return self.support_projection(clean(support, valid))

    def match(self, query: Tensor, tokens: Tensor, valid: Tensor, skeletons: Sequence[Skeleton] | None) -> Match:
        """The head behind its support projection: tokens are (B K width), all else as in `forward`."""
        image = self.image_projection(query)
        return self.matcher(image, tokens, self.order(tokens), valid, skeletons, self.steps)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what `losses` gives."""
        return "heat", "proposals", *(f"layer_{layer}" for layer in range(self.config.decoder_layers))

    def losses(
        self,
        match: Match,
        points: Tensor,
        heat_maps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heat_weight: float = HEAT_WEIGHT,
    ) -> dict[str, Tensor]:
        """See `matching_losses`; valid is not used."""
        return matching_losses(match, points, heat_maps, labelled, heat_weight)


class Order(nn.Module):
    """What a token is told about its place in the list of keypoints (CapeFormer's support keypoint identifier)."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.kind, self.slots = config.order, config.order_slots
        self.table = nn.Embedding(self.slots, config.width) if self.kind == "learnt" else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B K C) -> code (K C): zeros, sines, or learnt vectors."""
        count, width = tokens.shape[1:]
        if self.kind == "none":
            return tokens.new_zeros(count, width)
        if count > self.slots:
            raise InputError(f"This head tells at most {self.slots} keypoints apart by their order, but got {count}.")
        # The sines run over all slots, however many are used, so that a longer list does not change them.
        code = self.table.weight if self.table is not None else grid_code(1, self.slots, width, like=tokens)
        return code[:count]


def clean(support: Tensor, valid: Tensor) -> Tensor:
    """Support tokens (B K C) with zeros where not valid (B K bool); InputError where the two do not fit."""
    if valid.dtype != torch.bool or support.ndim != 3 or support.shape[:2] != valid.shape or not valid.shape[1]:
        raise InputError(
            f"Support tokens must be (B, K, C) with a bool mask (B, K) and K from 1, but got {tuple(support.shape)} "
            f"and {valid.dtype} {tuple(valid.shape)}."
        )
    return support.masked_fill(~valid[..., None], 0)


def something(valid: Tensor) -> Tensor:
    """The mask (B K), with the first slot standing in where none is valid: attention needs a thing to look at."""
    nothing = ~valid.any(dim=1, keepdim=True)
    return torch.cat([valid[:, :1] | nothing, valid[:, 1:]], dim=1)


def initialise(module: nn.Module) -> None:
    """The released initialisation: Xavier for every matrix, zero biases, and steps that do not move yet."""
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    for step in getattr(module, "steps", ()):
        nn.init.zeros_(step[-1].weight)
