"""Decision-level fusion (DLF): one matcher for text, one for examples, and a loss for their agreement (fusion paper,
Sec. 3).

A keypoint without a phrase, or one that no example shows, is found by the other matcher alone. So a model that was
trained with both, with one of them left out in part of the episodes, also answers to either alone.

The paper's figure shows one decoder for both; the parameters that it prints are those of two, which is the default
(`decoder: shared` is the figure's). The image projection and the steps of the decoder layers are shared.

Letters: B objects, h x w cells, K keypoints, C width of the tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ....configs.checks import check_choice, check_flag, check_positive, check_whole
from ....configs.strict import Config
from ..parts.losses import matching_losses, mean_labelled
from ..parts.masks import clean
from ..parts.skeleton import Skeleton
from .base import HEATMAP_WEIGHT, EncoderSizes, Stages, check_widths, initialise
from .fusion import MODALITIES, FusionHead, fitted_graph_head
from .graph import GraphConfig, GraphHead, GraphMatcher, GraphOutput

ANSWERS = ("text", "image", "mean", "confidence")
DECODERS = ("own", "shared")
DISTANCES = ("squared", "norm")


@dataclass(frozen=True)
class DecisionFusionConfig(Config):
    """Two matchers for one query: that of the graph head for text, and a second one for examples.

    example_width: channels of an example token; None takes those of the image encoder.
    answer: how the points of the two matchers become the output's: "mean"; "text" or "image": those of that matcher;
        "confidence": their mean weighted by the mass of their proposals. The paper does not say which it reports; the
        mean, which uses both, is ours. Training is the same for all four.
    consistency: weight of the agreement loss (Eq. 5).
    distance: "squared": mean squared error, as the paper's text has it; "norm": distance, as its formula has it.
    decoder: "own": each matcher has one, as the paper's printed parameters have it; "shared": one serves both, as in
        its Fig. 5.
    host: side that a trained matcher is plugged into, "text" or "image"; matters where it is frozen.
    frozen: whether that side stays as it is, with all that both sides share.
    graph_head: the head for text; None takes CapeX's, fitted to the encoders.
    """

    called = "The options of a decision fusion"
    former_keys: ClassVar[Mapping[str, str]] = {"image_support_width": "example_width"}

    example_width: int | None = None
    answer: str = "mean"
    consistency: float = 1.0
    distance: str = "squared"
    decoder: str = "own"
    host: str = "text"
    frozen: bool = False
    graph_head: GraphConfig | None = None

    def __post_init__(self) -> None:
        check_choice(self.answer, "A decision fusion's answer", ANSWERS)
        check_choice(self.distance, "A decision fusion's distance", DISTANCES)
        check_choice(self.decoder, "A decision fusion's decoder", DECODERS)
        check_choice(self.host, "A decision fusion's host", MODALITIES)
        check_flag(self.frozen, "A decision fusion's frozen")
        if self.example_width is not None:
            check_whole(self.example_width, "A decision fusion's example_width")
        check_positive(self.consistency, "A decision fusion's consistency", zero=True)


@dataclass(frozen=True, eq=False)
class DecisionOutput:
    """What the two matchers give, as one `HeadOutput`.

    text, image: outputs of the two matchers; None of one that was given nothing.
    with_text, with_image: [B, K] bool, the keypoints that each of them was given.
    answer: one of ANSWERS.
    """

    text: GraphOutput | None
    image: GraphOutput | None
    with_text: Tensor
    with_image: Tensor
    answer: str = "mean"

    def __post_init__(self) -> None:
        check_choice(self.answer, "A decision fusion's answer", ANSWERS)

    @property
    def text_share(self) -> Tensor:
        """[B, K], the weight of the text matcher, from 0 to 1; that of a matcher that alone had a keypoint is all."""
        if self.text is None or self.image is None:
            return torch.full(self.with_text.shape, float(self.image is None), device=self.with_text.device)
        mass = self.text.proposals.mass
        if self.answer == "confidence":
            both = mass / (mass + self.image.proposals.mass)
        else:
            both = torch.full_like(mass, {"text": 1.0, "image": 0.0, "mean": 0.5}[self.answer])
        return torch.where(self.with_text == self.with_image, both, self.with_text.to(both.dtype))

    @property
    def points(self) -> Tensor:
        """[B, K, 2], fractions of the query's crop."""
        if self.text is None or self.image is None:
            return (self.text or self.image).points
        return torch.lerp(self.image.points, self.text.points, self.text_share[..., None])

    @property
    def probabilities(self) -> Tensor:
        """[B, K, h, w], of the first guesses, with the weights of the points."""
        if self.text is None or self.image is None:
            return (self.text or self.image).probabilities
        return torch.lerp(self.image.probabilities, self.text.probabilities, self.text_share[..., None, None])


