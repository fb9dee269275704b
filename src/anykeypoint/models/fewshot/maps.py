"""What the few-shot baselines share: episodes as feature maps, scores over cells, and answers read off them.

A method scores every cell of a query's map for each keypoint; the softmax over the cells is the density of the place,
and training asks for it by cross-entropy.

Letters: B episodes, S examples, Q queries, K keypoints, C channels, h x w cells.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InputError
from ...geometry import CONFIDENCE_RADIUS
from ..maps import cell_centres, peaks, share_within

SIGMA = 0.5  # of the targets, in cells: the mean over 3 x 3 cells then gives the place back between cells
CHANNELS = 256  # whose maps the heads take as they come


@dataclass(frozen=True, eq=False)
class Located:
    """Answers in the crops of Q queries.

    points: (Q K 2) fractions of the crop, and confidence: (Q K), the density of the cells whose centres are within a
    tenth of the crop of them; both NaN for keypoints that no example shows. density: (Q K h w), sums to 1.
    """

    points: Tensor
    confidence: Tensor
    density: Tensor


@dataclass(frozen=True, eq=False)
class Adapted:
    """A method that has seen its examples. score: maps (Q C h w) -> (Q K h' w'); known: (K,) bool, shown by any."""

    score: Callable[[Tensor], Tensor]
    known: Tensor

    def locate(self, query: Tensor) -> Located:
        """Maps of Q queries (Q C h w) -> where the keypoints are; each query is answered as it would be alone."""
        with torch.no_grad():
            scores = full(self.score(query))
            grid = scores.shape[-2], scores.shape[-1]
            shares = scores.flatten(2).softmax(dim=-1)
            centres = cell_centres(*grid, like=shares)
            points, _ = peaks(shares, grid, centres)
            confidence = share_within(shares, centres, points, CONFIDENCE_RADIUS)
            return Located(
                points.masked_fill(~self.known[:, None], torch.nan),
                confidence.clamp(max=1).masked_fill(~self.known, torch.nan),
                shares.unflatten(-1, grid),
            )


@dataclass(frozen=True, eq=False)
class Episodes:
    """Episodes to learn from, keypoints padded to the widest. Points are fractions of the crop, NaN where absent."""

    examples: Tensor  # B S C h w
    points: Tensor  # B S K 2
    visible: Tensor  # B S K bool: labelled, in the crop, and a keypoint at all
    query: Tensor  # B C h w
    query_points: Tensor  # B K 2
    query_visible: Tensor  # B K bool
    categories: tuple[tuple[str, int], ...]  # B names and numbers of keypoints

    def __len__(self) -> int:
        return len(self.query)


class Method(Protocol):
    """What a baseline can do."""

    def fit(self, features: Tensor, points: Tensor, visible: Tensor) -> Adapted:
        """Learn a category from maps of S examples (S C h w), points (S K 2) fractions of the crop, visible (S K)
        bool; the points that are not visible are never read. The method itself stays as it was."""

    def loss(self, episodes: Episodes) -> Tensor:
        """The mean of the episodes' losses, each of which is what it would be alone; an episode's is the mean over its
        keypoints that an example and the query show, and 0 where there is none."""


def episode_losses(episodes: Episodes, score: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """The mean loss of the queries, where `score` turns an episode's examples and query (1 C h w) into scores."""
    losses = []
    for row in range(len(episodes)):
        shown = episodes.visible[row]
        scores = score(episodes.examples[row], episodes.points[row], shown, episodes.query[row : row + 1])
        asked = episodes.query_visible[row] & shown.any(dim=0)
        losses.append(map_loss(scores, episodes.query_points[row][None], asked[None]))
    return torch.stack(losses).mean()


def map_loss(scores: Tensor, points: Tensor, visible: Tensor) -> Tensor:
    """Cross-entropy of the softmax of scores (S K h w) to Gaussians round the points (S K 2), mean over visible (S K).

    0, with gradients of 0, where nothing is visible.
    """
    scores = full(scores)
    target = targets(points, visible, scores)
    each = -(target.flatten(2) * scores.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
    return each.where(visible, 0).sum() / visible.sum().clamp(min=1)


def targets(points: Tensor, visible: Tensor, like: Tensor) -> Tensor:
    """Gaussians of SIGMA cells round points (S K 2) over the cells of `like` (S K h w): each sums to 1."""
    rows, columns = like.shape[-2:]
    points = points.to(like).where(visible[..., None], 0.5)  # absent points are NaN: keep them out of the gradients
    apart = cell_centres(rows, columns, like=like) - points[..., None, :]  # S K N 2
    cells = (apart * apart.new_tensor([columns, rows])).square().sum(dim=-1)
    return (-cells / (2 * SIGMA**2)).softmax(dim=-1).unflatten(-1, (rows, columns))


def full(scores: Tensor) -> Tensor:
    """Scores in float32 or better: half precision would cut places to a hundredth of the crop."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def check_examples(features: Tensor, points: Tensor, visible: Tensor) -> None:
    """InputError unless the three are (S C h w), (S K 2) and bool (S K) with S and K from 1."""
    shots, count = visible.shape if visible.ndim == 2 else (0, 0)
    fits = features.ndim == 4 and len(features) == shots and points.shape == (shots, count, 2)
    if not (fits and shots and count and visible.dtype == torch.bool):
        raise InputError(
            f"Examples must be maps (S, C, h, w), points (S, K, 2) and a bool mask (S, K) with S and K from 1, but got "
            f"{tuple(features.shape)}, {tuple(points.shape)} and {visible.dtype} {tuple(visible.shape)}."
        )


# --- the head of MAML and of fine-tuning -----------------------------------------------------------------------------


class Trunk(nn.Module):
    """Maps (S C h w) -> hidden maps (S width h' w'), enlarged; a linear row for each keypoint scores their cells.

    The norm is over all of a picture's map, so that backbones of any loudness fit the same steps and no picture of a
    batch is told of another. Maps of more channels are made quieter and begin with louder weights: what a gradient step
    changes in the hidden map would otherwise grow with them, and one rate would not do for all backbones.
    """

    def __init__(self, channels: int, width: int, enlarge: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.hidden = nn.Conv2d(channels, width, 3, padding=1)
        self.enlarge = enlarge
        self.loudness = (CHANNELS / channels) ** 0.5
        with torch.no_grad():
            self.hidden.weight /= self.loudness

    def forward(self, features: Tensor) -> Tensor:
        features = self.norm(features) * self.loudness
        if self.enlarge > 1:
            features = F.interpolate(features, scale_factor=self.enlarge, mode="bilinear", align_corners=False)
        return self.hidden(features).relu()


ROWS = "rows"  # the name of the last layer among the weights of a head


def head_scores(trunk: Trunk, weights: dict[str, Tensor], features: Tensor) -> Tensor:
    """Scores (S K h w) with weights in place of the trunk's, and rows (K width) under ROWS; those have no bias, which
    would raise all cells alike."""
    own = {name: value for name, value in weights.items() if name != ROWS}
    hidden = torch.func.functional_call(trunk, own, (features,))
    return torch.einsum("kc,schw->skhw", weights[ROWS], hidden)
