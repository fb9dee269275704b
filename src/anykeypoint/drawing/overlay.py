"""Poses drawn on their picture: heat, skeleton, dots, names.

Everything is sized by the picture, so a thumbnail and a photograph of 40 million pixels look alike. Shapes are painted
from their exact distance to each pixel, which gives smooth edges at any size without drawing larger and shrinking.
Text is set in the font that Pillow carries.
"""

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..errors import InputError
from ..forms.poses import PoseFields
from ..images import ImageSource, read_image
from ..io import write_bytes
from .heat import heat, outline, overlap

LABELS = ("auto", "names", "numbers", "none")
MOST_NAMES = 25  # more points than this get numbers and a legend,
MOST_NUMBERS = 60  # and more than this no text at all: it would hide the picture

DARK = (18, 18, 24)
FRAME = (240, 240, 244)
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
HALF = 0.5  # of a density, whose cells get a line round them; 9 tenths of many points would cover one another
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


def draw_pose(image: ImageSource, pose: PoseFields, labels: str = "auto", min_side: int = 640) -> Image.Image:
    """The picture with one pose on it; see `draw_poses`."""
    return draw_poses(image, [pose], labels, min_side)


def draw_poses(
    image: ImageSource, poses: Sequence[PoseFields], labels: str = "auto", min_side: int = 640
) -> Image.Image:
    """The picture with poses on it: a new RGB image.

    image: what `read_image` takes, of the poses' size. A picture whose longer side is below `min_side` is enlarged to
        it; others keep their size. A legend makes the result taller.
    labels: "names" beside the dots, "numbers" (from 1) with a legend below, "none", or "auto": names for up to 25
        points with short names, numbers for up to 60 points, else none. A name in letters that the font has not is
        written as its number.

    Boxes that a detector found are drawn, with its word and score unless `labels` is "none"; the caller's own are not.
    Absent points are not drawn. Densities are blended in as heat, each in its point's colour and the paler the more of
        them lie over one another, with a thin line round the cells that hold half of each. `panels.draw_densities`
        shows them one by one.
    Raises InputError if the sizes differ or `labels` is none of these.
    """
    picture = read_image(image)
    for pose in poses:
        check_size(pose, picture)
    if labels not in LABELS:
        raise InputError(f"Labels must be one of {', '.join(LABELS)}, but got {labels!r}.")
    zoom = max(1.0, min_side / max(picture.size))
    if zoom > 1:
        enlarged = (max(1, round(picture.width * zoom)), max(1, round(picture.height * zoom)))
        picture = picture.resize(enlarged, Image.Resampling.BICUBIC)
    size = np.array(picture.size, dtype=np.float64)
    dots = [_Dots(pose, size) for pose in poses]
    unit = _unit(picture.size, [dot.points for dot in dots])

    if any(pose.density for pose in poses):  # colours of the picture would be taken for heat
        picture = Image.blend(picture, ImageOps.grayscale(picture).convert("RGB"), 0.55).point(
            lambda value: value * 0.8
        )
    heats = [
        (density, dot.colours[pose.keys.index(key)])
        for pose, dot in zip(poses, dots, strict=True)
        for key, density in (pose.density or {}).items()
    ]
    strength = 1 / overlap([density for density, _ in heats], picture.size, zoom)
    for density, colour in heats:
        heat(picture, density, colour, zoom, strength)
    for density, colour in heats:
        outline(picture, density, HALF, colour, zoom, 1.3 * unit)
    canvas = np.array(picture)
    found = [(_scaled(pose, zoom), pose) for pose in poses if pose.box is not None and pose.box_score is not None]
    for frame, _ in found:
        _frame(canvas, frame, unit)
    for dot in dots:
        dot.paint(canvas, unit)

    total = sum(len(dot.present) for dot in dots)
    font = ImageFont.load_default(size=max(picture.size) / 640 * float(np.interp(total, (10, MOST_NAMES), (14, 11.5))))
    if labels == "none":
        return Image.fromarray(canvas)
    if labels == "auto":
        labels = _choose_labels(poses, total, font, picture.size)
    if labels == "none":
        return _write_tags(Image.fromarray(canvas), found, font)
    texts = []
    for pose in poses:
        numbers = [str(i + 1) for i in range(len(pose))]
        names = [
            fitting(name, font, size[0] * 0.45) or number for name, number in zip(pose.names, numbers, strict=True)
        ]
        texts.append(names if labels == "names" else numbers)
    drawn = _write_tags(_write_labels(canvas, dots, texts, font, unit), found, font)
    if labels == "numbers":
        drawn = _with_legend(drawn, poses, font)
    return drawn


