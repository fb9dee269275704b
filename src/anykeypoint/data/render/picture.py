"""One picture of an assembled model: joints, camera, lights, colours and background drawn at random.

The object is drawn at twice the size and averaged, with its mask, over a background of the made-up drawings.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..synthetic.scene import Look
from .assembly import DRAWN, FLOOR, LIGHTS, PAINTS, TEXTURE, UNSEEN, Assembly
from .camera import Camera, axes_towards, framed, hidden
from .engine import Renderer, mujoco_module

OVERSAMPLE = 2  # factor by which the picture is drawn larger and then averaged
SLACK = 0.018  # share of an object's extent by which a surface may lie in front of a point that counts as seen
LEAST_SEEN = 3  # fewest visible points of a picture
TRIES = 12  # most draws of one picture


@dataclass(frozen=True)
class Rendered:
    """An object in its picture.

    image: RGB, as wide as high.
    points: (K, 2) in image pixels, (0, 0) where not labelled.
    visibility: (K,): 2 where seen, 1 where hidden by a surface in front, 0 outside the picture.
    box: x, y, w, h of the object's pixels.
    area: number of the object's pixels.
    """

    image: Image.Image
    points: np.ndarray
    visibility: np.ndarray
    box: tuple[float, float, float, float]
    area: float


def render(assembly: Assembly, renderer: Renderer, size: int, rng: np.random.Generator) -> Rendered:
    """Draw a picture; the same generator state gives the same picture.

    A view in which fewer than LEAST_SEEN points are seen is drawn anew, up to TRIES times; the best is taken.

    renderer: of the assembly's model, OVERSAMPLE times as large as the picture.
    size: side of the picture in pixels.
    """
    best: tuple[int, Rendered] | None = None
    least = min(LEAST_SEEN, len(assembly.anchors))
    for _ in range(TRIES):
        rendered = _attempt(assembly, renderer, size, rng)
        if rendered is None:
            continue
        seen = int((rendered.visibility == 2).sum())
        if best is None or seen > best[0]:
            best = seen, rendered
        if seen >= least:
            break
    if best is None:
        raise RuntimeError("no view showed the object")  # a camera is always aimed at it
    return best[1]


def _attempt(assembly: Assembly, renderer: Renderer, size: int, rng: np.random.Generator) -> Rendered | None:
    """One picture, None where the object is not to be seen in it."""
    kind, model, data = assembly.kind, assembly.model, assembly.data
    mujoco = mujoco_module()
    move_joints(assembly, rng)
    mujoco.mj_kinematics(model, data)
    cloud = assembly.cloud()
    floor = kind.floor and rng.random() < 0.4
    elevation = rng.uniform(*kind.elevation)
    if floor:
        elevation = max(elevation, 8.0)
    axes = axes_towards(
        math.radians(rng.uniform(*kind.azimuth)), math.radians(elevation), math.radians(rng.normal(0, 6))
    )
    share = rng.uniform(0.55, 0.98) if rng.random() < 0.94 else rng.uniform(1.0, 1.2)  # now and then parts are cut off
    room = max(0.0, (1 - share) / 2) * size
    camera = framed(cloud, axes, math.radians(rng.uniform(18, 50)), size, share, tuple(rng.uniform(-room, room, 2)))
    _place_camera(model, camera)
    _place_lights(model, rng)
    _paint(assembly, renderer, floor, cloud, rng)
    mujoco.mj_forward(model, data)
    large = size * OVERSAMPLE
    picture, depth, geoms = renderer.draw(data)
    mask = np.isin(geoms, assembly.shown)
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if mask.mean() < 0.004 or not len(rows):
        return None
    look = Look.draw(rng, rng)
    ground = np.asarray(look.background(large, rng))
    whole = np.where((geoms >= 0)[..., None], picture, ground)
    image = _grain(Image.fromarray(whole).reduce(OVERSAMPLE), look.grain, rng)
    pixels, deep = camera.project(assembly.places())
    slack = np.array([max(anchor.thickness, SLACK * model.stat.extent) for anchor in assembly.anchors])
    inside = np.isfinite(pixels).all(axis=1) & ((pixels >= 0) & (pixels < size)).all(axis=1)
    visibility = np.where(inside, 2, 0)
    behind = hidden(pixels[inside] * OVERSAMPLE, deep[inside], depth, slack[inside], reach=OVERSAMPLE)
    visibility[inside] = np.where(behind, 1, 2)
    low = np.array([columns[0], rows[0]]) / OVERSAMPLE
    high = np.array([columns[-1] + 1, rows[-1] + 1]) / OVERSAMPLE
    return Rendered(
        image,
        np.where(inside[:, None], pixels, 0.0),
        visibility,
        (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])),
        float(mask.sum()) / OVERSAMPLE**2,
    )


def move_joints(assembly: Assembly, rng: np.random.Generator) -> None:
    """Draw a position for every joint with limits; joints that follow another take theirs from it."""
    mujoco = mujoco_module()
    kind, model, data = assembly.kind, assembly.model, assembly.data
    mujoco.mj_resetData(model, data)
    one_number = {int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)}  # types of joints
    for number in range(model.njnt):
        name = model.joint(number).name
        single = int(model.jnt_type[number]) in one_number
        if not single or name in kind.follow or not (name in kind.joints or model.jnt_limited[number]):
            continue
        low, high = kind.joints.get(name, model.jnt_range[number])
        share = 1.0 if name in kind.joints else kind.motion
        middle, half = (low + high) / 2, (high - low) / 2 * share
        data.qpos[model.jnt_qposadr[number]] = rng.uniform(middle - half, middle + half)
    for name, (leader, factor) in kind.follow.items():
        data.joint(name).qpos[0] = data.joint(leader).qpos[0] * factor


def _place_camera(model: Any, camera: Camera) -> None:
    """Give the model's camera the place, direction and angle of view of `camera`."""
    mujoco = mujoco_module()
    model.cam_pos[0] = camera.position
    mujoco.mju_mat2Quat(model.cam_quat[0], camera.axes.ravel())
    model.cam_fovy[0] = math.degrees(camera.angle)


