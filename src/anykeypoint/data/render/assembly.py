"""A kind's model, cut out of its file and set into an empty room with one camera, lights and a floor.

The parts of a scene that do not belong to the object, its motors, sensors and constraints are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from . import surfaces
from .archives import archives
from .engine import mujoco_module
from .kinds import Kind, ModelPoint

FLOOR, PAINTS, LIGHTS = "ak_floor", ("ak_paint0", "ak_paint1", "ak_paint2"), ("ak_light0", "ak_light1")
DRAWN, UNSEEN = 1, 5  # groups of geoms in an assembled model: those that are drawn, and all others
TEXTURE = 128  # side of the textures that are painted anew for each picture, in pixels
CANVAS = 2048  # side of the largest picture in pixels


@dataclass(frozen=True)
class Anchor:
    """The place of a keypoint in a model.

    body: number of the body that it moves with.
    offset: (3,) in the frame of that body.
    thickness: metres of the part's surface that may lie in front of it while it counts as seen.
    """

    body: int
    offset: np.ndarray
    thickness: float


@dataclass(frozen=True)
class Assembly:
    """A model in its room.

    kind: what it is a model of.
    model, data: of MuJoCo.
    shown: numbers of the geoms that are the object.
    surface: for each of them, points (N, 3) in the geom's frame.
    anchors: the places of the kind's points, in order.
    colours: (G, 4) of all geoms in the file, and materials: (G,) their numbers, -1 for none.
    """

    kind: Kind
    model: Any
    data: Any
    shown: tuple[int, ...]
    surface: tuple[np.ndarray, ...]
    anchors: tuple[Anchor, ...]
    colours: np.ndarray
    materials: np.ndarray

    def cloud(self) -> np.ndarray:
        """Points (N, 3) of the object's surface in space, as its joints stand."""
        return np.concatenate(
            [_placed(self.data, geom, points) for geom, points in zip(self.shown, self.surface, strict=True)]
        )

    def places(self) -> np.ndarray:
        """The keypoints (K, 3) in space, as the joints stand."""
        data = self.data
        return np.stack([data.xpos[a.body] + data.xmat[a.body].reshape(3, 3) @ a.offset for a in self.anchors])


def assemble(kind: Kind, name: str, folder: Path) -> Assembly:
    """Build the model of a kind. Raises InputError where its description does not fit the file.

    name: of the kind, for errors.
    folder: of `archives.fetch_models`, with the archive's own folder appended.
    """
    mujoco = mujoco_module()
    try:
        spec = _trimmed(mujoco, kind, folder)
        _furnish(mujoco, spec)
        model = spec.compile()
    except (ValueError, KeyError) as error:
        raise InputError(f"The model of {name!r} cannot be built ({str(error).splitlines()[0]}).") from error
    data = mujoco.MjData(model)
    shown = _show(mujoco, kind, name, model)
    mujoco.mj_forward(model, data)
    surface = tuple(_surface(mujoco, model, geom) for geom in shown)
    at_rest = [_placed(data, geom, points) for geom, points in zip(shown, surface, strict=True)]
    extent = np.ptp(np.concatenate(at_rest), axis=0)
    model.stat.extent = float(np.linalg.norm(extent))
    model.vis.map.znear, model.vis.map.zfar = 0.02, 40.0
    finder = _Finder(mujoco, kind, name, model, data, shown, at_rest)
    anchors = tuple(finder.anchor(point) for point in kind.points)
    return Assembly(kind, model, data, shown, surface, anchors, model.geom_rgba.copy(), model.geom_matid.copy())


