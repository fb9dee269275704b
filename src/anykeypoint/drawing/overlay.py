"""Poses drawn on their picture: densities as heat, boxes, skeleton, dots and names.

Everything is sized by the picture, so that a thumbnail and a photograph of 40 million pixels look alike.
"""

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..configs.checks import check_choice
from ..errors import InputError
from ..forms.poses import PoseFields
from ..images import ImageSource, UprightPicture, read_picture
from ..io import as_path, write_bytes
from .heat import heat, outline, overlap
from .shapes import DARK, LIGHT, colours, dot, ring, stroke
from .text import Rectangle, fitting, line_height, place_labels, with_legend

LABELS = ("auto", "names", "numbers", "none")
MOST_NAMES = 25  # largest number of points that get names; more get numbers and a legend
MOST_NUMBERS = 60  # largest number of points that get numbers; more get no text, which would hide the picture
HALF = 0.5  # share of a density inside its line; lines round 0.9 of many points would cover one another

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_REFERENCE = 640  # longer side, in pixels, of the picture that sizes of fonts and dots are stated for


def draw_pose(image: ImageSource, pose: PoseFields, labels: str = "auto", min_side: int = 640) -> Image.Image:
    """The picture with one pose on it; see `draw_poses`."""
    return draw_poses(image, [pose], labels, min_side)


def draw_poses(
    image: ImageSource, poses: Sequence[PoseFields], labels: str = "auto", min_side: int = 640
) -> Image.Image:
    """The picture with poses on it: a new RGB image.

    image: what `images.read_picture` takes, of the poses' size.
    poses: present points are drawn as dots. One that has a place and is not present is a ring, without a name, a line
        of the skeleton and heat; one without a place is not drawn.
    labels: "names" beside the dots; "numbers", which count from 1, with a legend below the picture; "none"; or "auto":
        names for up to 25 points with short names, numbers for up to 60 points, none for more. A name in letters that
        the font lacks is written as its number.
    min_side: a picture whose longer side is shorter, in pixels, is enlarged to it; others keep their size, or the one
        that they are read at where they are large.

    Boxes that a detector found are drawn, with its word and score unless `labels` is "none"; boxes that the caller gave
    are not. Densities are blended in as heat, each in its point's colour, paler where many lie over one another, with a
    thin line round the cells that hold half of each; `panels.draw_densities` draws them one by one.
    Raises InputError if the sizes differ or `labels` is none of these.
    """
    source = read_picture(image)
    for pose in poses:
        check_size(pose, source)
    picture = source.pixels
    check_choice(labels, "Labels", LABELS)
    grown = max(1.0, min_side / max(picture.size))
    if grown > 1:
        enlarged = (max(1, round(picture.width * grown)), max(1, round(picture.height * grown)))
        picture = picture.resize(enlarged, Image.Resampling.BICUBIC)
    zoom = grown / source.shrunk  # pixels of the canvas per pixel of the picture as it is in its file
    size = np.array(picture.size, dtype=np.float64)
    dots = [_Dots(pose, size) for pose in poses]
    unit = _unit(picture.size, [one.points for one in dots])
    canvas = np.array(_with_densities(picture, poses, dots, zoom, unit))
    detected = [(_scaled(pose, zoom), pose) for pose in poses if pose.box is not None and pose.box_score is not None]
    for rectangle, _ in detected:
        _paint_box(canvas, rectangle, unit)
    for one in dots:
        one.paint(canvas, unit)

    total = sum(len(one.present) for one in dots)
    font_size = max(picture.size) / _REFERENCE * float(np.interp(total, (10, MOST_NAMES), (14, 11.5)))
    font = ImageFont.load_default(size=font_size)
    if labels == "none":
        return Image.fromarray(canvas)
    if labels == "auto":
        labels = _choose_labels(poses, total, font, picture.size)
    if labels == "none":
        return _write_tags(Image.fromarray(canvas), detected, font)
    texts = [_label_texts(pose, labels, font, size[0] * 0.45) for pose in poses]
    drawn = _write_tags(_write_labels(canvas, dots, texts, font, unit), detected, font)
    return with_legend(drawn, poses, font) if labels == "numbers" else drawn


def check_size(pose: PoseFields, picture: UprightPicture) -> None:
    """InputError unless the picture has the size that the pose's coordinates belong to."""
    if pose.image_size != picture.size:
        raise InputError(
            f"The pose belongs to a picture of {pose.image_size[0]} x {pose.image_size[1]} pixels, but this one "
            f"has {picture.size[0]} x {picture.size[1]}; pass the same picture."
        )


