"""The head of CapeFormer, GraphCape and CapeX: from a query's feature map and prompt tokens to points.

    image     = image_projection(feature map)          tokens of the query's cells
    tokens    = token_projection(prompt tokens)        features under an example's keypoints, or phrases (CapeX)
    image, tokens = encoder(image, tokens)
    proposals = proposal generator                     where the query is similar to a token
    points    = decoder                                from the proposals on, layer by layer, along the skeleton

The three models differ in their config and in where the tokens come from. Every row of a batch is computed as if it
were alone, with any number of keypoints and edges; slots that are not valid change nothing.

Letters: B objects, h x w cells, K keypoints, C channels, L decoder layers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ....configs.checks import check_choice, check_positive, check_rate, check_whole
from ....configs.strict import Config
from ....errors import InputError
from ...towers.vision_config import VisionConfig
from ..parts.decoder import Decoder, make_step
from ..parts.encoder import Encoder
from ..parts.losses import matching_losses
from ..parts.masks import clean, keep_one
from ..parts.positions import grid_code
from ..parts.proposals import ProposalGenerator, Proposals
from ..parts.skeleton import Skeleton, adjacency
from .base import HEATMAP_WEIGHT, EncoderSizes, MatchingHead, Prompt, Stages, check_widths, initialise

GRAPHS = ("none", "pre", "post", "both")
ORDERS = ("none", "fixed", "learnt")
_COUNTS = ("image_width", "token_width", "width", "heads", "hidden", "gate", "encoder_layers", "decoder_layers")
_COUNTS += ("order_slots",)


@dataclass(frozen=True)
class GraphConfig(Config):
    """Sizes and choices of a graph head; GraphCape's by default.

    image_width: channels of the query's feature map.
    token_width: channels of a prompt token, of an example's features or of a phrase.
    width: channels C of all tokens inside the head, a multiple of 4 and of `heads`.
    heads: number of attention heads.
    hidden: width of the hidden layer of the feed-forward blocks.
    gate: width of the hidden layer of the proposal generator's gate.
    encoder_layers, decoder_layers: numbers of layers.
    dropout: dropout probability.
    graph: which of the two linear layers of the decoder's feed-forward blocks mix neighbours of the skeleton.
    order: code of a keypoint's position in the list of keypoints: none, fixed sines, or learnt.
    order_slots: length of the longest list of keypoints that has such a code.
    similarity_start: what the first weights of both sides of the similarity are multiplied by; 1 as released. Those
        similarities are so large that the sigmoids of the heat maps are 0 or 1 and hardly learn, which a long training
        outlives and a short one does not. width^(-1/4) makes them products as scaled attention has them.
    token_start: what the first weights of the token projection are multiplied by; 1 as released. Phrases have length
        one, so that their tokens begin at a twentieth of the query's and are lost in the encoder's first sums: until a
        long training has found them, all keypoints get one place. token_width^(1/2) gives them entries of about one.
    """

    called = "The options of a matching head"
    former_keys: ClassVar[Mapping[str, str]] = {"support_width": "token_width"}

    image_width: int = 768
    token_width: int = 768
    width: int = 256
    heads: int = 8
    hidden: int = 768
    gate: int = 128
    encoder_layers: int = 3
    decoder_layers: int = 3
    dropout: float = 0.1
    graph: str = "pre"
    order: str = "none"
    order_slots: int = 100
    similarity_start: float = 1.0
    token_start: float = 1.0

    def __post_init__(self) -> None:
        for name in _COUNTS:
            check_whole(getattr(self, name), f"A matching head's {name}")
        if self.width % 4 or self.width % self.heads:
            raise InputError(
                f"A matching head's width must be a multiple of 4 and of its {self.heads} heads, but got {self.width}."
            )
        check_rate(self.dropout, "A matching head's dropout")
        check_choice(self.graph, "A matching head's graph", GRAPHS)
        check_choice(self.order, "A matching head's order", ORDERS)
        for name in ("similarity_start", "token_start"):
            check_positive(getattr(self, name), f"A matching head's {name}")


@dataclass(frozen=True, eq=False)
class GraphOutput:
    """What a graph head gives; a `HeadOutput`.

    layers: [L, B, K, 2], the points of each decoder layer, fractions of the query's crop; the last are the output's.
    path: [L+1, B, K, 2], the point that each layer starts from, and the end of the last.
    proposals: the first guess.
    """

    layers: Tensor
    path: Tensor
    proposals: Proposals

    @property
    def points(self) -> Tensor:
        """[B, K, 2], the points of the last layer."""
        return self.layers[-1]

    @property
    def probabilities(self) -> Tensor:
        """[B, K, h, w], of the first guess: the softmax of the proposals' similarity maps."""
        similarity = self.proposals.similarity
        return similarity.flatten(2).softmax(dim=-1).view_as(similarity)

    def stages(self, attention: Tensor) -> Stages:
        """The stages, with the attention [L, B, K, h*w] of the decoder."""
        grid = self.proposals.similarity.shape[-2:]
        return Stages(attention.unflatten(-1, grid), torch.cat([self.proposals.peak[None], self.layers]))


