"""Synthetic faces and masks from the front. The same contract as `creatures`."""

# ruff: noqa: RUF005 - an array plus a tuple adds a step here; it does not concatenate

import math

import numpy as np

from .scene import Scene, ellipse, smooth
from .words import DARK, LIGHT, Namer, Rng, Sides, namer, pick


def face(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A face or mask from the front. Left and right are its own, or the picture's where the names say "image left"."""
    of, own = namer(kind), kind.random() < 0.5
    noun = pick(kind, "face", "mask", "cat face", "monkey face", "owl face", "clown face", "robot face")
    wide, tall, chin = kind.uniform(0.6, 1.0), kind.uniform(0.7, 1.1), kind.uniform(0.3, 1.0)
    eye_at, eye_x, eye = kind.uniform(-0.35, -0.05), kind.uniform(0.3, 0.5), kind.uniform(0.08, 0.2)
    eye = min(eye, wide * eye_x / 1.8)  # the two eyes stay apart
    slant, brow, nose = kind.uniform(-0.4, 0.4), kind.random() < 0.6, kind.uniform(0.1, 0.35)
    mouth_at, mouth = kind.uniform(0.4, 0.65), kind.uniform(0.15, 0.45)
    ears = pick(kind, "none", "round", "pointed")
    corner = pick(kind, "mouth corner", "corner of the mouth", "end of the lips")
    scene.turn = pose.uniform(-0.3, 0.3)
    look, smile, lips = pose.uniform(-0.12, 0.12), pose.uniform(-0.1, 0.15), pose.uniform(0.03, 0.16)
    sides = [("left", 1), ("right", -1)] if own else [("image left", -1), ("image right", 1)]
    whose = "the face's own {}" if own else "the side at the {} of the picture"
    for side, sign in sides:
        if ears != "none":
            base = np.array([sign * wide * 0.75, -tall * 0.6])
            tip = base + (sign * 0.12, -0.45) if ears == "pointed" else base + (sign * 0.25, -0.15)
            scene.limb([base, tip], [0.24, 0.02 if ears == "pointed" else 0.25], 1, depth=-0.3)
            scene.mark(
                of("tip" if ears == "pointed" else "middle", f"{side} ear"),
                tip,
                f"the ear on {whose.format(side.split()[-1])}",
            )
    outline = [
        (-wide, -tall),
        (wide, -tall),
        (wide, tall * 0.3),
        (wide * chin * 0.6, tall),
        (-wide * chin * 0.6, tall),
        (-wide, tall * 0.3),
    ]
    skin = scene.shape(smooth(outline, 3), 0)
    scene.mark(pick(kind, "chin", "chin tip"), (0, tall * 0.97), "the lowest point of the face", skin)
    scene.mark(pick(kind, "forehead", "top of the forehead"), (0, -tall * 0.95), "the upper end of the face", skin)
    _eyes(pose, scene, of, wide, tall, eye_at, eye_x, eye, slant, brow, look, sides, whose, skin)
    _nose_and_mouth(kind, scene, tall, nose, mouth_at, mouth, corner, look, smile, lips, sides, whose, skin)
    return noun


def _eyes(
    pose: Rng,
    scene: Scene,
    of: Namer,
    wide: float,
    tall: float,
    eye_at: float,
    eye_x: float,
    eye: float,
    slant: float,
    brow: bool,
    look: float,
    sides: Sides,
    whose: str,
    skin: int,
) -> None:
    """Draw and mark eyes and eyebrows."""
    for side, sign in sides:
        centre = np.array([sign * wide * eye_x + look, tall * eye_at])
        step = np.array([sign * math.cos(slant), -math.sin(slant)]) * eye * 1.5
        part = scene.shape(ellipse(centre, eye * 1.5, eye, math.atan2(step[1], step[0])), LIGHT)
        scene.shape(ellipse(centre + (look * 0.4, 0), eye * 0.6, eye * 0.75), DARK, outline=False)
        where = whose.format(side.split()[-1])
        scene.mark(f"{side} eye", centre + (look * 0.4, 0), f"the pupil of the eye on {where}", part + 1)
        scene.mark(
            of("outer corner", f"{side} eye"),
            centre + step,
            f"the end of the eye far from the nose, on {where}",
            part,
            skin,
        )
        scene.mark(
            of("inner corner", f"{side} eye"),
            centre - step,
            f"the end of the eye next to the nose, on {where}",
            part,
            skin,
        )
        if brow:
            lift = np.array([0, -eye * pose.uniform(1.5, 2.2)])
            scene.limb([centre + step * 1.2 + lift, centre - step * 1.1 + lift], 0.035, 3)
            scene.mark(
                of("outer end", f"{side} eyebrow"),
                centre + step * 1.2 + lift,
                f"the end of the eyebrow far from the nose, on {where}",
            )
            scene.mark(
                of("inner end", f"{side} eyebrow"),
                centre - step * 1.1 + lift,
                f"the end of the eyebrow above the nose, on {where}",
            )


def _nose_and_mouth(
    kind: Rng,
    scene: Scene,
    tall: float,
    nose: float,
    mouth_at: float,
    mouth: float,
    corner: str,
    look: float,
    smile: float,
    lips: float,
    sides: Sides,
    whose: str,
    skin: int,
) -> None:
    """Draw and mark nose and mouth."""
    tip = np.array([look * 1.4, tall * 0.22])
    part = scene.shape(smooth([tip + (-nose * 0.6, 0.08), tip + (nose * 0.6, 0.08), tip + (0, -nose * 1.6)], 1), 1)
    scene.mark(pick(kind, "nose", "tip of the nose", "nose tip"), tip, "the middle of the lower part of the nose", part)
    scene.mark(pick(kind, "nose bridge", "top of the nose"), tip + (0, -nose * 1.05), "the upper end of the nose", part)
    middle = np.array([look, tall * mouth_at])
    ends = {side: middle + (sign * mouth, -smile) for side, sign in sides}
    turn = np.linspace(0, 2 * math.pi, 32, endpoint=False)
    bow = np.stack([mouth * np.cos(turn), lips * np.sin(turn) - smile * np.cos(turn) ** 2], axis=1)
    part = scene.shape(middle + bow, (120, 30, 40))
    for side, at in ends.items():
        scene.mark(f"{side} {corner}", at, f"where the lips meet on {whose.format(side.split()[-1])}", part, skin)
    scene.mark(pick(kind, "upper lip", "middle of the upper lip"), middle + (0, -lips * 0.5), "above the mouth", part)
    scene.mark(pick(kind, "lower lip", "middle of the lower lip"), middle + (0, lips * 0.5), "below the mouth", part)