def _trimmed(mujoco: Any, kind: Kind, folder: Path) -> Any:
    """The specification of the object alone, turned into the frame of `kinds`."""
    radians = archives()[kind.archive].radians
    spec = _bare(mujoco, folder / kind.file, radians)
    if kind.attached is not None:
        second = _bare(mujoco, folder / kind.attached.file, radians)
        second.option.gravity = spec.option.gravity  # a difference would be a warning, and a file of MuJoCo's log
        spec.attach(second, prefix="grip_", frame=spec.body(kind.attached.body).add_frame())
    for name in kind.drop:
        spec.delete(spec.body(name))
    if kind.body is not None:
        kept, above = spec.body(kind.body), set()
        parent = kept.parent
        while parent is not None and parent.name != "world":
            above.add(parent.name)
            parent = parent.parent
        for body in list(spec.bodies):
            if body.name == "world" or body.name in above:
                for element in [*body.geoms, *body.joints, *body.sites]:
                    spec.delete(element)
        ancestors = ["world", *above]
        for body in [b for name in ancestors for b in spec.body(name).bodies]:
            if body.name != kind.body and body.name not in above:
                spec.delete(body)
    if any(kind.turn):
        frame = spec.worldbody.add_frame()
        frame.quat = _quaternion(mujoco, kind.turn)
        for body in list(spec.worldbody.bodies):
            body.set_frame(frame)
    return spec


def _bare(mujoco: Any, path: Path, radians: bool) -> Any:
    """A specification without motors, sensors, constraints, lights and cameras."""
    spec = mujoco.MjSpec.from_file(str(path))
    if radians:
        spec.compiler.degree = False
    for element in [
        *spec.keys, *spec.actuators, *spec.sensors, *spec.equalities, *spec.tendons, *spec.excludes, *spec.pairs,
        *spec.lights, *spec.cameras,
    ]:  # fmt: skip
        spec.delete(element)
    spec.compiler.boundmass, spec.compiler.boundinertia = 1e-3, 1e-6  # parts without collision geoms weigh nothing
    spec.compiler.settotalmass = -1  # weights do not matter here
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_AUTO
    return spec


def _furnish(mujoco: Any, spec: Any) -> None:
    """Add a camera, two lights, a floor and the textures that pictures paint anew."""
    world = spec.worldbody
    world.add_camera(name="ak_camera")
    for name in LIGHTS:
        world.add_light(name=name, type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, dir=(0, 0, -1))
    for name in (FLOOR, *PAINTS):
        spec.add_texture(
            name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
            width=TEXTURE, height=TEXTURE, rgb1=(1, 1, 1), nchannel=3,
        )  # fmt: skip
        material = spec.add_material(name=name, texrepeat=(1, 1))
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    floor = world.add_geom(name=FLOOR, type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 1), material=FLOOR)
    floor.contype = floor.conaffinity = 0
    spec.visual.global_.offwidth = spec.visual.global_.offheight = CANVAS
    spec.visual.quality.offsamples = 0  # sharp edges keep the mask exact; smoothing is done by averaging pixels
    spec.visual.quality.shadowsize = 1024


def _show(mujoco: Any, kind: Kind, name: str, model: Any) -> tuple[int, ...]:
    """Put what is drawn into the group DRAWN and all else into UNSEEN; the numbers of the object's geoms."""
    shown = []
    for geom in range(model.ngeom):
        label = model.geom(geom).name
        alpha = model.geom_rgba[geom, 3] if model.geom_matid[geom] < 0 else model.mat_rgba[model.geom_matid[geom], 3]
        drawn = (
            model.geom_group[geom] in kind.groups and alpha > 0.05 and not _names(mujoco, model, geom) & set(kind.hide)
        )
        if label != FLOOR and drawn and model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_PLANE:
            shown.append(geom)
    if not shown:
        raise InputError(f"The model of {name!r} has no geom in the groups {kind.groups}; name others.")
    model.geom_group[:] = UNSEEN
    model.geom_group[shown] = DRAWN
    return tuple(shown)


def _names(mujoco: Any, model: Any, geom: int) -> set[str]:
    """What a geom may be called in a kind's file: its own name, its body's, its mesh's, or "#" and its number."""
    names = {model.geom(geom).name, model.body(model.geom_bodyid[geom]).name, f"#{geom}"}
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
        names.add(model.mesh(model.geom_dataid[geom]).name)
    return names - {""}


