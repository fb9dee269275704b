"""Synthetic upright figures, crawling animals from above, hands and shells. The same contract as `creatures`."""

# ruff: noqa: RUF005 - an array plus a tuple adds a step here; it does not concatenate

import math
from collections.abc import Callable

import numpy as np

from .scene import Scene, direction, ellipse, smooth
from .words import DARK, LIGHT, Namer, Rng, namer, pick


def biped(kind: Rng, pose: Rng, scene: Scene) -> str:
    """An upright figure from the front or from behind. From the front its left is at the right of the picture."""
    of, front = namer(kind), kind.random() < 0.65
    noun = pick(kind, "robot", "doll", "bear", "person", "ape", "puppet", "astronaut", "toy figure", "frog")
    width, height, waist = kind.uniform(0.26, 0.55), kind.uniform(0.4, 0.75), kind.uniform(0.5, 1.1)
    head, arm, leg = kind.uniform(0.2, 0.42), kind.uniform(0.5, 1.0), kind.uniform(0.5, 1.1)
    thick, antenna, eared = kind.uniform(0.06, 0.14), kind.random() < 0.3, pick(kind, "none", "round", "pointed")
    hand, foot = pick(kind, "hand", "paw", "wrist"), pick(kind, "foot", "ankle", "paw" if front else "heel")
    square, tell = kind.random() < 0.4, kind.random() < 0.5
    if foot == hand:
        hand = "hand"
    scene.turn = pose.uniform(-0.2, 0.2)
    seen = {"left": "right", "right": "left"} if front else {"left": "left", "right": "right"}

    def hint(side: str) -> str:
        return f", at the {seen[side]} of the picture" if tell else ""

    signs = {"left": 1 if front else -1, "right": -1 if front else 1}
    _legs(pose, scene, width, height, waist, leg, thick, foot, hint, signs)
    trunk = [(-width, -height / 2), (width, -height / 2), (width * waist, height / 2), (-width * waist, height / 2)]
    body = scene.shape(trunk if square else smooth(trunk), 0)
    for mark in scene.marks:
        if mark.name.endswith(" hip"):
            mark.owners = (*mark.owners, body)
    scene.mark(pick(kind, "middle of the body", "centre of the trunk"), (0, 0), "half-way between neck and hips", body)
    top = np.array([pose.uniform(-0.08, 0.08), -height / 2 - head * 1.05])
    throat = scene.limb([(0, -height / 2), top], head * 0.35, 1, depth=-0.1)
    for side, sign in signs.items():
        shoulder = np.array([sign * width * 0.95, -height * 0.42])
        lift = pose.uniform(-1.3, 1.3)
        elbow = shoulder + (sign * math.cos(lift) * arm * 0.5, math.sin(lift) * arm * 0.5)
        fold = lift + pose.uniform(-1.2, 1.2)
        end = elbow + (sign * math.cos(fold) * arm * 0.45, math.sin(fold) * arm * 0.45)
        part = scene.limb([shoulder, elbow, end], [thick * 1.1, thick * 0.85, thick * 0.75], 1, depth=0.5)
        scene.shape(ellipse(end, thick * 1.2, thick * 1.2), 2, depth=0.6)
        scene.mark(f"{side} {hand}", end, f"the end of the {side} arm{hint(side)}", part, part + 1)
        scene.mark(f"{side} elbow", elbow, f"the joint in the middle of the {side} arm{hint(side)}", part)
        scene.mark(f"{side} shoulder", shoulder, f"where the {side} arm joins the trunk{hint(side)}", part)
        if eared != "none":
            base = top + (sign * head * 0.6, -head * 0.65)
            tip = base + (sign * head * 0.3, -head * 0.45)
            scene.limb([base, tip], [head * 0.3, head * (0.3 if eared == "round" else 0.03)], 2, depth=0.0)
            scene.mark(
                of("tip" if eared == "pointed" else "top", f"{side} ear"),
                tip,
                f"the free end of the {side} ear{hint(side)}",
            )
    crown = [(-head, -head), (head, -head), (head, head), (-head, head)]
    skull = scene.shape((np.array(crown) if square else smooth(crown, 3)) + top, 0, depth=0.1)
    scene.mark(pick(kind, "top of the head", "crown"), top + (0, -head * 0.95), "the upper end of the head", skull)
    scene.mark(
        pick(kind, "neck", "collar"), (0, -height / 2), "where the head's neck meets the trunk", body, skull, throat
    )
    if antenna:
        tip = top + (pose.uniform(-0.2, 0.2), -head * 1.8)
        part = scene.limb([top + (0, -head * 0.8), tip], head * 0.07, 3, depth=0.05)
        scene.shape(ellipse(tip, head * 0.15, head * 0.15), 3, depth=0.05)
        scene.mark(of("tip", "antenna"), tip, "the free end of the rod on the head", part, part + 1)
    _front_or_back(kind, scene, front, noun, width, height, head, hint, signs, body, top)
    return noun


