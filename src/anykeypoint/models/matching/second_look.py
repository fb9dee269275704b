"""A second look: squares round a first answer and round the example's point are cut out again and matched.

    patch            side `side` x the longer side of the box, round the first answer and round the example's point
    match            cosine of the patch's cells and of the features at the example's point, enlarged between cells
    place            p ~ exp(cosine / temperature - d^2 / (2 reach^2)), d from the first answer in sides of the box
    certainty w      a logistic function of how far from the example's point the best cell is matched back
    answer           the first one, moved by w towards the mean place

A patch has some two and a half times as many pixels on a side as the crop has for it, through the same frozen encoder.
The probability of the patch stays what it was; within the patch the share w of it has the places of the match. So what
is far away is as likely as before, and a point that was wrong is not claimed to be right.

Letters: K keypoints, P of them with a patch, M examples, C channels, n = h * w cells of a patch, N x N fine cells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...density import Density, disc_shares
from ...example import Example
from ...geometry import Crop
from ...images import UprightPicture, crop_pixels, read_picture
from ..maps import cell_centres, features_at, widened
from ..view import density_of
from .look_config import SecondLook
from .parts.cues import normed

BATCH = 32  # largest number of patches that are encoded at once
_LEAST = 1e-6  # certainty, so that those of several examples can be weighed
FINE = 4  # number of fine cells for each cell of a patch, along each side


@dataclass(frozen=True, eq=False)
class ExamplePatches:
    """What a second look needs of one example.

    features: [P, C, h, w], of the patches round its points.
    rows: [P] int, the keypoints that they are of.
    """

    features: Tensor
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class Found:
    """What a second look finds for P keypoints.

    rows: [P] int, the keypoints.
    crops: P squares, the patches in image pixels.
    grids: [P, N, N], the distribution over each patch, rows = y; sums to 1.
    weights: [P] from 0 to 1, how much the second look counts.
    means: [P, 2] in image pixels, the mean places of the distributions.
    """

    rows: np.ndarray
    crops: tuple[Crop, ...]
    grids: np.ndarray
    weights: np.ndarray
    means: np.ndarray

    def moved(self, points: np.ndarray) -> np.ndarray:
        """The points [K, 2] in image pixels, each moved by its weight towards its mean place."""
        moved, weights = points.copy(), self.weights[:, None]
        moved[self.rows] = (1 - weights) * points[self.rows] + weights * self.means
        return moved

    def density(self, place: int, first: Density, cells: bool | int) -> Density:
        """The density of the keypoint rows[place]: what lies in its patch has, by its weight, the places found there.

        first: the density before, whose mass in the patch stays.
        cells: number of cells on a side; True takes FINE for each cell of `first`.
        """
        count = FINE * len(first.grid) if cells is True else int(cells)
        base = density_of(first.crop, first.grid, count).grid
        found, covered = self._over(place, first.crop, count)
        inside = base * covered
        moved = base + self.weights[place] * (inside.sum() * found - inside)
        return Density(first.crop, np.clip(moved, 0, None))

    def disc_shares(self, place: int, crop: Crop, cells: int, point: np.ndarray, radius: float) -> np.ndarray:
        """What each cell before the second look adds to the mass in a disc after it, [cells, cells].

        The mass is linear in the distribution before, so that of many distributions takes no density of each: it is the
        sum of their cells times these, as `density(place, first, True).mass_within(point, radius)` gives it.

        crop, cells: the square before, and the number of its cells on a side.
        point, radius: the disc, in image pixels.
        """
        count = FINE * cells
        shares = disc_shares(crop, count, point, radius)
        found, covered = self._over(place, crop, count)
        shares = shares + self.weights[place] * covered * ((found * shares).sum() - shares)
        return shares.reshape(cells, FINE, cells, FINE).mean((1, 3))

    def _over(self, place: int, crop: Crop, count: int) -> tuple[np.ndarray, np.ndarray]:
        """On count x count cells of a crop: the distribution found, summing to 1, and the share of each in the patch.

        Both are 0 where the patch lies beside the crop.
        """
        patch = self.crops[place]
        low, high = crop.normalise([[patch.x, patch.y], [patch.x + patch.side, patch.y + patch.side]])
        fine = [_shares(low[axis], high[axis], len(self.grids[place]), count) for axis in (0, 1)]  # of cells in cells
        found = fine[1] @ self.grids[place] @ fine[0].T
        if found.sum() <= 0:
            return np.zeros_like(found), np.zeros_like(found)
        edges = [_shares(low[axis], high[axis], 1, count)[:, 0] * (high[axis] - low[axis]) * count for axis in (0, 1)]
        return found / found.sum(), edges[1][:, None] * edges[0]


def _shares(low: float, high: float, parts: int, count: int) -> np.ndarray:
    """[count, parts]: the share of each part of [low, high] that lies in each of `count` cells of [0, 1]."""
    old, new = np.linspace(low, high, parts + 1), np.linspace(0, 1, count + 1)
    overlap = np.minimum(new[1:, None], old[1:]) - np.maximum(new[:-1, None], old[:-1])
    return np.clip(overlap, 0, None) / (old[1] - old[0])


def example_patches(
    example: Example, shown: np.ndarray, options: SecondLook, encode: Callable[[np.ndarray], Tensor]
) -> ExamplePatches:
    """The patches round an example's points.

    shown: [K] bool, the points that count. encode: see `encoded`.
    """
    picture, rows = read_picture(example.image), np.flatnonzero(shown)
    box = picture.whole if example.box is None else example.box
    crops = squares(example.points[rows], options.side * max(box[2:]))
    return ExamplePatches(encoded(picture, crops, options.size, encode), rows)


def squares(places: np.ndarray, side: float) -> tuple[Crop, ...]:
    """Squares round places [P, 2] in image pixels. side: of a square in image pixels."""
    return tuple(Crop(x - side / 2, y - side / 2, side) for x, y in places.tolist())


def encoded(
    picture: UprightPicture, crops: Sequence[Crop], size: int, encode: Callable[[np.ndarray], Tensor]
) -> Tensor:
    """The features [P, C, h, w] of squares of one picture, see `encode_patches`."""
    return encode_patches([(picture, one) for one in crops], size, encode)


def encode_patches(
    patches: Sequence[tuple[UprightPicture, Crop]], size: int, encode: Callable[[np.ndarray], Tensor]
) -> Tensor:
    """The features [P, C, h, w] of squares of pictures, BATCH at a time.

    Their pixels are not rounded, so that a square that is moved by a rounding error of its middle has the same
    features: whether an object is answered alone or in a batch then makes no difference either.

    size: side of a patch in pixels.
    encode: gives the features [P, C, h, w] of pixels [P, S, S, 3] float32 from 0 to 255.
    """
    parts = []
    for start in range(0, len(patches), BATCH):
        parts.append(
            encode(np.stack([crop_pixels(*one, size, rounded=False) for one in patches[start : start + BATCH]]))
        )
    return torch.cat(parts)


def look_again(
    options: SecondLook,
    groups: tuple[int, ...],
    query: Tensor,
    crops: Sequence[Crop],
    rows: np.ndarray,
    examples: Sequence[ExamplePatches],
) -> Found:
    """Match the patches of a query with those of its examples.

    groups: numbers of channels, see `cues.normed`.
    query: [P, C, h, w], features of the patches round the first answers.
    crops: P, where they lie in the picture.
    rows: [P] int, the keypoints that they are of; each is in one of the examples or more.

    Of several examples the distributions are averaged, weighted by their certainties, and the certainty is the mean of
    theirs weighted alike: the certain ones decide.
    """
    cells = normed(widened(query).flatten(2).transpose(1, 2), groups)  # P n C
    grid = tuple(query.shape[-2:])
    total = torch.zeros(len(rows), grid[0] * FINE, grid[1] * FINE, dtype=cells.dtype, device=cells.device)
    weight, square = torch.zeros(len(rows)).to(total), torch.zeros(len(rows)).to(total)
    places = {row: place for place, row in enumerate(rows.tolist())}
    for example in examples:
        own = [i for i, row in enumerate(example.rows.tolist()) if row in places]
        at = torch.tensor([places[example.rows[i]] for i in own], dtype=torch.long, device=total.device)
        if not own:
            continue
        shares, certainty = _matched(options, groups, cells[at], grid, widened(example.features[own]))
        total[at] += certainty[:, None, None] * shares
        weight[at] += certainty
        square[at] += certainty.square()
    weight = weight.clamp(min=1e-12)
    shares = total / weight[:, None, None]
    fine = cell_centres(*shares.shape[-2:], like=shares)
    means = (shares.flatten(1) @ fine).cpu().double().numpy()
    return Found(
        rows,
        tuple(crops),
        shares.cpu().double().numpy(),
        (square / weight).cpu().double().numpy(),
        np.stack([crop.to_image(mean) for crop, mean in zip(crops, means, strict=True)]),
    )


def _matched(
    options: SecondLook, groups: tuple[int, ...], cells: Tensor, grid: tuple[int, int], example: Tensor
) -> tuple[Tensor, Tensor]:
    """The distributions [P, N, N] of P patches by one example, and their certainties [P].

    cells: [P, n, C], after `normed`. grid: (h, w) of a patch. example: [P, C, h, w].
    """
    middle = example.new_full((len(example), 1, 2), 0.5)
    sample = normed(features_at(example, middle), groups)  # P 1 C
    theirs = torch.cat([sample, normed(example.flatten(2).transpose(1, 2), groups)], dim=1)
    cosines = (sample @ cells.transpose(1, 2)).unflatten(-1, grid)  # P 1 h w
    fine = F.interpolate(cosines, scale_factor=FINE, mode="bicubic", align_corners=False)[:, 0]
    away = (cell_centres(*fine.shape[-2:], like=fine) - 0.5).square().sum(dim=-1) * options.side**2
    scores = fine.flatten(1) / options.temperature - away / (2 * options.reach**2)
    shares = scores.softmax(dim=-1).unflatten(-1, tuple(fine.shape[-2:]))

    best = cosines.flatten(1).argmax(dim=-1)
    chosen = cells[torch.arange(len(cells), device=cells.device), best]  # P C
    back = (theirs @ chosen[..., None])[..., 0] / options.temperature  # P n + 1
    origins = torch.cat([middle[0], cell_centres(*grid, like=back)])
    returned = (back.softmax(dim=-1) @ origins - 0.5).norm(dim=-1) * options.side
    constant, slope = options.certainty
    return shares, (constant + slope * returned).sigmoid().clamp(min=_LEAST)
