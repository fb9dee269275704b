"""The coordinate ladder: image pixels -> box -> square crop -> normalised, and back. No other file does this.

Frames, from the outside in:
  1. image       continuous pixels of the original, upright picture; (0, 0) is the top-left corner of the top-left
                 pixel, a pixel's centre lies at +0.5, x to the right, y down.
  2. box         [x, y, w, h] in image pixels.
  3. crop        a square [x, y, side] in image pixels round the box; it may reach beyond the picture.
  4. normalised  (image - crop corner) / side, the picture of the crop is [0, 1] x [0, 1].

The crop's own pixels are normalised * size. In training crops are turned and mirrored: `crop_matrix` is that step.
"""

from dataclasses import dataclass

import numpy as np

from .errors import InputError

Box = tuple[float, float, float, float]
MATCHER_CROP, CAPELLM_CROP = (1.25, 256), (1.0, 224)  # MP-100's two crops: scale of the box, pixels a side


@dataclass(frozen=True)
class Crop:
    """A square window in image pixels: top-left corner and side."""

    x: float
    y: float
    side: float

    def normalise(self, points: np.ndarray) -> np.ndarray:
        """Image pixels [..., 2] -> fractions of the crop [..., 2]; NaN stays NaN."""
        return (np.asarray(points, dtype=np.float64) - (self.x, self.y)) / self.side

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Fractions of the crop [..., 2] -> image pixels [..., 2]."""
        return np.asarray(points, dtype=np.float64) * self.side + (self.x, self.y)


def check_box(box: Box) -> Box:
    """The box as four floats; InputError unless it is finite and has an area."""
    try:
        values = tuple(float(value) for value in box)
    except (TypeError, ValueError):
        raise InputError(f"A box must be four finite numbers x, y, w, h in pixels, but got {box!r}.") from None
    if len(values) != 4 or not np.isfinite(values).all():
        raise InputError(f"A box must be four finite numbers x, y, w, h in pixels, but got {list(box)}.")
    if values[2] <= 0 or values[3] <= 0:
        raise InputError(f"A box must have a width and height above 0, but got {list(box)}; give x, y, w, h.")
    return values  # type: ignore[return-value]


def square_crop(box: Box, scale: float = 1.0) -> Crop:
    """The square round a box's centre whose side is `scale` times the box's longer side.

    CapeLLM crops at scale 1.0, the matchers at 1.25; the shorter side always grows to the longer.
    """
    x, y, w, h = check_box(box)
    side = max(w, h) * scale
    return Crop(x + w / 2 - side / 2, y + h / 2 - side / 2, side)


def crop_matrix(crop: Crop, size: int, degrees: float = 0.0, flipped: bool = False) -> np.ndarray:
    """(2, 3) float64: image pixels -> pixels of the crop, `size` a side, whose window is turned about its centre.

    Without a turn this is `crop.normalise(points) * size`. A positive angle turns the window clockwise as it is seen,
    so its content counter-clockwise: HRNet's three-point affine (centre, the point above it, and their right angle).
    flipped: the turned window is then mirrored, left to right.
    """
    scale, angle = size / crop.side, np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if flipped:
        turn[0] *= -1
    centre = np.array([crop.x, crop.y]) + crop.side / 2
    return np.column_stack([turn, size / 2 - turn @ centre])


def invert_matrix(matrix: np.ndarray) -> np.ndarray:
    """(2, 3) -> (2, 3): the way back."""
    back = np.linalg.inv(matrix[:, :2])
    return np.column_stack([back, -back @ matrix[:, 2]])


def apply_matrix(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [..., 2] through a (2, 3) matrix; NaN stays NaN."""
    return np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]


def visible_in(normalised: np.ndarray) -> np.ndarray:
    """Which points K 2 lie on a pixel of the crop (NaN does not).

    As in the released code, its left and top edges belong to it and its right and bottom edges do not.
    """
    with np.errstate(invalid="ignore"):
        return ((normalised >= 0) & (normalised < 1)).all(axis=1)
