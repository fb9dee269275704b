"""The outline of an object, which COCO files have under `segmentation` as polygons or as a run-length mask.

Polygons are in continuous image pixels; a mask has one value per pixel of the picture.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..errors import InputError
from ..geometry import Crop
from ..images import picture_size
from .dataset import LabelledObject
from .reading import catching

_FINE = 512  # smallest number of samples across a crop


@dataclass(frozen=True, eq=False)
class Outline:
    """The part of the picture that an object covers.

    polygons: [M, 2] each, in image pixels; the object is their union.
    mask: [H, W] bool, one value per pixel of the picture; None where there are polygons.
    """

    polygons: tuple[np.ndarray, ...] = ()
    mask: np.ndarray | None = None

    def shares(self, crop: Crop, cells: int) -> np.ndarray:
        """The share of each cell of a crop that the object covers: [cells, cells] from 0 to 1, rows = y.

        crop: in image pixels.
        cells: number of cells on a side.
        """
        fine = cells * math.ceil(_FINE / cells)
        if self.mask is None:
            canvas = Image.new("1", (fine, fine))
            pen = ImageDraw.Draw(canvas)
            for polygon in self.polygons:
                # A sample lies in the centre of its pixel, where the pen has its whole coordinates.
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


def read_outlines(objects: Sequence[LabelledObject]) -> tuple[dict[int, Outline | None], list[str]]:
    """The outlines of objects by their ids, and a sentence for each that cannot be used, which counts as none.

    A mask of another size than its picture cannot: it is of another copy of the picture, or of one that lies.
    """
    outlines: dict[int, Outline | None] = {}
    faults: list[str] = []
    for item in objects:
        outlines[item.id] = None
        with catching(faults):
            outline = read_outline(item.segmentation, f"Annotation {item.id}")
            if outline is not None and outline.mask is not None:
                (high, wide), size = outline.mask.shape, picture_size(item.image)
                if size not in (None, (wide, high)):
                    raise InputError(
                        f"Annotation {item.id}, key 'segmentation', has a mask of {wide} x {high} pixels, but its "
                        f"picture has {size[0]} x {size[1]}."
                    )
            outlines[item.id] = outline
    return outlines, faults


def read_outline(segmentation: Any, where: str) -> Outline | None:
    """The outline that a COCO file has under `segmentation`; None for null and for an empty list.

    segmentation: a list of polygons x, y, x, y, ..., or a mask {"size": [height, width], "counts": runs} with the runs
        as numbers or in the packed text of the COCO tools.
    where: the object, named in the InputError for anything else.
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
    """The polygon [M, 2] of a list x, y, x, y, ..."""
    try:
        points = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.full(1, np.nan)
    if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
        raise InputError(f"{where}, key 'segmentation', has a polygon that is not three or more points x, y in a row.")
    return points.reshape(-1, 2)


def _mask(value: Mapping, where: str) -> np.ndarray:
    """The mask [H, W] of run lengths, which are alternately outside and inside and go down one column after another."""
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
    """The run lengths in the packed text of the COCO tools.

    A letter has 5 bits of a number and a bit that says that the number goes on. From the fourth number on it is the
    difference to the number two places before. Text of another kind gives negative lengths, which `_mask` refuses.
    """
    runs: list[int] = []
    number = shift = 0
    for letter in text:
        piece = ord(letter) - 48
        number |= (piece & 31) << shift
        shift += 5
        if piece & 32:
            continue
        if piece & 16:  # the sign bit
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    return runs
