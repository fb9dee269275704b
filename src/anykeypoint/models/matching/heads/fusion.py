"""An example and words at once: features fused before a matcher (FLF), or two matchers that must agree (DLF).

Either may be missing, of all keypoints or of some: a keypoint without a word, or that no example shows, is found by the
other alone. So a model that was trained with both, now and then with one left out, also answers to one.

The fusion paper (Sec. 3) puts both on CapeX's head; neither code nor weights are published. Where its text leaves a
choice, the choice is here, and the parameters of its Table 5 decide the default (CapeX with Swin-V2-S 195.519 M, FLF
195.715, DLF 203.742).

Letters: B objects, h x w cells, K keypoints, C width.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....configs.strict import known_fields
from ....errors import InputError
from ..parts.losses import HEAT_WEIGHT, matching_losses, mean_labelled
from ..parts.skeleton import Skeleton
from .graph import Head, Match, Matcher, clean, initialise, something

MODALITIES = ("text", "image")
DIRECTIONS = ("text_to_image", "image_to_text", "both")
LEARNT = ("gamma", "projections")
ANSWERS = ("text", "image", "mean", "confidence")
DISTANCES = ("squared", "norm")


# --- feature level ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FeatureFusionConfig:
    """How the tokens of two modalities become one for each keypoint.

    The host is the modality that the head's own support projection is for, the guest the other. Plugged into a trained
    head that stays as it is, a host that leads, without the norm, changes nothing until gamma has moved from 0.
    """

    direction: str = "text_to_image"  # the modality that flows in -> the one that leads (Eq. 4); both: their mean
    learnt: str = "gamma"  # "gamma": attention by the tokens themselves; "projections": by W_Q, W_K, W_V of Eq. 1
    gamma: float = 0.0  # at first
    norm: bool = True  # Eq. 3's LayerNorm; without it a gamma of 0 leaves the leading tokens as they were
    host: str = "text"  # text for CapeX's head, image for GraphCape's
    guest_width: int = 768  # channels of the guest's tokens
    frozen: bool = False  # True: the head stays as it is, and only what is new trains

    def __post_init__(self) -> None:
        for name, known in (("direction", DIRECTIONS), ("learnt", LEARNT), ("host", MODALITIES)):
            _check_choice("A feature fusion", name, getattr(self, name), known)
        if type(self.guest_width) is not int or self.guest_width < 1:
            raise InputError(
                f"A feature fusion's guest_width must be a whole number from 1, but got {self.guest_width!r}."
            )
        if isinstance(self.gamma, bool) or not isinstance(self.gamma, int | float) or not math.isfinite(self.gamma):
            raise InputError(f"A feature fusion's gamma must be a finite number, but got {self.gamma!r}.")
        for name in ("norm", "frozen"):
            _check_choice("A feature fusion", name, getattr(self, name), (True, False))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "FeatureFusionConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        return cls(**known_fields(cls, data, "The options of a feature fusion"))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class CrossModalAttention(nn.Module):
    """Cross-modal alignment attention: LayerNorm(lead + gamma softmax(Q K^T / sqrt(C)) V) (Eq. 1-4), without affine.

    "learned linear transformations" and "only a single learnable scalar parameter" cannot both be so. With `gamma` the
    scalar is all there is, which the paper's parameters and FLOPs fit best; with `projections` the three matrices, too.
    """

    def __init__(self, width: int, learnt: str, gamma: float, norm: bool) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.tensor(float(gamma)))
        make = (lambda: nn.Linear(width, width, bias=False)) if learnt == "projections" else nn.Identity
        self.query, self.key, self.value = make(), make(), make()
        self.norm = norm

    def forward(self, lead: Tensor, other: Tensor, valid: Tensor) -> Tensor:
        """Tokens of the leading modality and of the other (both B K C) -> fused (B K C).

        valid (B K) bool: where the other has tokens; a row where it has none keeps the leading tokens.
        """
        given = (each[:, None] for each in (self.query(lead), self.key(other), self.value(other)))  # one head
        seen = F.scaled_dot_product_attention(*given, attn_mask=something(valid)[:, None, None])[:, 0]
        return self.finish(lead + self.gamma * seen * valid.any(dim=1)[:, None, None])

    def finish(self, tokens: Tensor) -> Tensor:
        """What tokens pass through last, also those of a keypoint that only one modality knows."""
        return F.layer_norm(tokens, tokens.shape[-1:]) if self.norm else tokens


class FeatureFusion(nn.Module):
    """A head whose support tokens are fused from an example's and from words' (FLF)."""

    def __init__(self, head: Head, config: FeatureFusionConfig) -> None:
        super().__init__()
        self.config = config
        self.head = head.requires_grad_(False) if config.frozen else head
        width = head.config.width
        # With W_Q, W_K, W_V the paper's count leaves no room for a projection of the guest: the host's serves both.
        if config.learnt == "gamma":
            self.guest_projection = nn.Linear(config.guest_width, width)
        else:
            self.guest_projection = None
            if config.guest_width != head.config.support_width:
                raise InputError(
                    f"A feature fusion that learns projections puts both modalities through the head's own one, for "
                    f"{head.config.support_width} channels, but the guest has {config.guest_width}; use learnt gamma."
                )
        self.attention = CrossModalAttention(width, config.learnt, config.gamma, config.norm)
        for new in (self.guest_projection, self.attention):
            if new is not None:
                initialise(new)
        self.train(head.training)

    def train(self, mode: bool = True) -> "FeatureFusion":
        """A frozen head keeps its dropout off."""
        super().train(mode)
        if self.config.frozen:
            self.head.eval()
        return self

    def forward(
        self,
        query: Tensor,
        text: Tensor | None,
        image: Tensor | None,
        valid: Tensor,
        skeletons: Sequence[Skeleton] | None = None,
        told: Tensor | None = None,
        shown: Tensor | None = None,
    ) -> Match:
        """As `Head.forward`, with support tokens of words (B K C_text) and of examples (B K C_image).

        told, shown (B K) bool: which keypoints have words, and which an example; None for all. A modality that is None
        has nothing. What has neither is not valid.
        """
        told, shown = _given(text, told, valid), _given(image, shown, valid)
        tokens = self.fused(text, image, valid, told, shown)
        return self.head.match(query, tokens, told | shown, skeletons)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what `losses` gives."""
        return self.head.parts

    def losses(
        self,
        match: Match,
        points: Tensor,
        heat_maps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heat_weight: float = HEAT_WEIGHT,
    ) -> dict[str, Tensor]:
        """Those of the head."""
        return self.head.losses(match, points, heat_maps, labelled, valid, heat_weight)

    def fused(
        self,
        text: Tensor | None,
        image: Tensor | None,
        valid: Tensor,
        told: Tensor | None = None,
        shown: Tensor | None = None,
    ) -> Tensor:
        """The support tokens (B K C) that the matcher gets."""
        told, shown = _given(text, told, valid), _given(image, shown, valid)
        host = self.head.support_projection
        guest = self.guest_projection or host
        words = None if text is None else (host if self.config.host == "text" else guest)(clean(text, told))
        looks = None if image is None else (host if self.config.host == "image" else guest)(clean(image, shown))
        if words is None or looks is None:
            return self.attention.finish(looks if words is None else words)
        led_by_image, led_by_text = (looks, words, shown, told), (words, looks, told, shown)
        ways = {
            "text_to_image": (led_by_image,),
            "image_to_text": (led_by_text,),
            "both": (led_by_image, led_by_text),
        }[self.config.direction]
        fused = []
        for lead, other, leads, follows in ways:
            alone = (follows & ~leads)[..., None]
            fused.append(torch.where(alone, self.attention.finish(other), self.attention(lead, other, follows)))
        return torch.stack(fused).mean(dim=0)


