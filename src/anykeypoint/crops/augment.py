"""Training crops: one random similarity transform and one resample per crop, points moved by the same matrix.

Letters: K keypoints, S side of the crop in pixels.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from ..category import Category
from ..errors import InputError
from ..geometry import Box, Crop, apply_matrix, crop_matrix, invert_matrix, square_crop

TURNS = ("uniform", "normal")


@dataclass(frozen=True)
class AugmentConfig:
    """How far a training crop may stray from the plain one (`PLAIN`). The defaults are CapeLLM's released recipe."""

    scale: float = 0.3  # spread of the crop's side, normal round 1 and cut at 1 +- scale
    rotation: float = 40.0  # degrees: half the range, or with turn "normal" the spread, cut at twice that
    turn: str = "uniform"  # how angles are drawn: "uniform" in +-rotation, or "normal"
    turned: float = 0.5  # share of crops that are turned at all
    shift: float = 0.0  # of the side, uniform in +-shift
    flip: float = 0.0  # share of mirrored crops; left/right names change places
    colour: float = 0.0  # brightness, contrast, saturation uniform in 1 +- colour

    def __post_init__(self) -> None:
        if self.turn not in TURNS:
            raise InputError(f"turn must be one of {', '.join(TURNS)}, but got {self.turn!r}.")
        for name in ("turned", "flip", "colour"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augment's {name} must be from 0 to 1, but got {getattr(self, name)}.")
        if not 0 <= self.scale < 1:
            raise InputError(f"augment's scale must be 0 or more and below 1, but got {self.scale}.")
        for name in ("rotation", "shift"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"augment's {name} must be finite and 0 or more, but got {getattr(self, name)}.")


PLAIN = AugmentConfig(scale=0, rotation=0)
# The papers are silent; these are their released codes. All draw for every picture anew, an example's and its query's
# alike; none shifts or changes colours, and only LocLLM mirrors.
CAPELLM = AugmentConfig()
LOCLLM = AugmentConfig(flip=0.5)
MATCHER = AugmentConfig(scale=0.15, rotation=15, turn="normal", turned=0.6)  # GraphCape and CapeX
RECIPES = {"plain": PLAIN, "capellm": CAPELLM, "locllm": LOCLLM, "matcher": MATCHER}


@dataclass(frozen=True)
class Placed:
    """Where a training crop lies: a square of the picture, turned about its centre, then perhaps mirrored."""

    crop: Crop
    degrees: float = 0.0
    flipped: bool = False

    def matrix(self, size: int) -> np.ndarray:
        """(2, 3): image pixels -> pixels of the crop, `size` a side."""
        return crop_matrix(self.crop, size, self.degrees, self.flipped)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Fractions of the crop ... 2 -> image pixels ... 2."""
        return apply_matrix(invert_matrix(self.matrix(1)), points)

    def normalise(self, points: np.ndarray) -> np.ndarray:
        """Image pixels ... 2 -> fractions of the crop ... 2; NaN stays NaN."""
        return apply_matrix(self.matrix(1), points)

    def labels(self, points: np.ndarray, category: Category) -> np.ndarray:
        """An object's points K 2 in image pixels -> what each keypoint's label is in the crop, K 2 fractions of it.

        In a mirrored crop what was the subject's left looks like a right, so left and right change places: keypoint i
        means the same in every crop, mirrored or not. Names and skeleton stay as they are.
        """
        moved = self.normalise(points)
        return moved[category.mirrored()] if self.flipped else moved


def place(box: Box, crop_scale: float, config: AugmentConfig, rng: np.random.Generator) -> Placed:
    """A random crop round a box: of `square_crop(box, crop_scale)`, as `config` says."""
    crop = square_crop(box, crop_scale)
    grow = float(np.clip(1 + config.scale * rng.standard_normal(), 1 - config.scale, 1 + config.scale))
    turned = rng.random() < config.turned
    if config.turn == "uniform":
        degrees = rng.uniform(-config.rotation, config.rotation)
    else:
        degrees = float(np.clip(config.rotation * rng.standard_normal(), -2 * config.rotation, 2 * config.rotation))
    shift = rng.uniform(-config.shift, config.shift, 2) * crop.side
    flipped = bool(rng.random() < config.flip)
    side = crop.side * grow
    x, y = np.array([crop.x, crop.y]) + crop.side / 2 + shift - side / 2
    return Placed(Crop(float(x), float(y), side), degrees if turned else 0.0, flipped)


def crop_placed(image: Image.Image, placed: Placed, size: int) -> np.ndarray:
    """The picture of a placed crop: S S 3 uint8, bilinear, black outside the image.

    A point p of the picture lies at `placed.normalise(p) * size` in it.
    """
    back = invert_matrix(placed.matrix(size))  # image pixels per crop pixel, and the crop's corner
    shrink = int(np.hypot(*back[:, 0]))
    if shrink >= 2:  # a coarse copy first, so that no pixel is skipped
        image, back = image.reduce(shrink), back / shrink
    out = image.transform((size, size), Image.Transform.AFFINE, back.ravel().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(out)


def jitter(image: Image.Image, colour: float, rng: np.random.Generator) -> Image.Image:
    """Random brightness, contrast and saturation."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(1 - colour, 1 + colour))
    return image
