"""The outline of an object, as COCO files have it under `segmentation`: polygons or a run-length mask.

Frames: polygons are in continuous image pixels; a mask has one value per pixel of the picture.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..errors import InputError
from ..geometry import Crop

_FINE = 512  # samples across a crop, at least


@dataclass(frozen=True, eq=False)
class Outline:
    """The part of the picture that an object covers: the union of polygons [M, 2] in image pixels, or a mask [H, W]."""

    polygons: tuple[np.ndarray, ...] = ()
    mask: np.ndarray | None = None

    def shares(self, crop: Crop, cells: int) -> np.ndarray:
        """How much of each of cells x cells cells of a crop the object covers: [cells, cells], rows = y, 0 to 1.

        Sampled at `_FINE` or more points across the crop.
        """
        fine = cells * math.ceil(_FINE / cells)
        if self.mask is None:
            canvas = Image.new("1", (fine, fine))
            pen = ImageDraw.Draw(canvas)
            for polygon in self.polygons:
                # A sample lies in the middle of its pixel, which the pen calls a whole number.
                pen.polygon([tuple(point) for point in (crop.normalise(polygon) * fine - 0.5).tolist()], fill=1)
            covered = np.asarray(canvas)
        else:
            places = (np.arange(fine) + 0.5) / fine * crop.side
            rows, columns = np.floor(crop.y + places).astype(int), np.floor(crop.x + places).astype(int)
            high, wide = self.mask.shape
            inside = ((rows >= 0) & (rows < high))[:, None] & ((columns >= 0) & (columns < wide))
            covered = self.mask[np.clip(rows, 0, high - 1)[:, None], np.clip(columns, 0, wide - 1)] & inside
        width = fine // cells
        return covered.reshape(cells, width, cells, width).mean(axis=(1, 3))


def read_outline(segmentation: Any, where: str) -> Outline | None:
    """A `segmentation` as a COCO file has it -> the outline; None for null and for an empty list.

    Polygons are lists of x, y, x, y, ...; a mask is {"size": [height, width], "counts": runs}, the runs as numbers or
    in the packed text of the COCO tools. `where` names the object in the InputError for anything else.
    """
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, Mapping):
        return Outline(mask=_mask(segmentation, where))
    if not isinstance(segmentation, list):
        raise InputError(
            f"{where}, key 'segmentation', must be polygons or a mask, but got {str(segmentation)[:40]!r}."
        )
    return Outline(polygons=tuple(_polygon(polygon, where) for polygon in segmentation))


def _polygon(values: Any, where: str) -> np.ndarray:
    try:
        points = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.full(1, np.nan)
    if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
        raise InputError(f"{where}, key 'segmentation', has a polygon that is not three or more points x, y in a row.")
    return points.reshape(-1, 2)


def _mask(value: Mapping, where: str) -> np.ndarray:
    """Run lengths, alternately of outside and inside, down the columns one after the other -> [H, W] bool."""
    size, counts = value.get("size"), value.get("counts")
    runs = _unpack(counts) if isinstance(counts, str) else counts
    plain = isinstance(size, list) and len(size) == 2 and isinstance(runs, list)
    if not plain or not all(type(number) is int and number >= 0 for number in [*size, *runs]):
        raise InputError(f"{where}, key 'segmentation', must have a mask's size [height, width] and its run lengths.")
    if sum(runs) != size[0] * size[1]:
        raise InputError(
            f"{where}, key 'segmentation', has runs of {sum(runs)} pixels for a mask of {size[0]} x {size[1]}."
        )
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(size[1], size[0]).T


def _unpack(text: str) -> list[int]:
    """Run lengths from the COCO tools' text: 5 bits and a mark "goes on" per letter, from the 4th on as the difference
    to the one two before; negative lengths come of texts that are none."""
    runs: list[int] = []
    number = shift = 0
    for letter in text:
        piece = ord(letter) - 48
        number |= (piece & 31) << shift
        shift += 5
        if piece & 32:
            continue
        if piece & 16:  # the sign
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    return runs
