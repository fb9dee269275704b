"""A place marked in a picture, for a model that is asked about it in words (KptLLM++, Sec. 4.2)."""

import numpy as np

RED = (255, 0, 0)


def ring(
    pixels: np.ndarray,
    point: tuple[float, float],
    radius: float,
    width: float,
    colour: tuple[int, int, int] = RED,
) -> np.ndarray:
    """A copy of a picture with a ring round a point: what lies inside it stays visible.

    A pixel has the colour where its centre is at most `width` / 2 away from the circle; all others stay as they are.

    pixels: H W 3 uint8.
    point: x, y in pixels; (0, 0) is the corner of the first pixel. It may lie outside the picture.
    radius: radius of the circle in pixels.
    width: width of the line in pixels.
    colour: red, green and blue, 0 to 255.
    """
    rows, columns = np.indices(pixels.shape[:2])
    distance = np.hypot(columns + 0.5 - point[0], rows + 0.5 - point[1])
    marked = pixels.copy()
    marked[np.abs(distance - radius) <= width / 2] = colour
    return marked
