"""A synthetic object from two seeds.

One seed gives the kind (parts, proportions, names, colours), the other the pose (joint angles, place, background). All
pictures of a kind have the same `Category`. Two kinds differ in some proportion, and nearly always in their names.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...category import Category, Keypoint
from ...errors import InputError
from ...geometry import Box
from . import creatures, faces, figures, machines, solids, things, tools
from .scene import Look, Scene

FAMILIES = {
    function.__name__: function
    for function in (
        creatures.quadruped,
        figures.biped,
        figures.bug,
        creatures.fish,
        creatures.bird,
        faces.face,
        figures.hand,
        things.garment,
        tools.tool,
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
    """A synthetic object in its picture.

    image: RGB, as wide as high.
    category: its keypoints with names and descriptions.
    points: (K, 2) float64 in image pixels, all inside the picture.
    box: x, y, w, h in image pixels, the bounding box of the drawn parts.
    visibility: (K,), 1 where other parts cover the point, else 2.
    family: name of the function that drew it, a key of FAMILIES.
    """

    image: Image.Image
    category: Category
    points: np.ndarray
    box: Box
    visibility: np.ndarray
    family: str


def make_object(rng: np.random.Generator, size: int = 256) -> SyntheticObject:
    """An object of a new kind in a new pose, both drawn from `rng`; `size` is the side of the picture in pixels."""
    kind, pose = (int(seed) for seed in rng.integers(2**62, size=2))
    return draw_object(kind, pose, size)


def draw_object(kind: int, pose: int, size: int = 256) -> SyntheticObject:
    """The object of a kind in a pose. Raises InputError for a size outside of MIN_SIZE to MAX_SIZE.

    kind: seed of the kind.
    pose: seed of the pose.
    size: side of the picture in pixels.
    """
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
    """Leave out some keypoints, as data sets do; half of the kinds have the others in random order."""
    count = len(scene.marks)
    keep = rng.permutation(count)[: max(min(4, count), round(count * rng.uniform(0.4, 1.3)))]
    if rng.random() < 0.5:
        keep = np.sort(keep)
    scene.marks = [scene.marks[index] for index in keep]
