"""Text on pictures: where labels find room, cutting names to a width, and a legend. The font is the one in Pillow."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..forms.poses import PoseFields
from .shapes import DARK, Colour, colours, dot

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


def fitting(name: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The name on one line, cut with three dots to a width in pixels; "" if the font lacks one of its letters."""
    text = " ".join(name.split())
    missing = bytes(font.getmask("\U0010ffff"))
    if any(bytes(font.getmask(letter)) == missing for letter in set(text) - {" "}):
        return ""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


def line_height(font: ImageFont.FreeTypeFont) -> float:
    """The height of a line of text in pixels, with a little room above and below."""
    ascent, descent = font.getmetrics()
    return 1.15 * (ascent + descent)


def place_labels(
    points: np.ndarray,
    sizes: Sequence[tuple[float, float]],
    lines: Sequence[tuple[np.ndarray, np.ndarray]],
    gap: float,
    canvas: tuple[float, float],
) -> list[Rectangle | None]:
    """Rectangles for labels that cover little of the drawing and stay near their points.

    points: [N, 2] x, y in pixels of the canvas.
    sizes: (width, height) of each label in pixels.
    lines: start and end of the lines drawn on the canvas, [2] each.
    gap: distance between a point and its label, in pixels.
    canvas: (width, height) in pixels.
    Returns one rectangle per point; None for a label larger than the canvas and for a point outside it.

    Each label tries many places round its point, always inside the canvas, and takes the one that covers the fewest
    labels, dots and lines. There are three rounds, so that labels placed early can still move for later ones.
    """
    bounds = np.array(canvas, dtype=np.float64)
    marks = [np.linspace(a, b, 24) for a, b in lines]
    marks = np.concatenate(marks) if marks else np.zeros((0, 2))
    centre = points.mean(axis=0) if len(points) else np.zeros(2)
    choices: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # label -> its candidates, and what each costs by itself
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
    """Candidates for a label: rectangles [C, 4] round the point at growing distances, and the costs of these [C].

    point: [2]; size: [2] width and height of the label; gap: smallest distance; bounds: [2] of the canvas that the
    rectangles are moved into; all in pixels.
    """
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
    """How far a label lies towards the middle of the object [C]: 0 if it is on the outer side of its point, up to 2.

    boxes: [C, 4] rectangles; point, centre: [2], the label's point and the mean of all points.
    """
    out = (point - centre) / max(float(np.hypot(*(point - centre))), 1e-6)
    way = (boxes[:, :2] + boxes[:, 2:]) / 2 - point
    return 1 - (way / np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-6)[:, None]) @ out


def _covered(boxes: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    """Number of points [N, 2] that lie in each rectangle [C, 4] or closer than `radius` to its edges: [C]."""
    inside = (points > boxes[:, None, :2] - radius) & (points < boxes[:, None, 2:] + radius)
    return inside.all(axis=2).sum(axis=1)


def with_legend(drawn: Image.Image, poses: Sequence[PoseFields], font: ImageFont.FreeTypeFont) -> Image.Image:
    """The picture above a strip with the name of each number, once per category, in columns that are read downwards."""
    named = {(pose.category, tuple(pose.names)): pose for pose in poses}
    high = line_height(font)
    entries: list[tuple[str, Colour]] = []
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
        dot(canvas, np.array([x + 0.4 * high, y]), 0.26 * high, ink, 1.0)
    strip = Image.fromarray(canvas)
    pen = ImageDraw.Draw(strip)
    for (x, y), (text, _) in zip(places, entries, strict=True):
        pen.text((x + high, y), text, font=font, fill=(232, 232, 238), anchor="lm")
    whole = Image.new("RGB", (drawn.width, drawn.height + strip.height))
    whole.paste(drawn, (0, 0))
    whole.paste(strip, (0, drawn.height))
    return whole
