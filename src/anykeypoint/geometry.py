"""The coordinate ladder: image pixels -> box -> square crop -> normalised, and back. No other file does this.

Frames, from the outside in:
  1. image       continuous pixels of the original, upright picture; (0, 0) is the top-left corner of the top-left
                 pixel, a pixel's centre lies at +0.5, x to the right, y down.
  2. box         [x, y, w, h] in image pixels.
  3. crop        a square [x, y, side] in image pixels round the box; it may reach beyond the picture.
  4. normalised  (image - crop corner) / side, the picture of the crop is [0, 1] x [0, 1].
"""

from dataclasses import dataclass

import numpy as np

from .errors import InputError

Box = tuple[float, float, float, float]


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