# --- decision level --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecisionFusionConfig:
    """Two matchers for one query: the head's own for words, and its equal for examples."""

    image_support_width: int = 768  # channels of an example's support token
    answer: str = "text"  # text or image: that matcher's; mean; confidence: weighted by the mass of their proposals
    consistency: float = 1.0  # weight of Eq. 5
    distance: str = "squared"  # squared: MSE, as the text has it; norm: as the formula has it

    def __post_init__(self) -> None:
        for name, known in (("answer", ANSWERS), ("distance", DISTANCES)):
            _check_choice("A decision fusion", name, getattr(self, name), known)
        if type(self.image_support_width) is not int or self.image_support_width < 1:
            raise InputError(
                f"A decision fusion's image_support_width must be a whole number from 1, but got "
                f"{self.image_support_width!r}."
            )
        weight = self.consistency
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
            raise InputError(f"A decision fusion's consistency must be a finite number from 0, but got {weight!r}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DecisionFusionConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        return cls(**known_fields(cls, data, "The options of a decision fusion"))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Decision:
    """What the two matchers of a decision fusion answer; None of one that was given nothing.

    told, shown: (B K) bool, which keypoints each of them was asked for. answer: one of ANSWERS, which of them counts.
    """

    text: Match | None
    image: Match | None
    told: Tensor
    shown: Tensor
    answer: str = "text"

    def __post_init__(self) -> None:
        _check_choice("A decision fusion", "answer", self.answer, ANSWERS)

    @property
    def share(self) -> Tensor:
        """How much the words' matcher counts (B K), from 0 to 1; one that alone was asked for a keypoint counts all."""
        if self.text is None or self.image is None:
            return torch.full(self.told.shape, float(self.image is None), device=self.told.device)
        mass = self.text.proposals.mass
        if self.answer == "confidence":
            both = mass / (mass + self.image.proposals.mass)
        else:
            both = torch.full_like(mass, {"text": 1.0, "image": 0.0, "mean": 0.5}[self.answer])
        return torch.where(self.told == self.shown, both, self.told.to(both.dtype))

    @property
    def found(self) -> Tensor:
        """The answer (B K 2)."""
        if self.text is None or self.image is None:
            return (self.text or self.image).found
        return torch.lerp(self.image.found, self.text.found, self.share[..., None])

    @property
    def chances(self) -> Tensor:
        """Where the points seemed to be at first (B K h w): both matchers' count as in the answer."""
        if self.text is None or self.image is None:
            return (self.text or self.image).chances
        return torch.lerp(self.image.chances, self.text.chances, self.share[..., None, None])


class DecisionFusion(nn.Module):
    """A head for words, and beside its matcher a second one for examples (DLF).

    The figure shows one decoder for both; the parameters are those of two. The image projection and the decoder layers'
    steps are shared.
    """

    def __init__(self, head: Head, config: DecisionFusionConfig) -> None:
        super().__init__()
        self.config = config
        self.head = head
        self.image_support_projection = nn.Linear(config.image_support_width, head.config.width)
        self.image_matcher = Matcher(head.config)
        for new in (self.image_support_projection, self.image_matcher):
            initialise(new)
        self.train(head.training)

    def forward(
        self,
        query: Tensor,
        text: Tensor | None,
        image: Tensor | None,
        valid: Tensor,
        skeletons: Sequence[Skeleton] | None = None,
        told: Tensor | None = None,
        shown: Tensor | None = None,
    ) -> Decision:
        """As `FeatureFusion.forward`; a matcher is asked for what its modality has, and for nothing does not run."""
        head, cells = self.head, self.head.image_projection(query)
        told, shown = _given(text, told, valid), _given(image, shown, valid)
        words = looks = None
        if text is not None:
            tokens = head.support_tokens(text, told)
            words = head.matcher(cells, tokens, head.order(tokens), told, skeletons, head.steps)
        if image is not None:
            tokens = self.image_support_projection(clean(image, shown))
            looks = self.image_matcher(cells, tokens, head.order(tokens), shown, skeletons, head.steps)
        return Decision(words, looks, told, shown, self.config.answer)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what `losses` may give."""
        return *(f"{name}_{part}" for name in MODALITIES for part in self.head.parts), "consistency"

    def losses(
        self,
        decision: Decision,
        points: Tensor,
        heat_maps: Tensor,
        labelled: Tensor,
        valid: Tensor,
        heat_weight: float = HEAT_WEIGHT,
    ) -> dict[str, Tensor]:
        """The matchers' losses (`matching_losses`), text_* and image_*, and `consistency` (Eq. 5); each weighted.

        A matcher has losses where it was asked; they agree or not where both were.
        """
        losses = {}
        for name, asked in (("text", decision.told), ("image", decision.shown)):
            if (match := getattr(decision, name)) is not None:
                parts = matching_losses(match, points, heat_maps, labelled & asked, heat_weight)
                losses |= {f"{name}_{part}": value for part, value in parts.items()}
        if decision.text is not None and decision.image is not None:
            losses["consistency"] = self.config.consistency * consistency_loss(decision, valid, self.config.distance)
        return losses


def consistency_loss(decision: Decision, valid: Tensor, distance: str = "squared") -> Tensor:
    """How far the two answers are from each other in the valid keypoints (B K bool), labelled or not (Eq. 5)."""
    apart = decision.text.found - decision.image.found
    each = apart.square().mean(dim=-1) if distance == "squared" else apart.norm(dim=-1)
    return mean_labelled(each, valid & decision.told & decision.shown)


def _given(tokens: Tensor | None, known: Tensor | None, valid: Tensor) -> Tensor:
    """Which of the valid keypoints (B K) a modality's tokens are for."""
    if tokens is None:
        return torch.zeros_like(valid)
    return valid if known is None else valid & known


def _check_choice(what: str, name: str, value: Any, known: Sequence[Any]) -> None:
    if value not in known:
        raise InputError(f"{what}'s {name} must be one of {', '.join(map(str, known))}, but got {value!r}.")
