"""Sampling of training episodes for models that match a query with examples of its category.

The crop of every picture is drawn on its own; only the labels tie the crops of an episode together. All random numbers
come from the seed, the number of the episode in the run and the number of the picture in the episode, so that a resumed
run continues with the same episodes. All arrays are numpy; the trainers convert them to tensors.

Letters: N objects, M examples of an episode, K keypoints, S side of a crop in pixels.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..configs.checks import check_choice, check_positive, check_whole
from ..configs.strict import Config
from ..crops.augment import MATCHER, AugmentConfig, crop_placed, jitter, place
from ..crops.batches import Episode, LabelledCrop
from ..crops.heatmaps import CELLS, heat_targets, heat_weights
from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject
from ..geometry import MATCHER_CROP, visible_in
from ..images import read_picture
from .pairs import Pair, balanced_weights, by_category, refuse_small, too_small, training_pairs

SAMPLINGS = ("released", "balanced")
REFUSE, LEAVE_OUT = SMALL = ("refuse", "leave_out")


@dataclass(frozen=True)
class EpisodeConfig(Config):
    """How episodes are drawn and cropped. The defaults are the recipe of GraphCape and CapeX, except the resampling.

    shots: number of examples of an episode.
    sampling: "released" draws equally many episodes of every category; "balanced" draws the query by
        `pairs.balanced_weights`.
    crop_scale: side of a crop over the longer side of the box.
    size: side S of a crop in pixels.
    small: what becomes of categories with too few objects for an episode: "refuse", or with the sampling "balanced"
        "leave_out", which never draws them.
    released_crop: crop and label as the released code does, see `label_crop`.
    sigma: standard deviation of the heat maps in cells: 1 for GraphCape and CapeX, 2 for POMNet and CapeFormer.
    cells: number of cells along a side of a heat map.
    heatmaps: False draws no heat maps, for models that read points.
    example_pixels: False leaves the examples' pictures unread and black; CapeX needs only the examples' labels.
    seed: seed of all random numbers.
    augment: random changes of the crops. A mapping that gives some keys takes the defaults of AugmentConfig for the
        others, not those of MATCHER.
    """

    called: ClassVar[str] = "The options of episodes"

    shots: int = 1
    sampling: str = "released"
    small: str = REFUSE
    crop_scale: float = MATCHER_CROP[0]
    size: int = MATCHER_CROP[1]
    released_crop: bool = False
    sigma: int = 1
    cells: int = CELLS
    heatmaps: bool = True
    example_pixels: bool = True
    seed: int = 42
    augment: AugmentConfig = MATCHER

    def __post_init__(self) -> None:
        check_choice(self.sampling, "An episode's sampling", SAMPLINGS)
        check_choice(self.small, "What becomes of small categories", SMALL)
        if self.small == LEAVE_OUT and self.sampling != "balanced":
            raise InputError("small 'leave_out' needs sampling 'balanced': the released epochs have every category.")
        for name in ("shots", "size", "sigma", "cells"):
            check_whole(getattr(self, name), f"An episode's {name}")
        check_positive(self.crop_scale, "An episode's crop_scale")


class EpisodeSampler:
    """The episodes of a run by their number, which counts them over all steps and processes.

    per_epoch: number of episodes in an epoch of the released training: for every category that has objects, as many
        as the largest category has objects.
    """

    def __init__(self, data: Dataset, config: EpisodeConfig, alone: bool = False) -> None:
        """Raises InputError where the data has no object, or a category too few objects for an episode.

        With sampling "balanced" a category without any object is never drawn and may be there.

        alone: draw objects of categories with too few others for examples too. The query then stands in the examples'
            place, so such an episode may only be answered by words (see `is_alone`).
        """
        self.objects, self.config, self._alone = data.objects, config, alone
        self._data, self._members = data, by_category(data)
        if not data.objects:
            raise InputError("There is no object with a labelled point to train on; check the data file.")
        self._epoch: tuple[int, list[Pair]] | None = None
        if config.sampling == "balanced":
            left_out = {} if alone or config.small == REFUSE else self.too_few()
            if not alone:
                refuse_small(data, config.shots, {key for key, rows in self._members.items() if rows} - left_out.keys())
            categories = [item.category_id for item in data.objects]
            sources = [getattr(item, "source", "") for item in data.objects]
            drawn = balanced_weights(categories, sources, getattr(data, "weights", None))
            drawn = np.where(np.isin(categories, list(left_out)), 0.0, drawn)
            if not drawn.any():
                raise InputError(
                    f"No category has {config.shots + 1} objects to draw an episode from; complete the data."
                )
            self._cumulative_weights = np.cumsum(drawn)
        elif not alone:
            refuse_small(data, config.shots)
        self.per_epoch = max(map(len, self._members.values())) * sum(map(bool, self._members.values()))

    def too_few(self) -> dict[int, int]:
        """The categories with objects, but too few for an episode: id and number of objects."""
        return {key: count for key, count in too_small(self._data, self.config.shots, 1).items() if count}

    def pair(self, number: int) -> Pair:
        """The objects of an episode."""
        if self.config.sampling == "balanced":
            return self._balanced_pair(number)
        epoch, index = divmod(number, self.per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            seed = int(np.random.SeedSequence([self.config.seed, 3, epoch]).generate_state(1)[0])
            self._epoch = (epoch, training_pairs(self._data, self.config.shots, seed, alone=self._alone))
        return self._epoch[1][index]

    def is_alone(self, number: int) -> bool:
        """Whether the query of an episode has no example but itself."""
        pair = self.pair(number)
        return pair.query in pair.examples

    def episode(self, number: int, example_pixels: bool = True) -> Episode:
        """Crop and label the objects of an episode. Raises InputError where a picture cannot be read.

        number: number of the episode in the run, from 0.
        example_pixels: False leaves the examples of this episode unread and black, as the option of the config does
            for all episodes.
        """
        pair, read = self.pair(number), example_pixels and self.config.example_pixels
        examples = [self.crop(index, number, picture, read) for picture, index in enumerate(pair.examples, start=1)]
        return Episode(tuple(examples), self.crop(pair.query, number, 0), self.objects[pair.query].category)

    def crop(self, index: int, number: int, picture: int, read: bool = True) -> LabelledCrop:
        """The crop of one object of an episode.

        index: index of the object in the data.
        number: number of the episode in the run.
        picture: number of the picture in the episode: 0 for the query, from 1 on for the examples.
        read: False leaves the picture unread and the crop black.
        """
        rng = np.random.default_rng([self.config.seed, 1, number, picture])
        return label_crop(self.objects[index], self.config, rng, read)

    def _balanced_pair(self, number: int) -> Pair:
        rng = np.random.default_rng([self.config.seed, 2, number])
        query = int(np.searchsorted(self._cumulative_weights, rng.random() * self._cumulative_weights[-1], "right"))
        rows = self._members[self.objects[query].category_id]
        if len(rows) <= self.config.shots:
            return Pair((query,) * self.config.shots, query)
        drawn = rng.choice(len(rows) - 1, self.config.shots, replace=False)
        own = bisect_left(rows, query)  # the query's place among its category's objects, left out of the draw
        return Pair(tuple(rows[i + (i >= own)] for i in drawn.tolist()), query)


def label_crop(
    item: LabelledObject, config: EpisodeConfig, rng: np.random.Generator, read: bool = True
) -> LabelledCrop:
    """Draw a crop round one object and transform its labels into the crop.

    With `released_crop` it is done as in the released code: each pixel is a bilinear mean of four
    (`images.warp_pixels`), and a labelled point outside the crop still counts as visible where a part of its Gaussian
    reaches the heat map. Raises InputError where the picture cannot be read.

    item: the object, its points in image pixels.
    config: size of the crop, its random changes and its heat maps.
    rng: generator of the crop's random changes.
    read: False leaves the picture unread and the crop black.
    """
    placement = place(item.box, config.crop_scale, config.augment, rng, item.category.flips)
    points = placement.labels(item.points, item.category)
    candidates = ~np.isnan(points).any(axis=1) if config.released_crop else visible_in(points)
    stride = config.size / config.cells
    drawn = (points * config.size, candidates, config.sigma, config.cells, stride)
    if config.heatmaps:
        heatmaps, weights = heat_targets(*drawn)
    else:
        heatmaps, weights = np.zeros((len(points), 0, 0), np.float32), heat_weights(*drawn)
    if not read:
        return LabelledCrop(np.zeros((config.size, config.size, 3), np.uint8), points, weights > 0, heatmaps)
    image = read_picture(item.image)
    if config.augment.colour:
        image = jitter(image, config.augment.colour, rng)
    pixels = crop_placed(image, placement, config.size, config.released_crop)
    return LabelledCrop(pixels, points, weights > 0, heatmaps)
