"""Feature-level fusion (FLF) of an example and text: their tokens are fused before one matcher (fusion paper, Sec. 3).

A keypoint without a phrase, or one that no example shows, keeps the tokens of the other modality. So a model that was
trained with both, with one of them left out in part of the episodes, also answers to either alone.

The paper puts its fusions on CapeX's head; neither code nor weights are published. Where its text leaves a choice, the
parameters of its Table 5 decide the default (CapeX with Swin-V2-S 195.519 M, FLF 195.715 M, DLF 203.742 M).

Letters: B objects, h x w cells, K keypoints, C width of the tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....configs.checks import check_choice, check_finite, check_flag, check_whole
from ....configs.strict import Config
from ....errors import InputError
from ..parts.masks import clean, keep_one
from ..parts.skeleton import Skeleton
from .base import HEATMAP_WEIGHT, EncoderSizes, Stages, check_widths, initialise
from .fusion import MODALITIES, FusionHead, fitted_graph_head
from .graph import GraphConfig, GraphHead, GraphOutput

DIRECTIONS = ("text_to_image", "image_to_text", "both")
LEARNT = ("gamma", "projections")


@dataclass(frozen=True)
class FeatureFusionConfig(Config):
    """How the tokens of two modalities become one token for each keypoint.

    The host is the modality that the graph head's own token projection belongs to, the guest the other. On a trained
    graph head that stays as it is, with a leading host and without the norm, the output only changes once gamma has
    moved away from 0.

    direction: modality that flows in -> modality that leads (Eq. 4); "both" is the mean of both directions.
    learnt: "gamma": attention among the tokens themselves; "projections": with W_Q, W_K and W_V of Eq. 1.
    gamma: initial value of the learnt scale of the attention.
    norm: whether to apply the LayerNorm of Eq. 3; without it a gamma of 0 leaves the leading tokens as they were.
    host: "text" for CapeX's head, "image" for GraphCape's.
    guest_width: channels of the guest's tokens; None takes those of its encoder.
    frozen: whether the graph head and the encoders stay as they are, and only the fusion trains; they come from a
        trained matcher (`plugging.plug_in`).
    graph_head: the head that gets the fused tokens; None takes CapeX's, fitted to the encoders.
    """

    called = "The options of a feature fusion"

    direction: str = "text_to_image"
    learnt: str = "gamma"
    gamma: float = 0.0
    norm: bool = True
    host: str = "text"
    guest_width: int | None = None
    frozen: bool = False
    graph_head: GraphConfig | None = None

    def __post_init__(self) -> None:
        check_choice(self.direction, "A feature fusion's direction", DIRECTIONS)
        check_choice(self.learnt, "A feature fusion's learnt", LEARNT)
        check_choice(self.host, "A feature fusion's host", MODALITIES)
        if self.guest_width is not None:
            check_whole(self.guest_width, "A feature fusion's guest_width")
        check_finite(self.gamma, "A feature fusion's gamma")
        check_flag(self.norm, "A feature fusion's norm")
        check_flag(self.frozen, "A feature fusion's frozen")


class CrossModalAttention(nn.Module):
    """Cross-modal alignment attention: LayerNorm(lead + gamma softmax(Q K^T / sqrt(C)) V) (Eq. 1-4), without affine.

    The paper speaks of "learned linear transformations" and of "only a single learnable scalar parameter"; both cannot
    hold. With `learnt="gamma"` the scalar is the only parameter, which fits the paper's parameters and FLOPs best; with
    "projections" the three matrices are learnt too.
    """

    def __init__(self, width: int, learnt: str, gamma: float, norm: bool) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.tensor(float(gamma)))
        make = (lambda: nn.Linear(width, width, bias=False)) if learnt == "projections" else nn.Identity
        self.query, self.key, self.value = make(), make(), make()
        self.norm = norm

    def forward(self, lead: Tensor, other: Tensor, valid: Tensor) -> Tensor:
        """Fused tokens [B, K, C].

        lead, other: [B, K, C], tokens of the leading modality and of the other.
        valid: [B, K] bool, where the other has tokens; a row where it has none keeps the leading tokens.
        """
        given = (each[:, None] for each in (self.query(lead), self.key(other), self.value(other)))  # one head
        mask = keep_one(valid)[:, None, None]
        attended = F.scaled_dot_product_attention(*given, attn_mask=mask)[:, 0]
        return self.finish(lead + self.gamma * attended * valid.any(dim=1)[:, None, None])

    def finish(self, tokens: Tensor) -> Tensor:
        """The last step of all tokens, also of those of a keypoint that only one modality has."""
        return F.layer_norm(tokens, tokens.shape[-1:]) if self.norm else tokens


class FeatureFusion(FusionHead):
    """A graph head whose tokens are fused from those of examples and those of text."""

    config_class = FeatureFusionConfig

    def __init__(self, config: FeatureFusionConfig) -> None:
        """config: with all widths, as `fit` gives it."""
        super().__init__(config)
        head = GraphHead(config.graph_head)
        self.head = head.requires_grad_(False) if config.frozen else head
        width = head.config.width
        # With W_Q, W_K and W_V the paper's count leaves no room for a projection of the guest: the host's serves both.
        if config.learnt == "gamma":
            self.guest_projection = nn.Linear(config.guest_width, width)
        else:
            self.guest_projection = None
            if config.guest_width != head.config.token_width:
                raise InputError(
                    f"A feature fusion that learns projections puts both modalities through the head's own one, for "
                    f"{head.config.token_width} channels, but the guest has {config.guest_width}; use learnt gamma."
                )
        self.fusion = CrossModalAttention(width, config.learnt, config.gamma, config.norm)
        for new in (self.guest_projection, self.fusion):
            if new is not None:
                initialise(new)
        self.train(head.training)

    @classmethod
    def fit(cls, config: FeatureFusionConfig | None, sizes: EncoderSizes) -> FeatureFusionConfig:
        """See `MatchingHead.fit`."""
        config = config or cls.published()
        host, guest = (sizes.text, sizes.channels) if config.host == "text" else (sizes.channels, sizes.text)
        graph_head = fitted_graph_head(config.graph_head, sizes.channels, host)
        config = replace(config, graph_head=graph_head, guest_width=config.guest_width or guest)
        check_widths(config, guest_width=guest)
        return config

    def train(self, mode: bool = True) -> "FeatureFusion":
        """A frozen graph head keeps its dropout switched off."""
        super().train(mode)
        if self.config.frozen:
            self.head.eval()
        return self

    def locate(
        self,
        query: Tensor,
        text: Tensor | None,
        example: Tensor | None,
        with_text: Tensor,
        with_example: Tensor,
        skeletons: Sequence[Skeleton] | Tensor | None = None,
    ) -> GraphOutput:
        """See `FusionHead.locate`."""
        tokens = self.fused(text, example, with_text, with_example)
        return self.head.locate_projected(query, tokens, with_text | with_example, skeletons)

    def fused(self, text: Tensor | None, example: Tensor | None, with_text: Tensor, with_example: Tensor) -> Tensor:
        """The fused tokens [B, K, C] that the matcher gets; arguments as in `locate`."""
        host = self.head.token_projection
        guest = self.guest_projection or host
        if text is not None:
            text = (host if self.config.host == "text" else guest)(clean(text, with_text))
        if example is not None:
            example = (host if self.config.host == "image" else guest)(clean(example, with_example))
        if text is None or example is None:
            return self.fusion.finish(example if text is None else text)
        led_by_image, led_by_text = (example, text, with_example, with_text), (text, example, with_text, with_example)
        ways = {
            "text_to_image": (led_by_image,),
            "image_to_text": (led_by_text,),
            "both": (led_by_image, led_by_text),
        }[self.config.direction]
        fused = []
        for lead, other, leads, follows in ways:
            alone = (follows & ~leads)[..., None]
            fused.append(torch.where(alone, self.fusion.finish(other), self.fusion(lead, other, follows)))
        return torch.stack(fused).mean(dim=0)

    @property
    def variant(self) -> dict[str, str]:
        """See `MatchingHead.variant`."""
        return {"direction": self.config.direction, "learnt": self.config.learnt}

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of the parts of the loss."""
        return self.head.loss_names

    def losses(
        self,
        output: GraphOutput,
        target_points: Tensor,
        target_heatmaps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heatmap_weight: float = HEATMAP_WEIGHT,
    ) -> dict[str, Tensor]:
        """Those of the graph head."""
        return self.head.losses(output, target_points, target_heatmaps, labelled, valid, heatmap_weight)

    @property
    def phrase_width(self) -> int:
        """Channels of a phrase."""
        return self.head.config.token_width if self.config.host == "text" else self.config.guest_width

    def attention(self) -> Mapping[str, Sequence[nn.MultiheadAttention]]:
        """That of the graph head."""
        return self.head.attention()

    def stages(self, output: GraphOutput, attention: Mapping[str, Tensor]) -> Stages:
        """Those of the graph head."""
        return self.head.stages(output, attention)
