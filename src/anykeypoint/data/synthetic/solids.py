"""Synthetic furniture and cars: cuboids in perspective, whose near faces hide the far ones. See `creatures`.

The frame in space has x to the object's own left, y up and z to its front; left is that of somebody who sits in it and
looks to the front. A keypoint is a corner or the centre of a face, and is visible where a face that it lies on is.
"""

import math

import numpy as np

from .scene import Scene
from .words import DARK, LIGHT, Rng, Sides, pick


class View:
    """A perspective view of an object. It collects faces and marks, and draws them with the nearest faces last."""

    def __init__(self, yaw: float, pitch: float, distance: float):
        """
        yaw: angle of the camera to the side, in radians from the front.
        pitch: angle of the camera from above, in radians from the horizontal.
        distance: distance of the camera, in units of the object.
        """
        # From the front the object's left (x) is at the right of the picture: x to the right, y up, z to the camera.
        cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        self.matrix, self.distance = tilt @ turn, distance
        self.faces: list[tuple[float, np.ndarray, int | tuple, float, int]] = []
        self.marks: list[tuple[str, np.ndarray, str, tuple[int, ...]]] = []
        self.count = 0

    def project(self, points) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, 3) in space to points (N, 2) in the picture, with y down, and their nearness (N,)."""
        seen = np.asarray(points, dtype=np.float64) @ self.matrix.T
        scale = self.distance / (self.distance - seen[:, 2])
        return np.stack([seen[:, 0] * scale, -seen[:, 1] * scale], axis=1), seen[:, 2]

    def face(self, corners, paint, bias: float = 0.0) -> int:
        """Add a flat polygon that is visible from both sides, shaded by its direction. Returns its number.

        corners: (N, 3) in space.
        paint: index of a texture, or a colour, see `scene.Part`.
        bias: is added to its nearness, to draw it later than faces around it.
        """
        corners = np.asarray(corners, dtype=np.float64)
        flat, near = self.project(corners)
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[1])
        normal /= max(float(np.linalg.norm(normal)), 1e-9)
        shade = 0.75 + 0.25 * abs(float(normal[1])) - 0.15 * abs(float(normal[0]))
        self.faces.append((float(near.mean()) + bias, flat, paint, shade, self.count))
        self.count += 1
        return self.count - 1

    def box(self, low, high, paint) -> dict[str, int]:
        """Add a cuboid, of which the faces towards the camera are kept. Returns their numbers, -1 for the others.

        low: x, y, z of its corner with the smallest coordinates.
        high: x, y, z of its corner with the largest.
        paint: see `face`.
        """
        (x0, y0, z0), (x1, y1, z1) = low, high
        sides = {
            "left": [(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)],
            "right": [(x0, y0, z0), (x0, y0, z1), (x0, y1, z1), (x0, y1, z0)],
            "top": [(x0, y1, z0), (x0, y1, z1), (x1, y1, z1), (x1, y1, z0)],
            "bottom": [(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)],
            "front": [(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)],
            "back": [(x0, y0, z0), (x0, y1, z0), (x1, y1, z0), (x1, y0, z0)],
        }
        numbers = {}
        for name, corners in sides.items():
            flat, _ = self.project(corners)
            after = np.roll(flat, -1, axis=0)
            area = float((flat[:, 0] * after[:, 1] - flat[:, 1] * after[:, 0]).sum())
            numbers[name] = self.face(corners, paint) if area < 0 else -1
        return numbers

    def mark(self, name: str, at, description: str, *faces: int) -> None:
        """Mark a keypoint at x, y, z that is visible where one of the faces of these numbers is."""
        self.marks.append((name, np.asarray(at, dtype=np.float64), description, faces))

    def draw(self, scene: Scene) -> None:
        """Draw the faces into the scene by rising nearness, then add the marks."""
        parts = {}
        for _, flat, paint, shade, number in sorted(self.faces, key=lambda face: face[0]):
            parts[number] = scene.shape(flat, paint, shade)
        for name, at, description, faces in self.marks:
            owners = tuple(parts[face] for face in faces if face in parts)
            # No part has the number -1, so a keypoint whose faces are all turned away is never visible.
            scene.mark(name, self.project(at[None])[0][0], description, *(owners or (-1,)))


def furniture(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A chair, stool, bench, table, bed or cabinet."""
    noun = pick(kind, "chair", "stool", "bench", "table", "bed", "cabinet", "armchair", "desk", "shelf")
    wide = kind.uniform(0.35, 0.5) * (2 if noun in ("bench", "table", "bed", "desk") else 1)
    deep = kind.uniform(0.35, 0.5) * (2.0 if noun == "bed" else 1)
    seat, thick, leg = kind.uniform(0.4, 0.9), kind.uniform(0.05, 0.14), kind.uniform(0.03, 0.07)
    back, end = kind.uniform(0.4, 0.9), pick(kind, "end", "foot", "tip")
    backed = noun in ("chair", "armchair", "bench", "bed")
    plate = {"table": "table top", "desk": "desk top", "bed": "mattress"}.get(noun, "seat")
    view = View(pose.uniform(-1.0, 1.0), pose.uniform(0.15, 0.7), kind.uniform(4, 9))
    sides = (("left", 1), ("right", -1))
    if noun in ("cabinet", "shelf"):
        return _cabinet(kind, scene, noun, wide, deep, view, sides)
    for z, where in ((deep, "front"), (-deep, "back")):
        for side, sign in sides:
            x, z0 = sign * (wide - leg), z - math.copysign(leg, z)
            faces = view.box((x - leg, 0, z0 - leg), (x + leg, seat, z0 + leg), 1)
            view.mark(
                f"{where} {side} leg {end}",
                (x, 0, z0),
                f"where the {where} leg on the {noun}'s own {side} stands",
                *(number for number in faces.values() if number >= 0),
            )
    faces = view.box((-wide, seat, -deep), (wide, seat + thick, deep), 0)
    for z, where in ((deep, "front"), (-deep, "back")):
        for side, sign in sides:
            view.mark(
                f"{where} {side} corner of the {plate}",
                (sign * wide, seat + thick, z),
                f"the {where} corner on the {noun}'s own {side}",
                faces[where],
                faces["top"],
                faces[side],
            )
    view.mark(
        f"middle of the {plate}", (0, seat + thick, 0), f"the centre of the upper face of the {plate}", faces["top"]
    )
    _back_and_armrests(noun, wide, deep, seat, thick, back, backed, view, sides)
    view.draw(scene)
    return noun


