"""A head for few training objects (ours): maps of evidence that need no training, and a small decoder beside them.

Where an example is shown, each keypoint has five maps over the query's cells before anything is learnt:

    looks     cosine of the query's features and those under the example's point, each group of channels by itself, less
              a share of how well the cell suits the example anywhere
    back      how much of what a cell resembles most in the example lies round the point
    likeness  the cosine after one learnt projection
    place     a Gaussian round the point's place in the example's crop
    shape     a Gaussian round where an affine map of the example's points puts it, fitted to looks, back and place

The last is what makes it robust: parts that look alike (legs, wheels, corners) are told apart by where the other points
went. A decoder over keypoint tokens of words, examples or both writes a fifth map. What is answered is the softmax of
their weighted sum. Trained matchers lose to plain matching on few categories (they learn the categories); here the
plain matching stays in, and training can only weigh and add.

Letters: B objects, M examples, K keypoints, n = h * w cells, C channels, D width.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InputError
from ..lora import known_fields
from .graph import Skeleton
from .head import something
from .losses import mean_labelled
from .proposals import cell_centres, peaks
from .support import features_at

PLACE, SHAPE = 0.25, 0.1  # standard deviations of the two Gaussians, as shares of the crop
STIFFNESS = 0.02  # of the affine map: how strongly it is held near a mere shift
_WARMTH, _TURNS = 0.02, 2  # of the first matching; how often map and matching are fitted to each other
_FIRST, _THEN, _NEAR = 0.1, 0.2, 0.12  # weights of the priors during the fit, and the second one's width
CODE = 64  # channels of a place's code
_COMMON, _BEST = 0.3, 10  # the share that is taken off for cells that suit everything, judged by so many best
_BACK, _RETURN, _ROUND = 0.3, 0.05, 0.1  # weight, warmth and width of the way back during the fit
WEIGHTS = (20.0, 6.0, 5.0, 2.0, 3.0)  # of the five maps at first


@dataclass(frozen=True)
class EvidenceConfig:
    """Sizes of an evidence head.

    groups: how the feature map's channels are grouped for the cosine (EfficientNet-Lite2: its two maps).
    """

    image_width: int = 328
    text_width: int = 384
    groups: tuple[int, ...] = (120, 208)
    width: int = 160  # D, a multiple of the heads
    heads: int = 8
    layers: int = 3
    blocks: int = 2  # convolutional ones, before the decoder
    likeness: int = 96  # channels of the learnt projection
    dropout: float = 0.15
    spread: float = 1.0  # of the targets: standard deviation in cells

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(self.groups))
        if sum(self.groups) != self.image_width:
            raise InputError(
                f"The groups of an evidence head must add up to its image_width, but {list(self.groups)} are not "
                f"{self.image_width}."
            )
        for name in ("width", "heads", "layers", "blocks", "likeness", "text_width"):
            if type(value := getattr(self, name)) is not int or value < 1:
                raise InputError(f"An evidence head's {name} must be a whole number from 1, but got {value!r}.")
        if self.width % self.heads:
            raise InputError(
                f"An evidence head's width must be a multiple of its {self.heads} heads, not {self.width}."
            )
        if not 0 <= self.dropout < 1 or not 0 < self.spread < math.inf:
            raise InputError(
                "An evidence head's dropout must be at least 0 and below 1 and its spread above 0, but got "
                f"{self.dropout!r} and {self.spread!r}."
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "EvidenceConfig":
        """Read the form of `to_dict`; unknown keys are refused."""
        return cls(**known_fields(cls, data, "The options of an evidence head"))

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "groups": list(self.groups)}


@dataclass(frozen=True, eq=False)
class Evidence:
    """maps: per stage the scores (B K h w) before the softmax, the last one's are the answer's.

    found: (B K 2), fractions of the crop. chances: (B K h w), the softmax of the last.
    """

    maps: tuple[Tensor, ...]

    @property
    def chances(self) -> Tensor:
        return self._chances(-1)

    @property
    def found(self) -> Tensor:
        return self.peaks(-1)

    def peaks(self, stage: int) -> Tensor:
        """The points (B K 2) after a stage."""
        grid = tuple(self.maps[stage].shape[-2:])
        return peaks(self._chances(stage).flatten(2), grid, cell_centres(*grid, like=self.maps[stage]))[0]

    def _chances(self, stage: int) -> Tensor:
        scores = self.maps[stage]
        return scores.flatten(2).softmax(dim=-1).view_as(scores)


class EvidenceHead(nn.Module):
    """See above. It answers to words, examples and both; a keypoint with neither gets an answer without meaning."""

    def __init__(self, config: EvidenceConfig) -> None:
        super().__init__()
        c, self.config = config, config
        self.image = nn.Linear(c.image_width, c.width)
        self.blocks = nn.ModuleList(_Block(c.width, c.dropout) for _ in range(c.blocks))
        self.image_norm = nn.LayerNorm(c.width)
        self.cell_place = nn.Linear(CODE, c.width)
        self.words = nn.Sequential(
            nn.Dropout(c.dropout), nn.Linear(c.text_width, c.width), nn.GELU(), nn.Linear(c.width, c.width)
        )
        self.sample = nn.Linear(c.image_width, c.width)
        self.absent = nn.Parameter(torch.zeros(2, c.width))  # instead of words, instead of examples
        self.point_place = nn.Sequential(nn.Linear(CODE, c.width), nn.GELU(), nn.Linear(c.width, c.width))
        self.token_norm = nn.LayerNorm(c.width)
        self.likeness = nn.Linear(c.image_width, c.likeness, bias=False)
        self.layers = nn.ModuleList(_Layer(c.width, c.heads, c.dropout) for _ in range(c.layers))
        self.answer_norm = nn.LayerNorm(c.width)
        self.ask, self.key = nn.Linear(c.width, c.width), nn.Linear(c.width, c.width)
        self.weights = nn.Parameter(torch.tensor(WEIGHTS).log().repeat(c.layers + 1, 1))
        self.loudness = nn.Parameter(torch.full((c.layers + 1,), math.log(4.0)))
        nn.init.normal_(self.ask.weight, std=0.02)

    def forward(
        self,
        query: Tensor,
        valid: Tensor,
        skeletons: Sequence[Skeleton] | None = None,
        *,
        examples: Tensor | None = None,
        heat: Tensor | None = None,
        shown: Tensor | None = None,
        phrases: Tensor | None = None,
        told: Tensor | None = None,
    ) -> Evidence:
        """See `MatchingModel.match`. Skeletons are not used."""
        grid = tuple(query.shape[-2:])
        features = self._normed(query.flatten(2).transpose(1, 2))  # B n C
        places = cell_centres(*grid, like=features)
        maps, tokens, seen = self._examples(features, places, valid, examples, heat, shown)
        if phrases is None:
            tokens = tokens + self.absent[0]
        else:
            told = valid if told is None else told & valid
            phrases = phrases.masked_fill(~told[..., None], 0)
            tokens = tokens + torch.where(told[..., None], self.words(phrases), self.absent[0])
        tokens = self.token_norm(tokens)
        image = self.image(features * math.sqrt(self.config.image_width)) + self.cell_place(octaves(places))
        for block in self.blocks:
            image = block(image, grid)
        image = self.image_norm(image)
        where, keys = image + self.cell_place(octaves(places)), self.key(image)
        blank = ~something(valid)

        def scores(stage: int, tokens: Tensor) -> Tensor:
            learnt = self.ask(self.answer_norm(tokens)) @ keys.transpose(1, 2) / math.sqrt(self.config.width)
            evidence = torch.einsum("e,bekn->bkn", self.weights[stage].exp(), maps)
            return self.loudness[stage].exp() * learnt + evidence * seen[..., None]

        stages = [scores(0, tokens)]
        for number, layer in enumerate(self.layers, 1):
            guess = stages[-1].detach().softmax(dim=-1) @ places
            tokens = layer(tokens, self.point_place(octaves(guess)), image, where, blank)
            stages.append(scores(number, tokens))
        kind = torch.promote_types(query.dtype, torch.float32)  # half precision would cut places
        return Evidence(tuple(stage.to(kind).unflatten(-1, grid) for stage in stages))

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what `losses` gives."""
        return tuple(f"map_{stage}" for stage in range(self.config.layers + 1))

    def losses(self, answer: Evidence, points: Tensor, heat_maps: Any, labelled: Tensor, *_: Any) -> dict[str, Tensor]:
        """Cross-entropy of every stage's map with a Gaussian round the true place, the stages before the last at 0.3.

        points: (B K 2), fractions of the crop, NaN where absent; labelled: (B K) bool. Heat maps are not used.
        """
        grid = tuple(answer.maps[-1].shape[-2:])
        places = cell_centres(*grid, like=answer.maps[-1])
        points = points.where(labelled[..., None], 0).to(places.dtype)
        steps = (places - points[..., None, :]) * places.new_tensor(grid[::-1])  # in cells
        target = (-steps.square().sum(dim=-1) / (2 * self.config.spread**2)).softmax(dim=-1)
        losses = {}
        for stage, scores in enumerate(answer.maps):
            off = -(target * scores.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
            losses[f"map_{stage}"] = (1 if stage == len(answer.maps) - 1 else 0.3) * mean_labelled(off, labelled)
        return losses

    # --- examples ----------------------------------------------------------------------------------------------------

    def _examples(
        self,
        features: Tensor,
        places: Tensor,
        valid: Tensor,
        examples: Tensor | None,
        heat: Tensor | None,
        shown: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The five maps (B 5 K n) and tokens (B K D), means over the examples that show a keypoint, and which any shows
        (B K)."""
        count = features.shape[0], valid.shape[1]
        if examples is None:
            nothing = features.new_zeros(count[0], len(WEIGHTS), count[1], features.shape[1])
            return nothing, self.absent[1].expand(*count, -1), torch.zeros_like(valid)
        shots = examples.shape[1]
        shown = valid[:, None].expand(-1, shots, -1) if shown is None else shown & valid[:, None]
        heat = heat.masked_fill(~shown[..., None, None], 0)  # whatever the others hold
        points = centroids(heat)  # B M K 2
        samples = features_at(examples.flatten(0, 1), points.flatten(0, 1)).unflatten(0, (count[0], shots))
        samples = self._normed(samples)  # B M K C
        looks, back = self._matched(samples, points, examples, features)
        likeness = F.normalize(self.likeness(samples), dim=-1) @ F.normalize(self.likeness(features), dim=-1)[
            :, None
        ].transpose(2, 3)
        shape = fitted((looks + _BACK * back).flatten(0, 1).detach(), points.flatten(0, 1), shown.flatten(0, 1), places)
        shape = shape.unflatten(0, (count[0], shots))
        maps = torch.stack([looks, back, likeness, bump(points, places, PLACE), bump(shape, places, SHAPE)], dim=2)
        tokens = self.sample(samples * math.sqrt(self.config.image_width)) + self.point_place(octaves(points))
        share = shown.to(maps.dtype) / shown.sum(dim=1, keepdim=True).clamp(min=1)  # B M K
        seen = shown.any(dim=1)
        tokens = torch.einsum("bmk,bmkd->bkd", share, tokens)
        return torch.einsum("bmk,bmekn->bekn", share, maps), torch.where(seen[..., None], tokens, self.absent[1]), seen

    def _matched(self, samples: Tensor, points: Tensor, examples: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Looks and the way back (B M K n), of the features (B M K C) at an example's points and its map (B M C h w)."""
        shown = self._normed(examples.flatten(3).transpose(2, 3))  # B M cells C
        cosines = shown @ features[:, None].transpose(2, 3)  # B M cells n
        common = cosines.topk(min(_BEST, cosines.shape[2]), dim=2).values.mean(dim=2, keepdim=True)
        looks = samples @ features[:, None].transpose(2, 3) - _COMMON * common
        near = bump(points, cell_centres(*examples.shape[-2:], like=features), _ROUND)  # B M K cells
        return looks, near @ (cosines / _RETURN).softmax(dim=2)

    def _normed(self, features: Tensor) -> Tensor:
        """Features (... C) whose inner product is the mean over the groups of their cosines."""
        parts = features.split(self.config.groups, dim=-1)
        return torch.cat([F.normalize(part, dim=-1) for part in parts], dim=-1) / math.sqrt(len(parts))


def centroids(heat: Tensor) -> Tensor:
    """Heat maps (... N N) -> their centres of mass (... 2), fractions of the map; the middle of one without heat.

    Cell i of a heat map stands for the place i / N, as its targets are drawn.
    """
    size = heat.shape[-1]
    ticks = torch.arange(size, dtype=heat.dtype, device=heat.device) / size
    mass = heat.sum(dim=(-2, -1))
    x, y = (heat.sum(dim=-2) * ticks).sum(dim=-1), (heat.sum(dim=-1) * ticks).sum(dim=-1)
    middle = torch.where(mass > 0, 0.0, 0.5)
    return torch.stack([x, y], dim=-1) / mass.clamp(min=1e-8)[..., None] + middle[..., None]


def bump(points: Tensor, places: Tensor, width: float) -> Tensor:
    """A Gaussian of height 1 round points (... 2) at places (n 2): (... n)."""
    return torch.exp(-(places - points[..., None, :]).square().sum(dim=-1) / (2 * width**2))


@torch.no_grad()
def fitted(looks: Tensor, points: Tensor, shown: Tensor, places: Tensor) -> Tensor:
    """Where an affine map of each object's points (B K 2) puts them, so that it agrees with what looks like them.

    looks: how well each cell (n 2) suits a point (B K n). Each point counts by how sure its matching is; shown (B K): which count.
    """
    guess, width, height = points, PLACE, _FIRST
    for _ in range(_TURNS):
        chances = ((looks + height * bump(guess, places, width)) / _WARMTH).softmax(dim=-1)
        mean = chances @ places
        spread = (chances @ places.square() - mean.square()).sum(dim=-1)
        guess = affine(points, mean, shown / (spread.clamp(min=0) + 0.005))
        width, height = _NEAR, _THEN
    return guess


def affine(source: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Source points (B K 2) through the affine map that brings them nearest to the targets, by weights (B K).

    Its matrix is held near the identity by STIFFNESS (in squares of the crop): few points turn into a shift.
    """
    weight = (weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-8))[..., None]
    middles = [(weight * points).sum(dim=1, keepdim=True) for points in (source, target)]
    x, y = source - middles[0], target - middles[1]
    hold = STIFFNESS * torch.eye(2, dtype=x.dtype, device=x.device)
    left, right = (weight * x).transpose(1, 2) @ x + hold, (weight * x).transpose(1, 2) @ y + hold
    (a, b), (c, d) = left.unbind(1)[0].unbind(1), left.unbind(1)[1].unbind(1)
    inverse = torch.stack([d, -b, -c, a], dim=-1).unflatten(-1, (2, 2)) / (a * d - b * c)[:, None, None]
    return x @ (inverse @ right) + middles[1]


def octaves(points: Tensor) -> Tensor:
    """Points (... 2) -> (... CODE): sines and cosines at half octaves, the slowest half a wave over the crop."""
    rates = torch.pi / 2 * 2 ** (torch.arange(CODE // 4, dtype=points.dtype, device=points.device) / 2)
    angles = points[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class _Block(nn.Module):
    """Neighbours mixed by a 5 x 5 depthwise convolution, then a small MLP, beside a shortcut."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.gain = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, image: Tensor, grid: tuple[int, int]) -> Tensor:
        mixed = self.mix(image.transpose(1, 2).unflatten(-1, grid)).flatten(2).transpose(1, 2)
        return image + self.dropout(self.gain * self.down(F.gelu(self.up(self.norm(mixed)))))


class _Layer(nn.Module):
    """Keypoints look at one another, then at the picture; place: the code of where each is thought to be."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.among = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.at_image = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, place: Tensor, image: Tensor, where: Tensor, blank: Tensor) -> Tensor:
        x = self.norms[0](tokens)
        found, _ = self.among(x + place, x + place, x, key_padding_mask=blank, need_weights=False)
        tokens = tokens + self.dropout(found)
        found, _ = self.at_image(self.norms[1](tokens) + place, where, image, need_weights=False)
        tokens = tokens + self.dropout(found)
        return tokens + self.dropout(self.feed(self.norms[2](tokens)))
