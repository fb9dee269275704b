"""Synthetic animals from the side. Each public function draws one family of objects and marks its keypoints.

The contract of such a function, here and in the other modules: it draws an object into `scene` and returns its noun.
`kind` decides what the object is (proportions, parts, names, facing) and `pose` how it stands in this picture. The
numbers that are drawn from `kind` must not depend on `pose`, so that all poses of a kind have the same keypoints. Left
is the object's own left, unless a name says "image left".
"""

# ruff: noqa: RUF005 - an array plus a tuple adds a step here; it does not concatenate

import math
from collections.abc import Callable

import numpy as np

from .scene import Scene, direction, ellipse, smooth
from .words import DARK, LIGHT, Namer, Rng, namer, pick


def ahead(face: int, angle: float, length: float) -> np.ndarray:
    """A step (2,) in the direction that an animal faces.

    face: 1 where it faces the right of the picture, -1 where the left.
    angle: radians downwards from the horizontal.
    length: length of the step.
    """
    return length * np.array([face * math.cos(angle), math.sin(angle)])


def quadruped(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A four-legged animal from the side. Its near side is its left when it faces the left of the picture."""
    of, face = namer(kind), pick(kind, -1, 1)
    near, far = ("left", "right") if face < 0 else ("right", "left")
    noun = pick(kind, "dog", "horse", "cow", "fox", "goat", "lizard", "beast", "four-legged animal", "calf", "wolf")
    paw = pick(kind, "paw", "foot", "hoof")
    hind = pick(kind, "hind", "rear", "back")
    half, height = kind.uniform(0.6, 1.1), kind.uniform(0.22, 0.42)
    leg, thick = kind.uniform(0.45, 1.0), kind.uniform(0.05, 0.11)
    neck, head = kind.uniform(0.25, 0.75), kind.uniform(0.17, 0.3)
    snout = head * kind.uniform(0.9, 1.9)
    ears, tail, horned = pick(kind, "pointed", "round", "hanging"), kind.uniform(0.3, 1.0), kind.random() < 0.25
    scene.turn = pose.uniform(-0.15, 0.15)

    def leg_at(side: str, front: bool, depth: float, shade: float) -> None:
        top = np.array([face * (half * 0.72 if front else -half * 0.72), height * 0.35])
        top[0] += -face * 0.08 if depth < 0 else 0
        swing = pose.uniform(-0.45, 0.45)
        knee = top + direction(math.pi / 2 + swing, leg * 0.52)
        end = knee + direction(
            math.pi / 2 + swing * 0.3 + (0.25 if front else -0.35) * face * pose.uniform(0, 1), leg * 0.5
        )
        toe = end + (face * thick * 0.9, 0)
        part = scene.limb([top, knee, end, toe], [thick * 1.7, thick, thick * 0.8, thick * 0.8], 0, shade, depth)
        whole = f"{side} {'front' if front else hind} leg"
        joint = "elbow" if front and pick_elbow else "knee"
        scene.mark(of("base", whole), top, f"where the {whole} meets the body", part)
        scene.mark(of(joint, whole), knee, f"the joint in the middle of the {whole}", part)
        scene.mark(whole.removesuffix("leg") + paw, end, f"the {paw} at the lower end of the {whole}", part)

    pick_elbow = kind.random() < 0.3
    for front in (True, False):
        leg_at(far, front, -1, 0.72)
    _quadruped_tail(kind, pose, scene, of, face, half, height, thick, tail)
    body = scene.shape(smooth([(-half, -height), (half, -height * 0.9), (half, height * 0.8), (-half, height)], 3), 0)
    scene.mark(
        pick(kind, "middle of the back", "back"), (0, -height * 0.9), "half-way along the line of the back", body
    )
    scene.mark(pick(kind, "belly", "middle of the belly"), (0, height * 0.85), "the underside of the trunk", body)
    shoulder = np.array([face * half * 0.85, -height * 0.35])
    lift = kind.uniform(0.5, 1.25) + pose.uniform(-0.25, 0.25)
    skull = shoulder + ahead(face, -lift, neck + head * 0.5)
    part = scene.limb([shoulder, skull], [height * 0.62, head * 0.62], 0)
    scene.mark(
        pick(kind, "base of the neck", "withers"),
        shoulder + (-face * height * 0.3, -height * 0.45),
        "where the upper line of the neck meets the back",
        part,
        body,
    )
    _quadruped_head(kind, pose, scene, of, face, near, far, noun, head, snout, ears, horned, skull)
    for front in (True, False):
        leg_at(near, front, 1, 1.0)
    return noun


def _quadruped_tail(
    kind: Rng,
    pose: Rng,
    scene: Scene,
    of: Namer,
    face: int,
    half: float,
    height: float,
    thick: float,
    tail: float,
) -> None:
    """Draw and mark the tail of a four-legged animal."""
    root = np.array([-face * half * 0.97, -height * 0.4])
    bend = pose.uniform(-0.6, 0.9)
    middle = root + ahead(-face, bend, tail / 2)
    end = middle + ahead(-face, bend * 1.6, tail / 2)
    part = scene.limb([root, middle, end], [thick, thick * 0.7, thick * kind.uniform(0.3, 1.4)], 1, depth=-0.5)
    scene.mark(of("base", "tail"), root, "where the tail grows out of the body", part)
    scene.mark(pick(kind, "middle of the tail", "tail middle"), middle, "half-way along the tail", part)
    scene.mark(of("tip", "tail"), end, "the free end of the tail", part)


def _quadruped_head(
    kind: Rng,
    pose: Rng,
    scene: Scene,
    of: Namer,
    face: int,
    near: str,
    far: str,
    noun: str,
    head: float,
    snout: float,
    ears: str,
    horned: bool,
    skull: np.ndarray,
) -> None:
    """Draw and mark the head of a four-legged animal, the ears and the horn included."""
    nod = pose.uniform(-0.1, 0.5)
    nose = skull + ahead(face, nod, snout + head * 0.3)

    def ear_at(side: str, depth: float, shade: float) -> None:
        base = skull + (-face * head * (0.35 if depth > 0 else 0.1), -head * 0.75)
        aim = math.pi / 2 + face * 0.4 if ears == "hanging" else -math.pi / 2 - face * pose.uniform(0, 0.6)
        tip = base + direction(aim, head * kind_ear)
        width = head * (0.35 if ears == "round" else 0.25)
        scene.limb([base, tip], [width, width if ears == "round" else 0.02], 1, shade, depth)
        scene.mark(of("tip", f"{side} ear"), tip, f"the free end of the ear on the {noun}'s {side} side")
        scene.mark(of("base", f"{side} ear"), base, f"where the {side} ear joins the head")

    kind_ear = kind.uniform(0.7, 1.6)
    ear_at(far, -0.2, 0.7)
    jaw = scene.limb([skull, nose], [head, head * 0.45], 0)
    ear_at(near, 0.2, 1.0)
    if horned:
        base = skull + (face * head * 0.2, -head * 0.85)
        tip = base + direction(-math.pi / 2 + face * 0.3, head * 1.3)
        scene.limb([base, tip], [head * 0.16, 0.01], LIGHT)
        scene.mark("horn tip", tip, "the pointed end of the horn on the forehead")
    eye = skull + (face * head * 0.3, -head * 0.3)
    scene.shape(ellipse(eye, head * 0.16, head * 0.16), DARK)
    scene.mark(f"{near} eye", eye, f"the eye on the {noun}'s {near} side")
    dot = nose + ahead(face, nod, head * 0.38)
    scene.shape(ellipse(dot, head * 0.17, head * 0.14), DARK)
    scene.mark(pick(kind, "nose", "snout", "tip of the nose"), dot, "the foremost point of the head")
    scene.mark(pick(kind, "throat", "chin"), skull + (face * head * 0.3, head * 0.85), "the underside of the head", jaw)


def fish(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A fish from the side, facing either way."""
    face, of = pick(kind, -1, 1), namer(kind)
    noun = pick(kind, "fish", "carp", "tuna", "salmon", "whale", "shark", "tadpole")
    half, deep = kind.uniform(0.7, 1.1), kind.uniform(0.2, 0.55)
    tail, fork = kind.uniform(0.25, 0.55), kind.uniform(0.0, 0.7)
    fin, fin_at, fin_long = kind.uniform(0.12, 0.5), kind.uniform(-0.3, 0.3), kind.uniform(0.25, 0.7)
    belly, second = kind.uniform(0.1, 0.35), kind.random() < 0.4
    scene.turn = pose.uniform(-0.4, 0.4)
    wag, squash = pose.uniform(-0.12, 0.12), pose.uniform(0.85, 1.1)

    def at(x, y):
        return np.array([face * x, y * squash + wag * (x < 0) * x * x])

    def height(x):
        return deep * math.sqrt(max(0.0, 1 - (x / half) ** 2)) * (1.0 if x > 0 else 1 - 0.25 * abs(x) / half)

    stem = _tail_fin(kind, scene, half, tail, fork, at)
    for index in range(2 if second else 1):
        start = fin_at + fin_long / 2 - index * (fin_long + 0.12)
        stop = start - (fin_long if index == 0 else 0.2)
        start, stop = min(start, half * 0.8), max(stop, -half * 0.85)
        first, last = at(start, -height(start) * 0.95), at(stop, -height(stop) * 0.95)
        tip = at(stop + (start - stop) * kind.uniform(0.0, 0.6), -height(stop) - fin / (index + 1))
        part = scene.shape([first, tip, last], 1, depth=-0.1)
        whole = "dorsal fin" if index == 0 else "second dorsal fin"
        scene.mark(of("tip", whole), tip, f"the free end of the {whole} on the back", part)
        scene.mark(f"front end of the {whole} base", first, f"where the {whole} begins, nearer the head", part)
        scene.mark(f"rear end of the {whole} base", last, f"where the {whole} ends, nearer the tail", part)
    turn = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    xs = half * np.cos(turn)
    body = scene.shape([at(x, math.copysign(height(x), math.sin(t))) for x, t in zip(xs, turn, strict=True)], 0)
    scene.mark(pick(kind, "base of the tail", "tail base"), stem, "where the tail fin joins the body", body, 0)
    scene.mark(pick(kind, "snout", "tip of the snout", "nose"), at(half, 0), "the foremost point of the head", body)
    low = kind.uniform(-0.1, 0.3)
    root = at(low, height(low) * 0.9)
    tip = root + (-face * belly * 0.7, belly)
    scene.limb([root, tip], [0.07, 0.015], 1, depth=0.2)
    scene.mark(of("tip", pick(kind, "pelvic fin", "belly fin")), tip, "the free end of the fin under the belly")
    _fish_head(kind, pose, scene, face, of, half, at, height)
    return noun


def _tail_fin(
    kind: Rng,
    scene: Scene,
    half: float,
    tail: float,
    fork: float,
    at: Callable[[float, float], np.ndarray],
) -> np.ndarray:
    """Draw and mark the tail fin. Returns where it joins the body."""
    stem = at(-half * 0.95, 0)
    up, down = at(-half - tail, -tail * kind.uniform(0.8, 1.3)), at(-half - tail, tail * kind.uniform(0.8, 1.3))
    notch = at(-half - tail * (1 - fork), 0)
    part = scene.shape([stem + (0, -0.06), up, notch, down, stem + (0, 0.06)], 1, depth=-0.2)
    scene.mark(
        pick(kind, "upper tip of the tail fin", "tail fin upper edge"),
        up,
        "the end of the tail fin's lobe on the back's side",
        part,
    )
    scene.mark(
        pick(kind, "lower tip of the tail fin", "tail fin lower edge"),
        down,
        "the end of the tail fin's lobe on the belly's side",
        part,
    )
    scene.mark(
        pick(kind, "middle of the tail fin", "tail fin middle"),
        notch,
        "the rear edge of the tail fin between its two lobes",
        part,
    )
    return stem


def _fish_head(
    kind: Rng,
    pose: Rng,
    scene: Scene,
    face: int,
    of: Namer,
    half: float,
    at: Callable[[float, float], np.ndarray],
    height: Callable[[float], float],
) -> None:
    """Draw and mark gill cover, eye, pectoral fin and mouth."""
    gill = half * 0.45
    part = scene.limb([at(gill, -height(gill) * 0.6), at(gill - 0.06, 0), at(gill, height(gill) * 0.6)], 0.018, DARK)
    scene.mark(pick(kind, "rear edge of the gill cover", "gill"), at(gill - 0.06, 0), "the slit behind the head", part)
    eye = at(half * 0.72, -height(half * 0.72) * 0.35)
    part = scene.shape(ellipse(eye, 0.065, 0.065), LIGHT)
    scene.shape(ellipse(eye, 0.035, 0.035), DARK, outline=False)
    scene.mark("eye", eye, "the middle of the eye", part, part + 1)
    root, swing = at(gill - 0.12, height(gill) * 0.25), pose.uniform(0, 0.9)
    tip = root + (-face * 0.3 * math.cos(swing), 0.3 * math.sin(swing))
    part = scene.limb([root, tip], [0.03, 0.07], 2)
    scene.mark(of("base", "pectoral fin"), root, "where the fin behind the gill grows out", part)
    corner = at(half * 0.82, height(half * 0.82) * 0.4)
    part = scene.limb([at(half * 0.97, height(half * 0.97) * 0.5), corner], 0.014, DARK)
    scene.mark(
        pick(kind, "corner of the mouth", "rear end of the mouth"), corner, "the end of the slit of the mouth", part
    )


def bird(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A standing bird from the side."""
    face, of = pick(kind, -1, 1), namer(kind)
    near, far = ("left", "right") if face < 0 else ("right", "left")
    noun = pick(kind, "bird", "duck", "crow", "heron", "pigeon", "chick", "parrot")
    half, deep, tilt = kind.uniform(0.45, 0.75), kind.uniform(0.25, 0.42), kind.uniform(0, 0.5)
    neck, head, beak = kind.uniform(0.15, 0.7), kind.uniform(0.15, 0.26), kind.uniform(0.12, 0.5)
    leg, tail, bill = kind.uniform(0.25, 0.9), kind.uniform(0.2, 0.6), pick(kind, "bill", "beak")
    crest, joint = kind.random() < 0.3, pick(kind, "knee", "joint", "middle")
    scene.turn = pose.uniform(-0.15, 0.15)
    lean = tilt + pose.uniform(-0.12, 0.12)
    axis, normal = np.array([face * math.cos(lean), -math.sin(lean)]), np.array([face * math.sin(lean), math.cos(lean)])
    for side, depth, shade in ((far, -1, 0.7), (near, 1, 1.0)):
        hip = normal * deep * 0.75 - axis * half * (0.1 if depth > 0 else -0.05)
        knee = hip + direction(math.pi / 2 + face * pose.uniform(0.0, 0.5), leg * 0.5)
        foot = knee + direction(math.pi / 2 - face * pose.uniform(-0.1, 0.5), leg * 0.5)
        toe = foot + (face * 0.14, 0.02)
        part = scene.limb([hip, knee, foot, toe], [0.06, 0.028, 0.025, 0.015], 2, shade, depth * 0.5)
        scene.mark(f"{side} foot", foot, f"where the {side} leg reaches the ground", part)
        scene.mark(of(joint, f"{side} leg"), knee, f"the bend of the {side} leg", part)
    end = -axis * (half + tail) - normal * 0.05
    part = scene.shape(
        [
            -axis * half * 0.6 - normal * 0.14,
            end - normal * 0.06,
            end + normal * 0.07,
            -axis * half * 0.6 + normal * 0.14,
        ],
        1,
        depth=-0.3,
    )
    scene.mark(of("tip", "tail"), end, "the rear end of the tail feathers", part)
    body = scene.shape(ellipse((0, 0), half, deep, math.atan2(axis[1], axis[0])), 0)
    scene.mark(
        pick(kind, "breast", "front of the breast"),
        axis * half * 0.92 + normal * deep * 0.25,
        "the front of the trunk below the neck",
        body,
    )
    scene.mark(pick(kind, "belly", "middle of the belly"), normal * deep * 0.95, "the underside of the trunk", body)
    scene.mark(pick(kind, "middle of the back", "back"), -normal * deep * 0.95, "the upper side of the trunk", body)
    root = axis * half * 0.7 - normal * deep * 0.3
    skull = root + direction(-math.pi / 2 + face * pose.uniform(-0.1, 0.7), neck + head * 0.6)
    part = scene.limb([root, skull], [deep * 0.55, head * 0.6], 0, depth=0.1)
    scene.mark(pick(kind, "base of the neck", "neck base"), root, "where the neck leaves the trunk", part, body)
    _bird_head(kind, pose, scene, face, of, near, noun, head, beak, bill, crest, skull)
    shoulder, spread = axis * half * 0.45 - normal * deep * 0.2, pose.uniform(-0.2, 0.3)
    far_end = shoulder - axis * half * 1.25 + normal * (deep * spread + 0.1)
    part = scene.limb([shoulder, (shoulder + far_end) / 2, far_end], [deep * 0.35, deep * 0.32, 0.02], 1, depth=0.4)
    scene.mark(of("tip", f"{near} wing"), far_end, "the rear end of the folded wing", part)
    scene.mark(f"{near} shoulder", shoulder, f"where the {near} wing joins the trunk", part)
    return noun


def _bird_head(
    kind: Rng,
    pose: Rng,
    scene: Scene,
    face: int,
    of: Namer,
    near: str,
    noun: str,
    head: float,
    beak: float,
    bill: str,
    crest: bool,
    skull: np.ndarray,
) -> None:
    """Draw and mark the head of a bird, the beak and the crest included."""
    nod = pose.uniform(-0.3, 0.4)
    tip = skull + ahead(face, nod, head + beak)
    scene.limb([skull + (face * head * 0.6, head * 0.1), tip], [head * 0.35, 0.012], 2, depth=0.15)
    scene.mark(of("tip", bill), tip, f"the foremost end of the {bill}")
    if crest:
        top = skull + (-face * head * 0.9, -head * 1.7)
        scene.limb([skull + (0, -head * 0.7), top], [head * 0.25, 0.01], 3, depth=0.12)
        scene.mark(of("tip", "crest"), top, "the free end of the feathers on the head")
    ball = scene.shape(ellipse(skull, head, head), 0, depth=0.2)
    scene.mark(pick(kind, "back of the head", "nape"), skull + (-face * head * 0.95, 0), f"opposite the {bill}", ball)
    eye = skull + (face * head * 0.35, -head * 0.2)
    scene.shape(ellipse(eye, head * 0.18, head * 0.18), DARK, depth=0.3)
    scene.mark(f"{near} eye", eye, f"the {noun}'s own {near} eye")