def check_size(pose: PoseFields, picture: Image.Image) -> None:
    """InputError unless the picture is of the size that the pose was found in."""
    if pose.image_size != picture.size:
        raise InputError(
            f"The pose was found in a picture of {pose.image_size[0]} x {pose.image_size[1]} pixels, but this one "
            f"has {picture.width} x {picture.height}; pass the same picture."
        )


def save_picture(image: Image.Image, path: str | Path) -> None:
    """Write a picture at once (see formats.write_bytes), in the format its suffix names: .png, .jpg, .jpeg or .webp."""
    kind = _FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        raise InputError(f"A picture's name must end in {', '.join(_FORMATS)}, but got {path}.")
    buffer = BytesIO()
    image.save(buffer, kind, quality=92)
    write_bytes(path, buffer.getvalue())


def colours(count: int) -> list[tuple[int, int, int]]:
    """`count` RGB colours: hues evenly round the circle, so that neighbours in the list are kin, light and less light
    in turn, so that they still differ."""
    angles = np.deg2rad(25 + 360 * np.arange(count) / max(count, 1))
    light = np.where(np.arange(count) % 2, 0.70, 0.78)
    return [_oklch(lightness, 0.17, angle) for lightness, angle in zip(light, angles, strict=True)]


# --- shapes --------------------------------------------------------------------------------------------------------


class _Dots:
    """One pose on the canvas: points [K, 2] in canvas pixels, NaN where absent, with a colour each."""

    def __init__(self, pose: PoseFields, size: np.ndarray) -> None:
        self.points = pose.xy * (size / pose.image_size)
        self.colours = colours(len(pose))
        there = pose.present.tolist()
        self.edges = [(a, b) for a, b in pose.skeleton if there[a] and there[b]]
        self.present = [i for i, present in enumerate(there) if present]

    def paint(self, canvas: np.ndarray, unit: float) -> None:
        for a, b in self.edges:
            stroke(canvas, self.points[a], self.points[b], 2.6 * unit, DARK, DARK, 0.5)
        for a, b in self.edges:
            stroke(canvas, self.points[a], self.points[b], 1.5 * unit, self.colours[a], self.colours[b], 0.95)
        for i in self.present:
            _dot(canvas, self.points[i], 6.0 * unit, DARK, 0.85)
        for i in self.present:
            _dot(canvas, self.points[i], 4.6 * unit, self.colours[i], 1.0)


def _unit(size: tuple[int, int], points: list[np.ndarray]) -> float:
    """The size of things: 1 in a picture of 640 pixels, less where the points crowd."""
    largest = max(size) / 640
    flat = np.concatenate(points) if points else np.zeros((0, 2))
    flat = flat[np.isfinite(flat).all(axis=1)]
    if len(flat) < 3:
        return largest
    distances = np.hypot(*(flat[:, None] - flat[None]).transpose(2, 0, 1))
    np.fill_diagonal(distances, np.inf)
    return float(np.clip(np.median(distances.min(axis=1)) / 14, 0.4 * largest, largest))


def _scaled(pose: PoseFields, zoom: float) -> Rectangle:
    """The pose's box on the canvas."""
    x, y, w, h = (value * zoom for value in pose.box or ())
    return x, y, x + w, y + h


def _frame(canvas: np.ndarray, frame: Rectangle, unit: float) -> None:
    left, top, right, bottom = frame
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    for radius, ink in ((2.0 * unit, DARK), (1.0 * unit, FRAME)):
        for start, end in pairwise(corners):
            stroke(canvas, start, end, radius, ink, ink, 0.9)


def _dot(canvas: np.ndarray, centre: np.ndarray, radius: float, colour: Sequence[int], alpha: float) -> None:
    stroke(canvas, centre, centre, radius, colour, colour, alpha)


def stroke(
    canvas: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    radius: float,
    first: Sequence[int],
    last: Sequence[int],
    alpha: float,
) -> None:
    """Paint a line with round ends into the canvas [H, W, 3] uint8, its colour running from `first` to `last`."""
    start, along = np.asarray(start, dtype=np.float64), np.subtract(end, start, dtype=np.float64)
    length = float(along @ along)
    reach = radius + 1
    ends = np.array([start, start + along])
    first_row, last_row = np.clip([ends[:, 1].min() - reach, ends[:, 1].max() + reach + 1], 0, canvas.shape[0]).astype(
        int
    )
    band = max(16, int(4 * reach))  # in bands of rows: a slanted line then costs its own area, not that of its frame
    for top in range(first_row, last_row, band):
        bottom = min(top + band, last_row)
        inside = ends[:, 0]
        if along[1]:
            parts = np.clip((np.array([top - reach, bottom + reach]) - start[1]) / along[1], 0, 1)
            inside = start[0] + parts * along[0]
        left, right = np.clip([inside.min() - reach, inside.max() + reach + 1], 0, canvas.shape[1]).astype(int)
        x = np.arange(left, right) + 0.5 - start[0]
        y = (np.arange(top, bottom) + 0.5 - start[1])[:, None]
        part = np.clip((x * along[0] + y * along[1]) / length, 0, 1) if length else np.zeros((1, 1))
        distance = np.hypot(x - part * along[0], y - part * along[1])
        cover = (np.clip(radius + 0.5 - distance, 0, 1) * alpha)[..., None]
        colour = np.asarray(first) + np.broadcast_to(part, distance.shape)[..., None] * np.subtract(last, first)
        window = canvas[top:bottom, left:right]
        window[:] = np.rint(window * (1 - cover) + colour * cover)