class DecisionFusion(FusionHead):
    """A graph head for text, and beside its matcher a second one for examples."""

    config_class = DecisionFusionConfig

    def __init__(self, config: DecisionFusionConfig) -> None:
        """config: with all widths, as `fit` gives it."""
        super().__init__(config)
        self.head = GraphHead(config.graph_head)
        self.example_projection = nn.Linear(config.example_width, self.head.config.width)
        self.image_matcher = GraphMatcher(self.head.config)
        for new in (self.example_projection, self.image_matcher):
            initialise(new)
        if config.decoder == "shared":
            self.image_matcher.decoder = self.head.matcher.decoder
        for part in self._frozen_parts():
            part.requires_grad_(False)
        self.train(self.head.training)

    def image_side(self) -> dict[str, nn.Module]:
        """The parts that are a graph head for examples, by their names in a `GraphHead`."""
        head = self.head
        own = {"token_projection": self.example_projection, "matcher": self.image_matcher}
        return {**own, "image_projection": head.image_projection, "order": head.order, "steps": head.steps}

    def _frozen_parts(self) -> list[nn.Module]:
        if not self.config.frozen:
            return []
        return [self.head] if self.config.host == "text" else list(self.image_side().values())

    def train(self, mode: bool = True) -> "DecisionFusion":
        """What is frozen keeps its dropout switched off."""
        super().train(mode)
        for part in self._frozen_parts():
            part.eval()
        return self

    @classmethod
    def fit(cls, config: DecisionFusionConfig | None, sizes: EncoderSizes) -> DecisionFusionConfig:
        """See `MatchingHead.fit`."""
        config = config or cls.published()
        graph_head = fitted_graph_head(config.graph_head, sizes.channels, sizes.text)
        config = replace(config, graph_head=graph_head, example_width=config.example_width or sizes.channels)
        check_widths(config, example_width=sizes.channels)
        return config

    def locate(
        self,
        query: Tensor,
        text: Tensor | None,
        example: Tensor | None,
        with_text: Tensor,
        with_example: Tensor,
        skeletons: Sequence[Skeleton] | Tensor | None = None,
    ) -> DecisionOutput:
        """See `FusionHead.locate`; a matcher that is given nothing does not run."""
        head, image = self.head, self.head.image_projection(query)
        by_text = by_example = None
        if text is not None:
            tokens = head.token_projection(clean(text, with_text))
            by_text = head.matcher(image, tokens, head.order(tokens), with_text, skeletons, head.steps)
        if example is not None:
            tokens = self.example_projection(clean(example, with_example))
            by_example = self.image_matcher(image, tokens, head.order(tokens), with_example, skeletons, head.steps)
        return DecisionOutput(by_text, by_example, with_text, with_example, self.config.answer)

    @property
    def variant(self) -> dict[str, str]:
        """See `MatchingHead.variant`."""
        return {"answer": self.config.answer, "decoder": self.config.decoder}

    def answer_by(self, answer: str) -> None:
        """From now on, give the points of another of ANSWERS, with the same weights."""
        self.config = replace(self.config, answer=answer)

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of all parts that the loss may have."""
        return *(f"{name}_{part}" for name in MODALITIES for part in self.head.loss_names), "consistency"

    def losses(
        self,
        output: DecisionOutput,
        target_points: Tensor,
        target_heatmaps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heatmap_weight: float = HEATMAP_WEIGHT,
    ) -> dict[str, Tensor]:
        """The matchers' losses, text_* and image_*, and `consistency` (Eq. 5), each including its weight.

        A matcher has losses for the keypoints that it was given, and `consistency` is of those that both were given.
        """
        losses = {}
        for name, given in (("text", output.with_text), ("image", output.with_image)):
            if (match := getattr(output, name)) is not None:
                targets = target_points, target_heatmaps, labelled & given
                parts = matching_losses(match.proposals, match.layers, *targets, heatmap_weight)
                losses |= {f"{name}_{part}": value for part, value in parts.items()}
        if output.text is not None and output.image is not None:
            losses["consistency"] = self.config.consistency * consistency_loss(output, valid, self.config.distance)
        return losses

    @property
    def phrase_width(self) -> int:
        """Channels of a phrase."""
        return self.head.config.token_width

    def attention(self) -> Mapping[str, Sequence[nn.MultiheadAttention]]:
        """The attention of both decoders; one that is shared runs for text and then for examples."""
        if self.config.decoder == "shared":
            return {"both": self.head.matcher.attention()}
        return {"text": self.head.matcher.attention(), "image": self.image_matcher.attention()}

    def stages(self, output: DecisionOutput, attention: Mapping[str, Tensor]) -> Stages:
        """See `MatchingHead.stages`; the two matchers have the weights that they have in the points."""
        if "both" in attention:
            ran = [name for name in MODALITIES if getattr(output, name) is not None]
            layers = len(self.head.matcher.attention())
            attention = dict(zip(ran, attention["both"].split(layers), strict=True))
        stages = {name: getattr(output, name).stages(weights) for name, weights in attention.items()}
        if len(stages) == 1:
            return next(iter(stages.values()))
        share = output.text_share[..., None]
        text, image = stages["text"], stages["image"]
        attended = torch.lerp(image.attention, text.attention, share[..., None])
        return Stages(attended, torch.lerp(image.path, text.path, share))


def consistency_loss(output: DecisionOutput, valid: Tensor, distance: str = "squared") -> Tensor:
    """How far the points of the two matchers are apart (Eq. 5), in keypoints that both were given, labelled or not.

    valid: [B, K] bool.
    distance: one of DISTANCES.
    """
    difference = output.text.points - output.image.points
    each = difference.square().mean(dim=-1) if distance == "squared" else difference.norm(dim=-1)
    return mean_labelled(each, valid & output.with_text & output.with_image)
