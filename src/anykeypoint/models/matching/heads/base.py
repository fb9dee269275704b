"""What every matching head has: its config, its prompts, one `forward`, its losses and its attention.

A head finds keypoints in the feature map of a query, given a prompt: feature maps of examples, phrases of a text
encoder, or both. `MatchingModel`, training, explanation and export use a head through the class `MatchingHead` alone.

Letters: B objects, M examples, K keypoints, C channels, D channels of a phrase, h x w cells of features, N x N cells of
an example's heat maps, L decoder layers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from ....configs.strict import Config
from ....errors import InputError
from ...maps import pool
from ...towers.vision_config import VisionConfig
from ..parts.proposals import ProposalGenerator
from ..parts.skeleton import Skeleton

HEATMAP_WEIGHT = 2.0  # weight of the loss of the similarity maps beside the losses of the points, as released


@dataclass(frozen=True)
class EncoderSizes:
    """What a head must know of the encoders in front of it.

    channels: channels C of the image encoder's feature map.
    text: channels D of a phrase; None without a text encoder.
    places: how many of them, the last ones, are of position words.
    groups: numbers of channels of the feature map's parts, where it joins maps of several kinds; empty for a whole.
    grid: cells on a side of the feature map.
    heatmap_cells: cells N on a side of an example's heat maps.
    """

    channels: int
    text: int | None = None
    places: int = 0
    grid: int = 0
    heatmap_cells: int = 0
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a head is asked with, for a batch of B objects. A keypoint without example and without phrase has an output
    that means nothing and must not be labelled in the losses.

    example_features: [B, M, C, h, w]; None without examples.
    heatmaps: [B, M, K, N, N], the places of the keypoints in the examples; needed with example_features, unless there
        are example_points.
    example_points: [B, M, K, 2], the centres of mass of the heat maps, fractions of the example's crop, finite where
        not visible too; a head that `reads_points` takes them in place of the heat maps.
    example_visible: [B, M, K] bool, the keypoints that are marked inside an example's crop; None for all. A row of
        False is an object without examples.
    phrases: [B, K, D]; None without text.
    has_text: [B, K] bool, the keypoints that have a phrase; None for all.
    skeletons: for each object a list of pairs of keypoint indices, or an adjacency matrix [B, K, K] with 1 where two
        keypoints are joined (in both directions) and else 0; None for no edges.
    """

    example_features: Tensor | None = None
    heatmaps: Tensor | None = None
    example_points: Tensor | None = None
    example_visible: Tensor | None = None
    phrases: Tensor | None = None
    has_text: Tensor | None = None
    skeletons: Sequence[Skeleton] | Tensor | None = None

    @property
    def kind(self) -> str | None:
        """ "text", "example" or "both"; None for a prompt with neither."""
        given = (self.phrases is not None, self.example_features is not None)
        return {(True, False): "text", (False, True): "example", (True, True): "both"}.get(given)

    def cast(self, dtype: torch.dtype) -> "Prompt":
        """The same prompt with phrases and heat maps in another precision."""
        return replace(
            self,
            heatmaps=None if self.heatmaps is None else self.heatmaps.to(dtype),
            phrases=None if self.phrases is None else self.phrases.to(dtype),
        )

    def example_tokens(self) -> Tensor | None:
        """The example features under the keypoints' heat maps [B, K, C] (`maps.pool`); None without examples."""
        if self.example_features is None:
            return None
        return pool(self.example_features, self.heatmaps, self.example_visible)

    def with_example(self, valid: Tensor) -> Tensor:
        """[B, K] bool: the valid keypoints that an example shows.

        valid: [B, K] bool, the slots that hold a keypoint that is queried.
        """
        if self.example_features is None:
            return torch.zeros_like(valid)
        return valid if self.example_visible is None else valid & self.example_visible.any(dim=1)

    def with_text(self, valid: Tensor) -> Tensor:
        """[B, K] bool: the valid keypoints that have a phrase; valid as in `with_example`."""
        if self.phrases is None:
            return torch.zeros_like(valid)
        return valid if self.has_text is None else valid & self.has_text


class HeadOutput(Protocol):
    """What a head gives. In slots that were not valid all values are finite and mean nothing."""

    @property
    def points(self) -> Tensor:
        """[B, K, 2], x and y as fractions of the query's crop."""
        ...

    @property
    def probabilities(self) -> Tensor:
        """[B, K, h, w], probabilities of a keypoint's place over cells that tile the query's crop."""
        ...


@dataclass(frozen=True, eq=False)
class Stages:
    """How an output came about.

    attention: [L, B, K, h, w], the attention of each decoder layer over the query's cells; sums to 1 over the cells.
    path: [L+1, B, K, 2], the first guess and the points after each layer, fractions of the query's crop.
    """

    attention: Tensor
    path: Tensor


