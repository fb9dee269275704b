"""One made-up object from two seeds.

A *kind* (parts, proportions, words, colours) and a *pose* (joint angles, place, background) are each a seed. Two
pictures of one kind have the same `Category`; two kinds differ in at least one proportion and nearly always in words.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...category import Category, Keypoint
from ...errors import InputError
from ...geometry import Box
from . import creatures, figures, machines, solids, things
from .scene import Look, Scene

FAMILIES = {
    function.__name__: function
    for function in (
        creatures.quadruped,
        figures.biped,
        figures.bug,
        creatures.fish,
        creatures.bird,
        figures.face,
        figures.hand,
        things.garment,
        things.tool,
        things.sheet,
        things.vessel,
        machines.arm,
        machines.cycle,
        figures.shell,
        machines.plane,
        solids.furniture,
        solids.car,
    )
}
MIN_SIZE, MAX_SIZE = 32, 1024


@dataclass(frozen=True)
class SyntheticObject:
    """One made-up object in its picture.

    image: RGB, size x size. points: (K, 2) float64 in image pixels, all inside the picture. box: [x, y, w, h] in image
    pixels, tight round the drawn parts. visibility: (K,) 1 where other parts cover the point, else 2.
    """

    image: Image.Image
    category: Category
    points: np.ndarray
    box: Box
    visibility: np.ndarray
    family: str


def make_object(rng: np.random.Generator, size: int = 256) -> SyntheticObject:
    """A new kind of object in a new pose, drawn from `rng`."""
    kind, pose = (int(seed) for seed in rng.integers(2**62, size=2))
    return draw_object(kind, pose, size)


def draw_object(kind: int, pose: int, size: int = 256) -> SyntheticObject:
    """The object of that kind in that pose, both given as seeds. `size` is the picture's side in pixels."""
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"A made-up picture's side must be {MIN_SIZE} to {MAX_SIZE} pixels, but got {size}.")
    kind_rng, pose_rng = np.random.default_rng([kind, 1]), np.random.default_rng([pose, 2])
    family = list(FAMILIES)[int(kind_rng.integers(len(FAMILIES)))]
    look = Look.draw(np.random.default_rng([kind, 3]), pose_rng)
    scene = Scene()
    noun = FAMILIES[family](kind_rng, pose_rng, scene)
    _choose_marks(scene, np.random.default_rng([kind, 4]))
    image, points, box, visibility = scene.render(size, look, pose_rng)
    keypoints = tuple(Keypoint(mark.name, mark.description) for mark in scene.marks)
    category = Category(f"{noun} {kind:x}", keypoints, noun=noun)
    return SyntheticObject(image, category, points, box, visibility, family)


def _choose_marks(scene: Scene, rng: np.random.Generator) -> None:
    """Leave some points out, as data sets do, and put the rest in an order of the kind's own."""
    count = len(scene.marks)
    keep = rng.permutation(count)[: max(min(4, count), round(count * rng.uniform(0.4, 1.3)))]
    if rng.random() < 0.5:
        keep = np.sort(keep)
    scene.marks = [scene.marks[index] for index in keep]