def _legs(
    pose: Rng,
    scene: Scene,
    width: float,
    height: float,
    waist: float,
    leg: float,
    thick: float,
    foot: str,
    hint: Callable[[str], str],
    signs: dict[str, int],
) -> None:
    """Draw and mark the legs of a figure."""
    for side, sign in signs.items():
        hip = np.array([sign * width * waist * 0.6, height * 0.5])
        swing = -sign * pose.uniform(-0.1, 0.45)
        knee = hip + direction(math.pi / 2 + swing, leg * 0.5)
        end = knee + direction(math.pi / 2 + swing * pose.uniform(-0.4, 0.8), leg * 0.5)
        part = scene.limb([hip, knee, end], [thick * 1.3, thick, thick * 0.9], 1, depth=-0.3)
        scene.shape(ellipse(end + (sign * thick * 0.5, thick * 0.3), thick * 1.7, thick), 2, depth=-0.2)
        scene.mark(f"{side} {foot}", end, f"the lower end of the {side} leg{hint(side)}", part, part + 1)
        scene.mark(f"{side} knee", knee, f"the joint in the middle of the {side} leg{hint(side)}", part)
        scene.mark(f"{side} hip", hip, f"where the {side} leg joins the trunk{hint(side)}", part)


def _front_or_back(
    kind: Rng,
    scene: Scene,
    front: bool,
    noun: str,
    width: float,
    height: float,
    head: float,
    hint: Callable[[str], str],
    signs: dict[str, int],
    body: int,
    top: np.ndarray,
) -> None:
    """Draw and mark the face of a figure, or the patch on its back."""
    if front:
        for side, sign in signs.items():
            eye = top + (sign * head * 0.42, -head * 0.2)
            part = scene.shape(ellipse(eye, head * 0.2, head * 0.2), LIGHT, depth=0.2)
            scene.shape(ellipse(eye, head * 0.09, head * 0.09), DARK, depth=0.2, outline=False)
            scene.mark(f"{side} eye", eye, f"the {noun}'s own {side} eye{hint(side)}", part, part + 1)
        nose = top + (0, head * 0.15)
        scene.shape(nose + head * 0.16 * np.array([(-1, 1), (1, 1), (0, -1)]), 3, depth=0.2)
        scene.mark("nose", nose, "the middle of the face")
        scene.limb([top + (-head * 0.4, head * 0.55), top + (head * 0.4, head * 0.55)], head * 0.05, DARK, depth=0.2)
        scene.mark(pick(kind, "mouth", "middle of the mouth"), top + (0, head * 0.55), "the middle of the lips")
    else:
        patch = scene.shape(ellipse((0, 0), width * 0.5, height * 0.28), 3, depth=0.05)
        for mark in scene.marks:
            if mark.at == (0, 0):
                mark.owners = (body, patch)
        scene.mark("top of the back patch", (0, -height * 0.28), "the upper edge of the patch on the back", patch)
        scene.mark("bottom of the back patch", (0, height * 0.28), "the lower edge of the patch on the back", patch)