def _cabinet(kind: Rng, scene: Scene, noun: str, wide: float, deep: float, view: View, sides: Sides) -> str:
    """A cabinet or shelf with drawers."""
    tall = kind.uniform(0.8, 1.6)
    faces = view.box((-wide, 0, -deep), (wide, tall, deep), 0)
    for y, row in ((tall, "top"), (0, "bottom")):
        for z, where in ((deep, "front"), (-deep, "back")):
            for side, sign in sides:
                view.mark(
                    f"{where} {row} {side} corner of the {noun}",
                    (sign * wide, y, z),
                    f"the corner at the {where} and {row}, on the {noun}'s own {side}",
                    faces[where],
                    faces[row],
                    faces[side],
                )
    drawers = int(kind.integers(1, 4))
    for index in range(drawers):
        high, low = tall * (1 - (index + 0.12) / drawers), tall * (1 - (index + 0.88) / drawers)
        z = deep + 0.005
        front = view.face(
            [(-wide * 0.85, low, z), (wide * 0.85, low, z), (wide * 0.85, high, z), (-wide * 0.85, high, z)], 1, 1.0
        )
        y = (low + high) / 2
        knob = view.face(
            [(-0.09, y - 0.03, z), (0.09, y - 0.03, z), (0.09, y + 0.03, z), (-0.09, y + 0.03, z)], DARK, 2.0
        )
        word = ("top", "second", "third")[index] if drawers > 1 else "only"
        view.mark(
            f"{word} drawer handle" if drawers > 1 else "drawer handle",
            (0, y, z),
            f"the middle of the handle of the {word} drawer, counted from the top",
            front,
            knob,
        )
    view.draw(scene)
    return noun


def _back_and_armrests(
    noun: str,
    wide: float,
    deep: float,
    seat: float,
    thick: float,
    back: float,
    backed: bool,
    view: View,
    sides: Sides,
) -> None:
    """Draw and mark backrest or headboard, and armrests."""
    if backed:
        faces = view.box((-wide, seat + thick, -deep), (wide, seat + thick + back, -deep + 0.1), 2)
        word = "headboard" if noun == "bed" else "backrest"
        for side, sign in sides:
            view.mark(
                f"top {side} corner of the {word}",
                (sign * wide, seat + thick + back, -deep + 0.1),
                f"the upper corner of the {word} on the {noun}'s own {side}",
                faces["front"],
                faces["top"],
                faces[side],
            )
        view.mark(
            f"middle of the {word} top",
            (0, seat + thick + back, -deep + 0.1),
            f"the middle of the {word}'s upper edge",
            faces["front"],
            faces["top"],
        )
    if noun == "armchair":
        for side, sign in sides:
            x0, x1 = sorted((sign * wide, sign * (wide - 0.1)))
            faces = view.box((x0, seat + thick, -deep + 0.1), (x1, seat + thick + back * 0.5, deep), 3)
            view.mark(
                f"front end of the {side} armrest",
                (sign * (wide - 0.05), seat + thick + back * 0.5, deep),
                f"the front of the armrest on the chair's own {side}",
                faces["front"],
                faces["top"],
            )