def _place_lights(model: Any, rng: np.random.Generator) -> None:
    """Draw directions, strengths and colours of the lights."""
    for number, _ in enumerate(LIGHTS):
        azimuth, height = rng.uniform(-math.pi, math.pi), rng.uniform(0.35, 1.4)
        down = -np.array([math.cos(azimuth) * math.cos(height), math.sin(azimuth) * math.cos(height), math.sin(height)])
        model.light_dir[number] = down
        model.light_pos[number] = -down * 4 * model.stat.extent
        strength = rng.uniform(0.35, 0.8) if number == 0 else rng.uniform(0.0, 0.35)
        model.light_diffuse[number] = strength * rng.uniform(0.85, 1.0, 3)
        model.light_specular[number] = strength * rng.uniform(0, 0.6)
        model.light_ambient[number] = 0
        model.light_castshadow[number] = number == 0 and rng.random() < 0.7
    model.vis.headlight.ambient[:] = rng.uniform(0.25, 0.5)
    model.vis.headlight.diffuse[:] = rng.uniform(0.0, 0.4)
    model.vis.headlight.specular[:] = 0


def _paint(assembly: Assembly, renderer: Renderer, floor: bool, cloud: np.ndarray, rng: np.random.Generator) -> None:
    """Draw colours and textures of the object and of the floor."""
    model, kind = assembly.model, assembly.kind
    model.geom_rgba[:], model.geom_matid[:] = assembly.colours, assembly.materials
    look = Look.draw(rng, rng)
    paints = look.textures(TEXTURE, rng, set(range(4)))
    for number, name in enumerate((FLOOR, *PAINTS)):
        texture = model.texture(name).id
        first = model.tex_adr[texture]
        pixels = np.asarray(paints[number], dtype=np.uint8).ravel()
        model.tex_data[first : first + pixels.size] = pixels
        renderer.upload(texture)
        material = model.material(name).id
        model.mat_rgba[material] = 1
        model.mat_specular[material], model.mat_shininess[material] = rng.uniform(0, 0.7), rng.uniform(0, 0.9)
        model.mat_reflectance[material] = 0
        extent = model.stat.extent
        model.mat_texrepeat[material] = rng.uniform(0.2, 1.2) if name != FLOOR else rng.uniform(0.4, 2.0) / extent
        model.mat_texuniform[material] = name == FLOOR
    ground = model.geom(FLOOR).id
    model.geom_group[ground] = DRAWN if floor else UNSEEN
    model.geom_sameframe[ground] = 0  # else MuJoCo leaves it in the place that it was built at
    model.geom_pos[ground] = (0, 0, cloud[:, 2].min() - 1e-4 * model.stat.extent)
    if rng.random() < kind.own_colours:
        return
    bodies = sorted({int(model.geom_bodyid[geom]) for geom in assembly.shown})
    patterned = rng.random() < 0.6
    of_body = {body: int(rng.integers(len(PAINTS))) for body in bodies}
    base, spread = rng.uniform(0.15, 0.95, 3), rng.choice([0.08, 0.25, 0.5])
    by_paint = [np.clip(base + spread * rng.uniform(-1, 1, 3), 0.05, 1) for _ in PAINTS]
    for geom in assembly.shown:
        paint = of_body[int(model.geom_bodyid[geom])]
        if rng.random() < 0.4:
            paint = int(rng.integers(len(PAINTS)))
        model.geom_matid[geom] = model.material(PAINTS[paint]).id if patterned else -1
        model.geom_rgba[geom] = (1, 1, 1, 1) if patterned else (*by_paint[paint], 1)


def _grain(image: Image.Image, most: int, rng: np.random.Generator) -> Image.Image:
    """The picture with noise of at most `most` steps of brightness a pixel."""
    noise = rng.integers(-most, most + 1, (image.height, image.width, 1), dtype=np.int16)
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