def bug(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A crawling animal from above, turned by any angle. Its left is at the left when its head points up."""
    of, pairs = namer(kind), int(kind.integers(2, 6))
    noun = (
        {2: "mite", 3: "beetle", 4: "spider", 5: "crab"}[pairs] if kind.random() < 0.6 else pick(kind, "bug", "insect")
    )
    if pairs == 3:
        order = ["front", pick(kind, "middle", "mid"), pick(kind, "hind", "rear")]
    else:
        order = ["first", "second", "third", "fourth", "fifth"][:pairs]
    wide, long = kind.uniform(0.14, 0.4), kind.uniform(0.3, 0.8)
    thorax, head = kind.uniform(0.12, 0.3), kind.uniform(0.1, 0.22)
    leg, thick = kind.uniform(0.35, 0.9), kind.uniform(0.012, 0.045)
    winged, feelers, pincers = kind.random() < 0.4, kind.random() < 0.6, kind.random() < 0.35
    joint, foot = pick(kind, "joint", "knee"), pick(kind, "tip", "end", "foot")
    feeler = pick(kind, "antenna", "feeler")
    scene.turn = pose.uniform(-math.pi, math.pi)
    bend = pose.uniform(-0.2, 0.2)
    _bug_legs(pose, scene, of, pairs, order, thorax, leg, thick, joint, foot)
    abdomen = np.array([math.sin(bend) * long, thorax + long * 0.75 * math.cos(bend)])
    tail = scene.shape(ellipse(abdomen, wide, long, -bend), 0, depth=-0.1)
    end = abdomen + direction(math.pi / 2 - bend, long * 0.97)
    scene.mark(
        pick(kind, "tip of the abdomen", "abdomen end", "rear end of the body"),
        end,
        "the end of the body opposite the head",
        tail,
    )
    body = scene.shape(ellipse((0, 0), thorax * 0.9, thorax), 2)
    for mark in scene.marks:
        if "leaves the body" in mark.description:
            mark.owners = (*mark.owners, body)
    scene.mark(
        pick(kind, "thorax", "centre of the thorax"), (0, 0), "the middle of the segment that bears the legs", body
    )
    middle = np.array([pose.uniform(-0.03, 0.03), -thorax - head * 0.7])
    skull = scene.shape(ellipse(middle, head, head * 0.9), 0, depth=0.2)
    scene.mark(pick(kind, "front of the head", "snout"), middle + (0, -head * 0.85), "the foremost point", skull)
    scene.mark("neck", (middle[0] / 2, -thorax), "between head and thorax", body, skull)
    _bug_head_and_wings(
        pose, scene, of, noun, wide, long, thorax, head, thick, winged, feelers, pincers, feeler, middle
    )
    return noun


def _bug_legs(
    pose: Rng,
    scene: Scene,
    of: Namer,
    pairs: int,
    order: list[str],
    thorax: float,
    leg: float,
    thick: float,
    joint: str,
    foot: str,
) -> None:
    """Draw and mark the legs."""
    for side, sign in (("left", -1), ("right", 1)):
        for index, which in enumerate(order):
            y = thorax * (1.4 * index / max(1, pairs - 1) - 0.7)
            base = np.array([sign * thorax * 0.75, y])
            aim = (index / max(1, pairs - 1) - 0.5) * 1.9 + pose.uniform(-0.2, 0.2)
            knee = base + (sign * math.cos(aim) * leg * 0.5, math.sin(aim) * leg * 0.5)
            aim += pose.uniform(0.2, 0.7) * (1 if index >= pairs / 2 else -1)
            end = knee + (sign * math.cos(aim) * leg * 0.6, math.sin(aim) * leg * 0.6)
            part = scene.limb([base, knee, end], [thick * 1.5, thick, thick * 0.6], 1, depth=-0.5)
            whole = f"{side} {which} leg"
            count = "" if pairs == 3 else ", counted from the head"
            scene.mark(of(foot, whole), end, f"the outer end of the {whole}{count}", part)
            scene.mark(of(joint, whole), knee, f"the bend of the {whole}{count}", part)
            scene.mark(of("base", whole), base, f"where the {whole} leaves the body{count}", part)


def _bug_head_and_wings(
    pose: Rng,
    scene: Scene,
    of: Namer,
    noun: str,
    wide: float,
    long: float,
    thorax: float,
    head: float,
    thick: float,
    winged: bool,
    feelers: bool,
    pincers: bool,
    feeler: str,
    middle: np.ndarray,
) -> None:
    """Draw and mark eyes, antennae, pincers and wings."""
    for side, sign in (("left", -1), ("right", 1)):
        eye = middle + (sign * head * 0.65, -head * 0.2)
        scene.shape(ellipse(eye, head * 0.25, head * 0.3), DARK, depth=0.3)
        scene.mark(f"{side} eye", eye, f"the eye on the {noun}'s own {side}")
        if feelers:
            base = middle + (sign * head * 0.4, -head * 0.7)
            tip = base + (sign * pose.uniform(0.1, 0.5) * long, -long * pose.uniform(0.5, 0.9))
            part = scene.limb([base, (base + tip) / 2 + (sign * 0.06, 0), tip], thick * 0.6, 3, depth=-0.2)
            scene.mark(of("tip", f"{side} {feeler}"), tip, f"the free end of the {side} {feeler}", part)
        if pincers:
            base = middle + (sign * head * 0.8, -head * 0.4)
            tip = base + (-sign * head * pose.uniform(-0.3, 0.5), -head * 1.6)
            scene.limb([base, base + (sign * head * 0.6, -head * 0.9), tip], [thick, thick * 1.6, 0.01], 2, depth=0.1)
            scene.mark(of("tip", f"{side} pincer"), tip, f"the pointed end of the jaw on the {side}")
        if winged:
            root = np.array([sign * thorax * 0.4, 0.0])
            spread = pose.uniform(0.2, 1.0)
            tip = root + (sign * math.sin(spread) * long * 1.7, math.cos(spread) * long * 1.7)
            angle = math.atan2(tip[1] - root[1], tip[0] - root[0])
            scene.shape(ellipse((root + tip) / 2, long * 0.86, wide * 0.6, angle), 3, depth=0.6)
            scene.mark(of("tip", f"{side} wing"), tip, f"the end of the {side} wing, far from the thorax")


def hand(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A hand, claw or paw with spread fingers, turned by any angle."""
    of, count = namer(kind), int(kind.integers(3, 6))
    noun = pick(kind, "hand", "glove", "claw", "robot hand", "paw")
    names = {
        3: ["thumb", "first finger", "second finger"],
        4: ["thumb", "index finger", "middle finger", "little finger"],
        5: ["thumb", "index finger", "middle finger", "ring finger", "little finger"],
    }[count]
    side, palm, long = pick(kind, -1, 1), kind.uniform(0.28, 0.45), kind.uniform(0.4, 0.9)
    thick, knuckle = kind.uniform(0.05, 0.1), pick(kind, "joint", "knuckle", "middle")
    scene.turn = pose.uniform(-math.pi, math.pi)
    spread = pose.uniform(0.7, 1.0)
    wrist = np.array([0.0, palm * 1.5])
    arm = scene.limb([wrist + (0, 0.35), wrist, (0, palm * 0.5)], [palm * 0.6, palm * 0.62, palm * 0.7], 0, depth=-0.2)
    pad = scene.shape(ellipse((0, 0), palm, palm * 1.1), 0)
    scene.mark(pick(kind, "wrist", "base of the hand"), wrist, "where the hand joins the arm", arm, pad)
    scene.mark(pick(kind, "palm", "middle of the palm"), (0, 0), "the centre between the fingers and the wrist", pad)
    scene.mark(pick(kind, "end of the arm", "sleeve end"), wrist + (0, 0.55), "the cut end of the arm", arm)
    for index, name in enumerate(names):
        aim = side * ((index / (count - 1) - 0.5) * 1.9 * spread + pose.uniform(-0.08, 0.08)) - math.pi / 2
        if index == 0:
            aim -= side * 0.35
        reach = long * (0.7 if index == 0 else 1 - 0.12 * abs(index - 2))
        base = direction(aim, palm * 0.95)
        joint = base + direction(aim, reach * 0.5)
        tip = joint + direction(aim + pose.uniform(-0.5, 0.5), reach * 0.5)
        part = scene.limb([base, joint, tip], [thick * 1.2, thick, thick * 0.8], 1 if index == 0 else 0, depth=0.1)
        along = "the short outermost finger" if index == 0 else f"finger {index} counted from the thumb"
        scene.mark(of("tip", name), tip, f"the free end of {along}", part)
        scene.mark(of(knuckle, name), joint, f"half-way along {along}", part)
        scene.mark(of("base", name), base, f"where {along} leaves the palm", part)
    return noun


def shell(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A coiled shell whose whorls shrink from the mouth to the apex. Sides are those of the picture."""
    of, side = namer(kind), pick(kind, -1, 1)
    noun, whorls = pick(kind, "snail shell", "whelk", "sea shell", "horn", "cocoon"), int(kind.integers(3, 7))
    shrink, wide, drop = kind.uniform(0.55, 0.8), kind.uniform(0.35, 0.6), kind.uniform(0.5, 0.95)
    mouth, rib = kind.uniform(0.45, 0.75), kind.random() < 0.5
    scene.turn = pose.uniform(-0.4, 0.4)
    name = "image right" if side > 0 else "image left"
    y, radius, lean = 0.0, wide, pose.uniform(-0.08, 0.08)
    centre = np.array([0.0, 0.0])
    for index in range(whorls):
        part = scene.shape(ellipse(centre, radius, radius * 0.72, 0.12 * side), index % 2 if rib else 0, depth=-index)
        if index < 3:
            which = ("body whorl", "second whorl", "third whorl")[index]
            for where, sign in (("image left", -1), ("image right", 1)):
                scene.mark(
                    f"{where} bulge of the {which}",
                    centre + (sign * radius * 0.97, 0.12 * sign * side * radius),
                    f"the widest point of the {which}, counted from the mouth, {where}",
                    part,
                )
        y -= radius * drop * 0.9
        apex = centre + (lean * radius, -radius * 0.7)
        radius *= shrink
        centre = np.array([lean * -y, y])
    scene.mark(pick(kind, "apex of the shell", "tip of the spire", "apex"), apex, "the pointed end of the coil", part)
    middle = np.array([side * wide * 0.35, wide * 0.35])
    tall = wide * mouth
    lip = scene.shape(ellipse(middle, tall * 0.66, tall, 0.3 * side), 2, depth=1)
    scene.shape(ellipse(middle, tall * 0.46, tall * 0.78, 0.3 * side), DARK, depth=1.1, outline=False)
    axis = direction(math.pi / 2 + 0.3 * side, tall)
    across = direction(0.3 * side, tall * 0.64)
    word = pick(kind, "aperture", "mouth", "opening")
    scene.mark(of("bottom", word), middle + axis * 0.97, f"the lowest point of the {word}'s rim", lip)
    scene.mark(of("top", word), middle - axis * 0.97, f"the highest point of the {word}'s rim", lip)
    scene.mark(of("centre", word), middle, f"the middle of the dark {word}, on the {name} half", lip + 1)
    scene.mark("outer lip", middle + side * across, "the rim farthest from the coil's axis", lip)
    scene.mark("inner lip", middle - side * across, "the rim next to the coil's axis", lip)
    return noun
