"""Points on the surfaces of a model's geoms, each in the frame of its geom; the shapes are those of MuJoCo.

They stand for the object where its extent, the nearest place of its surface, or its farthest end is needed.
"""

import math

import numpy as np

STEPS = 8  # number of intervals along an edge of a box
ROUND = 32  # number of points round a circle
PER_MESH = 3000  # number of points drawn on a mesh beside its vertices


def box(size: np.ndarray) -> np.ndarray:
    """A lattice (N, 3) on the faces of a box. size: (3,), half its edges."""
    line = np.linspace(-1, 1, STEPS + 1)
    lattice = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    return lattice[np.abs(lattice).max(axis=1) == 1] * size


def ellipsoid(radii: np.ndarray) -> np.ndarray:
    """Points (N, 3) all over an ellipsoid, its six ends among them. radii: (3,)."""
    count = 400
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    angle = np.arange(count) * math.pi * (3 - math.sqrt(5))  # the golden angle spreads them evenly
    flat = np.sqrt(1 - z**2)
    sphere = np.stack([flat * np.cos(angle), flat * np.sin(angle), z], axis=1)
    return np.concatenate([sphere, np.eye(3), -np.eye(3)]) * radii


def cylinder(radius: float, half: float) -> np.ndarray:
    """Points (N, 3) on a cylinder along z, caps included. half: half its length."""
    angle = np.arange(ROUND) * 2 * math.pi / ROUND
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    side = [np.column_stack([circle * radius, np.full(ROUND, z)]) for z in np.linspace(-half, half, STEPS + 1)]
    caps = [
        np.column_stack([circle * radius * share, np.full(ROUND, z)])
        for z in (-half, half)
        for share in (0, 0.33, 0.66)
    ]
    return np.concatenate([*side, *caps])


def capsule(radius: float, half: float) -> np.ndarray:
    """Points (N, 3) on a capsule along z. half: half the length of its straight part."""
    ball = ellipsoid(np.full(3, radius))
    ends = ball + np.sign(ball[:, 2:]) * np.array([0, 0, half])
    return np.concatenate([ends, cylinder(radius, half)[: ROUND * (STEPS + 1)]])


def mesh(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The vertices in use and points all over the triangles of a mesh, (N, 3). The same mesh gives the same points.

    vertices: (V, 3).
    faces: (F, 3), indices of vertices.
    """
    corners = vertices[faces].astype(np.float64)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    used = vertices[np.unique(faces)].astype(np.float64)
    if areas.sum() <= 0:
        return used
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(faces), PER_MESH, p=areas / areas.sum())
    a, b = rng.random((2, PER_MESH, 1))
    over = (a + b) > 1  # mirror the upper half of the square into the triangle
    a, b = np.where(over, 1 - a, a), np.where(over, 1 - b, b)
    first, second, third = np.moveaxis(corners[chosen], 1, 0)
    return np.concatenate([used, first + a * (second - first) + b * (third - first)])


def nearest(points: np.ndarray, at: np.ndarray) -> int:
    """The index of the point of (N, 3) nearest to a place of their box.

    at: (3,), from -1 to 1 along each axis of the box; distances are measured in these units, with thin axes weighed
        less, so that the middle of a plate's edge is not mistaken for that of its face.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    half = np.maximum((high - low) / 2, 1e-9)
    scale = np.maximum(half, 0.15 * half.max())
    return int(np.argmin((((points - (low + high) / 2) - at * half) ** 2 / scale).sum(axis=1)))


def farthest(points: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """The middle (3,) of the points of (N, 3) that lie farthest in a direction, within 2 % of their extent along it."""
    along = points @ (towards / np.linalg.norm(towards))
    ends = points[along >= along.max() - 0.02 * (along.max() - along.min()) - 1e-9]
    return (ends.min(axis=0) + ends.max(axis=0)) / 2
