"""A head for few training objects (ours): cues of the examples that need no training, and small decoders beside them.

The cues of an example (`parts.cues`) are maps over the query's cells. A decoder over keypoint tokens of text, examples
or both (`parts.member`) writes one more map, and the output is the softmax of the weighted sum. With few training
categories, trained matchers do worse than plain matching of features, because they learn the categories; here the
plain matching stays in the sum, and training can only weight it and add to it.

Several decoders, the members, answer together: with few categories each errs in its own way, and their mean gains more
than any change of one of them. They are trained in one run, each on objects of its own, at the cost of a single
decoder.

Each of several examples gives a distribution, and the output is their mixture, weighted by how certain each is: an
object seen from one side agrees with one of them, and the middle between two places is neither.

Phrases are whitened with the statistics of the training phrases: in a sentence encoder "left ear" and "right ear" have
nearly the same vector, because most of the variance between sentences is their topic.

Letters: B objects, M examples, R = B * M rows, Q pictures, B / Q prompts of a picture, K keypoints, n = h * w cells, C
channels, D channels of a phrase, E members.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ....errors import InputError
from ...maps import cell_centres, full_precision, widened
from ...towers.vision_config import VisionConfig
from ..parts.competition import Contest
from ..parts.cues import Cues, centroids, cues_of, normed
from ..parts.evidence_config import EvidenceConfig
from ..parts.losses import mean_labelled
from ..parts.member import Member
from ..parts.reading import read
from .base import HEATMAP_WEIGHT, EncoderSizes, MatchingHead, Prompt, Stages, check_widths

_EARLY = 0.3  # weight of the losses of all stages before the last
_APART = 0.06  # distance, as a fraction of the crop, below which two points count as one place in `naming_loss`


@dataclass(frozen=True, eq=False)
class EvidenceOutput:
    """What the head gives; a `HeadOutput`.

    scores: one tensor [E, B, M, K, h, w] a stage, each member's scores before the softmax; the last are the output's.
        Without examples M is 1. In training E is 1, and each object has the scores of its own member.
    used: [B, M, K] bool, the examples that count for a keypoint: those that show it, or all where none does.
    contest: how keypoints compete for places, in the distributions alone; None where they do not.
    reading: how points are read, see `EvidenceConfig`.
    """

    scores: tuple[Tensor, ...]
    used: Tensor
    contest: Contest | None = None
    reading: str = "modes"

    @property
    def probabilities(self) -> Tensor:
        """[B, K, h, w], the mixture over the examples of the geometric means of the members."""
        return self._mixture(-1)

    @property
    def points(self) -> Tensor:
        """[B, K, 2], fractions of the query's crop: where the most probability lies close together."""
        return self.points_after(-1)

    @property
    def example_share(self) -> Tensor:
        """[B, M, K], the weight of each example in the mixture."""
        return self._share(self._each(-1))

    def of_example(self, number: int) -> "EvidenceOutput":
        """What the head gave for one of the examples, without the stages before the last; see `EvidenceHead.joined`."""
        own = slice(number, number + 1)
        return replace(self, scores=(self.scores[-1][:, :, own].contiguous(),), used=self.used[:, own])

    def points_after(self, stage: int) -> Tensor:
        """The points [B, K, 2] of a stage, by its number."""
        return read(self._mixture(stage), self.reading)

    def _mixture(self, stage: int) -> Tensor:
        each = self._each(stage)
        mixed = torch.einsum("bmk,bmkn->bkn", self._share(each), each)
        return mixed.unflatten(-1, self.scores[stage].shape[-2:])

    def _each(self, stage: int) -> Tensor:
        """The distribution [B, M, K, n] of each example by itself."""
        logs = self.scores[stage].flatten(-2).log_softmax(dim=-1).mean(dim=0)
        return (logs if self.contest is None else self.contest.settle(logs)).softmax(dim=-1)

    def _share(self, each: Tensor) -> Tensor:
        """Weights by certainty: 1 over the perplexity of an example's distribution, normed over the examples."""
        certainty = torch.special.xlogy(each, each).sum(dim=-1).exp() * self.used
        return certainty / certainty.sum(dim=1, keepdim=True)


