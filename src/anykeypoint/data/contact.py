"""A contact sheet of labelled objects: each cut out of its picture with its points, their names and its own name."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..drawing.overlay import draw_pose
from ..drawing.shapes import DARK
from ..drawing.text import fitting
from ..errors import InputError
from ..forms.dataset import Dataset, LabelledObject
from ..geometry import square_crop
from ..images import crop_pixels, read_image
from ..pose import Pose

CONTEXT = 1.25  # the crop's side, in longer sides of the box
_PAPER = (232, 232, 238)
_GAP = 10


def choose(dataset: Dataset, per_category: int, most: int, seed: int = 0) -> list[LabelledObject]:
    """Up to `per_category` objects of each category, drawn under the seed, and `most` in all, one of each first.

    The order of the file decides the order of the sheet and nothing else.
    """
    by_kind: dict[int, list[LabelledObject]] = {}
    for item in dataset.objects:
        by_kind.setdefault(item.category_id, []).append(item)
    rounds: list[list[LabelledObject]] = [[] for _ in range(per_category)]
    for kind in sorted(by_kind):
        order = np.random.default_rng([seed, abs(kind)]).permutation(len(by_kind[kind]))
        ranked = sorted(by_kind[kind], key=lambda item: item.id)
        for turn, place in zip(rounds, order, strict=False):
            turn.append(ranked[place])
    chosen = {item.id for turn in rounds for item in turn}
    if len(chosen) > most:
        chosen = {item.id for item in [item for turn in rounds for item in turn][:most]}
    return [item for item in dataset.objects if item.id in chosen]


def contact_sheet(objects: Sequence[LabelledObject], side: int = 420, columns: int | None = None) -> Image.Image:
    """RGB: a cell per object, `side` pixels wide, with the category, the id and the file's name below.

    Hidden points are drawn like visible ones and counted below. Raises InputError for no objects, and for pictures that
    cannot be read.
    """
    if not objects:
        raise InputError("There is no labelled object to show; check the data with `data check`.")
    cells = [_cell(item, side) for item in objects]
    columns = columns or max(1, min(len(cells), round(np.sqrt(len(cells) * 1.5))))
    font = ImageFont.load_default(size=max(10.0, side / 26))
    step = sum(font.getmetrics()) * 1.1
    words = _GAP // 2 + round(2 * step)
    rows = [range(first, min(first + columns, len(cells))) for first in range(0, len(cells), columns)]
    highs = [max(cells[i].height for i in row) + words + _GAP for row in rows]
    whole = Image.new("RGB", (columns * (side + _GAP) + _GAP, sum(highs) + _GAP), DARK)
    pen = ImageDraw.Draw(whole)
    for i, (item, cell) in enumerate(zip(objects, cells, strict=True)):
        left, top = _GAP + i % columns * (side + _GAP), _GAP + sum(highs[: i // columns])
        whole.paste(cell, (left, top))
        hidden = int((item.visibility == 1).sum())
        labelled = int((item.visibility > 0).sum())
        counts = f"{labelled} of {len(item.category)} points" + (f", {hidden} hidden" if hidden else "")
        for row, text in enumerate((f"{item.category.name}, {item.id}: {counts}", item.image.name)):
            place = (left, top + cell.height + _GAP // 2 + (row + 0.5) * step)
            pen.text(place, fitting(text, font, side) or str(item.id), font=font, fill=_PAPER, anchor="lm")
    return whole


def _cell(item: LabelledObject, side: int) -> Image.Image:
    crop = square_crop(item.box, CONTEXT)
    picture = Image.fromarray(crop_pixels(read_image(item.image), crop, side))
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
    """The same object with the names that its file gives the points, where the library has others."""
    points = tuple(replace(point, name=point.label or point.name, label="") for point in item.category.keypoints)
    return replace(item, category=replace(item.category, keypoints=points))
