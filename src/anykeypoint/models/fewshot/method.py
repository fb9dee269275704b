"""What the few-shot baselines share: episodes as feature maps, scores over cells, and the points they give.

A method scores every cell of a query's map for each keypoint. The softmax over the cells is the density of its place,
and training minimises its cross-entropy.

Letters: B episodes, S examples, Q queries, K keypoints, C channels, h x w cells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...configs.strict import Config
from ...density.temperature import tempered
from ...errors import InputError
from ...geometry import CONFIDENCE_RADIUS
from ..maps import cell_centres, peaks, share_within

SIGMA = 0.5  # standard deviation of the target Gaussians in cells: the mean over 3 x 3 cells then gives the point back
CHANNELS = 256  # number of channels of maps that the trunk takes without scaling them down
ROWS = "rows"  # name of the last layer among the weights of a head


@dataclass(frozen=True, eq=False)
class Located:
    """Points in the crops of Q queries; NaN for keypoints that no example shows.

    points: [Q, K, 2], fractions of the crop.
    confidence: [Q, K], the probability of the cells whose centres are nearer to the point than `CONFIDENCE_RADIUS`.
    density: [Q, K, h, w], probabilities over the cells; they sum to 1.
    """

    points: Tensor
    confidence: Tensor
    density: Tensor


@dataclass(frozen=True, eq=False)
class Adapted:
    """A method after it has learnt from its examples.

    score: gives, for maps [Q, C, h, w], the scores [Q, K, h', w'] of the cells.
    known: [K] bool, the keypoints that an example shows.
    """

    score: Callable[[Tensor], Tensor]
    known: Tensor

    def locate(self, query: Tensor, temperature: float = 1.0) -> Located:
        """The points of Q queries, from their maps [Q, C, h, w]; each is computed as if it were alone.

        temperature: of the densities, from which the confidences are; points are read at 1.
        """
        with torch.no_grad():
            scores = full(self.score(query))
            grid = scores.shape[-2], scores.shape[-1]
            probabilities = scores.flatten(2).softmax(dim=-1)
            centres = cell_centres(*grid, like=probabilities)
            points, _ = peaks(probabilities, grid, centres)
            probabilities = tempered(probabilities, temperature)
            confidence = share_within(probabilities, centres, points, CONFIDENCE_RADIUS)
            return Located(
                points.masked_fill(~self.known[:, None], torch.nan),
                confidence.clamp(max=1).masked_fill(~self.known, torch.nan),
                probabilities.unflatten(-1, grid),
            )


@dataclass(frozen=True, eq=False)
class Episodes:
    """Episodes to learn from, with as many slots K as the category with the most keypoints has.

    examples: [B, S, C, h, w], feature maps.
    points: [B, S, K, 2], fractions of the example's crop; NaN where absent.
    visible: [B, S, K] bool, points that are labelled and lie in the crop; False in slots without a keypoint.
    query: [B, C, h, w], feature maps.
    query_points: [B, K, 2], fractions of the query's crop; NaN where absent.
    query_visible: [B, K] bool, as `visible`.
    categories: B names and numbers of keypoints.
    """

    examples: Tensor
    points: Tensor
    visible: Tensor
    query: Tensor
    query_points: Tensor
    query_visible: Tensor
    categories: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        return len(self.query)


class FewShotMethod(nn.Module):
    """Base of all methods; one is built from its config and the number of channels of the image encoder's maps."""

    config_class: ClassVar[type[Config]]

    def __init__(self, config: Any, channels: int) -> None:
        super().__init__()
        self.config = config

    def fit(self, features: Tensor, points: Tensor, visible: Tensor) -> Adapted:
        """Learn a category from S examples. The weights of the method itself stay as they are.

        features: [S, C, h, w], maps of the examples.
        points: [S, K, 2], fractions of the crop.
        visible: [S, K] bool; points that are not visible are never read.
        """
        raise NotImplementedError

    def loss(self, episodes: Episodes) -> Tensor:
        """The mean of the losses of the episodes, each of which is what it would be alone.

        An episode's loss is the mean over the keypoints that an example and the query show, and 0 without any.
        """
        raise NotImplementedError

    def meet(self, categories: Sequence[tuple[str, int]]) -> Any:
        """Prepare for training on categories, given by name and number of keypoints; returns the method's config.

        Raises InputError for a category that the method can no longer be trained on.
        """
        return self.config

    def learnable(self, examples_visible: Any, query_visible: Any) -> Any:
        """Which keypoints of an episode have something to learn from.

        examples_visible: [..., K] bool, whether any example shows the keypoint.
        query_visible: [..., K] bool, whether the query shows it.
        """
        return examples_visible & query_visible