def _oklch(lightness: float, chroma: float, hue: float) -> tuple[int, int, int]:
    """A colour of the OKLab space (Ottosson 2020) in polar form, hue in radians, as sRGB, clipped to its range."""
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cones = np.array(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    ) @ (cones**3)
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = np.rint(encoded * 255).astype(int).tolist()
    return red, green, blue


# --- text ----------------------------------------------------------------------------------------------------------


def _choose_labels(poses: Sequence[PoseFields], total: int, font: ImageFont.FreeTypeFont, size: tuple[int, int]) -> str:
    """Names if they are few, short and leave the picture to be seen; else numbers with a legend; else nothing."""
    widths = [font.getlength(pose.names[i]) for pose in poses for i in np.flatnonzero(pose.present)]
    area = sum(widths) * _line_height(font)
    if total <= MOST_NAMES and max(widths, default=0) <= 0.36 * size[0] and area <= 0.15 * size[0] * size[1]:
        return "names"
    return "numbers" if total <= MOST_NUMBERS else "none"


def _write_labels(
    canvas: np.ndarray, dots: list[_Dots], texts: list[list[str]], font: ImageFont.FreeTypeFont, unit: float
) -> Image.Image:
    """Put a label on a dark plate beside each present point, with a thin line to it where it had to move away."""
    points = np.array([dot.points[i] for dot in dots for i in dot.present]).reshape(-1, 2)
    inks = [dot.colours[i] for dot in dots for i in dot.present]
    words = [text[i] for dot, text in zip(dots, texts, strict=True) for i in dot.present]
    lines = [(dot.points[a], dot.points[b]) for dot in dots for a, b in dot.edges]
    high = _line_height(font)
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
    drawn: Image.Image, found: Sequence[tuple[Rectangle, PoseFields]], font: ImageFont.FreeTypeFont
) -> Image.Image:
    """A detector's word and score on a dark plate over the top left corner of each box, or in it for want of room."""
    high = _line_height(font)
    pen = ImageDraw.Draw(drawn)
    for (left, top, *_), pose in found:
        word = fitting(pose.box_word, font, drawn.width * 0.45)
        text = f"{word} {pose.box_score:.2f}".strip()
        wide = font.getlength(text) + 0.6 * high
        x = min(max(left, 0.0), max(drawn.width - wide, 0.0))
        y = min(top - high if top >= high else max(top, 0.0), max(drawn.height - high, 0.0))
        pen.rectangle((x, y, x + wide, y + high), fill=DARK)
        pen.text((x + wide / 2, y + high / 2), text, font=font, fill=FRAME, anchor="mm")
    return drawn


def place_labels(
    points: np.ndarray,
    sizes: Sequence[tuple[float, float]],
    lines: Sequence[tuple[np.ndarray, np.ndarray]],
    gap: float,
    canvas: tuple[float, float],
) -> list[Rectangle | None]:
    """Where to put labels of the given sizes (w, h) so that they cover little and stay near their points.

    Each label tries many places round its point, always inside the canvas, and takes the one that covers the fewest
    labels, dots and lines; three rounds, so that early labels can give way to late ones. None for a label larger than
    the canvas and for a point outside it.
    """
    bounds = np.array(canvas, dtype=np.float64)
    marks = [np.linspace(a, b, 24) for a, b in lines]
    marks = np.concatenate(marks) if marks else np.zeros((0, 2))
    centre = points.mean(axis=0) if len(points) else np.zeros(2)
    choices: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # per label its rectangles, and what each costs by itself
    for i, (point, size) in enumerate(zip(points, np.asarray(sizes, dtype=np.float64), strict=True)):
        if (size <= bounds).all() and (point >= 0).all() and (point <= bounds).all():
            boxes, far = _candidates(point, size, gap, bounds)
            cost = far + 0.35 * _inwardness(boxes, point, centre)
            cost += 4.0 * _covered(boxes, points, gap * 0.8) + 0.12 * _covered(boxes, marks, 1)
            choices[i] = boxes, cost
    placed: list[np.ndarray | None] = [None] * len(points)
    for _ in range(3):
        for i, (boxes, cost) in choices.items():
            taken = np.array([box for j, box in enumerate(placed) if j != i and box is not None]).reshape(1, -1, 4)
            overlap = np.minimum(boxes[:, None, 2:], taken[..., 2:]) - np.maximum(boxes[:, None, :2], taken[..., :2])
            shared = np.prod(np.clip(overlap + 1, 0, None), axis=2).sum(axis=1) / np.prod(sizes[i])
            placed[i] = boxes[int(np.argmin(cost + 40 * shared))]
    return [None if box is None else (box[0], box[1], box[2], box[3]) for box in placed]