def car(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A car, van or lorry. Left is the driver's left."""
    noun = pick(kind, "car", "van", "truck", "bus", "tractor", "toy car", "taxi")
    wide, long, low = kind.uniform(0.32, 0.5), kind.uniform(0.7, 1.2), kind.uniform(0.1, 0.2)
    body, cabin = kind.uniform(0.2, 0.4), kind.uniform(0.2, 0.55)
    start, stop = kind.uniform(0.0, 0.7), kind.uniform(-1.0, -0.5)
    radius, rear = kind.uniform(0.14, 0.24), pick(kind, "rear", "back")
    lamp = pick(kind, "headlight", "headlamp")
    view = View(pose.uniform(-1.25, 1.25) + pick(pose, 0.0, math.pi), pose.uniform(0.08, 0.5), kind.uniform(4, 9))
    hull = view.box((-wide, low, -long), (wide, low + body, long), 0)
    roof = low + body + cabin
    top = view.box((-wide * 0.92, low + body, stop * long), (wide * 0.92, roof, start * long), 1)
    for end, where in ((start * long, "front"), (stop * long, rear)):
        face = top["front" if where == "front" else "back"]
        if face >= 0:
            z = end + math.copysign(0.005, end if where == rear else 1)
            glass = [(-0.75, 0.12), (0.75, 0.12), (0.75, 0.85), (-0.75, 0.85)]
            view.face([(x * wide, low + body + y * cabin, z) for x, y in glass], (70, 95, 120), 1.0)
        for side, sign in (("left", 1), ("right", -1)):
            view.mark(
                f"{where} {side} corner of the roof",
                (sign * wide * 0.92, roof, end),
                f"the {where} corner of the roof on the driver's {side}",
                face,
                top["top"],
                top[side],
            )
    _wheels_and_lamps(wide, long, low, body, radius, rear, lamp, view, hull)
    view.mark(
        "middle of the front bumper", (0, low, long), "the lower edge of the front, half-way across", hull["front"]
    )
    view.mark(
        f"middle of the {rear} bumper", (0, low, -long), f"the lower edge of the {rear}, half-way across", hull["back"]
    )
    view.mark("centre of the roof", (0, roof, (start + stop) * long / 2), "the middle of the roof", top["top"])
    view.draw(scene)
    return noun


def _wheels_and_lamps(
    wide: float,
    long: float,
    low: float,
    body: float,
    radius: float,
    rear: str,
    lamp: str,
    view: View,
    hull: dict[str, int],
) -> None:
    """Draw and mark wheels and lamps."""
    for side, sign in (("left", 1), ("right", -1)):
        for z, where in ((long * 0.62, "front"), (-long * 0.62, rear)):
            x = sign * (wide + 0.01)
            turn = np.linspace(0, 2 * math.pi, 20, endpoint=False)
            rim = [(x, radius + radius * math.sin(t), z + radius * math.cos(t)) for t in turn]
            hubcap = [
                (x + sign * 0.005, radius + 0.5 * radius * math.sin(t), z + 0.5 * radius * math.cos(t)) for t in turn
            ]
            # A wheel on the far side is drawn before the body, which then covers its upper half.
            bias = 3.0 if hull[side] >= 0 else -3.0
            tyre, disc = view.face(rim, DARK, bias), view.face(hubcap, LIGHT, bias + 0.1)
            owners = (tyre, disc) if hull[side] >= 0 else (-1,)
            view.mark(
                f"{where} {side} wheel", (x, radius, z), f"the hub of the {where} wheel on the driver's {side}", *owners
            )
        for z, where, colour in ((long, "front", (250, 245, 190)), (-long, rear, (190, 30, 30))):
            face = hull["front" if where == "front" else "back"]
            x, y, half = sign * wide * 0.72, low + body * 0.6, wide * 0.18
            z += math.copysign(0.004, z)
            if face >= 0:
                face = view.face(
                    [
                        (x - half, y - half / 2, z),
                        (x + half, y - half / 2, z),
                        (x + half, y + half / 2, z),
                        (x - half, y + half / 2, z),
                    ],
                    colour,
                    1.0,
                )
            view.mark(
                f"left {lamp}"
                if (where, side) == ("front", "left")
                else f"right {lamp}"
                if where == "front"
                else f"{side} {rear} light",
                (x, y, z),
                f"the lamp at the {where} on the driver's {side}",
                face,
            )
