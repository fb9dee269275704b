"""Poses of several pictures, each picture with all of its objects: as a figure, a sheet, and a notebook's PNG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

from ..configs.checks import check_whole
from ..errors import InputError
from ..forms.poses import PoseFields
from ..images import ImageSource
from .overlay import draw_poses
from .shapes import DARK
from .text import fitting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SHOWN = 6  # largest number of pictures of a sheet; those of a notebook's cell should be seen at once
_SIDE = 420  # width and height in pixels that a picture of a sheet is fitted into
_ALONE = 800  # the same of a single picture
_GAP = 8
_TEXT_COLOUR = (232, 232, 238)


@dataclass(frozen=True, eq=False)
class PictureOfPoses:
    """A picture and the poses of its objects.

    source: what `images.read_picture` takes.
    """

    source: ImageSource = field(repr=False)
    poses: list[PoseFields]

    @property
    def title(self) -> str:
        """The name of its file and the number of its objects."""
        name = self.poses[0].image.replace("\\", "/").rsplit("/", 1)[-1]
        objects = f"{len(self.poses)} object{'' if len(self.poses) == 1 else 's'}"
        return f"{name}: {objects}" if name else objects

    def drawn(self) -> Image.Image:
        """The picture with its poses; InputError where it cannot be read or is of another size."""
        return draw_poses(self.source, self.poses)


def by_picture(poses: Sequence[PoseFields], images: Any = None) -> list[PictureOfPoses]:
    """The pictures of poses, in the order of their first pose.

    images: the picture of all poses, or a list with one for each pose, in which the same object is the same picture;
        None takes the files that the poses name.
    Raises InputError for a list of another length, and for a pose that names no file where there are no images.
    """
    if images is None:
        if any(not pose.image for pose in poses):
            raise InputError(
                "A pose of these does not know its picture's file; pass the picture, or one for each pose."
            )
        sources: list[Any] = [pose.image for pose in poses]
    elif isinstance(images, list | tuple):
        if len(images) != len(poses):
            raise InputError(f"There are {len(poses)} poses, but {len(images)} pictures; give one for each pose.")
        sources = list(images)
    else:
        sources = [images] * len(poses)
    found: dict[Any, PictureOfPoses] = {}
    for source, pose in zip(sources, poses, strict=True):
        key = source if isinstance(source, str) else id(source)
        found.setdefault(key, PictureOfPoses(source, [])).poses.append(pose)
    return list(found.values())


def sheet(pictures: Sequence[PictureOfPoses], most: int = MOST_SHOWN) -> Image.Image:
    """The first pictures, drawn side by side under their names, RGB; a single one by itself.

    most: largest number of pictures; a line below says how many there are beyond.
    Raises InputError where there is none, and as `PictureOfPoses.drawn` does.
    """
    if not pictures:
        raise InputError("There is no pose to show; pass one or more.")
    if len(pictures) == 1:
        return _fitted(pictures[0].drawn(), _ALONE)
    tiles = [_fitted(picture.drawn(), _SIDE) for picture in pictures[:most]]
    columns = min(len(tiles), 3 if len(tiles) != 4 else 2)
    rows = [range(start, min(start + columns, len(tiles))) for start in range(0, len(tiles), columns)]
    font = ImageFont.load_default(size=14)
    line = round(sum(font.getmetrics()) * 1.3)
    heights = [max(tiles[i].height for i in row) + line + _GAP for row in rows]
    beyond = len(pictures) - len(tiles)
    size = (columns * (_SIDE + _GAP) + _GAP, sum(heights) + _GAP + (line if beyond else 0))
    canvas = Image.new("RGB", size, DARK)
    pen = ImageDraw.Draw(canvas)
    for i, (picture, tile) in enumerate(zip(pictures, tiles, strict=False)):
        left, top = _GAP + i % columns * (_SIDE + _GAP), _GAP + sum(heights[: i // columns])
        pen.text((left, top), fitting(picture.title, font, _SIDE), font=font, fill=_TEXT_COLOUR)
        canvas.paste(tile, (left + (_SIDE - tile.width) // 2, top + line))
    if beyond:
        text = f"and {beyond} more picture{'' if beyond == 1 else 's'}"
        pen.text((_GAP, size[1] - line), text, font=font, fill=_TEXT_COLOUR)
    return canvas


def figure(pictures: Sequence[PictureOfPoses], columns: int | None = None) -> "Figure":
    """A figure of matplotlib with one axes for each picture, in rows.

    columns: number of pictures in a row; None makes the figure about as wide as high.
    Raises InputError where there is no picture, and as `PictureOfPoses.drawn` does.
    """
    from matplotlib.figure import Figure  # imported late, as only figures need it; pyplot would keep every one of them

    if not pictures:
        raise InputError("There is no pose to plot; pass one or more.")
    wanted = math.ceil(math.sqrt(len(pictures))) if columns is None else check_whole(columns, "The number of columns")
    columns = min(len(pictures), wanted)
    rows = math.ceil(len(pictures) / columns)
    made = Figure(figsize=(4.5 * columns, 4.5 * rows), layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False).ravel()
    for picture, axis in zip(pictures, axes, strict=False):
        axis.imshow(_fitted(picture.drawn(), _ALONE))
        axis.set_title(picture.title, fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    return made


def notebook_png(poses: Sequence[PoseFields]) -> bytes | None:
    """`sheet` as the bytes of a PNG, for a notebook; None where a picture cannot be drawn: it then shows the text."""
    try:
        drawn = sheet(by_picture(poses))
    except InputError:
        return None
    buffer = BytesIO()
    drawn.save(buffer, "PNG")
    return buffer.getvalue()


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    """The picture, shrunk to fit into a square of so many pixels where it does not."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small