class EvidenceHead(MatchingHead):
    """The head as the module describes it."""

    config_class = EvidenceConfig
    prompts = ("text", "example", "both")
    text = "minilm-l6"
    float32 = ("phrase_mean", "phrase_whitener")
    reads_points = many_prompts = float32_prompts = has_scores = True
    fitted = ("image_width", "text_width", "groups", "place_width")

    def __init__(self, config: EvidenceConfig) -> None:
        super().__init__(config)
        c = config
        sizes = (c.image_width, c.text_width, c.width, c.heads, c.layers, c.blocks, c.likeness)
        others = (c.dropout if rate is None else rate for rate in (c.image_dropout, c.attention_dropout))
        rates = (c.dropout, *others)
        self.members = nn.ModuleList(Member(*sizes, *rates) for _ in range(c.members))
        self.register_buffer("phrase_mean", torch.zeros(config.text_width))
        self.register_buffer("phrase_whitener", torch.eye(config.text_width))

    @classmethod
    def vision(cls) -> VisionConfig:
        """A frozen EfficientNet-Lite2 for 320 pixels."""
        return VisionConfig("efficientnet-lite2", image_size=320, tuning="frozen")

    @classmethod
    def fit(cls, config: EvidenceConfig | None, sizes: EncoderSizes) -> EvidenceConfig:
        """See `MatchingHead.fit`; the groups of channels are those of the image encoder."""
        widths = {"image_width": sizes.channels, "text_width": sizes.text, "place_width": sizes.places}
        known = {"groups": sizes.groups or (sizes.channels,), **widths}
        left_out = known if config is None else {name: known[name] for name in known if getattr(config, name) is None}
        config = replace(config or cls.published(), **left_out)
        check_widths(config, **widths)
        return config

    # --- phrases -----------------------------------------------------------------------------------------------------

    @property
    def whitens(self) -> bool:
        """Whether `whiten` has been called, on this head or on the one whose weights it has."""
        return not torch.equal(self.phrase_whitener, torch.eye(len(self.phrase_mean)).to(self.phrase_whitener))

    def prepare(self, phrases: Callable[[], Tensor]) -> None:
        """Whiten with the training phrases, unless this head whitens already."""
        if not self.whitens:
            self.whiten(phrases())

    @torch.no_grad()
    def whiten(self, phrases: Tensor) -> None:
        """From now on, shift and scale phrases so that these differ equally in all directions, with mean length 1.

        phrases: [P, D]; InputError for fewer than two.
        """
        if len(phrases) < 2:
            raise InputError(f"What phrases differ by takes two or more, but got {len(phrases)}.")
        mean = phrases.cpu().double().mean(dim=0)
        centred = phrases.cpu().double() - mean
        sentence, places = centred.split([centred.shape[1] - self.config.place_width, self.config.place_width], dim=1)
        variances, axes = torch.linalg.eigh(sentence.T @ sentence / (len(sentence) - 1))
        variances = variances.clamp(min=0)
        whitener = axes @ torch.diag((variances + self.config.ridge * variances.mean()).rsqrt()) @ axes.T
        whitener /= (sentence @ whitener).norm(dim=1).mean()
        if self.config.place_width:
            whitener = torch.block_diag(whitener, torch.eye(places.shape[1]) / places.norm(dim=1).mean().clamp(min=0.1))
        self.phrase_mean.copy_(mean)
        self.phrase_whitener.copy_(whitener)

    # --- tensors -----------------------------------------------------------------------------------------------------

    def forward(self, query: Tensor, valid: Tensor, prompt: Prompt) -> EvidenceOutput:
        """See `MatchingHead.forward`; skeletons are not used. A picture may have several prompts.

        Features may be in half precision. Cosines, places and scores are float32 in any case.
        """
        query = widened(query)
        grid, features = tuple(query.shape[-2:]), normed(query.flatten(2).transpose(1, 2), self.config.groups)  # Q n C
        places = cell_centres(*grid, like=features)
        count = 1 if prompt.example_features is None else prompt.example_features.shape[1]
        share = len(valid) // len(query) * count  # rows of a picture

        def rows(values: Tensor, copies: int = count) -> Tensor:
            """[B, ...] -> [R, ...], the rows of an object's examples one after another."""
            return values[:, None].expand(-1, copies, *values.shape[1:]).flatten(0, 1)

        used, cues, phrases, has_text = torch.ones_like(valid)[:, None], None, None, None
        wordy = used  # asked for by words alone
        if prompt.example_features is not None:
            every = valid[:, None].expand(-1, count, -1)
            visible = every if prompt.example_visible is None else prompt.example_visible & every
            cues = self._cues(features, places, prompt, visible, share)
            used = visible | ~visible.any(dim=1, keepdim=True)
            wordy = ~visible.any(dim=1, keepdim=True).expand_as(visible)
        if prompt.phrases is not None:
            has_text = prompt.with_text(valid)
            centred = widened(prompt.phrases).masked_fill(~has_text[..., None], 0) - self.phrase_mean
            with full_precision(centred):
                phrases, has_text = rows(centred @ self.phrase_whitener), rows(has_text)
        given = (rows(valid), cues, phrases, has_text)
        if self.training:
            each = [self._own_member(features, places, grid, given, share)]
        else:
            each = [member(rows(features, share), places, grid, *given) for member in self.members]
        stages = (widened(torch.stack(stage)) for stage in zip(*each, strict=True))  # E R K n
        contest = Contest(self.config.competition, valid, wordy) if self.config.competition else None
        scores = tuple(one.unflatten(1, (-1, count)).unflatten(-1, grid) for one in stages)
        return EvidenceOutput(scores, used, contest, self.config.reading)

    def _cues(self, features: Tensor, places: Tensor, prompt: Prompt, visible: Tensor, share: int) -> Cues:
        """The cues of all rows; in training, of the rows alone whose example shows a keypoint.

        features: [Q, n, C], of the pictures, after `normed`.
        visible: [B, M, K] bool.
        share: number of rows of a picture.
        """
        visible, examples = visible.flatten(0, 1), prompt.example_features.flatten(0, 1)
        if prompt.example_points is not None:
            points = prompt.example_points.flatten(0, 1)  # R K 2
        else:
            points = centroids(widened(prompt.heatmaps.flatten(0, 1)).masked_fill(~visible[..., None, None], 0))
        if self.training:
            own = visible.any(dim=-1).nonzero()[:, 0]
            visible, examples, points = visible[own], examples[own], points[own]
            features = features[own // share]
        else:
            own, features = None, features[:, None].expand(-1, share, -1, -1).flatten(0, 1)
        cues = cues_of(features, places, widened(examples), points, visible, self.config.groups)
        return cues if own is None else replace(cues, rows=own)

    def _own_member(
        self, features: Tensor, places: Tensor, grid: tuple[int, int], given: tuple, share: int
    ) -> list[Tensor]:
        """Scores [R, K, n] of every stage, those of picture q by member q modulo E.

        features: [Q, n, C]. given: valid, cues, phrases and has_text of the rows, share of them to a picture.
        """
        count = len(self.members)
        owner = torch.arange(len(features), device=features.device) % count
        pictures = [(owner == number).nonzero()[:, 0] for number in range(count)]
        rows = [(own[:, None] * share + torch.arange(share, device=own.device)).flatten() for own in pictures]

        def of(part: Tensor | Cues | None, own: Tensor) -> Tensor | Cues | None:
            return part.of(own) if isinstance(part, Cues) else None if part is None else part[own]

        parts = [
            member(features[seen], places, grid, *(of(part, own) for part in given), share)
            for member, seen, own in zip(self.members, pictures, rows, strict=True)
            if len(own)
        ]
        order = torch.cat(rows).argsort()
        return [torch.cat(stage)[order] for stage in zip(*parts, strict=True)]

    def read(self, probabilities: Tensor) -> Tensor:
        """See `MatchingHead.read`."""
        return read(probabilities, self.config.reading)

    def best_scores(self, output: EvidenceOutput) -> Tensor:
        """See `MatchingHead.best_scores`: the mean of the members, weighted over the examples like the mixture."""
        best = output.scores[-1].mean(dim=0).flatten(-2).amax(dim=-1)  # B M K
        return (output.example_share * best).sum(dim=1)

    def joined(self, parts: Sequence[EvidenceOutput], valid: Tensor, visible: Tensor) -> EvidenceOutput:
        """The output for M examples together, from the outputs for each of them: an example's scores do not depend on
        the others.

        parts: M outputs for one example each (`EvidenceOutput.of_example`), of the same query and words.
        valid: [B, K] bool. visible: [B, M, K] bool, as the prompt of all of them has it.
        """
        visible = visible & valid[:, None]
        unseen = ~visible.any(dim=1, keepdim=True)
        scores = torch.cat([part.scores[-1] for part in parts], dim=2)
        strength = self.config.competition
        contest = Contest(strength, valid, unseen.expand_as(visible)) if strength else None
        return EvidenceOutput((scores,), visible | unseen, contest, self.config.reading)

    # --- training ----------------------------------------------------------------------------------------------------

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of the parts of the loss."""
        return tuple(f"map_{stage}" for stage in range(self.config.layers + 1))

    def losses(
        self,
        output: EvidenceOutput,
        target_points: Tensor,
        target_heatmaps: Tensor | None,
        labelled: Tensor,
        valid: Tensor | None = None,
        heatmap_weight: float = HEATMAP_WEIGHT,
    ) -> dict[str, Tensor]:
        """Cross-entropy of every stage's map with a Gaussian around the target; stages before the last weigh 0.3.

        Heat maps and their weight are not used.
        """
        last = output.scores[-1]
        target = self._target(target_points.where(labelled[..., None], 0).to(last.dtype), last)
        losses = {}
        for stage, scores in enumerate(output.scores):
            entropy = -(target[:, None] * scores.flatten(-2).log_softmax(dim=-1)).sum(dim=-1).mean(dim=0)  # B M K
            entropy = (entropy * output.used).sum(dim=1) / output.used.sum(dim=1)
            weight = 1 if stage == len(output.scores) - 1 else _EARLY
            losses[f"map_{stage}"] = weight * mean_labelled(entropy, labelled)
        return losses

    def _target(self, points: Tensor, scores: Tensor) -> Tensor:
        """The Gaussian [B, K, n] round each target point [B, K, 2] over the cells of scores [..., h, w]; sums to 1."""
        grid = tuple(scores.shape[-2:])
        places = cell_centres(*grid, like=scores)
        steps = (places - points[..., None, :]) * places.new_tensor(grid[::-1])  # in cells
        return (-steps.square().sum(dim=-1) / (2 * self.config.spread**2)).softmax(dim=-1)

    def naming_loss(self, output: EvidenceOutput, target_points: Tensor, labelled: Tensor, valid: Tensor) -> Tensor:
        """Cross-entropy over the names of an object at each labelled point: its own map must be the highest there.

        The logits of the keypoint at a place are the last stage's log probabilities of that place in the maps of all
        valid keypoints, averaged over the target's Gaussian: with equal priors, their softmax is the probability of
        each name given the place. Other labelled keypoints within 0.06 of the crop do not compete.
        """
        scores = output.scores[-1]
        target_points = target_points.where(labelled[..., None], 0).to(scores.dtype)
        logs = scores.flatten(-2).log_softmax(dim=-1)  # E B M J n
        with full_precision(logs):
            at = torch.einsum("bkn,ebmjn->ebmkj", self._target(target_points, scores), logs)
        near = torch.cdist(target_points, target_points) < _APART
        near &= (labelled[:, None] & labelled[..., None]) & ~torch.eye(near.shape[-1], dtype=torch.bool).to(near)
        at = at.masked_fill((~valid[:, None] | near)[None, :, None], float("-inf"))
        own = torch.diagonal(at, dim1=-2, dim2=-1).where(labelled[:, None], 0)
        others = at.where(labelled[:, None, :, None], 0).logsumexp(dim=-1).where(labelled[:, None], 0)
        entropy = (others - own).mean(dim=0)  # B M K
        entropy = (entropy * output.used).sum(dim=1) / output.used.sum(dim=1)
        return mean_labelled(entropy, labelled)

    # --- export and explanation --------------------------------------------------------------------------------------

    @property
    def phrase_width(self) -> int:
        """Channels of a phrase."""
        return self.config.text_width

    def attention(self) -> Mapping[str, Sequence[nn.MultiheadAttention]]:
        """The attention of each member's decoder."""
        return {f"member_{number}": member.attention() for number, member in enumerate(self.members)}

    def stages(self, output: EvidenceOutput, attention: Mapping[str, Tensor]) -> Stages:
        """See `MatchingHead.stages`: the mean over the members, and the mixture over the examples."""
        share = output.example_share
        mean = widened(torch.stack(list(attention.values()))).mean(dim=0)  # L R K n
        mixed = torch.einsum("bmk,lbmkn->lbkn", share, mean.unflatten(1, share.shape[:2]))
        points = torch.stack([output.points_after(stage) for stage in range(len(output.scores))])
        return Stages(mixed.unflatten(-1, output.scores[-1].shape[-2:]), points)
