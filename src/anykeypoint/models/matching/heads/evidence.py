"""A head for few training objects (ours): cues of the examples that need no training, and small decoders beside them.

An example's cues (`cues`) are maps over the query's cells. A decoder over keypoint tokens of words, examples or both
writes one more, and what it answers is the softmax of their weighted sum. Trained matchers lose to plain matching on
few categories (they learn the categories); here the plain matching stays in, and training can only weigh and add.

Several decoders answer together: on few categories each errs in its own way, and their mean is worth more than any
change of one. They are trained in one run, each on rows of its own, which costs what one would cost on all rows.

Several examples answer one by one, and the answer is the mixture of what they say, each weighted by how sure it is: an
object seen from one side agrees with one of them, and the middle between two places is neither.

Phrases are whitened by the training's: in a sentence encoder's vectors "left ear" and "right ear" are nearly one, as
most of what sentences differ by is what they are about.

Letters: B objects, M examples, R = B * M rows, K keypoints, n = h * w cells, C channels, D width, E members.
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
from ...maps import cell_centres, peaks
from ..parts.cues import Cues, cues_of, normed
from ..parts.losses import mean_labelled
from ..parts.skeleton import Skeleton
from .graph import something

CODE = 64  # channels of a place's code
READING = 0.07  # of the crop: how far round a cell counts when the answer is read off the chances
RIDGE = 0.1  # of whitening: what is added to each variance, a share of their mean
WEIGHTS = (20.0, 6.0, 2.0, 3.0, 5.0)  # at first, of the cues and of a member's own likeness


@dataclass(frozen=True)
class EvidenceConfig:
    """Sizes of an evidence head.

    groups: how the feature map's channels are grouped for the cosine (EfficientNet-Lite2: its two maps).
    members: decoders that learn apart from one another, each on every members-th object of a batch, and whose answers
        are averaged.
    """

    image_width: int = 328
    text_width: int = 384
    groups: tuple[int, ...] = (120, 208)
    members: int = 4
    width: int = 128  # D, a multiple of the heads
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
        for name in ("members", "width", "heads", "layers", "blocks", "likeness", "text_width"):
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
    """maps: per stage each member's scores (E B M K h w) before the softmax; the last stage's are the answer's.

    Without examples M is 1. In training E is 1, and each object has the scores of its own member. counts: (B M K) bool,
    the examples that have a say about a keypoint: those that show it, or all where none does.
    chances: (B K h w), the mixture over the examples of the members' geometric means. found: its peaks (B K 2),
    fractions of the crop: where most of it lies close together, as a point nearby is right too.
    """

    maps: tuple[Tensor, ...]
    counts: Tensor

    @property
    def chances(self) -> Tensor:
        return self._chances(-1)

    @property
    def found(self) -> Tensor:
        return self.peaks(-1)

    @property
    def share(self) -> Tensor:
        """How much each example counts for a keypoint in the answer, B M K."""
        return self._share(self._each(-1))

    def peaks(self, stage: int) -> Tensor:
        """The points (B K 2) after a stage."""
        chances = self._chances(stage)
        grid = tuple(chances.shape[-2:])
        return peaks(chances.flatten(2), grid, cell_centres(*grid, like=chances), READING)[0]

    def _chances(self, stage: int) -> Tensor:
        each = self._each(stage)
        return torch.einsum("bmk,bmkn->bkn", self._share(each), each).unflatten(-1, self.maps[stage].shape[-2:])

    def _each(self, stage: int) -> Tensor:
        """What each example says by itself, B M K n."""
        return self.maps[stage].flatten(-2).log_softmax(dim=-1).mean(dim=0).softmax(dim=-1)

    def _share(self, each: Tensor) -> Tensor:
        """By one over the number of cells that an example is in doubt between, the exponent of its entropy."""
        sure = torch.special.xlogy(each, each).sum(dim=-1).exp() * self.counts
        return sure / sure.sum(dim=1, keepdim=True)


class EvidenceHead(nn.Module):
    """See above. It answers to words, examples and both; a keypoint with neither gets an answer without meaning."""

    def __init__(self, config: EvidenceConfig) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(Member(config) for _ in range(config.members))
        self.register_buffer("phrase_mean", torch.zeros(config.text_width))
        self.register_buffer("phrase_whitener", torch.eye(config.text_width))

    @property
    def whitens(self) -> bool:
        """Whether `whiten` has been told what phrases are like."""
        return not torch.equal(self.phrase_whitener, torch.eye(len(self.phrase_mean)).to(self.phrase_whitener))

    @torch.no_grad()
    def whiten(self, phrases: Tensor) -> None:
        """Scale what differs among these phrases (P D) alike from now on; their mean length becomes 1.

        InputError for fewer than two.
        """
        if len(phrases) < 2:
            raise InputError(f"What phrases differ by takes two or more, but got {len(phrases)}.")
        vectors = phrases.double().cpu()
        mean = vectors.mean(dim=0)
        variances, axes = torch.linalg.eigh((vectors - mean).T @ (vectors - mean) / (len(vectors) - 1))
        variances = variances.clamp(min=0)
        whitener = axes @ torch.diag((variances + RIDGE * variances.mean()).rsqrt()) @ axes.T
        whitener /= ((vectors - mean) @ whitener).norm(dim=1).mean()
        self.phrase_mean.copy_(mean)
        self.phrase_whitener.copy_(whitener)

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
        grid, count = tuple(query.shape[-2:]), 1 if examples is None else examples.shape[1]
        features = normed(query.flatten(2).transpose(1, 2), self.config.groups)  # B n C
        places = cell_centres(*grid, like=features)

        def rows(values: Tensor) -> Tensor:
            """B ... -> R ..., an object's examples one after another."""
            return values[:, None].expand(-1, count, *values.shape[1:]).flatten(0, 1)

        counts, cues = torch.ones_like(valid)[:, None], None
        if examples is not None:
            every = valid[:, None].expand(-1, count, -1)
            shown = every if shown is None else shown & every
            parts = (examples.flatten(0, 1), heat.flatten(0, 1), shown.flatten(0, 1))
            cues = cues_of(rows(features), places, *parts, self.config.groups)
            counts = shown | ~shown.any(dim=1, keepdim=True)
        if phrases is not None:
            told = valid if told is None else told & valid
            phrases = (phrases.masked_fill(~told[..., None], 0) - self.phrase_mean) @ self.phrase_whitener
            phrases, told = rows(phrases), rows(told)
        kind = torch.promote_types(query.dtype, torch.float32)  # half precision would cut places
        prompt = (rows(valid), cues, phrases, told)
        if self.training:
            each = [self._shared_out(rows(features), places, grid, prompt, count)]
        else:
            each = [member(rows(features), places, grid, *prompt) for member in self.members]
        stages = (torch.stack(stage).to(kind) for stage in zip(*each, strict=True))  # E R K n
        return Evidence(tuple(one.unflatten(1, (-1, count)).unflatten(-1, grid) for one in stages), counts)

    def _shared_out(
        self, features: Tensor, places: Tensor, grid: tuple[int, int], prompt: tuple, examples: int
    ) -> list[Tensor]:
        """Scores (R K n) of every stage, those of object b by member b modulo E."""
        count = len(self.members)
        owner = torch.arange(len(features), device=features.device) // examples % count
        rows = [(owner == number).nonzero()[:, 0] for number in range(count)]
        parts = [
            member(features[some], places, grid, *(None if part is None else part[some] for part in prompt))
            for member, some in zip(self.members, rows, strict=True)
            if len(some)
        ]
        order = torch.cat(rows).argsort()
        return [torch.cat(stage)[order] for stage in zip(*parts, strict=True)]

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
            off = -(target[:, None] * scores.flatten(-2).log_softmax(dim=-1)).sum(dim=-1).mean(dim=0)  # B M K
            off = (off * answer.counts).sum(dim=1) / answer.counts.sum(dim=1)
            losses[f"map_{stage}"] = (1 if stage == len(answer.maps) - 1 else 0.3) * mean_labelled(off, labelled)
        return losses


