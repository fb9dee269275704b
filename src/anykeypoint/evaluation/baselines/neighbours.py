"""Nearest-neighbour matching of pretrained features, without training: what a learned matcher must beat.

The crops of example and query (CROP_SCALE boxes) go through EfficientNet-Lite2 with its published weights. The feature
at an example's point is compared with every cell of the query's feature map; the most similar cell gives the point. A
prior keeps it near where `CopyExample` puts it: parts of animals resemble their neighbours and their mirror images.

Letters: K keypoints, C channels, R rows and columns of a feature map, N = R * R cells.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...category import Category
from ...configs.checks import check_positive
from ...example import Example
from ...geometry import CONFIDENCE_RADIUS, Box, square_crop
from ...images import crop_pixels, read_picture
from ...models import maps
from ...models.bounded_cache import BoundedCache
from .base import CROP_SCALE, BaselinePrediction, check_examples, example_box, transfer_points

IMAGE_SIZE = 320  # side of the crop in pixels; a stride of 16 makes 20 x 20 cells of it
PRIOR_SIGMA = 0.25  # standard deviation of the prior, as a fraction of the crop's side
PRIOR_HEIGHT = 0.1  # height of the prior, in units of the cosines that it is added to
TEMPERATURE = 0.05  # temperature of the softmax that refines the peak and gives the confidence
CACHE_SIZE = 256  # number of feature maps in the cache, half a megabyte each


class NearestNeighbour:
    """Matching of features as the module describes it.

    encoder: module that gives the two feature maps of a picture, and the normalisation of its pixels.
    prior: height of the prior; 0 matches by features alone.

    The confidence is the probability of a softmax over all cells within CONFIDENCE_RADIUS of the point. It ranks
    points, but is not calibrated: nothing was fitted. Points without a label in any example are NaN in both.
    """

    def __init__(self, encoder: nn.Module, prior: float = PRIOR_HEIGHT):
        check_positive(prior, "The height of the prior", zero=True)
        self.name = "nearest_neighbour" if prior else "nearest_neighbour_without_prior"
        self.encoder = encoder.eval()
        self.prior = prior
        self.cache: BoundedCache[Any] = BoundedCache(CACHE_SIZE)  # feature maps by file and box

    @classmethod
    def shipped(cls, prior: float = PRIOR_HEIGHT) -> "NearestNeighbour":
        """The baseline with EfficientNet-Lite2, whose weights are fetched if they are not in the cache."""
        from ...models.towers.vision import build_encoder
        from ...models.towers.vision_config import VisionConfig

        return cls(build_encoder(VisionConfig("efficientnet-lite2", image_size=IMAGE_SIZE)), prior)

    @classmethod
    def with_and_without_prior(cls) -> "list[NearestNeighbour]":
        """Both variants of `shipped` with one cache, so that each picture is encoded once."""
        with_prior = cls.shipped()
        without_prior = cls(with_prior.encoder, prior=0)
        without_prior.cache = with_prior.cache
        return [with_prior, without_prior]

    def predict(
        self, image: Any, category: Category, *, box: Box, example: Sequence[Example], **_: Any
    ) -> BaselinePrediction:
        crop = square_crop(box, CROP_SCALE)
        query = self.features(image, box)
        side = query.shape[1]
        total, count = torch.zeros(len(category), side * side), torch.zeros(len(category))
        for one in check_examples(example, category):
            frame = example_box(one)
            visible = torch.from_numpy(one.marked)
            points = square_crop(frame, CROP_SCALE).normalise(one.points)[one.marked]
            features = features_at_points(self.features(one.image, frame), torch.from_numpy(points).float())
            copied = torch.from_numpy(crop.normalise(transfer_points(one, box))[one.marked]).float()
            prior = self.prior * maps.gaussian_at(copied, cell_centres(side), PRIOR_SIGMA)
            total[visible] += features @ query.flatten(1) + prior  # K N
            count += visible
        xy, confidence = peaks(total / count.clamp(min=1)[:, None])
        absent = (count == 0).numpy()
        xy[absent], confidence[absent] = np.nan, np.nan
        return BaselinePrediction(crop.to_image(xy), confidence)

    def features(self, image: Any, box: Box) -> Tensor:
        """The feature map C R R of an object, each cell of unit length.

        Maps of pictures that are given by path are cached as long as the file stays the same.
        """
        try:
            status = Path(image).stat() if isinstance(image, str | Path) else None
        except OSError:
            status = None  # read_picture raises the error that says what is wrong with the file
        if status is None:
            return self._encode(image, box)
        key = (str(image), status.st_mtime_ns, status.st_size, tuple(box))
        return self.cache.get(key, lambda: self._encode(image, box))

    def _encode(self, image: Any, box: Box) -> Tensor:
        pixels = crop_pixels(read_picture(image), square_crop(box, CROP_SCALE), IMAGE_SIZE)
        with torch.no_grad():
            return unit_map(*self.encoder.model(self.encoder.normalise(torch.from_numpy(pixels)[None])))


def unit_map(fine: Tensor, coarse: Tensor) -> Tensor:
    """Two feature maps of one picture as one, each cell of unit length.

    fine: (1, C1, R, R). coarse: (1, C2, R/2, R/2), enlarged bilinearly to the size of the fine one.
    Returns (C1 + C2, R, R); the dot product of two cells is the mean of both maps' cosines.
    """
    coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([F.normalize(part[0], dim=0) for part in (fine, coarse)]) / 2**0.5


def features_at_points(features: Tensor, points: Tensor) -> Tensor:
    """A feature map (C, R, R) at points (K, 2), fractions of the crop -> (K, C), each row of unit length.

    Between cells the features are bilinear; a point beyond the outermost cells' centres has those of the nearest cell.
    """
    return F.normalize(maps.features_at(features[None], points[None])[0], dim=1)


def cell_centres(side: int) -> Tensor:
    """Centres (N, 2) of the cells, x and y as fractions of the crop, row by row."""
    return maps.cell_centres(side, side, like=torch.zeros(()))


def peaks(scores: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Scores (K, N) -> points (K, 2) as fractions of the crop, and confidences (K,).

    A point is the mean, under the softmax of the scores, of the highest cell and the cells round it.
    """
    side = round(scores.shape[1] ** 0.5)
    centres = cell_centres(side)
    probabilities = (scores / TEMPERATURE).softmax(dim=1)
    xy, _ = maps.peaks(probabilities, (side, side), centres)
    confidence = maps.share_within(probabilities, centres, xy, CONFIDENCE_RADIUS)
    return xy.double().numpy(), confidence.double().numpy()
