"""Training episodes of the models that match: examples of a category, and a query in which its keypoints are found.

Every picture of an episode is cropped and changed by itself; that they agree is a matter of the labels alone.
Everything random comes from (seed, place in the run, picture), so that nothing needs to be remembered. It is all numpy;
the trainer makes tensors of it.

Letters: B episodes of a batch, M examples, K keypoints (of a batch: the widest), S side of a crop in pixels, N cells a
side of a heat map.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..category import Category
from ..crops.augment import MATCHER, AugmentConfig, crop_placed, jitter, place
from ..crops.heatmaps import CELLS, heat_targets
from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject
from ..geometry import MATCHER_CROP, visible_in
from ..images import read_image, warp_pixels
from .pairs import Pair, balanced_weights, by_category, refuse_small, training_pairs

SAMPLINGS = ("released", "balanced")


@dataclass(frozen=True)
class EpisodeConfig:
    """How episodes are drawn and cut. The defaults are GraphCape's and CapeX's recipe but for the resampling."""

    shots: int = 1  # examples of an episode
    sampling: str = "released"  # equally many of each category, mixed; "balanced": as `pairs.balanced_weights` has it
    crop_scale: float = MATCHER_CROP[0]  # of the box's longer side
    size: int = MATCHER_CROP[1]  # pixels a side of a crop
    released_crop: bool = False  # cut and label as the released code does (see `mark`)
    sigma: int = 1  # of the heat maps, in cells: 1 for GraphCape and CapeX, 2 for POMNet and CapeFormer
    cells: int = CELLS  # a side of a heat map
    example_pixels: bool = True  # False leaves the examples' pictures black and unread: CapeX asks for labels only
    seed: int = 42
    augment: AugmentConfig = MATCHER  # where a file gives some of its keys, the others are AugmentConfig's own

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLINGS:
            raise InputError(f"sampling must be one of {', '.join(SAMPLINGS)}, but got {self.sampling!r}.")
        for name in ("shots", "size", "sigma", "cells"):
            if getattr(self, name) < 1:
                raise InputError(f"An episode's {name} must be at least 1, but got {getattr(self, name)}.")
        if not 0 < self.crop_scale < np.inf:
            raise InputError(f"An episode's crop_scale must be finite and above 0, but got {self.crop_scale}.")


@dataclass(frozen=True)
class Marked:
    """A crop with its marks; in a batch all have the same leading dimensions."""

    pixels: np.ndarray  # S S 3 uint8; or what a backbone made of such a crop, C h w float16 (see `training.features`)
    points: np.ndarray  # K 2 float64, fractions of the crop, also outside of it; NaN where not labelled
    visible: np.ndarray  # K bool: labelled and in the crop
    heat: np.ndarray  # K N N float32, peak 1; 0 where not visible

    def only(self, rows: np.ndarray) -> "Marked":
        """The crop with the marks of these keypoints alone."""
        return Marked(self.pixels, self.points[rows], self.visible[rows], self.heat[rows])


@dataclass(frozen=True)
class Episode:
    """Examples and a query of one category; keypoint i is the same in all of them, mirrored or not."""

    examples: tuple[Marked, ...]
    query: Marked
    category: Category

    @property
    def common(self) -> np.ndarray:
        """(K,) bool: visible in the query and in all examples, which the losses are taken on. May be none."""
        return np.logical_and.reduce([one.visible for one in (*self.examples, self.query)])

    def only(self, rows: np.ndarray) -> "Episode":
        """The episode with these keypoints alone."""
        examples, query = tuple(one.only(rows) for one in self.examples), self.query.only(rows)
        return Episode(examples, query, self.category.only(rows.tolist()))


@dataclass(frozen=True)
class EpisodeBatch:
    """Episodes side by side, their keypoints padded to the widest: NaN points, not visible, without heat."""

    examples: Marked  # B M ...
    query: Marked  # B ...
    common: np.ndarray  # B K bool
    real: np.ndarray  # B K bool: which slots are keypoints at all
    categories: tuple[Category, ...]  # B of them: names, descriptions, skeletons


class EpisodePlan:
    """Which episode stands at each place of a run, places counted over all steps and processes.

    `per_epoch` is how many make an epoch of the released training: of each category as many as the largest has objects.
    Raises InputError where a category has too few objects for an episode; with sampling "balanced" one without any is
    never drawn.
    """

    def __init__(self, data: Dataset, config: EpisodeConfig) -> None:
        self.objects, self.config = data.objects, config
        self._data, self._members = data, by_category(data)
        if not data.objects:
            raise InputError("There is no object with a labelled point to train on; check the data file.")
        self._epoch: tuple[int, list[Pair]] | None = None
        if config.sampling == "balanced":
            refuse_small(data, config.shots, {key for key, rows in self._members.items() if rows})
            kinds = [item.category_id for item in data.objects]
            sources = [getattr(item, "source", "") for item in data.objects]
            self._reach = np.cumsum(balanced_weights(kinds, sources, getattr(data, "weights", None)))
        else:
            refuse_small(data, config.shots)
        self.per_epoch = max(map(len, self._members.values())) * sum(map(bool, self._members.values()))

    def pair(self, at: int) -> Pair:
        """The objects of the episode at a place."""
        if self.config.sampling == "balanced":
            return self._balanced(at)
        epoch, index = divmod(at, self.per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            seed = int(np.random.SeedSequence([self.config.seed, 3, epoch]).generate_state(1)[0])
            self._epoch = (epoch, training_pairs(self._data, self.config.shots, seed))
        return self._epoch[1][index]

    def episode(self, at: int, example_pixels: bool = True) -> Episode:
        """The episode at a place; raises InputError where a picture cannot be read.

        example_pixels: False leaves the examples' pictures black and unread, as the config's own does for all episodes.
        """
        pair, read = self.pair(at), example_pixels and self.config.example_pixels
        examples = [self.marked(index, at, picture, read) for picture, index in enumerate(pair.examples, start=1)]
        return Episode(tuple(examples), self.marked(pair.query, at, 0), self.objects[pair.query].category)

    def marked(self, index: int, at: int, picture: int, read: bool = True) -> Marked:
        """The crop of an object as one of the pictures of the episode at a place: 0 for the query, examples from 1."""
        return mark(self.objects[index], self.config, np.random.default_rng([self.config.seed, 1, at, picture]), read)

    def _balanced(self, at: int) -> Pair:
        rng = np.random.default_rng([self.config.seed, 2, at])
        query = int(np.searchsorted(self._reach, rng.random() * self._reach[-1], side="right"))
        rows = self._members[self.objects[query].category_id]
        drawn = rng.choice(len(rows) - 1, self.config.shots, replace=False)
        own = bisect_left(rows, query)
        return Pair(tuple(rows[i + (i >= own)] for i in drawn.tolist()), query)


def mark(item: LabelledObject, config: EpisodeConfig, rng: np.random.Generator, read: bool = True) -> Marked:
    """One object's crop, placed by `rng`, with its labels. read: False leaves the crop black.

    With `released_crop` as the released code does it: each pixel is a bilinear mean of four (`images.warp_pixels`), and
    a labelled point outside the crop still counts as visible where a part of its heat patch would reach the map.
    """
    placed = place(item.box, config.crop_scale, config.augment, rng)
    points = placed.labels(item.points, item.category)
    seen = ~np.isnan(points).any(axis=1) if config.released_crop else visible_in(points)
    heat, weights = heat_targets(points * config.size, seen, config.sigma, config.cells, config.size / config.cells)
    if not read:
        return Marked(np.zeros((config.size, config.size, 3), np.uint8), points, weights > 0, heat)
    image = read_image(item.image)
    if config.augment.colour:
        image = jitter(image, config.augment.colour, rng)
    if config.released_crop:
        pixels = warp_pixels(image, placed.matrix(config.size), config.size)
    else:
        pixels = crop_placed(image, placed, config.size)
    return Marked(pixels, points, weights > 0, heat)


def collate(episodes: Sequence[Episode]) -> EpisodeBatch:
    """Episodes as one batch; InputError where they differ in their number of examples."""
    shots = sorted({len(episode.examples) for episode in episodes})
    if len(shots) != 1:
        raise InputError(f"The episodes of a batch must have the same number of examples, but got {shots}.")
    width = max(len(episode.category) for episode in episodes)
    examples = [_stacked([_widened(one, width) for one in episode.examples]) for episode in episodes]
    return EpisodeBatch(
        _stacked(examples),
        _stacked([_widened(episode.query, width) for episode in episodes]),
        np.stack([_filled(episode.common, width) for episode in episodes]),
        np.stack([np.arange(width) < len(episode.category) for episode in episodes]),
        tuple(episode.category for episode in episodes),
    )


def _widened(one: Marked, width: int) -> Marked:
    points, visible, heat = _filled(one.points, width, np.nan), _filled(one.visible, width), _filled(one.heat, width)
    return Marked(one.pixels, points, visible, heat)


def _filled(rows: np.ndarray, width: int, fill: float = 0) -> np.ndarray:
    """K ... -> width ..., filled up at the end."""
    more = np.full((width - len(rows), *rows.shape[1:]), fill, dtype=rows.dtype)
    return np.concatenate([rows, more])


def _stacked(marked: Sequence[Marked]) -> Marked:
    columns = zip(*(vars(one).values() for one in marked), strict=True)
    return Marked(*(np.stack(column) for column in columns))