class GraphMatcher(nn.Module):
    """Encoder, proposal generator and decoder: all between projected tokens and points."""

    def __init__(self, config: GraphConfig) -> None:
        super().__init__()
        c = config
        self.encoder = Encoder(c.width, c.heads, c.hidden, c.encoder_layers, c.dropout)
        self.proposals = ProposalGenerator(c.width, c.gate, c.similarity_start)
        self.decoder = Decoder(c.width, c.heads, c.hidden, c.decoder_layers, c.dropout, c.graph)
        self.graph = c.graph

    def forward(
        self,
        image: Tensor,
        tokens: Tensor,
        order: Tensor,
        valid: Tensor,
        skeletons: Sequence[Skeleton] | Tensor | None,
        steps: nn.ModuleList,
    ) -> GraphOutput:
        """Find K keypoints in each of B queries.

        image: [B, C, h, w], the projected feature map.
        tokens: [B, K, C], the projected prompt tokens.
        order: [K, C], the code of the tokens' positions in the list.
        valid: [B, K] bool.
        skeletons: see `Prompt`.
        steps: one module a decoder layer, see `parts.decoder.make_step`.
        """
        grid = image.shape[-2:]
        code = grid_code(*grid, image.shape[1], like=image)
        image, tokens = self.encoder(image.flatten(2).transpose(1, 2), tokens, code, order, valid)
        proposals = self.proposals(tokens, image, grid)
        attended = keep_one(valid)
        links = None
        if self.graph != "none":
            links = adjacency([()] * len(valid) if skeletons is None else skeletons, attended)
        layers, path = self.decoder(tokens, image, code, order, proposals.peak, attended, links, steps)
        return GraphOutput(layers, path, proposals)

    def attention(self) -> list[nn.MultiheadAttention]:
        """The decoder's attention to the query's cells, layer by layer."""
        return [layer.cross_attention for layer in self.decoder.layers]


