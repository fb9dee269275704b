"""Training crops: one random similarity transform and one resampling per crop; points move by the same matrix.

Letters: K keypoints, S side of a crop in pixels. "Normalised coordinates" run from 0 to 1 over the crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np
from PIL import Image, ImageEnhance

from ..category import Category
from ..configs.checks import check_choice, check_positive, check_share
from ..configs.strict import Config
from ..errors import InputError
from ..geometry import Box, Crop, apply_matrix, crop_matrix, invert_matrix, square_crop
from ..images import UprightPicture, warp_pixels

TURNS = ("uniform", "normal")

Picture = TypeVar("Picture", Image.Image, UprightPicture)


@dataclass(frozen=True)
class AugmentConfig(Config):
    """Random changes of a training crop. The defaults are CapeLLM's released recipe; PLAIN has no change.

    scale: standard deviation of the factor on the crop's side, which is normal around 1 and clipped to 1 +- scale.
    rotation: largest angle in degrees with turn "uniform"; with turn "normal" the standard deviation of the angle,
        which is then clipped to twice that.
    turn: distribution of the angle, "uniform" or "normal".
    turned: probability that a crop is rotated at all.
    shift: largest shift along x and along y as a share of the crop's side, uniform.
    flip: probability that a crop is mirrored; labels of left and right keypoints are then exchanged. Categories with a
        side that has no partner are never mirrored.
    colour: brightness, contrast and saturation are each multiplied by a factor that is uniform in 1 +- colour.
    """

    called: ClassVar[str] = "The options of augment"

    scale: float = 0.3
    rotation: float = 40.0
    turn: str = "uniform"
    turned: float = 0.5
    shift: float = 0.0
    flip: float = 0.0
    colour: float = 0.0

    def __post_init__(self) -> None:
        check_choice(self.turn, "augment's turn", TURNS)
        for name in ("turned", "flip", "colour"):
            check_share(getattr(self, name), f"augment's {name}")
        for name in ("rotation", "shift"):
            check_positive(getattr(self, name), f"augment's {name}", zero=True)
        if not 0 <= self.scale < 1:
            raise InputError(f"augment's scale must be 0 or more and below 1, but got {self.scale}.")


PLAIN = AugmentConfig(scale=0, rotation=0)
# The papers do not give these values; they are from the released codes. All of them draw for every picture anew, also
# for the examples and the query of one episode. None shifts or changes colours, and LocLLM alone mirrors.
CAPELLM = AugmentConfig()
LOCLLM = AugmentConfig(flip=0.5)
MATCHER = AugmentConfig(scale=0.15, rotation=15, turn="normal", turned=0.6)  # of GraphCape and CapeX


@dataclass(frozen=True)
class CropPlacement:
    """Where a training crop lies in its picture: a square, turned about its centre, then mirrored where `flipped`.

    crop: the square before it is turned, in image pixels.
    degrees: angle by which the square is turned.
    flipped: whether the crop is mirrored left to right.
    """

    crop: Crop
    degrees: float = 0.0
    flipped: bool = False

    def matrix(self, size: int) -> np.ndarray:
        """The affine matrix (2, 3) from image pixels to pixels of a crop with `size` pixels a side."""
        return crop_matrix(self.crop, size, self.degrees, self.flipped)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Normalised coordinates ... 2 to image pixels ... 2."""
        return apply_matrix(invert_matrix(self.matrix(1)), points)

    def normalise(self, points: np.ndarray) -> np.ndarray:
        """Image pixels ... 2 to normalised coordinates ... 2; NaN stays NaN."""
        return apply_matrix(self.matrix(1), points)

    def labels(self, points: np.ndarray, category: Category) -> np.ndarray:
        """The labels of an object in the crop, K 2 in normalised coordinates.

        In a mirrored crop the subject's left looks like a right, so the points of left and right keypoints are
        exchanged. Keypoint i then means the same in every crop, and names and skeleton stay as they are.

        points: K 2, the object's points in image pixels; NaN where not labelled.
        category: tells which keypoints are left and right of each other.
        """
        moved = self.normalise(points)
        return moved[category.mirrored()] if self.flipped else moved

    def keypoints_of(self, labels: Sequence[int], category: Category) -> list[int]:
        """Indices of the keypoints that labels of the object are in the crop, where left and right may be exchanged.

        labels: indices of the object's labels.
        category: tells which keypoints are left and right of each other.
        """
        mirrored = category.mirrored()
        return [mirrored[i] if self.flipped else i for i in labels]


def place(
    box: Box, crop_scale: float, config: AugmentConfig, rng: np.random.Generator, flips: bool = True
) -> CropPlacement:
    """Draw a random crop around a box.

    box: x, y, width, height in image pixels.
    crop_scale: side of the unchanged crop over the longer side of the box.
    config: the random changes.
    rng: generator of the draw.
    flips: whether the crop may be mirrored at all, see `Category.flips`; the draws are the same if it may not.
    """
    crop = square_crop(box, crop_scale)
    factor = float(np.clip(1 + config.scale * rng.standard_normal(), 1 - config.scale, 1 + config.scale))
    turned = rng.random() < config.turned
    if config.turn == "uniform":
        degrees = rng.uniform(-config.rotation, config.rotation)
    else:
        degrees = float(np.clip(config.rotation * rng.standard_normal(), -2 * config.rotation, 2 * config.rotation))
    shift = rng.uniform(-config.shift, config.shift, 2) * crop.side
    flipped = bool(rng.random() < config.flip) and flips
    side = crop.side * factor
    x, y = np.array([crop.x, crop.y]) + crop.side / 2 + shift - side / 2
    return CropPlacement(Crop(float(x), float(y), side), degrees if turned else 0.0, flipped)


def crop_placed(
    image: Image.Image | UprightPicture, placement: CropPlacement, size: int, released_crop: bool = False
) -> np.ndarray:
    """The pixels of a crop, S S 3 uint8, bilinear, black outside the picture.

    A point p of the picture lies at `placement.normalise(p) * size` in the crop.

    image: the picture, RGB.
    placement: where the crop lies.
    size: S.
    released_crop: sample as the released codes do (`images.warp_pixels`), for models whose config says so.
    """
    if released_crop:
        return warp_pixels(image, placement.matrix(size), size)
    inverse = invert_matrix(placement.matrix(size))  # from pixels of the crop to image pixels
    if isinstance(image, UprightPicture):
        inverse = np.column_stack([inverse[:, :2], inverse[:, 2] - image.corner]) / image.shrunk
        image = image.pixels
    shrink = int(np.hypot(*inverse[:, 0]))
    if shrink >= 2:  # a bilinear sample reads 2 x 2 pixels, so a larger step would skip pixels: average first
        image, inverse = image.reduce(shrink), inverse / shrink
    out = image.transform((size, size), Image.Transform.AFFINE, inverse.ravel().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(out)


def jitter(image: Picture, colour: float, rng: np.random.Generator) -> Picture:
    """The picture with random brightness, contrast and saturation, each by a factor uniform in 1 +- `colour`."""
    if isinstance(image, UprightPicture):
        return replace(image, pixels=jitter(image.pixels, colour, rng))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(1 - colour, 1 + colour))
    return image