def episode_losses(episodes: Episodes, score: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """The mean loss of the queries.

    score: gives the scores [1, K, h', w'] of a query's map [1, C, h, w] from its episode's examples, as in
        `FewShotMethod.fit`; called with features, points, visible and query.
    """
    losses = []
    for row in range(len(episodes)):
        visible = episodes.visible[row]
        scores = score(episodes.examples[row], episodes.points[row], visible, episodes.query[row : row + 1])
        labelled = episodes.query_visible[row] & visible.any(dim=0)
        losses.append(map_loss(scores, episodes.query_points[row][None], labelled[None]))
    return torch.stack(losses).mean()


def map_loss(scores: Tensor, points: Tensor, visible: Tensor) -> Tensor:
    """Cross-entropy of the softmax of scores and Gaussians around the points, the mean over visible keypoints.

    scores: [S, K, h, w].
    points: [S, K, 2], fractions of the map.
    visible: [S, K] bool; where none is, the loss is 0 with gradients of 0.
    """
    scores = full(scores)
    target = targets(points, visible, scores)
    each = -(target.flatten(2) * scores.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
    return each.where(visible, 0).sum() / visible.sum().clamp(min=1)


def targets(points: Tensor, visible: Tensor, like: Tensor) -> Tensor:
    """Gaussians of SIGMA cells around points [S, K, 2] over the cells of `like` [S, K, h, w]; each sums to 1."""
    rows, columns = like.shape[-2:]
    points = points.to(like).where(visible[..., None], 0.5)  # absent points are NaN, also in gradients
    difference = cell_centres(rows, columns, like=like) - points[..., None, :]  # S K N 2
    distance = (difference * difference.new_tensor([columns, rows])).square().sum(dim=-1)
    return (-distance / (2 * SIGMA**2)).softmax(dim=-1).unflatten(-1, (rows, columns))


def full(scores: Tensor) -> Tensor:
    """Scores in float32 or a finer precision: half precision would round places to a hundredth of the crop."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def check_examples(features: Tensor, points: Tensor, visible: Tensor) -> None:
    """InputError unless the three have the shapes of `FewShotMethod.fit`, with S and K from 1."""
    shots, count = visible.shape if visible.ndim == 2 else (0, 0)
    fits = features.ndim == 4 and len(features) == shots and points.shape == (shots, count, 2)
    if not (fits and shots and count and visible.dtype == torch.bool):
        raise InputError(
            f"Examples must be maps (S, C, h, w), points (S, K, 2) and a bool mask (S, K) with S and K from 1, but got "
            f"{tuple(features.shape)}, {tuple(points.shape)} and {visible.dtype} {tuple(visible.shape)}."
        )


# --- the head of MAML and of fine-tuning -----------------------------------------------------------------------------


class Trunk(nn.Module):
    """From maps [S, C, h, w] to hidden maps [S, width, h', w'], whose cells a linear row for each keypoint scores.

    The norm is over the whole map of a picture, so that encoders with features of any magnitude fit the same steps, and
    no picture of a batch depends on another. Maps of more than CHANNELS channels are scaled down, and their first
    weights scaled up: the change of the hidden map in a gradient step would otherwise grow with the channels, and no
    one rate would suit all encoders.

    enlarge: factor by which the sides of the map are enlarged.
    """

    def __init__(self, channels: int, width: int, enlarge: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.hidden = nn.Conv2d(channels, width, 3, padding=1)
        self.enlarge = enlarge
        self.scale = (CHANNELS / channels) ** 0.5
        with torch.no_grad():
            self.hidden.weight /= self.scale

    def forward(self, features: Tensor) -> Tensor:
        """Maps -> hidden maps."""
        features = self.norm(features) * self.scale
        if self.enlarge > 1:
            features = F.interpolate(features, scale_factor=self.enlarge, mode="bilinear", align_corners=False)
        return self.hidden(features).relu()


def head_scores(trunk: Trunk, weights: dict[str, Tensor], features: Tensor) -> Tensor:
    """Scores [S, K, h, w] of maps [S, C, h, w].

    weights: the trunk's parameters by name, and under ROWS the last layer [K, width]. It has no bias, which would add
        the same to all cells.
    """
    own = {name: value for name, value in weights.items() if name != ROWS}
    hidden = torch.func.functional_call(trunk, own, (features,))
    return torch.einsum("kc,schw->skhw", weights[ROWS], hidden)
