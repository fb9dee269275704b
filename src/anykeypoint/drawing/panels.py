"""Densities one by one: sheets of small square pictures, each with one keypoint's heat and a few words below.

On one picture many heats hide one another; here each has its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..density import Density
from ..errors import InputError
from ..forms.poses import PoseFields
from ..geometry import Crop, square_crop
from ..images import ImageSource, UprightPicture, crop_pixels, read_picture
from .heat import heat, outline
from .overlay import check_size
from .shapes import DARK, Colour, colours, dot, stroke
from .text import fitting

LEVEL = 0.9  # share of a density inside its line
PIXELS = 16_000_000  # largest number of pixels of one sheet's panels; more than 330 panels are drawn smaller
_PAPER = (232, 232, 238)  # colour of text and of lines that belong to no point
_GAP = 10  # pixels between panels


@dataclass(frozen=True)
class Panel:
    """One small picture with a few lines of text below it.

    image: the whole picture, RGB.
    view: the square of it that the panel shows, in image pixels.
    colour: of the point, of the density and of the first line of text.
    lines: the text below.
    density: drawn as heat with an outline; None for none.
    point: [2] predicted place in image pixels, drawn as a dot; None for none.
    truth: [2] labelled place in image pixels, drawn as a white cross; None for none.
    frame: a square in image pixels, drawn as a thin line; None for none.
    way: [P, 2] places in image pixels, drawn as a line that begins with a small dot; None for none.
    """

    image: Image.Image | UprightPicture
    view: Crop
    colour: Colour
    lines: Sequence[str] = ()
    density: Density | None = None
    point: np.ndarray | None = None
    truth: np.ndarray | None = None
    frame: Crop | None = None
    way: np.ndarray | None = None


def draw_densities(image: ImageSource, poses: Sequence[PoseFields], side: int = 220) -> Image.Image:
    """One panel per keypoint that has a density, pose after pose: a new RGB image.

    image: what `images.read_picture` takes, of the poses' size.
    poses: those to draw.
    side: of a panel, in pixels; smaller where there are very many.

    A panel has the crop of the density, the heat, a line round the cells that hold 90 % of it, and the point if it is
    present; below stand its name, confidence, or its presence where that is too low, and entropy.
    Raises InputError if the sizes differ or there is no density.
    """
    picture = read_picture(image)
    panels = []
    for number, pose in enumerate(poses, start=1):
        check_size(pose, picture)
        inks = colours(len(pose))
        for i, (key, name) in enumerate(zip(pose.keys, pose.names, strict=True)):
            if pose.density is None or key not in pose.density:
                continue
            density = pose.density[key]
            title = name if len(poses) == 1 else f"{number}: {name}"
            sure = f"confidence {pose.confidence[i]:.2f}"
            if not pose.present[i]:
                sure = "absent" if np.isnan(pose.presence[i]) else f"absent (presence {pose.presence[i]:.2f})"
            panels.append(
                Panel(
                    picture,
                    density.crop,
                    inks[i],
                    (title, f"{sure}, {density.entropy():.1f} bits"),
                    density,
                    pose.xy[i] if pose.present[i] else None,
                )
            )
    if not panels:
        raise InputError("These poses have no densities to draw; predict with density=True.")
    columns = max(1, min(len(panels), round(np.sqrt(len(panels) * 1.5))))
    return sheet(panels, columns, min(side, max(48, int(np.sqrt(PIXELS / len(panels))))))


def sheet(panels: Sequence[Panel], columns: int, side: int) -> Image.Image:
    """A contact sheet: panels row after row on a dark ground, RGB.

    columns: number of panels in a row.
    side: of a panel, in pixels.
    """
    font = ImageFont.load_default(size=max(9.0, side / 16))
    step = sum(font.getmetrics()) * 1.1
    high = side + _GAP + round(step * max(len(panel.lines) for panel in panels))
    rows = -(-len(panels) // columns)
    whole = Image.new("RGB", (columns * (side + _GAP) + _GAP, rows * (high + _GAP) + _GAP), DARK)
    pen = ImageDraw.Draw(whole)
    for i, panel in enumerate(panels):
        left, top = _GAP + i % columns * (side + _GAP), _GAP + i // columns * (high + _GAP)
        whole.paste(_draw(panel, side), (left, top))
        for row, text in enumerate(panel.lines):
            caption = fitting(text, font, side) or f"{i + 1}"
            place = (left, top + side + _GAP / 2 + (row + 0.5) * step)
            pen.text(place, caption, font=font, fill=panel.colour if row == 0 else _PAPER, anchor="lm")
    return whole


def _draw(panel: Panel, side: int) -> Image.Image:
    """One panel without its text, `side` x `side` pixels, RGB."""
    view, zoom = panel.view, side / panel.view.side
    picture = Image.fromarray(crop_pixels(panel.image, view, side))
    if panel.density is not None:
        picture = Image.blend(picture, ImageOps.grayscale(picture).convert("RGB"), 0.7).point(lambda value: value * 0.8)
        crop = panel.density.crop
        moved = replace(panel.density, crop=Crop(crop.x - view.x, crop.y - view.y, crop.side))
        heat(picture, moved, panel.colour, zoom)
        outline(picture, moved, LEVEL, _PAPER, zoom, 1.0)
    if panel.frame is not None:
        first = (np.array([panel.frame.x, panel.frame.y]) - (view.x, view.y)) * zoom
        last = np.clip([first, first + panel.frame.side * zoom], -2, side + 2)
        ImageDraw.Draw(picture).rectangle([tuple(corner) for corner in last.tolist()], outline=_PAPER)
    canvas, size = np.array(picture), side / 220
    if panel.way is not None:
        paint_way(canvas, view.normalise(panel.way) * side, panel.colour, size)
    if panel.truth is not None:
        paint_cross(canvas, view.normalise(panel.truth) * side, size)
    if panel.point is not None:
        paint_dot(canvas, view.normalise(panel.point) * side, panel.colour, size)
    return Image.fromarray(canvas)


def paint_cross(canvas: np.ndarray, truth: np.ndarray, size: float) -> None:
    """Paint a labelled point as a white cross.

    canvas: [H, W, 3] uint8, changed in place.
    truth: [2] in pixels of the canvas.
    size: the cross is 12 times as many pixels wide.
    """
    for width, ink in ((2.4 * size, DARK), (1.2 * size, (255, 255, 255))):
        for arm in ((6 * size, 6 * size), (6 * size, -6 * size)):
            stroke(canvas, truth - arm, truth + arm, width, ink, ink, 1.0)


def paint_way(canvas: np.ndarray, way: np.ndarray, colour: Colour, size: float) -> None:
    """Paint a line through places [P, 2], in pixels of the canvas, that runs from white to a colour.

    size: the line is 3.6 times as many pixels wide.
    """
    inks = np.linspace(_PAPER, colour, len(way))
    for a, b in pairwise(way):
        stroke(canvas, a, b, 3 * size, DARK, DARK, 0.6)
    for i in range(len(way) - 1):
        stroke(canvas, way[i], way[i + 1], 1.8 * size, inks[i], inks[i + 1], 1.0)
    for radius, ink in ((3.5 * size, DARK), (2.5 * size, _PAPER)):
        dot(canvas, way[0], radius, ink, 1.0)


def paint_dot(canvas: np.ndarray, point: np.ndarray, colour: Colour, size: float) -> None:
    """Paint a predicted point [2], in pixels of the canvas, as a dot; its radius is 4.5 times `size` pixels."""
    for radius, ink in ((6 * size, DARK), (4.5 * size, colour)):
        dot(canvas, point, radius, ink, 1.0)


def beyond(crop: Crop, share: float) -> Crop:
    """The crop grown on each side by a share of its own side."""
    return square_crop((crop.x, crop.y, crop.side, crop.side), 1 + 2 * share)
