"""Crops with their labels, episodes made of them, and episodes stacked into one padded batch. All arrays are numpy.

Letters: B episodes of a batch, M examples of an episode, K keypoints (in a batch: of its largest category), S side of
a crop in pixels, N cells along a side of a heat map.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..category import Category
from ..errors import InputError


@dataclass(frozen=True)
class LabelledCrop:
    """A training crop and the labels of its object. In a batch every array has the same leading dimensions in front.

    pixels: S S 3 uint8; or the feature map that a frozen image encoder made of the crop, C h w float16.
    points: K 2 float64, normalised coordinates of the crop, also of keypoints outside it; NaN where not labelled.
    visible: K bool, whether the keypoint is labelled and lies in the crop.
    heatmaps: K N N float32 with the peak 1; all 0 where not visible. N is 0 where none are drawn.
    """

    pixels: np.ndarray
    points: np.ndarray
    visible: np.ndarray
    heatmaps: np.ndarray

    def only(self, keypoints: np.ndarray) -> "LabelledCrop":
        """The crop with the labels of some keypoints alone.

        keypoints: (k,) indices of the keypoints to keep, in their new order.
        """
        return LabelledCrop(self.pixels, self.points[keypoints], self.visible[keypoints], self.heatmaps[keypoints])


@dataclass(frozen=True)
class Episode:
    """Examples and a query of one category. Keypoint i is the same keypoint in all crops, mirrored ones included."""

    examples: tuple[LabelledCrop, ...]
    query: LabelledCrop
    category: Category

    @property
    def common(self) -> np.ndarray:
        """(K,) bool: keypoints that are visible in the query and in all examples. There may be none."""
        return np.logical_and.reduce([crop.visible for crop in (*self.examples, self.query)])

    def only(self, keypoints: np.ndarray) -> "Episode":
        """The episode with some keypoints alone.

        keypoints: (k,) indices of the keypoints to keep, in their new order.
        """
        examples = tuple(example.only(keypoints) for example in self.examples)
        return Episode(examples, self.query.only(keypoints), self.category.only(keypoints.tolist()))


@dataclass(frozen=True)
class EpisodeBatch:
    """Episodes stacked. Categories with fewer keypoints are padded: NaN points, not visible, heat maps of zeros.

    examples: arrays with the leading dimensions B M.
    query: arrays with the leading dimension B.
    common: B K bool, see `Episode.common`.
    categories: the B categories, with names, descriptions and skeletons.
    """

    examples: LabelledCrop
    query: LabelledCrop
    common: np.ndarray
    categories: tuple[Category, ...]


def collate(episodes: Sequence[Episode]) -> EpisodeBatch:
    """Stack episodes into one batch. Raises InputError where they differ in their number of examples."""
    shots = sorted({len(episode.examples) for episode in episodes})
    if len(shots) != 1:
        raise InputError(f"The episodes of a batch must have the same number of examples, but got {shots}.")
    width = max(len(episode.category) for episode in episodes)
    examples = [_stack([_pad_crop(crop, width) for crop in episode.examples]) for episode in episodes]
    return EpisodeBatch(
        examples=_stack(examples),
        query=_stack([_pad_crop(episode.query, width) for episode in episodes]),
        common=np.stack([_pad(episode.common, width) for episode in episodes]),
        categories=tuple(episode.category for episode in episodes),
    )


def _pad_crop(crop: LabelledCrop, width: int) -> LabelledCrop:
    """The crop with slots for `width` keypoints."""
    points, visible = _pad(crop.points, width, np.nan), _pad(crop.visible, width)
    return LabelledCrop(crop.pixels, points, visible, _pad(crop.heatmaps, width))


def _pad(rows: np.ndarray, width: int, fill: float = 0) -> np.ndarray:
    """An array K ... as width ..., with rows of `fill` behind its own."""
    padding = np.full((width - len(rows), *rows.shape[1:]), fill, dtype=rows.dtype)
    return np.concatenate([rows, padding])


def _stack(crops: Sequence[LabelledCrop]) -> LabelledCrop:
    """Each array of the crops stacked along a new first dimension."""
    columns = zip(*(vars(crop).values() for crop in crops), strict=True)
    return LabelledCrop(*(np.stack(column) for column in columns))
