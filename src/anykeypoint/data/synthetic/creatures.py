"""Made-up creatures: each function draws one kind and names its points.

A function takes `kind` (decides what the creature is: proportions, parts, words, facing) and `pose` (decides how this
one stands), draws into the scene and returns its noun. It must draw the same numbers from `kind` whatever the pose.
`left` is the creature's own left throughout.
"""

import math

import numpy as np

from .scene import Scene, direction, ellipse, smooth

Rng = np.random.Generator
DARK, LIGHT = (25, 22, 25), (240, 238, 232)


def pick(rng: Rng, *options):
    return options[int(rng.integers(len(options)))]


def namer(kind: Rng):
    """How this kind says 'part of the whole': 'left ear tip' or 'tip of the left ear'."""
    swapped = kind.random() < 0.5
    return lambda part, whole: f"{part} of the {whole}" if swapped else f"{whole} {part}"


def ahead(face: int, angle: float, length: float) -> np.ndarray:
    """(2,) a step towards where the creature faces (1 right, -1 left), `angle` radians downwards from level."""
    return length * np.array([face * math.cos(angle), math.sin(angle)])


def quadruped(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A four-legged animal from the side; the near side is its left when it faces the left of the picture."""
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
        end = knee + direction(math.pi / 2 + swing * 0.3 + (0.25 if front else -0.35) * face * pose.uniform(0, 1), leg * 0.5)
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
    root = np.array([-face * half * 0.97, -height * 0.4])
    bend = pose.uniform(-0.6, 0.9)
    middle = root + ahead(-face, bend, tail / 2)
    end = middle + ahead(-face, bend * 1.6, tail / 2)
    part = scene.limb([root, middle, end], [thick, thick * 0.7, thick * kind.uniform(0.3, 1.4)], 1, depth=-0.5)
    scene.mark(of("base", "tail"), root, "where the tail grows out of the body", part)
    scene.mark(pick(kind, "middle of the tail", "tail middle"), middle, "half-way along the tail", part)
    scene.mark(of("tip", "tail"), end, "the free end of the tail", part)
    body = scene.shape(smooth([(-half, -height), (half, -height * 0.9), (half, height * 0.8), (-half, height)], 3), 0)
    scene.mark(pick(kind, "middle of the back", "back"), (0, -height * 0.9), "half-way along the line of the back", body)
    scene.mark(pick(kind, "belly", "middle of the belly"), (0, height * 0.85), "the lowest part of the trunk", body)
    shoulder = np.array([face * half * 0.85, -height * 0.35])
    lift = kind.uniform(0.5, 1.25) + pose.uniform(-0.25, 0.25)
    skull = shoulder + ahead(face, -lift, neck + head * 0.5)
    part = scene.limb([shoulder, skull], [height * 0.62, head * 0.62], 0)
    scene.mark(pick(kind, "base of the neck", "withers"), shoulder + (-face * height * 0.3, -height * 0.45),
               "where the upper line of the neck meets the back", part, body)
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
    for front in (True, False):
        leg_at(near, front, 1, 1.0)
    return noun


def biped(kind: Rng, pose: Rng, scene: Scene) -> str:
    """An upright figure seen from the front or from behind; from the front its left is at the right of the picture."""
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
            scene.mark(of("tip" if eared == "pointed" else "top", f"{side} ear"), tip,
                       f"the free end of the {side} ear{hint(side)}")
    crown = [(-head, -head), (head, -head), (head, head), (-head, head)]
    skull = scene.shape((np.array(crown) if square else smooth(crown, 3)) + top, 0, depth=0.1)
    scene.mark(pick(kind, "top of the head", "crown"), top + (0, -head * 0.95), "the upper end of the head", skull)
    scene.mark(pick(kind, "neck", "collar"), (0, -height / 2), "where the head's neck meets the trunk", body, skull, throat)
    if antenna:
        tip = top + (pose.uniform(-0.2, 0.2), -head * 1.8)
        part = scene.limb([top + (0, -head * 0.8), tip], head * 0.07, 3, depth=0.05)
        scene.shape(ellipse(tip, head * 0.15, head * 0.15), 3, depth=0.05)
        scene.mark(of("tip", "antenna"), tip, "the free end of the rod on the head", part, part + 1)
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
        kind.random()
        patch = scene.shape(ellipse((0, 0), width * 0.5, height * 0.28), 3, depth=0.05)
        scene.mark("top of the back patch", (0, -height * 0.28), "the upper edge of the patch on the back", patch)
        scene.mark("bottom of the back patch", (0, height * 0.28), "the lower edge of the patch on the back", patch)
    return noun


def bug(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A crawling animal from above, turned anyhow; its left is on the left when its head points up."""
    of, pairs = namer(kind), int(kind.integers(2, 6))
    noun = {2: "mite", 3: "beetle", 4: "spider", 5: "crab"}[pairs] if kind.random() < 0.6 else pick(kind, "bug", "insect")
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
    abdomen = np.array([math.sin(bend) * long, thorax + long * 0.75 * math.cos(bend)])
    tail = scene.shape(ellipse(abdomen, wide, long, -bend), 0, depth=-0.1)
    end = abdomen + direction(math.pi / 2 - bend, long * 0.97)
    scene.mark(pick(kind, "tip of the abdomen", "abdomen end", "rear end of the body"), end,
               "the end of the body opposite the head", tail)
    body = scene.shape(ellipse((0, 0), thorax * 0.9, thorax), 2)
    for mark in scene.marks:
        if "leaves the body" in mark.description:
            mark.owners = (*mark.owners, body)
    scene.mark(pick(kind, "thorax", "centre of the thorax"), (0, 0), "the middle of the segment that bears the legs", body)
    middle = np.array([pose.uniform(-0.03, 0.03), -thorax - head * 0.7])
    skull = scene.shape(ellipse(middle, head, head * 0.9), 0, depth=0.2)
    scene.mark(pick(kind, "front of the head", "snout"), middle + (0, -head * 0.85), "the foremost point", skull)
    scene.mark("neck", (middle[0] / 2, -thorax), "between head and thorax", body, skull)
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
    return noun


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

    stem = at(-half * 0.95, 0)
    up, down = at(-half - tail, -tail * kind.uniform(0.8, 1.3)), at(-half - tail, tail * kind.uniform(0.8, 1.3))
    notch = at(-half - tail * (1 - fork), 0)
    part = scene.shape([stem + (0, -0.06), up, notch, down, stem + (0, 0.06)], 1, depth=-0.2)
    scene.mark(pick(kind, "upper tip of the tail fin", "tail fin upper edge"), up,
               "the end of the tail fin's lobe on the back's side", part)
    scene.mark(pick(kind, "lower tip of the tail fin", "tail fin lower edge"), down,
               "the end of the tail fin's lobe on the belly's side", part)
    scene.mark(pick(kind, "middle of the tail fin", "tail fin middle"), notch,
               "the rear edge of the tail fin between its two lobes", part)
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
    scene.mark(pick(kind, "corner of the mouth", "rear end of the mouth"), corner, "the end of the slit of the mouth", part)
    return noun


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
    part = scene.shape([-axis * half * 0.6 - normal * 0.14, end - normal * 0.06, end + normal * 0.07,
                        -axis * half * 0.6 + normal * 0.14], 1, depth=-0.3)
    scene.mark(of("tip", "tail"), end, "the rear end of the tail feathers", part)
    body = scene.shape(ellipse((0, 0), half, deep, math.atan2(axis[1], axis[0])), 0)
    scene.mark(pick(kind, "breast", "front of the breast"), axis * half * 0.92 + normal * deep * 0.25,
               "the front of the trunk below the neck", body)
    scene.mark(pick(kind, "belly", "middle of the belly"), normal * deep * 0.95, "the underside of the trunk", body)
    scene.mark(pick(kind, "middle of the back", "back"), -normal * deep * 0.95, "the upper side of the trunk", body)
    root = axis * half * 0.7 - normal * deep * 0.3
    skull = root + direction(-math.pi / 2 + face * pose.uniform(-0.1, 0.7), neck + head * 0.6)
    part = scene.limb([root, skull], [deep * 0.55, head * 0.6], 0, depth=0.1)
    scene.mark(pick(kind, "base of the neck", "neck base"), root, "where the neck leaves the trunk", part, body)
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
    shoulder, spread = axis * half * 0.45 - normal * deep * 0.2, pose.uniform(-0.2, 0.3)
    far_end = shoulder - axis * half * 1.25 + normal * (deep * spread + 0.1)
    part = scene.limb([shoulder, (shoulder + far_end) / 2, far_end], [deep * 0.35, deep * 0.32, 0.02], 1, depth=0.4)
    scene.mark(of("tip", f"{near} wing"), far_end, "the rear end of the folded wing", part)
    scene.mark(f"{near} shoulder", shoulder, f"where the {near} wing joins the trunk", part)
    return noun


def face(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A face or mask from the front; either its own left and right, or the picture's where the names say so."""
    of, own = namer(kind), kind.random() < 0.5
    noun = pick(kind, "face", "mask", "cat face", "monkey face", "owl face", "clown face", "robot face")
    wide, tall, chin = kind.uniform(0.6, 1.0), kind.uniform(0.7, 1.1), kind.uniform(0.3, 1.0)
    eye_at, eye_x, eye = kind.uniform(-0.35, -0.05), kind.uniform(0.3, 0.5), kind.uniform(0.08, 0.2)
    slant, brow, nose = kind.uniform(-0.4, 0.4), kind.random() < 0.6, kind.uniform(0.1, 0.35)
    mouth_at, mouth = kind.uniform(0.4, 0.65), kind.uniform(0.15, 0.45)
    ears = pick(kind, "none", "round", "pointed")
    scene.turn = pose.uniform(-0.3, 0.3)
    look, smile, lips = pose.uniform(-0.12, 0.12), pose.uniform(-0.1, 0.15), pose.uniform(0.03, 0.16)
    sides = [("left", 1), ("right", -1)] if own else [("image left", -1), ("image right", 1)]
    whose = "the face's own {}" if own else "the side at the {} of the picture"
    for side, sign in sides:
        if ears != "none":
            base = np.array([sign * wide * 0.75, -tall * 0.6])
            tip = base + (sign * 0.12, -0.45) if ears == "pointed" else base + (sign * 0.25, -0.15)
            scene.limb([base, tip], [0.24, 0.02 if ears == "pointed" else 0.25], 1, depth=-0.3)
            scene.mark(of("tip" if ears == "pointed" else "middle", f"{side} ear"), tip,
                       f"the ear on {whose.format(side.split()[-1])}")
    outline = [(-wide, -tall), (wide, -tall), (wide, tall * 0.3), (wide * chin * 0.6, tall), (-wide * chin * 0.6, tall),
               (-wide, tall * 0.3)]
    skin = scene.shape(smooth(outline, 3), 0)
    scene.mark(pick(kind, "chin", "chin tip"), (0, tall * 0.97), "the lowest point of the face", skin)
    scene.mark(pick(kind, "forehead", "top of the forehead"), (0, -tall * 0.95), "the upper end of the face", skin)
    for side, sign in sides:
        centre = np.array([sign * wide * eye_x + look, tall * eye_at])
        step = np.array([sign * math.cos(slant), -math.sin(slant)]) * eye * 1.5
        part = scene.shape(ellipse(centre, eye * 1.5, eye, math.atan2(step[1], step[0])), LIGHT)
        scene.shape(ellipse(centre + (look * 0.4, 0), eye * 0.6, eye * 0.75), DARK, outline=False)
        where = whose.format(side.split()[-1])
        scene.mark(f"{side} eye", centre + (look * 0.4, 0), f"the pupil of the eye on {where}", part + 1)
        scene.mark(of("outer corner", f"{side} eye"), centre + step, f"the end of the eye far from the nose, on {where}",
                   part, skin)
        scene.mark(of("inner corner", f"{side} eye"), centre - step, f"the end of the eye next to the nose, on {where}",
                   part, skin)
        if brow:
            lift = np.array([0, -eye * pose.uniform(1.5, 2.2)])
            scene.limb([centre + step * 1.2 + lift, centre - step * 1.1 + lift], 0.035, 3)
            scene.mark(of("outer end", f"{side} eyebrow"), centre + step * 1.2 + lift,
                       f"the end of the eyebrow far from the nose, on {where}")
            scene.mark(of("inner end", f"{side} eyebrow"), centre - step * 1.1 + lift,
                       f"the end of the eyebrow above the nose, on {where}")
    tip = np.array([look * 1.4, tall * 0.22])
    part = scene.shape(smooth([tip + (-nose * 0.6, 0.08), tip + (nose * 0.6, 0.08), tip + (0, -nose * 1.6)], 1), 1)
    scene.mark(pick(kind, "nose", "tip of the nose", "nose tip"), tip, "the middle of the lower part of the nose", part)
    scene.mark(pick(kind, "nose bridge", "top of the nose"), tip + (0, -nose * 1.05), "the upper end of the nose", part)
    middle = np.array([look, tall * mouth_at])
    ends = {side: middle + (sign * mouth, -smile) for side, sign in sides}
    first, last = ends.values()
    part = scene.shape(smooth([first, middle + (0, -lips), last, middle + (0, lips)], 2), (120, 30, 40))
    for side, at in ends.items():
        scene.mark(of("corner", f"{side} mouth") if own else f"{side} mouth corner", at,
                   f"where the lips meet on {whose.format(side.split()[-1])}", part, skin)
    scene.mark(pick(kind, "upper lip", "middle of the upper lip"), middle + (0, -lips * 0.5), "above the mouth", part)
    scene.mark(pick(kind, "lower lip", "middle of the lower lip"), middle + (0, lips * 0.5), "below the mouth", part)
    return noun


def hand(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A hand, claw or paw with spread fingers, turned anyhow."""
    of, count = namer(kind), int(kind.integers(3, 6))
    noun = pick(kind, "hand", "glove", "claw", "robot hand", "paw")
    names = {3: ["thumb", "first finger", "second finger"], 4: ["thumb", "index finger", "middle finger", "little finger"],
             5: ["thumb", "index finger", "middle finger", "ring finger", "little finger"]}[count]
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