class MatchingHead(nn.Module):
    """Base of all heads. A head is built from its config alone, and computes every row of a batch as if it were alone.

    The class says with what a matcher of its name is built where a `MatcherConfig` leaves something out.
    """

    config_class: ClassVar[type[Config]]
    prompts: ClassVar[tuple[str, ...]]  # kinds of prompt that the head takes, of "text", "example", "both"
    text: ClassVar[str | None] = None  # name of the default text encoder; None for a head that takes no text
    sigma: ClassVar[int] = 1  # standard deviation of an example's heat maps in cells
    file_phrases: ClassVar[bool] = False  # whether it was published with the phrases of MP-100's files as its words
    own_example_encoder: ClassVar[bool] = False  # whether examples have an image encoder of their own
    fitted: ClassVar[tuple[str, ...]] = ()  # fields of the config that may be None, which `fit` then fills in
    reads_points: ClassVar[bool] = False  # whether it takes the points of examples, too, in place of heat maps
    many_prompts: ClassVar[bool] = False  # whether `forward` takes several prompts of a picture, see there
    float32_prompts: ClassVar[bool] = False  # whether phrases and heat maps stay float32 beside features in half
    has_scores: ClassVar[bool] = False  # whether `best_scores` gives any

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def vision(cls) -> VisionConfig:
        """The default image encoder."""
        raise NotImplementedError

    @classmethod
    def published(cls) -> Any:
        """The config as published."""
        return cls.config_class()

    @classmethod
    def fit(cls, config: Any, sizes: EncoderSizes) -> Any:
        """The config for these encoders.

        config: of the class `config_class`; None takes the published one with its widths fitted to the encoders.
        Raises InputError for a config whose widths do not fit.
        """
        raise NotImplementedError

    def forward(self, query: Tensor, valid: Tensor, prompt: Prompt) -> HeadOutput:
        """Find K keypoints in each of B queries.

        query: [B, C, h, w], feature maps of the queries.
        valid: [B, K] bool, the slots that hold a keypoint that is queried. What the prompt has in other slots is never
            read.
        prompt: one of the kinds in `prompts`.

        A head with `many_prompts` takes P prompts of each picture: valid, the prompt and the output then have B * P
        rows, those of a picture one after another.
        """
        raise NotImplementedError

    def losses(
        self,
        output: Any,
        target_points: Tensor,
        target_heatmaps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heatmap_weight: float = HEATMAP_WEIGHT,
    ) -> dict[str, Tensor]:
        """The parts of the loss by name, each a scalar that includes its weight; training minimises their sum.

        output: what `forward` gave.
        target_points: [B, K, 2], fractions of the query's crop; NaN where absent.
        target_heatmaps: [B, K, N, N].
        labelled: [B, K] bool, the keypoints that are valid, covered by the prompt and visible in the query; targets of
            the others are never read.
        valid: [B, K] bool, as in `forward`.
        heatmap_weight: weight of the loss on heat maps, in heads that have one beside others.
        """
        raise NotImplementedError

    def naming_loss(self, output: Any, target_points: Tensor, labelled: Tensor, valid: Tensor) -> Tensor:
        """A scalar: how hard the keypoint at each target is to tell from the object's others; see `losses`.

        Raises InputError for a head that has no such loss.
        """
        raise InputError("Only the head evidence can contrast the names of a category; leave contrast out.")

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of all parts that `losses` may give."""
        raise NotImplementedError

    @property
    def variant(self) -> dict[str, str]:
        """Choices of the config that change the answers and that results name, as words; empty where there are none."""
        return {}

    def answer_by(self, answer: str) -> None:
        """From now on, answer in another of the ways that the head has, with the same weights.

        Raises InputError for a head that has one way only.
        """
        raise InputError(f"Only DLF has several answers to choose from, but got {answer!r}; leave it out.")

    def read(self, probabilities: Tensor) -> Tensor | None:
        """The points [B, K, 2] that the head would answer with for distributions [B, K, h, w].

        None where its points are not read from its distributions.
        """
        return None

    def best_scores(self, output: Any) -> Tensor | None:
        """[B, K], how well the best place suits each keypoint, before the scores were made a distribution.

        output: what `forward` gave. None for a head without such scores.
        """
        return None

    def prepare(self, phrases: Callable[[], Tensor]) -> None:
        """Adapt to the training data before the first training step; most heads need nothing.

        phrases: gives the vectors [P, D] of all phrases of the training data's keypoints.
        """

    # --- what export and explanation need ------------------------------------------------------------------------

    @property
    def phrase_width(self) -> int | None:
        """Channels D of a phrase; None for a head that takes no text."""
        return None

    @property
    def uses_skeleton(self) -> bool:
        """Whether the prompt's skeletons change the output."""
        return False

    @property
    def most_keypoints(self) -> int | None:
        """The largest number K of slots; None where any number will do."""
        return None

    def attention(self) -> Mapping[str, Sequence[nn.MultiheadAttention]]:
        """The layers that attend from keypoints to the query's cells, by decoder; empty where there are none."""
        return {}

    def stages(self, output: Any, attention: Mapping[str, Tensor]) -> Stages:
        """The stages of an output.

        attention: [L, B, K, h*w] of each decoder of `attention()` that ran, by its name.
        """
        raise NotImplementedError


def check_widths(config: Config, **needed: int | None) -> None:
    """InputError unless the config has these values, given by the names of its fields."""
    for name, value in needed.items():
        if (given := getattr(config, name)) != value:
            raise InputError(
                f"The head's {name} is {given}, but image encoder and text encoder need {value}; write "
                f"{name}: {value}, or leave it out."
            )


def initialise(module: nn.Module) -> None:
    """The released initialisation: Xavier for every matrix, zero biases, and decoder steps that do not move yet."""
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    for step in getattr(module, "steps", ()):
        nn.init.zeros_(step[-1].weight)
    for part in module.modules():
        if isinstance(part, ProposalGenerator):
            part.begin()
