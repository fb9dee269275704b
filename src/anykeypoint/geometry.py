"""Coordinate frames and the way between them: image pixels -> box -> square crop -> normalised, and back.

Frames, from the outside in:
  1. image       continuous pixels of the original, upright picture; (0, 0) is the top-left corner of the top-left
                 pixel, the centre of a pixel lies at +0.5, x runs to the right and y down.
  2. box         [x, y, w, h] in image pixels.
  3. crop        a square [x, y, side] in image pixels round the box; it may reach beyond the picture.
  4. normalised  (image - corner of the crop) / side; the crop is [0, 1] x [0, 1].

Pixels of the crop are normalised * size. Training also rotates and mirrors crops; `crop_matrix` does that.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InputError

Box = tuple[float, float, float, float]
LARGEST = 1e9  # pixels; the numbers of a box beyond it overflow what cuts crops
CONFIDENCE_RADIUS = 0.1  # share of the crop's side: confidence is the probability within this distance of the point
# The crops that models for MP-100 use: side as a multiple of the box's longer side, and pixels per side.
MATCHER_CROP, CAPELLM_CROP = (1.25, 256), (1.0, 224)


@dataclass(frozen=True)
class Crop:
    """A square of the picture's plane in image pixels: x and y of its top-left corner, and its side."""

    x: float
    y: float
    side: float

    def normalise(self, points: np.ndarray) -> np.ndarray:
        """Image pixels [..., 2] -> normalised coordinates [..., 2]; NaN stays NaN."""
        return (np.asarray(points, dtype=np.float64) - (self.x, self.y)) / self.side

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Normalised coordinates [..., 2] -> image pixels [..., 2]."""
        return np.asarray(points, dtype=np.float64) * self.side + (self.x, self.y)


def check_box(box: Box) -> Box:
    """The box as four floats; InputError unless it is finite, not absurdly large and has a longer side above 0.

    One side may be 0, as that of three points on a vertical line: the square of a crop has the longer side.
    """
    try:
        if isinstance(box, str | bytes | dict | set) or np.ma.is_masked(box):
            raise TypeError
        box = box.detach() if hasattr(box, "detach") else box  # type: ignore[attr-defined]  # a tensor with a gradient
        values = tuple(float(value) for value in box)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: a tensor of several numbers
        raise InputError(f"A box must be four finite numbers x, y, w, h in pixels, but got {box!r}.") from None
    if len(values) != 4 or not np.isfinite(values).all():
        raise InputError(f"A box must be four finite numbers x, y, w, h in pixels, but got {_shown(box)}.")
    if max(map(abs, values)) > LARGEST:
        raise InputError(f"A box's numbers must not be beyond {LARGEST:.0e} pixels, but got {_shown(values)}.")
    if min(values[2:]) < 0 or max(values[2:]) <= 0:
        raise InputError(
            f"A box must have a width or height above 0, and neither below, but got {_shown(values)}; give x, y, w, h."
        )
    return values  # type: ignore[return-value]


def _shown(box: Any) -> list[Any]:
    """The numbers of a box in a sentence: those of numpy and torch without their types."""
    return [value.item() if hasattr(value, "item") else value for value in box]


def check_overlap(box: Box, size: tuple[int, int], name: str = "the picture") -> Box:
    """The box as four floats; InputError where it is none, or lies wholly outside its picture.

    size: (width, height) of the picture in pixels.
    name: the picture, in the sentence.
    """
    values = check_box(box)
    if not overlaps_picture(values, size):
        raise InputError(
            f"The box {list(values)} lies outside {name}, which has {size[0]} x {size[1]} pixels; give x,y,w,h."
        )
    return values


def overlaps_picture(box: Box, size: tuple[int, int]) -> bool:
    """Whether a part of a box lies inside a picture of (width, height) pixels.

    A side of no length lies inside where its place does, on the border too.
    """
    return all(
        start < extent and start + length > 0 if length else 0 <= start <= extent
        for start, length, extent in zip(box[:2], box[2:], size, strict=True)
    )


def turned_hull(box: Box, degrees: float, pivot: tuple[float, float]) -> Box:
    """The upright box round a box that is turned clockwise, in the frame of the box.

    degrees: how far it is turned.
    pivot: the place that it is turned about.
    """
    x, y, w, h = box
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])  # clockwise, as y points down
    with np.errstate(over="ignore", invalid="ignore"):  # of a box beyond every picture, which is refused elsewhere
        corners = np.array([[x, y], [x + w, y], [x, y + h], [x + w, y + h]]) - pivot
        places = corners @ matrix.T + pivot
    low, high = places.min(axis=0), places.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def check_image_size(size: Any, what: str) -> tuple[int, int]:
    """(width, height) as two ints from 1 up; InputError otherwise. what: subject of the sentence."""
    try:
        if isinstance(size, str | bytes | dict | set):
            raise TypeError
        width, height = size
        whole = (int(width), int(height))
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{what} must be width and height in pixels, but got {size!r}.") from None
    if whole != (width, height) or min(whole) < 1:
        raise InputError(f"{what} must be two whole numbers from 1 up, but got {size!r}.")
    return whole


def square_crop(box: Box, scale: float = 1.0) -> Crop:
    """The square round the centre of a box.

    box: x, y, w, h in image pixels.
    scale: side of the square, as a multiple of the box's longer side.
    """
    x, y, w, h = check_box(box)
    side = max(w, h) * scale
    return Crop(x + w / 2 - side / 2, y + h / 2 - side / 2, side)


def crop_matrix(crop: Crop, size: int, degrees: float = 0.0, flipped: bool = False) -> np.ndarray:
    """The affine map [2, 3] float64 from image pixels to pixels of a rotated crop.

    crop: the square before it is rotated about its centre.
    size: side of the result in pixels. Without a rotation the map is `crop.normalise(points) * size`.
    degrees: a positive angle rotates the square clockwise as one looks at the picture, so its content appears rotated
        counter-clockwise. This is HRNet's three-point affine map (centre, the point above it, and their right angle).
    flipped: whether the rotated square is then mirrored, left to right.
    """
    scale, angle = size / crop.side, np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if flipped:
        turn[0] *= -1
    centre = np.array([crop.x, crop.y]) + crop.side / 2
    return np.column_stack([turn, size / 2 - turn @ centre])


def invert_matrix(matrix: np.ndarray) -> np.ndarray:
    """The inverse [2, 3] of an affine map [2, 3]."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def apply_matrix(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply an affine map [2, 3] to points [..., 2]; NaN stays NaN."""
    return np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]


def visible_in(normalised: np.ndarray) -> np.ndarray:
    """Which points lie inside a crop: [...] bool, False for NaN.

    normalised: [..., 2] in normalised coordinates.
    As in the released code, the left and top edges belong to the crop and the right and bottom edges do not.
    """
    with np.errstate(invalid="ignore"):
        return ((normalised >= 0) & (normalised < 1)).all(axis=1)