def _candidates(point: np.ndarray, size: np.ndarray, gap: float, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles [C, 4] round a point at growing distances, moved into the bounds, and what the distance costs [C]."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    boxes, costs = [], []
    for ring in (0.0, 0.5, 1.0, 1.7, 2.6, 3.8, 5.2):
        away = gap + ring * size[1]
        # The label's nearest edge lies `away` from the point in the direction of `ways`.
        middle = (
            point + ways * (away + size[1] / 2) + np.sign(np.round(ways, 6)) * (size / 2 - size[1] / 2) * np.abs(ways)
        )
        corner = np.clip(middle - size / 2, 0, bounds - size)
        boxes.append(np.concatenate([corner, corner + size], axis=1))
        costs.append(np.full(len(ways), ring))
    return np.concatenate(boxes), np.concatenate(costs)


def _inwardness(boxes: np.ndarray, point: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """0 for labels on the far side of the object's middle, 2 for those towards it."""
    out = (point - centre) / max(float(np.hypot(*(point - centre))), 1e-6)
    way = (boxes[:, :2] + boxes[:, 2:]) / 2 - point
    return 1 - (way / np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-6)[:, None]) @ out


def _covered(boxes: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    """How many points lie in each box or within `radius` of its edges: [C]."""
    inside = (points > boxes[:, None, :2] - radius) & (points < boxes[:, None, 2:] + radius)
    return inside.all(axis=2).sum(axis=1)


def _with_legend(drawn: Image.Image, poses: Sequence[PoseFields], font: ImageFont.FreeTypeFont) -> Image.Image:
    """The picture on top of a strip that tells the numbers' names, once per category, in columns read downwards."""
    named = {(pose.category, tuple(pose.names)): pose for pose in poses}
    high = _line_height(font)
    entries: list[tuple[str, tuple[int, int, int]]] = []
    for pose in named.values():
        for i, (name, ink) in enumerate(zip(pose.names, colours(len(pose)), strict=True)):
            entries.append((f"{i + 1}  " + fitting(name, font, drawn.width - 3 * high), ink))
    wide = max((font.getlength(text) for text, _ in entries), default=0) + 1.8 * high
    columns = max(1, int((drawn.width - high) // wide))
    rows = -(-len(entries) // columns)
    step = 1.25 * high
    canvas = np.full((round(rows * step + 1.2 * high), drawn.width, 3), DARK, dtype=np.uint8)
    places = [(0.6 * high + i // rows * wide, 0.6 * high + (i % rows + 0.5) * step) for i in range(len(entries))]
    for (x, y), (_, ink) in zip(places, entries, strict=True):
        _dot(canvas, np.array([x + 0.4 * high, y]), 0.26 * high, ink, 1.0)
    strip = Image.fromarray(canvas)
    pen = ImageDraw.Draw(strip)
    for (x, y), (text, _) in zip(places, entries, strict=True):
        pen.text((x + high, y), text, font=font, fill=(232, 232, 238), anchor="lm")
    whole = Image.new("RGB", (drawn.width, drawn.height + strip.height))
    whole.paste(drawn, (0, 0))
    whole.paste(strip, (0, drawn.height))
    return whole


def fitting(name: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The name on one line, cut with dots to the width; empty where the font lacks one of its letters."""
    text = " ".join(name.split())
    missing = bytes(font.getmask("\U0010ffff"))
    if any(bytes(font.getmask(letter)) == missing for letter in set(text) - {" "}):
        return ""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


def _line_height(font: ImageFont.FreeTypeFont) -> float:
    ascent, descent = font.getmetrics()
    return 1.15 * (ascent + descent)


def _pale(ink: tuple[int, int, int]) -> tuple[int, int, int]:
    """The colour mixed into white: readable on the dark plate and still of its point."""
    red, green, blue = (round(0.35 * value + 0.65 * 255) for value in ink)
    return red, green, blue