def save_picture(image: Image.Image, path: str | Path) -> None:
    """Write a picture to a file in the format that its suffix names: .png, .jpg, .jpeg or .webp.

    The file is whole or not there at all (see `io.write_bytes`). Raises InputError for another suffix.
    """
    kind = _FORMATS.get(as_path(path, "A picture to write").suffix.lower())
    if kind is None:
        raise InputError(f"A picture's name must end in {', '.join(_FORMATS)}, but got {path}.")
    buffer = BytesIO()
    image.save(buffer, kind, quality=92)
    write_bytes(path, buffer.getvalue())


# --- shapes --------------------------------------------------------------------------------------------------------


class _Dots:
    """The points of one pose on the canvas.

    points: [K, 2] in pixels of the canvas, NaN where there is no place.
    colours: one per point.
    edges: the edges of the skeleton whose two points are present.
    present: indices of the present points.
    doubted: indices of the points that have a place and are not present.
    """

    def __init__(self, pose: PoseFields, size: np.ndarray) -> None:
        self.points = pose.xy * (size / pose.image_size)
        self.colours = colours(len(pose))
        there = pose.present.tolist()
        self.edges = [(a, b) for a, b in pose.skeleton if there[a] and there[b]]
        self.present = [i for i, present in enumerate(there) if present]
        self.doubted = [i for i in np.flatnonzero(np.isfinite(pose.xy).all(axis=1)).tolist() if not there[i]]

    def paint(self, canvas: np.ndarray, unit: float) -> None:
        for a, b in self.edges:
            stroke(canvas, self.points[a], self.points[b], 2.6 * unit, DARK, DARK, 0.5)
        for a, b in self.edges:
            stroke(canvas, self.points[a], self.points[b], 1.5 * unit, self.colours[a], self.colours[b], 0.95)
        for i in self.doubted:
            ring(canvas, self.points[i], 6.0 * unit, 2.6 * unit, DARK, 0.6)
        for i in self.doubted:
            ring(canvas, self.points[i], 5.2 * unit, 1.2 * unit, self.colours[i], 0.9)
        for i in self.present:
            dot(canvas, self.points[i], 6.0 * unit, DARK, 0.85)
        for i in self.present:
            dot(canvas, self.points[i], 4.6 * unit, self.colours[i], 1.0)


def _with_densities(
    picture: Image.Image, poses: Sequence[PoseFields], dots: Sequence[_Dots], zoom: float, unit: float
) -> Image.Image:
    """The picture with the densities of all present points as heat, each in the colour of its point."""
    heats = [
        (density, one.colours[pose.keys.index(key)])
        for pose, one in zip(poses, dots, strict=True)
        for key, density in (pose.density or {}).items()
        if pose.present[pose.keys.index(key)]
    ]
    if not heats:
        return picture
    grey = ImageOps.grayscale(picture).convert("RGB")  # colours of the picture would be mistaken for heat
    picture = Image.blend(picture, grey, 0.55).point(lambda value: value * 0.8)
    strength = 1 / overlap([density for density, _ in heats], picture.size, zoom)
    for density, colour in heats:
        heat(picture, density, colour, zoom, strength)
    for density, colour in heats:
        outline(picture, density, HALF, colour, zoom, 1.3 * unit)
    return picture


def _unit(size: tuple[int, int], points: list[np.ndarray]) -> float:
    """The factor for sizes of dots and lines: 1 in a picture of 640 pixels, smaller where points are close together.

    size: (width, height) of the canvas in pixels.
    points: [K, 2] of each pose in pixels of the canvas, NaN where there is no place.
    """
    largest = max(size) / _REFERENCE
    flat = np.concatenate(points) if points else np.zeros((0, 2))
    flat = flat[np.isfinite(flat).all(axis=1)]
    if len(flat) < 3:
        return largest
    distances = np.hypot(*(flat[:, None] - flat[None]).transpose(2, 0, 1))
    np.fill_diagonal(distances, np.inf)
    return float(np.clip(np.median(distances.min(axis=1)) / 14, 0.4 * largest, largest))


def _scaled(pose: PoseFields, zoom: float) -> Rectangle:
    """The pose's box in pixels of the canvas; zoom: pixels of the canvas per image pixel."""
    x, y, w, h = (value * zoom for value in pose.box or ())
    return x, y, x + w, y + h


def _paint_box(canvas: np.ndarray, rectangle: Rectangle, unit: float) -> None:
    """Paint a box as a light line on a dark one."""
    left, top, right, bottom = rectangle
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    for radius, ink in ((2.0 * unit, DARK), (1.0 * unit, LIGHT)):
        for start, end in pairwise(corners):
            stroke(canvas, start, end, radius, ink, ink, 0.9)