class GraphHead(MatchingHead):
    """A matcher between its projections and the steps of its decoder layers."""

    config_class = GraphConfig

    def __init__(self, config: GraphConfig) -> None:
        super().__init__(config)
        self.image_projection = nn.Conv2d(config.image_width, config.width, 1)
        self.token_projection = nn.Linear(config.token_width, config.width)
        self.order = OrderCode(config)
        self.matcher = GraphMatcher(config)
        self.steps = nn.ModuleList(make_step(config.width) for _ in range(config.decoder_layers))
        initialise(self)
        with torch.no_grad():
            self.token_projection.weight.mul_(config.token_start)

    @classmethod
    def fit(cls, config: GraphConfig | None, sizes: EncoderSizes) -> GraphConfig:
        """See `MatchingHead.fit`."""
        widths = {"image_width": sizes.channels, "token_width": sizes.text if "text" in cls.prompts else sizes.channels}
        config = config or replace(cls.published(), **widths)
        check_widths(config, **widths)
        return config

    def forward(self, query: Tensor, valid: Tensor, prompt: Prompt) -> GraphOutput:
        """See `MatchingHead.forward`; the tokens are those of the examples, or else the phrases."""
        tokens, covered = prompt.example_tokens(), prompt.with_example(valid)
        if tokens is None:
            tokens, covered = prompt.phrases, prompt.with_text(valid)
        return self.locate(query, tokens, covered, prompt.skeletons)

    def locate(
        self, query: Tensor, tokens: Tensor, valid: Tensor, skeletons: Sequence[Skeleton] | Tensor | None = None
    ) -> GraphOutput:
        """Find the keypoints of prompt tokens [B, K, token_width], wherever these come from; else as `forward`."""
        return self.locate_projected(query, self.token_projection(clean(tokens, valid)), valid, skeletons)

    def locate_projected(
        self, query: Tensor, tokens: Tensor, valid: Tensor, skeletons: Sequence[Skeleton] | Tensor | None
    ) -> GraphOutput:
        """`locate` behind the token projection: the tokens are [B, K, C]."""
        image = self.image_projection(query)
        return self.matcher(image, tokens, self.order(tokens), valid, skeletons, self.steps)

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of the parts of the loss."""
        return "heat", "proposals", *(f"layer_{layer}" for layer in range(self.config.decoder_layers))

    def losses(
        self,
        output: GraphOutput,
        target_points: Tensor,
        target_heatmaps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heatmap_weight: float = HEATMAP_WEIGHT,
    ) -> dict[str, Tensor]:
        """See `MatchingHead.losses` and `parts.losses.matching_losses`."""
        return matching_losses(
            output.proposals, output.layers, target_points, target_heatmaps, labelled, heatmap_weight
        )

    @property
    def phrase_width(self) -> int:
        """Channels of a phrase."""
        return self.config.token_width

    @property
    def uses_skeleton(self) -> bool:
        """Whether the prompt's skeletons change the output."""
        return self.config.graph != "none"

    @property
    def most_keypoints(self) -> int | None:
        """The number of positions that have an order code; None for a head without such a code."""
        return None if self.config.order == "none" else self.config.order_slots

    def attention(self) -> Mapping[str, Sequence[nn.MultiheadAttention]]:
        """The attention of the one decoder."""
        return {"decoder": self.matcher.attention()}

    def stages(self, output: GraphOutput, attention: Mapping[str, Tensor]) -> Stages:
        """See `MatchingHead.stages`."""
        return output.stages(attention["decoder"])


class CapeFormer(GraphHead):
    """CapeFormer (Shi et al., CVPR 2023): by examples, without a graph, with a code of the keypoints' order."""

    prompts = ("example",)
    sigma = 2

    @classmethod
    def vision(cls) -> VisionConfig:
        """ResNet-50."""
        return VisionConfig("resnet50", tuning="full")

    @classmethod
    def published(cls) -> GraphConfig:
        """Sizes of the released model."""
        return GraphConfig(image_width=2048, token_width=2048, hidden=2048, graph="none", order="fixed")


class GraphCape(GraphHead):
    """GraphCape (Hirschorn & Avidan, ECCV 2024): by examples, along the skeleton."""

    prompts = ("example",)

    @classmethod
    def vision(cls) -> VisionConfig:
        """Swin V2 Tiny."""
        return VisionConfig("swinv2-t", tuning="full")


class CapeX(GraphHead):
    """CapeX (Rusanovsky et al.): GraphCape's head with phrases in place of example features."""

    prompts = ("text",)
    text = "gte-base-en-v1.5"
    file_phrases = True

    @classmethod
    def vision(cls) -> VisionConfig:
        """Swin V2 Tiny."""
        return VisionConfig("swinv2-t", tuning="full")


class OrderCode(nn.Module):
    """The code of a token's position in the list of keypoints (CapeFormer's support keypoint identifier)."""

    def __init__(self, config: GraphConfig) -> None:
        super().__init__()
        self.kind, self.slots = config.order, config.order_slots
        self.table = nn.Embedding(self.slots, config.width) if self.kind == "learnt" else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [B, K, C] -> code [K, C]: zeros, sines, or learnt vectors."""
        count, width = tokens.shape[1:]
        if self.kind == "none":
            return tokens.new_zeros(count, width)
        if count > self.slots:
            raise InputError(f"This head tells at most {self.slots} keypoints apart by their order, but got {count}.")
        # The sines run over all slots, however many are used, so that a longer list does not change them.
        code = self.table.weight if self.table is not None else grid_code(1, self.slots, width, like=tokens)
        return code[:count]
