"""Synthetic hand tools: a handle and one of ten heads. The same contract as `creatures`.

Tools are turned by any angle, so "left" and "right" are those of the tool held upright.
"""

# ruff: noqa: RUF005 - an array plus a tuple adds a step here; it does not concatenate

import math

import numpy as np

from .scene import Scene, ellipse
from .words import DARK, LIGHT, Namer, Rng, namer, pick


def tool(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A hand tool, a handle with a head, turned by any angle."""
    of, head = (
        namer(kind),
        pick(kind, "hammer", "axe", "spoon", "fork", "wrench", "key", "brush", "knife", "racket", "spade"),
    )
    long, thick = kind.uniform(0.9, 1.8), kind.uniform(0.04, 0.1)
    grip, size, flare = kind.uniform(0.3, 0.6), kind.uniform(0.22, 0.45), kind.uniform(0.7, 1.3)
    guard = kind.random() < 0.3
    scene.turn = pose.uniform(-math.pi, math.pi)
    size *= pose.uniform(0.9, 1.1)
    rod = scene.limb([(0, 0), (0, -long)], [thick * flare, thick], 0)
    scene.limb([(0, 0), (0, -long * grip)], [thick * flare * 1.35, thick * 1.35], 1, depth=0.1)
    if head == "key":
        bow = scene.shape(ellipse((0, size * 0.6), size * 0.7, size * 0.7), 2, depth=0.3)
        hole = scene.shape(ellipse((0, size * 0.7), size * 0.25, size * 0.25), DARK, depth=0.3)
        scene.mark("hole of the bow", (0, size * 0.7), "the hole in the round end that is held", hole)
        end, holders = size * 1.28, (bow,)
    else:
        end, holders = thick * flare, (rod, rod + 1)
    scene.mark(pick(kind, "handle end", "end of the handle"), (0, end), "the free end that is held", *holders)
    scene.mark(
        pick(kind, "middle of the handle", "handle middle"), (0, -long / 2), "half-way along the shaft", rod, rod + 1
    )
    stop = rod
    if guard:
        stop = scene.limb([(-thick * 3, -long * grip), (thick * 3, -long * grip)], thick * 0.6, 3, depth=0.2)
    scene.mark(of("end", "grip"), (0, -long * grip), "where the grip ends, towards the head", rod, rod + 1, stop)
    top = np.array([0.0, -long])
    neck = pick(kind, "neck", "base of the head")
    if head == "hammer":
        _hammer_head(scene, size, top)
    elif head == "axe":
        _axe_head(scene, of, size, top)
    elif head == "spoon":
        _spoon_head(scene, of, size, top)
    elif head == "fork":
        _fork_head(kind, scene, of, thick, size, top)
    elif head == "wrench":
        _wrench_head(pose, scene, of, size, top)
    elif head == "key":
        _key_head(scene, size, top)
    elif head == "brush":
        _brush_head(scene, of, size, rod, top)
    elif head == "knife":
        _knife_head(scene, of, size, top)
    elif head == "racket":
        _racket_head(scene, of, size, top)
    else:
        _spade_head(scene, of, size, top)
    scene.mark(neck, top, "where the handle meets the head", rod, *range(len(scene.parts)))
    return {"spade": "shovel"}.get(head, head) if kind.random() < 0.5 else "tool"


def _hammer_head(scene: Scene, size: float, top: np.ndarray) -> None:
    """Draw and mark the head of a hammer."""
    part = scene.shape(top + np.array([(-size, -0.1), (size * 0.8, -0.12), (size * 0.8, 0.12), (-size, 0.02)]), 2)
    scene.mark("claw tip", top + (-size, -0.04), "the narrow end of the head", part)
    scene.mark("middle of the striking face", top + (size * 0.8, 0), "the broad flat end of the head", part)


def _axe_head(scene: Scene, of: Namer, size: float, top: np.ndarray) -> None:
    """Draw and mark the blade of an axe."""
    part = scene.shape(
        top + np.array([(-0.12, -0.1), (size, -size * 0.8), (size * 1.15, 0), (size, size * 0.8), (-0.12, 0.12)]), 2
    )
    scene.mark(
        of("far corner", "blade"), top + (size, -size * 0.8), "the corner of the edge away from the handle", part
    )
    scene.mark(of("near corner", "blade"), top + (size, size * 0.8), "the corner of the edge nearer the handle", part)
    scene.mark(of("middle", "blade edge"), top + (size * 1.13, 0), "half-way along the cutting edge", part)


def _spoon_head(scene: Scene, of: Namer, size: float, top: np.ndarray) -> None:
    """Draw and mark the bowl of a spoon."""
    part = scene.shape(ellipse(top + (0, -size * 1.2), size * 0.75, size * 1.25), 2)
    scene.shape(ellipse(top + (0, -size * 1.2), size * 0.5, size * 0.9), 2, shade=0.75, outline=False)
    scene.mark(of("tip", "bowl"), top + (0, -size * 2.42), "the end of the bowl opposite the handle", part)
    scene.mark(of("middle", "bowl"), top + (0, -size * 1.2), "the deepest place of the bowl", part, part + 1)


def _fork_head(kind: Rng, scene: Scene, of: Namer, thick: float, size: float, top: np.ndarray) -> None:
    """Draw and mark the prongs of a fork."""
    count = int(kind.integers(2, 5))
    scene.limb([top + (-size * 0.6, 0), top + (size * 0.6, 0)], thick, 2)
    for index in range(count):
        x = (index / (count - 1) - 0.5) * 1.2 * size
        scene.limb([top + (x, 0), top + (x, -size * 1.8)], [thick * 0.6, 0.01], 2)
        if index not in (0, count - 1):
            continue
        # Turned anyhow, the outer prongs have no names of their own: held with the tip up, they are left and right.
        side = "left" if index == 0 else "right"
        scene.mark(
            of("tip", f"{side} prong"),
            top + (x, -size * 1.8),
            f"the outermost prong on the {side} when the prongs point up",
        )


def _wrench_head(pose: Rng, scene: Scene, of: Namer, size: float, top: np.ndarray) -> None:
    """Draw and mark the jaws of a wrench."""
    gap = pose.uniform(0.1, 0.25)
    scene.shape(ellipse(top, size * 0.55, size * 0.5), 2)
    for side, sign in (("left", -1), ("right", 1)):
        end = top + (sign * gap, -size * 1.1)
        jaw = scene.limb(
            [top + (sign * size * 0.4, -0.05), top + (sign * size * 0.42, -size * 0.6), end], [0.08, 0.08, 0.05], 2
        )
        scene.mark(of("tip", f"{side} jaw"), end, f"the end of the jaw on the {side} when the jaws point up", jaw)


def _key_head(scene: Scene, size: float, top: np.ndarray) -> None:
    """Draw and mark the teeth of a key."""
    for index, y in enumerate((0.08, 0.25)):
        end = top + (size * 0.5, y)
        part = scene.limb([top + (0, y), end], 0.05, 2)
        scene.mark(f"tip of the {('first', 'second')[index]} tooth", end, "a tooth, counted from the far end", part)


def _brush_head(scene: Scene, of: Namer, size: float, rod: int, top: np.ndarray) -> None:
    """Draw and mark the bristles of a brush."""
    part = scene.shape(
        top + np.array([(-size * 0.5, 0), (size * 0.5, 0), (size * 0.7, -size * 1.6), (-size * 0.7, -size * 1.6)]),
        2,
    )
    scene.mark(of("middle", "bristle ends"), top + (0, -size * 1.58), "the middle of the free ends of the hair", part)
    scene.mark(of("base", "bristles"), top, "where the hair leaves the handle", part, rod)


def _knife_head(scene: Scene, of: Namer, size: float, top: np.ndarray) -> None:
    """Draw and mark the blade of a knife."""
    end = top + (0.03, -size * 3)
    part = scene.shape(
        [top + (-0.06, 0), top + (size * 0.4, 0), top + (size * 0.4, -size * 2), end, top + (-0.06, -size * 2)], 2
    )
    scene.mark(of("tip", "blade"), end, "the pointed end of the blade", part)
    scene.mark(of("heel", "blade"), top + (size * 0.4, 0), "the corner of the cutting edge next to the handle", part)


def _racket_head(scene: Scene, of: Namer, size: float, top: np.ndarray) -> None:
    """Draw and mark the frame and the net of a racket."""
    part = scene.shape(ellipse(top + (0, -size * 1.5), size * 1.1, size * 1.5), 2)
    scene.shape(ellipse(top + (0, -size * 1.5), size * 0.9, size * 1.28), LIGHT)
    scene.mark(of("top", "frame"), top + (0, -size * 2.95), "the point of the frame farthest from the handle", part)
    scene.mark(of("centre", "net"), top + (0, -size * 1.5), "the middle of the oval", part + 1)


def _spade_head(scene: Scene, of: Namer, size: float, top: np.ndarray) -> None:
    """Draw and mark the blade of a spade."""
    blade = [(-size * 0.7, 0), (size * 0.7, 0), (size * 0.7, -size), (0, -size * 1.7), (-size * 0.7, -size)]
    part = scene.shape(top + np.array(blade), 2)
    scene.mark(of("tip", "blade"), top + (0, -size * 1.68), "the pointed end opposite the handle", part)
    for side, sign in (("left", -1), ("right", 1)):
        scene.mark(
            f"{side} shoulder of the blade",
            top + (sign * size * 0.7, 0),
            f"the corner next to the handle on the {side} when the tip points up",
            part,
        )