# --- text ----------------------------------------------------------------------------------------------------------


def _label_texts(pose: PoseFields, labels: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """The label of each point: its number, or its name cut to a width in pixels."""
    numbers = [str(i + 1) for i in range(len(pose))]
    if labels == "numbers":
        return numbers
    return [fitting(name, font, width) or number for name, number in zip(pose.names, numbers, strict=True)]


def _choose_labels(poses: Sequence[PoseFields], total: int, font: ImageFont.FreeTypeFont, size: tuple[int, int]) -> str:
    """What "auto" means here: names if they are few, short and cover little of the picture, then numbers, then none.

    total: number of present points.
    size: (width, height) of the canvas in pixels.
    """
    widths = [font.getlength(pose.names[i]) for pose in poses for i in np.flatnonzero(pose.present)]
    area = sum(widths) * line_height(font)
    if total <= MOST_NAMES and max(widths, default=0) <= 0.36 * size[0] and area <= 0.15 * size[0] * size[1]:
        return "names"
    return "numbers" if total <= MOST_NUMBERS else "none"


def _write_labels(
    canvas: np.ndarray, dots: list[_Dots], texts: list[list[str]], font: ImageFont.FreeTypeFont, unit: float
) -> Image.Image:
    """Put a label on a dark plate beside each present point, with a thin line to the point where it is farther away.

    canvas: [H, W, 3] uint8.
    dots: the points of each pose.
    texts: the label of each of its points, also of those that are not present.
    unit: the factor for sizes of dots and lines.
    """
    points = np.array([one.points[i] for one in dots for i in one.present]).reshape(-1, 2)
    inks = [one.colours[i] for one in dots for i in one.present]
    words = [text[i] for one, text in zip(dots, texts, strict=True) for i in one.present]
    lines = [(one.points[a], one.points[b]) for one in dots for a, b in one.edges]
    high = line_height(font)
    wide = [font.getlength(word) + 0.75 * high for word in words]
    places = place_labels(points, [(w, high) for w in wide], lines, 7 * unit, (canvas.shape[1], canvas.shape[0]))
    for point, place, ink in zip(points, places, inks, strict=True):
        if place is not None:
            nearest = np.clip(
                point, (place[0] + high / 2, place[1] + high / 2), (place[2] - high / 2, place[3] - high / 2)
            )
            if np.hypot(*(nearest - point)) > high / 2 + 12 * unit:
                stroke(canvas, point, nearest, 0.9 * unit, ink, ink, 0.9)
    for place in places:
        if place is not None:
            left, right = place[0] + high / 2, max(place[0], place[2] - high) + high / 2
            middle = (place[1] + place[3]) / 2
            stroke(canvas, np.array([left, middle]), np.array([right, middle]), high / 2, DARK, DARK, 0.74)
    drawn = Image.fromarray(canvas)
    pen = ImageDraw.Draw(drawn)
    for word, place, ink in zip(words, places, inks, strict=True):
        if place is not None:
            middle = ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2)
            pen.text(middle, word, font=font, fill=_pale(ink), anchor="mm")
    return drawn


def _write_tags(
    drawn: Image.Image, detected: Sequence[tuple[Rectangle, PoseFields]], font: ImageFont.FreeTypeFont
) -> Image.Image:
    """Write a detector's word and score on a dark plate above the top left corner of each box.

    detected: the box in pixels of the canvas, and its pose. Without room above the box the plate lies inside it.
    """
    high = line_height(font)
    pen = ImageDraw.Draw(drawn)
    for (left, top, *_), pose in detected:
        word = fitting(pose.box_word, font, drawn.width * 0.45)
        text = f"{word} {pose.box_score:.2f}".strip()
        wide = font.getlength(text) + 0.6 * high
        x = min(max(left, 0.0), max(drawn.width - wide, 0.0))
        y = min(top - high if top >= high else max(top, 0.0), max(drawn.height - high, 0.0))
        pen.rectangle((x, y, x + wide, y + high), fill=DARK)
        pen.text((x + wide / 2, y + high / 2), text, font=font, fill=LIGHT, anchor="mm")
    return drawn


def _pale(ink: tuple[int, int, int]) -> tuple[int, int, int]:
    """The colour mixed with white: readable on a dark plate, and still recognisable as the point's colour."""
    red, green, blue = (round(0.35 * value + 0.65 * 255) for value in ink)
    return red, green, blue
