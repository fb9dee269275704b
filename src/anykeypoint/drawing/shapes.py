"""Colours, and shapes painted from their exact distance to each pixel, which gives smooth edges at any size."""

from collections.abc import Sequence

import numpy as np

Colour = tuple[int, int, int]  # RGB, each 0 to 255

DARK = (18, 18, 24)  # outlines, plates behind text, and the ground of sheets
LIGHT = (240, 240, 244)  # boxes that a detector found, and their text


def colours(count: int) -> list[Colour]:
    """`count` colours for the keypoints of one object.

    Hues run evenly round the circle, so that neighbours in the list are alike; they are lighter and darker in turn, so
    that neighbours can still be told apart.
    """
    angles = np.deg2rad(25 + 360 * np.arange(count) / max(count, 1))
    light = np.where(np.arange(count) % 2, 0.70, 0.78)
    return [_oklch(lightness, 0.17, angle) for lightness, angle in zip(light, angles, strict=True)]


def stroke(
    canvas: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    radius: float,
    first: Sequence[int],
    last: Sequence[int],
    alpha: float,
) -> None:
    """Paint a line with round ends.

    canvas: [H, W, 3] uint8, changed in place.
    start, end: [2] x, y in pixels of the canvas; the same point twice gives a dot.
    radius: half the width of the line, in pixels.
    first, last: colours at the two ends; the colour between them changes evenly.
    alpha: opacity, 0 to 1.
    """
    start, along = np.asarray(start, dtype=np.float64), np.subtract(end, start, dtype=np.float64)
    length = float(along @ along)
    reach = radius + 1
    ends = np.array([start, start + along])
    first_row, last_row = np.clip([ends[:, 1].min() - reach, ends[:, 1].max() + reach + 1], 0, canvas.shape[0]).astype(
        int
    )
    # Bands of rows: a slanted line then costs its own area instead of that of its bounding box.
    band = max(16, int(4 * reach))
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


def dot(canvas: np.ndarray, centre: np.ndarray, radius: float, colour: Sequence[int], alpha: float) -> None:
    """Paint a dot into the canvas. centre: [2] x, y; radius: in pixels of the canvas; alpha: opacity, 0 to 1."""
    stroke(canvas, centre, centre, radius, colour, colour, alpha)


def ring(
    canvas: np.ndarray, centre: np.ndarray, radius: float, width: float, colour: Sequence[int], alpha: float
) -> None:
    """Paint a circle line into the canvas.

    centre: [2] x, y. radius: of the line's outer edge. width: of the line; all in pixels of the canvas.
    alpha: opacity, 0 to 1.
    """
    first = np.maximum(np.floor(centre - radius - 1), 0).astype(int)
    last = np.minimum(np.ceil(centre + radius + 1), canvas.shape[1::-1]).astype(int)
    if (first >= last).any():
        return
    x = np.arange(first[0], last[0]) + 0.5 - centre[0]
    y = (np.arange(first[1], last[1]) + 0.5 - centre[1])[:, None]
    away = np.abs(np.hypot(x, y) - (radius - width / 2))
    cover = (np.clip(width / 2 + 0.5 - away, 0, 1) * alpha)[..., None]
    window = canvas[first[1] : last[1], first[0] : last[0]]
    window[:] = np.rint(window * (1 - cover) + np.asarray(colour) * cover)


def _oklch(lightness: float, chroma: float, hue: float) -> Colour:
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