def _surface(mujoco: Any, model: Any, geom: int) -> np.ndarray:
    """Points (N, 3) of a geom's surface in its frame."""
    size, shape = model.geom_size[geom], int(model.geom_type[geom])
    types = mujoco.mjtGeom
    if shape == types.mjGEOM_MESH:
        number = model.geom_dataid[geom]
        first, count = model.mesh_vertadr[number], model.mesh_vertnum[number]
        face, faces = model.mesh_faceadr[number], model.mesh_facenum[number]
        return surfaces.mesh(model.mesh_vert[first : first + count], model.mesh_face[face : face + faces])
    if shape == types.mjGEOM_BOX:
        return surfaces.box(size)
    if shape == types.mjGEOM_CAPSULE:
        return surfaces.capsule(size[0], size[1])
    if shape == types.mjGEOM_CYLINDER:
        return surfaces.cylinder(size[0], size[1])
    if shape == types.mjGEOM_ELLIPSOID:
        return surfaces.ellipsoid(size)
    return surfaces.ellipsoid(np.full(3, size[0]))


def _placed(data: Any, geom: int, points: np.ndarray) -> np.ndarray:
    """Points (N, 3) of a geom's frame in space."""
    return points @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom]


def _quaternion(mujoco: Any, turn: tuple[float, ...]) -> np.ndarray:
    """The quaternion (4,) of turns in degrees about the fixed axes x, then y, then z."""
    result = np.empty(4)
    mujoco.mju_euler2Quat(result, np.radians(turn), "XYZ")
    return result


class _Finder:
    """Finds the places of points in a model at rest. at_rest: for each shown geom, points (N, 3) in space."""

    def __init__(self, mujoco, kind, name, model, data, shown, at_rest) -> None:
        self._mujoco, self._kind, self._name, self._model, self._data = mujoco, kind, name, model, data
        self._shown, self._at_rest = shown, at_rest

    def anchor(self, point: ModelPoint) -> Anchor:
        """The place of a point. Raises InputError for names that the model does not have."""
        model, data = self._model, self._data
        if point.joint:
            number = self._number("JOINT", point.joint, point)
            return self._inner(model.jnt_bodyid[number], data.xanchor[number])
        if point.site:
            number = self._number("SITE", point.site, point)
            return self._inner(model.site_bodyid[number], data.site_xpos[number])
        if point.body:
            number = self._number("BODY", point.body, point)
            return self._inner(number, data.xpos[number])
        geoms = list(self._geoms(point))
        cloud = np.concatenate([self._at_rest[self._shown.index(geom)] for geom in geoms])
        body = model.geom_bodyid[geoms[0]]
        if point.towards:
            return self._moving(
                body, surfaces.farthest(cloud, np.array(point.towards)), np.ptp(cloud, axis=0).min() / 2
            )
        if point.inside:
            low, high = cloud.min(axis=0), cloud.max(axis=0)
            place = (low + high) / 2 + np.array(point.at) * (high - low) / 2
            return self._moving(body, place, (high - low).min() * 0.6)
        return self._moving(body, cloud[surfaces.nearest(cloud, np.array(point.at))], 0.0)

    def _inner(self, body: int, place: np.ndarray) -> Anchor:
        """The anchor of a place inside a part: half the part's thinnest side may lie in front of it."""
        own = [points for geom, points in zip(self._shown, self._at_rest, strict=True)
               if self._model.geom_bodyid[geom] == body]  # fmt: skip
        slack = 0.6 * np.ptp(np.concatenate(own), axis=0).min() if own else 0.0
        return self._moving(body, place, max(slack, 0.04 * self._model.stat.extent))

    def _moving(self, body: int, place: np.ndarray, thickness: float) -> Anchor:
        """The anchor of a place in space that moves with a body."""
        offset = self._data.xmat[body].reshape(3, 3).T @ (place - self._data.xpos[body])
        return Anchor(int(body), offset, float(thickness))

    def _geoms(self, point: ModelPoint) -> Iterator[int]:
        """The shown geoms of a point's part, all of the object's without one."""
        if not point.part:
            yield from self._shown
        for name in point.part:
            found = [geom for geom in self._shown if name in _names(self._mujoco, self._model, geom)]
            if not found:
                raise InputError(f"The model of {self._name!r} has no drawn part {name!r}, which {point.name!r} names.")
            yield from found

    def _number(self, what: str, name: str, point: ModelPoint) -> int:
        """The number of a named joint, site or body."""
        number = self._mujoco.mj_name2id(self._model, getattr(self._mujoco.mjtObj, f"mjOBJ_{what}"), name)
        if number < 0:
            raise InputError(f"The model of {self._name!r} has no {what.lower()} {name!r}, which {point.name!r} names.")
        return number
