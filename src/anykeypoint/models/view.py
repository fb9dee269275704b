"""From a picture and a box to a square crop, and from points in that crop to a `Pose`: the same for all families."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..category import Category
from ..configs.checks import check_whole
from ..density import Density
from ..density.presence import PRESENT_FROM, present_points
from ..geometry import Box, Crop, check_overlap, crop_matrix, square_crop
from ..images import ImageSource, crop_pixels, read_picture, warp_pixels
from ..pose import Pose, with_uncertainty


@dataclass(frozen=True)
class ObjectCrop:
    """One object, cut out of its picture.

    pixels: RGB, uint8 [S, S, 3], rows = y.
    crop: the square that was cut out, in image pixels.
    box: the object's x, y, w, h in image pixels.
    image_size: width and height of the picture in pixels.
    image: path of the picture; empty where it did not come from a file.
    """

    pixels: np.ndarray = field(repr=False)
    crop: Crop
    box: Box
    image_size: tuple[int, int]
    image: str

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Fractions of the crop [..., 2] as image pixels [..., 2].

        Where the box is the whole picture, a point beside the picture becomes the nearest one in it: the square round a
        long thin picture is black for the greater part, and its cells are larger than the picture is high.
        """
        places, size = self.crop.to_image(points), self.image_size
        x, y, w, h = self.box
        whole = x <= 0 and y <= 0 and x + w >= size[0] and y + h >= size[1]
        return np.clip(places, 0, size) if whole else places

    def pose(
        self,
        category: Category,
        points: np.ndarray,
        confidence: np.ndarray,
        densities: Mapping[int, Density] | None = None,
        presence: np.ndarray | None = None,
        least: float = PRESENT_FROM,
        **more: Any,
    ) -> Pose:
        """The pose of these points, in image pixels.

        category: names the K keypoints, in the order of the points.
        points: [K, 2], fractions of the crop; a keypoint with a NaN could not be asked for.
        confidence: [K], from 0 to 1, or NaN.
        densities: number of a keypoint -> its density. The pose then also has covariance and entropy.
        presence: [K], from 0 to 1, or NaN; None where the model does not say.
        least: the presence from which a point is present.
        more: other fields of `Pose`.
        """
        presence = np.full(len(category), np.nan) if presence is None else presence
        pose = Pose(
            names=category.names,
            xy=self.to_image(points),
            confidence=confidence,
            presence=presence,
            present=present_points(points, presence, least),
            box=self.box,
            image_size=self.image_size,
            skeleton=category.skeleton,
            category=category.name,
            image=self.image,
            **more,
        )
        if densities is None:
            return pose
        return with_uncertainty(replace(pose, density={pose.keys[k]: one for k, one in densities.items()}))


def cut_object(
    image: ImageSource, box: Box | None, crop_scale: float, size: int, released_crop: bool = False
) -> ObjectCrop:
    """Cut one object out of a picture.

    image: what `images.read_picture` takes.
    box: x, y, w, h in image pixels, not wholly outside the picture; None takes the whole picture.
    crop_scale: side of the crop over the longer side of the box.
    size: side of the crop in its own pixels.
    released_crop: sample the pixels as MP-100's released code does (`images.warp_pixels`).

    Raises InputError for a picture that cannot be read and for a box that is none or lies outside the picture.
    """
    picture = read_picture(image)
    box = picture.whole if box is None else check_overlap(box, picture.size, picture.path or "the picture")
    crop = square_crop(box, crop_scale)
    cut = warp_pixels if released_crop else crop_pixels
    pixels = cut(picture, crop_matrix(crop, size) if released_crop else crop, size)
    return ObjectCrop(pixels, crop, box, picture.size, picture.path)


def density_of(crop: Crop, grid: np.ndarray, cells: bool | int = True) -> Density:
    """The density of one keypoint from non-negative weights on a grid of cells that tile the crop.

    grid: [N, N] with a positive sum, rows = y.
    cells: number of cells on a side of the density; True keeps the grid's own.
    """
    whole = grid / grid.sum()  # sums of float32 probabilities miss 1 by a rounding error
    if cells is not True:
        whole = regrid(whole, cells)
        whole = whole / whole.sum()
    return Density(crop, whole)


def regrid(grid: np.ndarray, cells: int) -> np.ndarray:
    """The same distribution on another number of cells: each old cell's share is divided by overlapping area.

    grid: [N, N], rows = y.
    cells: number of cells on a side of the result, from 1; InputError for anything else.
    """
    check_whole(cells, "A density's cells")
    old, new = np.linspace(0, 1, len(grid) + 1), np.linspace(0, 1, cells + 1)
    overlap = np.minimum(new[1:, None], old[1:]) - np.maximum(new[:-1, None], old[:-1])
    shares = np.clip(overlap, 0, None) * len(grid)  # [cells, N]: share of an old row that lies in a new one
    return shares @ grid @ shares.T
