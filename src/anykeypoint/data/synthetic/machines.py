"""Synthetic flat machines: jointed arms, two-wheelers and aeroplanes. The same contract as `creatures`."""

# ruff: noqa: RUF005 - an array plus a tuple adds a step here; it does not concatenate

import math

import numpy as np

from .scene import Scene, direction, ellipse, smooth
from .words import DARK, LIGHT, Rng, namer, pick


def arm(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A jointed arm on a foot: a robot arm, desk lamp or crane."""
    of, joints = namer(kind), int(kind.integers(2, 5))
    noun, end_word = pick(
        kind, ("robot arm", "gripper"), ("desk lamp", "shade"), ("crane", "hook"), ("excavator", "bucket")
    )
    links = kind.uniform(0.3, 0.8, joints + 1)
    thick, foot, taper = kind.uniform(0.04, 0.09), kind.uniform(0.2, 0.5), kind.uniform(0.7, 0.95)
    numbered = pick(kind, "joint", "hinge", "elbow")
    scene.turn = pose.uniform(-0.1, 0.1)
    lean = pick(pose, -1, 1)
    stand = scene.shape([(-foot, 0), (foot, 0), (foot * 0.6, -0.16), (-foot * 0.6, -0.16)], 2)
    scene.mark(
        pick(kind, "base of the arm", "middle of the foot"),
        (0, -0.16),
        "where the first link rises from the foot",
        stand,
        stand + 1,
    )
    for side, sign in (("image left", -1), ("image right", 1)):
        scene.mark(f"{side} end of the foot", (sign * foot, 0), f"the lower corner of the foot, {side}", stand)
    at, angle = np.array([0.0, -0.16]), -math.pi / 2 + pose.uniform(-0.5, 0.5)
    for index, length in enumerate(links):
        after = at + direction(angle, float(length))
        width = thick * taper**index
        part = scene.limb([at, after], [width, width * 0.9], 0 if index % 2 == 0 else 1, depth=0.1 * index)
        if index:
            scene.shape(ellipse(at, width * 1.3, width * 1.3), 3, depth=0.1 * index + 0.05)
            scene.mark(
                f"{('first', 'second', 'third', 'fourth')[index - 1]} {numbered}",
                at,
                f"the {numbered} between link {index} and link {index + 1}, counted from the foot",
                part + 1,
            )
        at = after
        angle += lean * pose.uniform(0.2, 1.3)
    angle = math.atan2(*(at - scene.parts[-1].polygons[0].mean(axis=0))[::-1])
    if end_word == "gripper":
        for index, turn in enumerate((-0.5, 0.5)):
            tip = at + direction(angle + turn * pose.uniform(0.4, 1.2), 0.25)
            part = scene.limb([at, tip], [0.05, 0.025], 2, depth=1)
            # Seen along the last link from the foot's side, one finger is on each hand.
            side = ("left", "right")[index]
            scene.mark(
                of("tip", f"{side} gripper finger"), tip, f"the finger on the {side} when the last link points up", part
            )
    elif end_word == "shade":
        near, far = direction(angle - math.pi / 2, 0.12), direction(angle - math.pi / 2, 0.26)
        rim = at + direction(angle, 0.3)
        part = scene.shape([at - near, at + near, rim + far, rim - far], 2, depth=1)
        scene.mark("middle of the shade rim", rim, "the middle of the lamp's open end", part)
        scene.mark("base of the shade", at, "where the arm holds the shade", part, part - 1)
    else:
        low = at + (0, pose.uniform(0.2, 0.6))
        part = scene.limb([at, low], 0.015, DARK, depth=1)
        scene.shape(smooth([low + (-0.13, 0), low + (0.13, 0), low + (0.08, 0.2), low + (-0.08, 0.2)], 1), 2, depth=1.1)
        scene.mark(of("bottom", end_word), low + (0, 0.18), f"the lowest point of the {end_word}")
        scene.mark("end of the last link", at, f"where the {end_word} hangs from the arm", part, part - 1)
    return noun


def cycle(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A two-wheeled vehicle from the side, facing either way."""
    face, of = pick(kind, -1, 1), namer(kind)
    noun = pick(kind, "bicycle", "motorcycle", "scooter", "tricycle", "moped")
    base, front, rear = kind.uniform(0.55, 0.8), kind.uniform(0.22, 0.45), kind.uniform(0.22, 0.45)
    seat, bar, thick = kind.uniform(0.5, 0.85), kind.uniform(0.6, 1.0), kind.uniform(0.02, 0.06)
    spokes, basket, lamp = int(kind.integers(0, 7)), kind.random() < 0.3, kind.random() < 0.5
    hub = pick(kind, "centre", "hub", "middle")
    scene.turn = pose.uniform(-0.25, 0.25)
    steer = pose.uniform(-0.05, 0.05)
    wheels = {"front": (np.array([face * base, -front]), front), "rear": (np.array([-face * base, -rear]), rear)}
    for which, (centre, radius) in wheels.items():
        tyre = scene.shape(ellipse(centre, radius, radius, count=36), DARK, depth=-1)
        disc = scene.shape(ellipse(centre, radius * 0.82, radius * 0.82, count=32), 3, depth=-0.9)
        start = pose.uniform(0, math.pi)
        for index in range(spokes):
            step = direction(start + index * math.pi / max(1, spokes), radius * 0.85)
            scene.limb([centre - step, centre + step], 0.008, LIGHT, depth=-0.8, outline=False)
        axle = scene.shape(ellipse(centre, 0.05, 0.05), 2, depth=0.5)
        scene.mark(of(hub, f"{which} wheel"), centre, f"the axle of the {which} wheel", axle, disc)
        scene.mark(of("bottom", f"{which} wheel"), centre + (0, radius * 0.95), f"where the {which} wheel stands", tyre)
    crank = np.array([face * base * pose.uniform(-0.15, 0.05), -min(front, rear) * 0.9])
    saddle = np.array([-face * base * 0.4, -seat - 0.3])
    head = np.array([face * base * 0.62, -bar])
    grip = head + (-face * (0.12 + steer), -0.18)
    hubs = {which: centre for which, (centre, _) in wheels.items()}
    top = crank + (saddle - crank) * 0.75
    for a, b in ((hubs["rear"], crank), (crank, top), (top, hubs["rear"]), (top, head), (crank, head)):
        frame = scene.limb([a, b], thick, 0)
    fork = scene.limb([hubs["front"], head, grip], thick, 1)
    scene.limb([top, saddle], thick * 0.8, 2)
    part = scene.limb([saddle + (-face * 0.16, 0), saddle + (face * 0.12, 0)], [0.06, 0.04], 2, depth=0.2)
    word = pick(kind, "saddle", "seat")
    scene.mark(of("rear end", word), saddle + (-face * 0.2, 0), f"the end of the {word} over the rear wheel", part)
    scene.mark(of("front end", word), saddle + (face * 0.15, 0), f"the nose of the {word}", part)
    scene.mark(pick(kind, "handlebar end", "grip", "handle end"), grip, "the end of the bar that is held", fork)
    scene.mark(pick(kind, "steering head", "top of the fork"), head, "where the frame holds the fork", fork, frame)
    swing = direction(pose.uniform(0, 2 * math.pi), 0.17)
    part = scene.limb([crank, crank + swing], 0.025, DARK, depth=0.3)
    scene.limb([crank + swing + (-0.06, 0), crank + swing + (0.06, 0)], 0.03, LIGHT, depth=0.35)
    scene.mark(pick(kind, "pedal", "foot rest"), crank + swing, "where the foot pushes, on the near side", part + 1)
    scene.mark("crank centre", crank, "the axle that the pedal turns on", part, frame)
    if lamp:
        at = head + (face * 0.12, 0.05)
        scene.shape(ellipse(at, 0.07, 0.07), (250, 240, 170), depth=0.3)
        scene.mark("headlight", at, "the lamp at the front")
    if basket:
        at = hubs["rear"] + (0, -rear - 0.14)
        part = scene.shape(at + np.array([(-0.2, -0.12), (0.2, -0.12), (0.17, 0.1), (-0.17, 0.1)]), 3, depth=0.1)
        scene.mark("middle of the luggage box", at, "the box above the rear wheel", part)
    return noun


def plane(kind: Rng, pose: Rng, scene: Scene) -> str:
    """An aeroplane from above, turned by any angle. Left is the pilot's left."""
    of, noun = namer(kind), pick(kind, "aeroplane", "glider", "jet", "drone", "rocket plane")
    half, width = kind.uniform(0.7, 1.1), kind.uniform(0.07, 0.16)
    span, chord, sweep = kind.uniform(0.5, 1.2), kind.uniform(0.15, 0.45), kind.uniform(-0.1, 0.6)
    at, tail, engines = kind.uniform(-0.35, 0.1), kind.uniform(0.2, 0.5), int(kind.integers(0, 3))
    scene.turn = pose.uniform(-math.pi, math.pi)
    for side, sign in (("left", -1), ("right", 1)):
        root, tip = np.array([0.0, at]), np.array([sign * span, at + sweep])
        part = scene.shape([root, tip, tip + (0, chord * 0.4), root + (0, chord)], 1, depth=-0.2)
        scene.mark(
            of("tip", f"{side} wing"), tip + (0, chord * 0.2), f"the outer end of the wing on the pilot's {side}", part
        )
        root = np.array([sign * width, at + sweep * width / span + chord * 0.5])
        scene.mark(of("root", f"{side} wing"), root, f"where the wing on the pilot's {side} joins the fuselage", part)
        for index in range(engines):
            x = span * (0.35 + 0.3 * index)
            nose = np.array([sign * x, at + sweep * x / span - 0.1])
            part = scene.limb([nose, nose + (0, 0.22)], 0.05, 3, depth=-0.1)
            where = ("inner", "outer")[index] if engines == 2 else ""
            scene.mark(
                " ".join(f"{side} {where} engine".split()), nose, f"the front of the engine on the pilot's {side}", part
            )
        end = np.array([sign * tail, half * 0.95])
        part = scene.shape([(0, half * 0.72), end, end + (0, 0.08), (0, half * 0.95)], 2, depth=-0.2)
        scene.mark(
            of("tip", f"{side} tailplane"),
            end + (0, 0.04),
            f"the outer end of the tail's wing on the pilot's {side}",
            part,
        )
    hull = scene.shape(
        smooth([(-width, half), (-width, -half * 0.7), (0, -half * 1.2), (width, -half * 0.7), (width, half)], 2), 0
    )
    for mark in scene.marks:
        if "joins the fuselage" in mark.description:
            mark.owners = (mark.owners[0], hull)
    tip = np.array([0, -half * 0.99])
    scene.mark(
        pick(kind, "nose", "nose tip"), (0, scene.parts[hull].polygons[0][:, 1].min()), "the foremost point", hull
    )
    scene.mark(
        pick(kind, "tail", "tail end"),
        (0, scene.parts[hull].polygons[0][:, 1].max()),
        "the rear end of the fuselage",
        hull,
    )
    part = scene.shape(ellipse(tip + (0, half * 0.35), width * 0.6, width * 1.2), (60, 90, 120), depth=0.2)
    scene.mark(pick(kind, "cockpit", "middle of the windscreen"), tip + (0, half * 0.35), "the glass in front", part)
    return noun
