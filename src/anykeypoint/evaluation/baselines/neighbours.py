"""Finding an example's points again by their looks, without training: what a learned matcher must beat.

Both pictures are cropped to 1.25 boxes and go through EfficientNet-Lite2 as it comes. What the map has at an example's
point is compared with every place of the query's map; the most similar place is the answer. A prior holds the answer
near where `CopyExample` puts it: parts of animals look like their neighbours and like their mirror images.

Letters: K keypoints, C channels, R rows and columns of a map, N = R * R cells.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...category import Category
from ...errors import InputError
from ...example import Example
from ...geometry import Box, square_crop
from ...images import crop_pixels, read_image
from ...models import maps
from ...models.maps import features_at
from .positions import CROP_SCALE, Prediction, carried, check_examples, example_box

SIZE = 320  # pixels a side of the crop; stride 16 makes it 20 x 20 cells
SIGMA = 0.25  # of the prior, as a fraction of the crop
PRIOR = 0.1  # its height, where similarities are cosines
WARMTH = 0.05  # of the softmax that refines the peak and is read as confidence
NEAR = 0.1  # of the crop: what counts as the peak's surroundings, as in the models' confidence
KEPT = 256  # maps in the cache, half a megabyte each


class NearestNeighbour:
    """See above. prior: the prior's height; 0 is matching by looks alone. encoder: pictures -> the two maps.

    confidence: the share of a softmax over all cells within a tenth of the crop of the answer. It ranks answers, but is
    no probability: nothing was fitted. Points that no example shows are NaN in both.
    """

    def __init__(self, encoder: nn.Module, prior: float = PRIOR):
        if not prior >= 0:
            raise InputError(f"The height of the prior must be 0 or more, but got {prior!r}.")
        self.name = "nearest_neighbour" if prior else "nearest_neighbour_without_prior"
        self.encoder = encoder.eval()
        self.prior = prior
        self._maps: OrderedDict[tuple, Tensor] = OrderedDict()

    @classmethod
    def shipped(cls, prior: float = PRIOR) -> "NearestNeighbour":
        """With the packaged weights, fetched if they are not there yet."""
        from ...models.towers.vision import VisionConfig, build_encoder

        return cls(build_encoder(VisionConfig("efficientnet-lite2", image_size=SIZE)), prior)

    @classmethod
    def with_and_without_prior(cls) -> "list[NearestNeighbour]":
        """Both as shipped, on one cache: each picture is looked at once."""
        held = cls.shipped()
        free = cls(held.encoder, prior=0)
        free._maps = held._maps
        return [held, free]

    def predict(self, image: Any, category: Category, *, box: Box, example: Sequence[Example], **_: Any) -> Prediction:
        crop = square_crop(box, CROP_SCALE)
        query = self.features(image, box)
        side = query.shape[1]
        total, count = torch.zeros(len(category), side * side), torch.zeros(len(category))
        for shown in check_examples(example, category):
            frame = example_box(shown)
            places = square_crop(frame, CROP_SCALE).normalise(shown.points)
            seen = torch.from_numpy(shown.shown)
            wanted = at_points(self.features(shown.image, frame), torch.from_numpy(places[shown.shown]).float())
            similarity = wanted @ query.flatten(1)  # K N
            copied = torch.from_numpy(crop.normalise(carried(shown, box))[shown.shown]).float()
            total[seen] += similarity + self.prior * maps.gaussian_at(copied, cell_centres(side), SIGMA)
            count += seen
        xy, confidence = peaks(total / count.clamp(min=1)[:, None])
        missing = (count == 0).numpy()
        xy[missing], confidence[missing] = np.nan, np.nan
        return Prediction(crop.to_image(xy), confidence)

    def features(self, image: Any, box: Box) -> Tensor:
        """The map of an object, C R R with unit columns. Kept for pictures given by path while the file stays."""
        key = None
        if isinstance(image, str | Path):
            try:
                status = Path(image).stat()
            except OSError:
                status = None  # read_image says what is wrong with it
            key = status and (str(image), status.st_mtime_ns, status.st_size, tuple(box))
        if key and key in self._maps:
            self._maps.move_to_end(key)
            return self._maps[key]
        pixels = crop_pixels(read_image(image), square_crop(box, CROP_SCALE), SIZE)
        with torch.no_grad():
            found = unit_map(*self.encoder.model(self.encoder.normalise(torch.from_numpy(pixels)[None])))
        if key:
            self._maps[key] = found
            while len(self._maps) > KEPT:
                self._maps.popitem(last=False)
        return found


def unit_map(fine: Tensor, coarse: Tensor) -> Tensor:
    """Maps 1 C1 R R and 1 C2 R/2 R/2 -> (C1 + C2) R R; a dot product of columns is the mean of both maps' cosines."""
    coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([F.normalize(part[0], dim=0) for part in (fine, coarse)]) / 2**0.5


def at_points(features: Tensor, places: Tensor) -> Tensor:
    """The map C R R at (K, 2) fractions of the crop, between cells bilinearly -> K C of unit length.

    A place beyond the outermost cells' centres has what the nearest of them has.
    """
    return F.normalize(features_at(features[None], places[None])[0], dim=1)


def cell_centres(side: int) -> Tensor:
    """(N, 2) x and y of the cells' centres, row by row, as fractions of the crop."""
    return maps.cell_centres(side, side, like=torch.zeros(()))


def peaks(scores: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Scores (K, N) -> (K, 2) fractions of the crop and (K,) the softmax's share within NEAR of them.

    A peak is the softmax mean over the highest cell and the cells round it.
    """
    side = round(scores.shape[1] ** 0.5)
    centres = cell_centres(side)
    shares = (scores / WARMTH).softmax(dim=1)
    xy, _ = maps.peaks(shares, (side, side), centres)
    return xy.double().numpy(), maps.share_within(shares, centres, xy, NEAR).double().numpy()
