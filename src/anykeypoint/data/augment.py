"""Training crops: one random similarity transform and one resample per crop, points moved by the same matrix.

Letters: K keypoints, S side of the crop in pixels.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from ..geometry import Box, square_crop


@dataclass(frozen=True)
class AugmentConfig:
    """How far a training crop may stray from the plain one; all zero gives the plain one."""

    scale: float = 0.3  # log-normal spread of the crop's side, cut at 1 +- scale (CapeLLM: 0.3)
    rotation: float = 40.0  # degrees, uniform in +-rotation, for half of the crops (CapeLLM: 40)
    shift: float = 0.0  # of the side, uniform in +-shift
    flip: float = 0.0  # share of mirrored crops; left/right names change places
    colour: float = 0.0  # brightness, contrast, saturation uniform in 1 +- colour


@dataclass(frozen=True)
class Placed:
    """A similarity from normalised crop coordinates to image pixels: image = matrix @ point + origin."""

    matrix: np.ndarray  # 2 2
    origin: np.ndarray  # 2
    flipped: bool

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Fractions of the crop ... 2 -> image pixels ... 2."""
        return points @ self.matrix.T + self.origin

    def normalise(self, points: np.ndarray) -> np.ndarray:
        """Image pixels ... 2 -> fractions of the crop ... 2; NaN stays NaN."""
        return (points - self.origin) @ np.linalg.inv(self.matrix).T


def place(box: Box, crop_scale: float, config: AugmentConfig, rng: np.random.Generator) -> Placed:
    """A random crop round a box."""
    crop = square_crop(box, crop_scale)
    grow = float(np.clip(1 + config.scale * rng.standard_normal(), 1 - config.scale, 1 + config.scale))
    turned = rng.random() < 0.5
    angle = math.radians(rng.uniform(-config.rotation, config.rotation)) * turned
    shift = rng.uniform(-config.shift, config.shift, 2) * crop.side
    flipped = bool(rng.random() < config.flip)
    side = crop.side * grow
    cos, sin = math.cos(angle) * side, math.sin(angle) * side
    matrix = np.array([[-cos if flipped else cos, -sin], [-sin if flipped else sin, cos]])
    centre = np.array([crop.x, crop.y]) + crop.side / 2 + shift
    return Placed(matrix, centre - matrix @ (0.5, 0.5), flipped)


def crop_placed(image: Image.Image, placed: Placed, size: int) -> np.ndarray:
    """The picture of a placed crop: S S 3 uint8, bilinear, black outside the image."""
    step = placed.matrix / size  # image pixels per crop pixel
    shrink = int(np.hypot(*step[:, 0]))
    if shrink >= 2:  # a coarse copy first, so that no pixel is skipped
        image = image.reduce(shrink)
        step, origin = step / shrink, placed.origin / shrink
    else:
        origin = placed.origin
    coefficients = (step[0, 0], step[0, 1], origin[0], step[1, 0], step[1, 1], origin[1])
    out = image.transform((size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(out)


def jitter(image: Image.Image, colour: float, rng: np.random.Generator) -> Image.Image:
    """Random brightness, contrast and saturation."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(1 - colour, 1 + colour))
    return image
