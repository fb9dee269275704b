"""A contact sheet: a grid of labelled objects, each cropped from its picture, with its points and their names."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..drawing.overlay import draw_pose
from ..drawing.shapes import DARK
from ..drawing.text import fitting
from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject
from ..forms.reading import catching
from ..geometry import square_crop
from ..images import crop_pixels, read_picture
from ..pose import Pose

CONTEXT = 1.25  # side of the crop over the longer side of the box
_TEXT_COLOUR = (232, 232, 238)
_GAP = 10  # pixels between two cells


def choose(dataset: Dataset, per_category: int, most: int, seed: int = 0) -> list[LabelledObject]:
    """Draw the objects of a sheet. They come in the order of the file, which has no effect on the draw.

    dataset: the labelled objects.
    per_category: most objects of a category.
    most: most objects of the sheet; one object of every category comes before a second of any.
    seed: seed of the draw.
    """
    by_category: dict[int, list[LabelledObject]] = {}
    for item in dataset.objects:
        by_category.setdefault(item.category_id, []).append(item)
    rounds: list[list[LabelledObject]] = [[] for _ in range(per_category)]
    for key in sorted(by_category):
        order = np.random.default_rng([seed, abs(key)]).permutation(len(by_category[key]))
        ranked = sorted(by_category[key], key=lambda item: item.id)
        for turn, place in zip(rounds, order, strict=False):
            turn.append(ranked[place])
    chosen = {item.id for turn in rounds for item in turn}
    if len(chosen) > most:
        chosen = {item.id for item in [item for turn in rounds for item in turn][:most]}
    return [item for item in dataset.objects if item.id in chosen]


class Sheet(NamedTuple):
    """A sheet as an RGB image, the objects on it, and a sentence for each object whose picture cannot be read."""

    picture: Image.Image
    objects: list[LabelledObject]
    faults: list[str]


def contact_sheet(objects: Sequence[LabelledObject], side: int = 420, columns: int | None = None) -> Sheet:
    """The sheet. Below each object stand its category, its id, its numbers of points and its file.

    Hidden points are drawn like visible ones. An object whose picture cannot be read is left out. Raises InputError
    where there is no object, and where no picture can be read.

    objects: the objects, row by row.
    side: width of a cell in pixels.
    columns: number of cells in a row; None makes the sheet about half as wide again as high.
    """
    if not objects:
        raise InputError("There is no labelled object to show; check the data with `data check`.")
    faults: list[str] = []
    drawn: list[tuple[LabelledObject, Image.Image]] = []
    for item in objects:
        with catching(faults):
            drawn.append((item, _cell(item, side)))
    if not drawn:
        raise InputError(faults[0])
    shown, cells = [item for item, _ in drawn], [cell for _, cell in drawn]
    columns = columns or max(1, min(len(cells), round(np.sqrt(len(cells) * 1.5))))
    font = ImageFont.load_default(size=max(10.0, side / 26))
    step = sum(font.getmetrics()) * 1.1
    caption = _GAP // 2 + round(2 * step)  # height of the two lines below a cell
    rows = [range(first, min(first + columns, len(cells))) for first in range(0, len(cells), columns)]
    heights = [max(cells[i].height for i in row) + caption + _GAP for row in rows]
    sheet = Image.new("RGB", (columns * (side + _GAP) + _GAP, sum(heights) + _GAP), DARK)
    pen = ImageDraw.Draw(sheet)
    for i, (item, cell) in enumerate(drawn):
        left, top = _GAP + i % columns * (side + _GAP), _GAP + sum(heights[: i // columns])
        sheet.paste(cell, (left, top))
        hidden = int((item.visibility == 1).sum())
        labelled = int((item.visibility > 0).sum())
        counts = f"{labelled} of {len(item.category)} points" + (f", {hidden} hidden" if hidden else "")
        for row, text in enumerate((f"{item.category.name}, {item.id}: {counts}", item.image.name)):
            place = (left, top + cell.height + _GAP // 2 + (row + 0.5) * step)
            pen.text(place, fitting(text, font, side) or str(item.id), font=font, fill=_TEXT_COLOUR, anchor="lm")
    return Sheet(sheet, shown, faults)


def _cell(item: LabelledObject, side: int) -> Image.Image:
    """The crop of an object with its points, `side` pixels wide; names beside it may make it higher."""
    crop = square_crop(item.box, CONTEXT)
    picture = Image.fromarray(crop_pixels(read_picture(item.image), crop, side))
    there = np.isfinite(item.points[:, 0])
    pose = Pose(
        names=item.category.names,
        xy=crop.normalise(item.points) * side,
        confidence=np.where(there, 1.0, np.nan),
        present=there,
        image_size=picture.size,
        skeleton=item.category.skeleton,
    )
    drawn = draw_pose(picture, pose, min_side=side)
    if drawn.width != side:
        drawn = drawn.resize((side, round(drawn.height * side / drawn.width)), Image.Resampling.LANCZOS)
    return drawn


def with_labels(item: LabelledObject) -> LabelledObject:
    """The object with the names that its file gives the keypoints, where the library's names are others."""
    points = tuple(replace(point, name=point.label or point.name, label="") for point in item.category.keypoints)
    return replace(item, category=replace(item.category, keypoints=points))
