"""Cameras and the projection of points in space to pixels.

Space is right-handed with z up, in metres. A camera looks along its own -z, with x to the right and y up, as MuJoCo's
do. Pixels are continuous; (0, 0) is the corner of the first pixel, x to the right and y down.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pictures.

    position: (3,) in space.
    axes: (3, 3), its x, y and z in space as columns.
    angle: of view, from the lower to the upper edge, in radians.
    size: side of the picture in pixels.
    """

    position: np.ndarray
    axes: np.ndarray
    angle: float
    size: int

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 2) and depths (N,) of points (N, 3) in space; behind the camera, pixels are NaN.

        The depth is the distance along the direction of view, as a depth buffer has it.
        """
        seen = (np.asarray(points, dtype=np.float64) - self.position) @ self.axes
        depth = -seen[:, 2]
        scale = self.size / 2 / math.tan(self.angle / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            x = self.size / 2 + scale * seen[:, 0] / depth
            y = self.size / 2 - scale * seen[:, 1] / depth
        pixels = np.stack([x, y], axis=1)
        pixels[depth <= 0] = np.nan
        return pixels, depth


def axes_towards(azimuth: float, elevation: float, roll: float) -> np.ndarray:
    """The axes (3, 3), as columns, of a camera that looks at the origin from a direction; all angles in radians.

    azimuth: from x towards y.
    elevation: above the horizontal, less than a quarter turn.
    roll: by which the camera is turned about its direction of view, counter-clockwise.
    """
    back = np.array(
        [
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ]
    )
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    up = np.cross(back, right)
    cos, sin = math.cos(roll), math.sin(roll)
    return np.stack([cos * right + sin * up, cos * up - sin * right, back], axis=1)


def framed(
    points: np.ndarray, axes: np.ndarray, angle: float, size: int, share: float, shift: tuple[float, float]
) -> Camera:
    """The camera that sees points (N, 3) in `share` of its picture, measured along the longer side of their box.

    axes, angle, size: of the camera.
    share: 1 fills the picture from edge to edge.
    shift: by which the middle of the points is moved in the picture, in pixels.
    """
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    radius = float(np.linalg.norm(points - centre, axis=1).max())
    distance = radius / math.sin(angle / 2) / share
    offset = np.zeros(2)  # of the camera along its x and y
    for _ in range(12):  # both depend on each other through the perspective, so each is improved in turn
        camera = Camera(centre + axes @ np.array([*offset, distance]), axes, angle, size)
        pixels, _ = camera.project(points)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        near = max(float((high - low).max()), 1e-6) / (share * size)
        middle = (low + high) / 2 - size / 2 - np.asarray(shift)
        scale = 2 * math.tan(angle / 2) / size * distance  # metres a pixel at the centre
        offset += scale * middle * (1, -1)
        distance = max(distance * near, 1.2 * radius)
    return Camera(centre + axes @ np.array([*offset, distance]), axes, angle, size)


def hidden(
    pixels: np.ndarray, depth: np.ndarray, buffer: np.ndarray, tolerance: np.ndarray, reach: int = 1
) -> np.ndarray:
    """Whether points lie behind what the depth buffer shows near them, (N,) bool.

    pixels: (N, 2) in the buffer's pixels, inside it.
    depth: (N,) of the points.
    buffer: (H, W), the depth of the nearest surface at each pixel.
    tolerance: (N,), by how much a surface may lie in front of a point that is seen: edges are sharper than pixels, and
        a joint lies inside its part.
    reach: pixels to each side in which a surface at the point's depth makes it seen.
    """
    height, width = buffer.shape
    result = np.zeros(len(pixels), dtype=bool)
    for i, ((x, y), deep, slack) in enumerate(zip(pixels, depth, tolerance, strict=True)):
        row, column = min(int(y), height - 1), min(int(x), width - 1)
        window = buffer[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        result[i] = window.max() < deep - slack
    return result