class Member(nn.Module):
    """One decoder, and the weights that it gives to the cues at every stage."""

    def __init__(self, config: EvidenceConfig) -> None:
        super().__init__()
        c = config
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
        features: Tensor,
        places: Tensor,
        grid: tuple[int, int],
        valid: Tensor,
        cues: Cues | None,
        phrases: Tensor | None,
        told: Tensor | None,
    ) -> list[Tensor]:
        """Scores (R K n) of every stage; features: R n C, `normed`, at places (n 2)."""
        tokens, maps = self._tokens(valid, cues, phrases, told), self._maps(features, cues)
        image = self.image(features * math.sqrt(features.shape[-1])) + self.cell_place(octaves(places))
        for block in self.blocks:
            image = block(image, grid)
        image = self.image_norm(image)
        where, keys = image + self.cell_place(octaves(places)), self.key(image)
        blank = ~something(valid)

        def scores(stage: int, tokens: Tensor) -> Tensor:
            learnt = self.ask(self.answer_norm(tokens)) @ keys.transpose(1, 2) / math.sqrt(keys.shape[-1])
            learnt = self.loudness[stage].exp() * learnt
            return learnt if maps is None else learnt + torch.einsum("e,bekn->bkn", self.weights[stage].exp(), maps)

        stages = [scores(0, tokens)]
        for number, layer in enumerate(self.layers, 1):
            guess = stages[-1].detach().softmax(dim=-1) @ places
            tokens = layer(tokens, self.point_place(octaves(guess)), image, where, blank)
            stages.append(scores(number, tokens))
        return stages

    def _tokens(self, valid: Tensor, cues: Cues | None, phrases: Tensor | None, told: Tensor | None) -> Tensor:
        words, looks = (one.expand(*valid.shape, -1) for one in self.absent)
        if phrases is not None:
            words = torch.where(told[..., None], self.words(phrases), words)
        if cues is not None:
            seen = self.sample(cues.samples * math.sqrt(cues.samples.shape[-1]))
            looks = torch.where(cues.shown[..., None], seen + self.point_place(octaves(cues.points)), looks)
        return self.token_norm(words + looks)

    def _maps(self, features: Tensor, cues: Cues | None) -> Tensor | None:
        """The cues (R 5 K n) and beside them the cosine after a projection of its own, 0 where it shows none."""
        if cues is None:
            return None
        sample, others = (F.normalize(self.likeness(part), dim=-1) for part in (cues.samples, features))
        likeness = (sample @ others.transpose(1, 2)) * cues.shown[..., None]
        return torch.cat([cues.maps, likeness[:, None]], dim=1)


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
