"""Made-up things drawn flat: clothes, tools, sheets, vessels; same contract as the creatures.

Clothes have their own left, the wearer's; the others name the picture's side, "image left", or their corners as read,
and are turned so little that it stays true.
"""

# ruff: noqa: RUF005 - an array plus a tuple is a step here, not a concatenation

import math

import numpy as np

from .scene import Scene, ellipse
from .words import DARK, LIGHT, Rng, namer, pick


def garment(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A garment laid out; left is the wearer's, at the right of the picture when its front is seen."""
    of, front, tell = namer(kind), kind.random() < 0.8, kind.random() < 0.4
    lower = kind.random() < 0.35
    scene.turn = pose.uniform(-0.35, 0.35)
    signs = {"left": 1 if front else -1, "right": -1 if front else 1}
    seen = {side: "right" if sign > 0 else "left" for side, sign in signs.items()}

    def hint(side: str) -> str:
        return f"on the wearer's {side}" + (f", at the {seen[side]} of the picture" if tell else "")

    if lower:
        noun, legs = pick(kind, ("trousers", 1), ("shorts", 1), ("skirt", 0), ("leggings", 1))
        waist, hip, long = kind.uniform(0.25, 0.4), kind.uniform(0.4, 0.6), kind.uniform(0.6, 1.6)
        flare, cuff = kind.uniform(0.0, 0.4), kind.uniform(0.12, 0.26)
        crotch = np.array([0, 0.5])
        polygon = [(-waist, 0), (waist, 0), (hip, 0.42)]
        ends = {}
        if legs:
            for sign in (1, -1):
                out = pose.uniform(0.0, 0.25) + flare * 0.5
                ends[sign] = [
                    np.array([sign * (hip + out), 0.5 + long]),
                    np.array([sign * (hip + out - 2 * cuff), 0.5 + long]),
                ]
            polygon += [ends[1][0], ends[1][1], crotch, ends[-1][1], ends[-1][0], (-hip, 0.42)]
        else:
            for sign in (1, -1):
                ends[sign] = [np.array([sign * (hip + flare + pose.uniform(0, 0.1)), 0.4 + long * 0.7])]
            polygon += [ends[1][0], ends[-1][0], (-hip, 0.42)]
        cloth = scene.shape(polygon, 0)
        band = scene.shape([(-waist, 0), (waist, 0), (waist * 1.04, 0.09), (-waist * 1.04, 0.09)], 1)
        scene.mark(
            pick(kind, "middle of the waistband", "waistband middle"), (0, 0.04), "the middle of the upper edge", band
        )
        word = pick(kind, "waistband", "waist")
        for side, sign in signs.items():
            scene.mark(f"{side} end of the {word}", (sign * waist, 0.04), f"the end of the {word} {hint(side)}", band)
            scene.mark(f"{side} hip", (sign * hip, 0.42), f"the widest point {hint(side)}", cloth)
            if legs:
                outer, inner = ends[sign]
                scene.mark(
                    of("outer corner", f"{side} leg hem"), outer, f"the outer end of the leg's hem {hint(side)}", cloth
                )
                scene.mark(
                    of("inner corner", f"{side} leg hem"), inner, f"the inner end of the leg's hem {hint(side)}", cloth
                )
                knee = (np.array([sign * hip, 0.42]) + crotch + outer + inner) / 4
                scene.mark(f"{side} knee", knee, f"the middle of the leg {hint(side)}", cloth)
            else:
                scene.mark(f"{side} end of the hem", ends[sign][0], f"the lower corner {hint(side)}", cloth)
        if legs:
            scene.mark("crotch", crotch, "where the two legs part", cloth)
        else:
            scene.mark("middle of the hem", (ends[1][0] + ends[-1][0]) / 2, "half-way along the lower edge", cloth)
        return noun
    noun, sleeve = pick(
        kind, ("shirt", 0.5), ("sweater", 1.0), ("jacket", 1.0), ("dress", 0.4), ("vest", 0.0), ("coat", 0.9)
    )
    long = kind.uniform(1.5, 2.2) if noun in ("dress", "coat") else kind.uniform(0.9, 1.3)
    neck, shoulder, chest = kind.uniform(0.13, 0.24), kind.uniform(0.42, 0.56), kind.uniform(0.38, 0.5)
    hem, thick = chest + kind.uniform(-0.05, 0.4), kind.uniform(0.12, 0.19)
    dip, pocket, closed = kind.uniform(0.05, 0.3), kind.random() < 0.3, kind.random() < 0.4
    collar, bend, sleeve_paint = pick(kind, "collar", "neckline"), pick(kind, "elbow", "middle"), pick(kind, 0, 1)
    sleeve *= kind.uniform(0.8, 1.2)
    for side, sign in signs.items():
        if sleeve:
            root, drop = np.array([sign * (shoulder - thick), thick]), pose.uniform(0.15, 1.35)
            elbow = root + (sign * math.cos(drop) * sleeve * 0.5, math.sin(drop) * sleeve * 0.5)
            drop += pose.uniform(-0.4, 0.6)
            end = elbow + (sign * math.cos(drop) * sleeve * 0.5, math.sin(drop) * sleeve * 0.5)
            part = scene.limb([root, elbow, end], [thick, thick * 0.85, thick * 0.7], sleeve_paint, depth=-0.2)
            edge = end + (sign * math.cos(drop) * thick * 0.6, math.sin(drop) * thick * 0.6)
            scene.mark(f"end of the {side} sleeve", edge, f"the middle of the cuff {hint(side)}", part)
            scene.mark(of(bend, f"{side} sleeve"), elbow, f"half-way down the sleeve {hint(side)}", part)
    polygon = [
        (-neck, 0),
        (-neck * 0.6, dip),
        (neck * 0.6, dip),
        (neck, 0),
        (shoulder, 0.1),
        (chest, 0.5),
        (hem, long),
        (-hem, long),
        (-chest, 0.5),
        (-shoulder, 0.1),
    ]
    cloth = scene.shape(polygon, 0)
    for side, sign in signs.items():
        scene.mark(
            f"{side} end of the {collar}",
            (sign * neck, 0),
            f"where the {collar} meets the shoulder seam {hint(side)}",
            cloth,
        )
        scene.mark(
            f"{side} shoulder",
            (sign * shoulder, 0.1),
            f"the outer end of the shoulder seam {hint(side)}",
            cloth,
            *range(len(scene.parts) - 1),
        )
        scene.mark(f"{side} end of the hem", (sign * hem, long), f"the lower corner {hint(side)}", cloth)
        scene.mark(
            of("bottom", f"{side} armhole"),
            (sign * chest, 0.5),
            f"the armpit {hint(side)}",
            cloth,
            *range(len(scene.parts) - 1),
        )
    scene.mark(f"middle of the {collar}", (0, dip), f"the lowest point of the {collar}", cloth)
    scene.mark("middle of the hem", (0, long), "half-way along the lower edge", cloth)
    if closed and front:
        scene.limb([(0, dip + 0.02), (0, long)], 0.015, DARK)
        for step in (0.25, 0.5, 0.75):
            scene.shape(ellipse((0, dip + (long - dip) * step), 0.035, 0.035), 3)
        scene.mark("middle button", (0, dip + (long - dip) * 0.5), "the second of the three buttons")
    if pocket and front:
        at = np.array([0.2, 0.5])
        scene.shape(at + 0.11 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]), 2)
        scene.mark("pocket", at, "the middle of the breast pocket on the wearer's left")
    return noun


def tool(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A hand tool: a handle with a head, turned anyhow."""
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
        part = scene.shape(top + np.array([(-size, -0.1), (size * 0.8, -0.12), (size * 0.8, 0.12), (-size, 0.02)]), 2)
        scene.mark("claw tip", top + (-size, -0.04), "the narrow end of the head", part)
        scene.mark("middle of the striking face", top + (size * 0.8, 0), "the broad flat end of the head", part)
    elif head == "axe":
        part = scene.shape(
            top + np.array([(-0.12, -0.1), (size, -size * 0.8), (size * 1.15, 0), (size, size * 0.8), (-0.12, 0.12)]), 2
        )
        scene.mark(
            of("far corner", "blade"), top + (size, -size * 0.8), "the corner of the edge away from the handle", part
        )
        scene.mark(
            of("near corner", "blade"), top + (size, size * 0.8), "the corner of the edge nearer the handle", part
        )
        scene.mark(of("middle", "blade edge"), top + (size * 1.13, 0), "half-way along the cutting edge", part)
    elif head == "spoon":
        part = scene.shape(ellipse(top + (0, -size * 1.2), size * 0.75, size * 1.25), 2)
        scene.shape(ellipse(top + (0, -size * 1.2), size * 0.5, size * 0.9), 2, shade=0.75, outline=False)
        scene.mark(of("tip", "bowl"), top + (0, -size * 2.42), "the end of the bowl opposite the handle", part)
        scene.mark(of("middle", "bowl"), top + (0, -size * 1.2), "the deepest place of the bowl", part, part + 1)
    elif head == "fork":
        count = int(kind.integers(2, 5))
        part = scene.limb([top + (-size * 0.6, 0), top + (size * 0.6, 0)], thick, 2)
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
        part = len(scene.parts) - 1
    elif head == "wrench":
        gap = pose.uniform(0.1, 0.25)
        part = scene.shape(ellipse(top, size * 0.55, size * 0.5), 2)
        for side, sign in (("left", -1), ("right", 1)):
            end = top + (sign * gap, -size * 1.1)
            jaw = scene.limb(
                [top + (sign * size * 0.4, -0.05), top + (sign * size * 0.42, -size * 0.6), end], [0.08, 0.08, 0.05], 2
            )
            scene.mark(of("tip", f"{side} jaw"), end, f"the end of the jaw on the {side} when the jaws point up", jaw)
    elif head == "key":
        for index, y in enumerate((0.08, 0.25)):
            end = top + (size * 0.5, y)
            part = scene.limb([top + (0, y), end], 0.05, 2)
            scene.mark(f"tip of the {('first', 'second')[index]} tooth", end, "a tooth, counted from the far end", part)
    elif head == "brush":
        part = scene.shape(
            top + np.array([(-size * 0.5, 0), (size * 0.5, 0), (size * 0.7, -size * 1.6), (-size * 0.7, -size * 1.6)]),
            2,
        )
        scene.mark(
            of("middle", "bristle ends"), top + (0, -size * 1.58), "the middle of the free ends of the hair", part
        )
        scene.mark(of("base", "bristles"), top, "where the hair leaves the handle", part, rod)
    elif head == "knife":
        end = top + (0.03, -size * 3)
        part = scene.shape(
            [top + (-0.06, 0), top + (size * 0.4, 0), top + (size * 0.4, -size * 2), end, top + (-0.06, -size * 2)], 2
        )
        scene.mark(of("tip", "blade"), end, "the pointed end of the blade", part)
        scene.mark(
            of("heel", "blade"), top + (size * 0.4, 0), "the corner of the cutting edge next to the handle", part
        )
    elif head == "racket":
        part = scene.shape(ellipse(top + (0, -size * 1.5), size * 1.1, size * 1.5), 2)
        scene.shape(ellipse(top + (0, -size * 1.5), size * 0.9, size * 1.28), LIGHT)
        scene.mark(of("top", "frame"), top + (0, -size * 2.95), "the point of the frame farthest from the handle", part)
        scene.mark(of("centre", "net"), top + (0, -size * 1.5), "the middle of the oval", part + 1)
    else:
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
    scene.mark(neck, top, "where the handle meets the head", rod, *range(len(scene.parts)))
    return {"spade": "shovel"}.get(head, head) if kind.random() < 0.5 else "tool"


def sheet(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A flat rectangular thing seen at an angle; corners as one reads it, which holds as it is turned little."""
    noun = pick(
        kind, "sign", "plate", "screen", "window", "door", "board", "book", "card", "picture frame", "rug", "flag"
    )
    word = pick(kind, "corner", "corner", "vertex")
    wide, tall = kind.uniform(0.6, 1.4), kind.uniform(0.5, 1.2)
    inner, holes, knob = kind.random() < 0.6, kind.random() < 0.35, kind.random() < 0.4
    edges, post = kind.random() < 0.5, kind.random() < 0.25
    scene.turn = pose.uniform(-0.35, 0.35)
    jitter = pose.uniform(-0.14, 0.14, (4, 2)) * (wide, tall)
    corners = np.array([(-wide, -tall), (wide, -tall), (wide, tall), (-wide, tall)]) + jitter
    names = ["top left", "top right", "bottom right", "bottom left"]

    def at(u: float, v: float) -> np.ndarray:
        top, bottom = corners[0] + (corners[1] - corners[0]) * u, corners[3] + (corners[2] - corners[3]) * u
        return top + (bottom - top) * v

    if post:
        foot = at(0.5, 1) + (pose.uniform(-0.1, 0.1), kind.uniform(0.6, 1.2))
        pole = scene.limb([at(0.5, 0.5), foot], 0.05, 3, depth=-0.5)
        scene.mark(
            pick(kind, "lower end of the post", "base of the post"), foot, "where the post stands on the ground", pole
        )
    flat = scene.shape(corners, 0)
    for name, corner in zip(names, corners, strict=True):
        height, side = name.split()
        scene.mark(
            f"{name} {word} of the {noun}", corner, f"the {word} at the {height} and {side} of the picture", flat
        )
    if inner:
        border = kind.uniform(0.1, 0.25)
        inside = [at(border, border), at(1 - border, border), at(1 - border, 1 - border), at(border, 1 - border)]
        panel = scene.shape(inside, 1)
        for name, corner in zip(names, inside, strict=True):
            scene.mark(
                f"{name} corner of the inner panel", corner, f"the {name} corner of the field inside the frame", panel
            )
    if edges:
        scene.mark(f"middle of the top edge of the {noun}", at(0.5, 0), "half-way between the two top corners", flat)
        scene.mark(
            f"middle of the bottom edge of the {noun}", at(0.5, 1), "half-way between the two bottom corners", flat
        )
    if holes:
        for side, u in (("left", 0.07), ("right", 0.93)):
            centre = at(u, 0.08)
            scene.shape(ellipse(centre, 0.05, 0.05), DARK)
            scene.mark(f"{side} screw", centre, f"the screw next to the top {side} corner")
    if knob:
        u, word = pick(kind, (0.9, "right"), (0.1, "left"))
        centre = at(u, 0.5)
        scene.limb([centre + (0, -0.07), centre + (0, 0.07)], 0.05, 2)
        scene.mark("handle", centre, f"the handle half-way up near the {word} edge")
    centre = (at(0.25, 0.5) + at(0.75, 0.5)) / 2
    scene.mark(
        pick(kind, "centre", "middle of the surface"), centre, f"the middle of the {noun}", *range(len(scene.parts))
    )
    return noun


def vessel(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A thing of revolution standing upright: bottle, vase, cup, lamp; sides are the picture's."""
    noun = pick(kind, "bottle", "vase", "cup", "jug", "jar", "pot", "lamp", "goblet", "mushroom")
    levels = int(kind.integers(3, 6))
    radii = np.concatenate([kind.uniform(0.12, 0.5, levels)])
    heights = np.cumsum(kind.uniform(0.25, 0.7, levels)) - 0.3
    handle, spout, lid = kind.random() < 0.4, kind.random() < 0.25, kind.random() < 0.3
    side, where = pick(kind, ("image left", -1), ("image right", 1))
    label = kind.random() < 0.3
    words = {
        3: ["mouth", "shoulder", "bottom"],
        4: ["mouth", "neck", "shoulder", "bottom"],
        5: ["mouth", "neck", "shoulder", "body", "bottom"],
    }[levels]
    scene.turn = pose.uniform(-0.3, 0.3)
    radii = radii * pose.uniform(0.92, 1.08, levels)
    profile = list(zip(radii, heights, words, strict=True))
    middle = float(heights[levels // 2])
    if handle:
        reach = float(radii.max()) + 0.28
        root, end = (where * radii[1] * 0.9, heights[1]), (where * radii[-2] * 0.9, float(heights[-1]) * 0.85)
        bow = [root, (where * reach, heights[1] + 0.03), (where * reach, middle + 0.12), end]
        part = scene.limb(bow, 0.05, 2, depth=-0.3)
        scene.mark("upper bend of the handle", bow[1], f"the upper bend of the handle, {side}", part)
        scene.mark("lower bend of the handle", bow[2], f"the lower bend of the handle, {side}", part)
    if spout:
        tip = np.array([-where * (radii[1] + 0.45), heights[0] + 0.1])
        part = scene.limb([(-where * radii[1] * 0.7, heights[1] + 0.1), tip], [0.12, 0.05], 1, depth=-0.2)
        scene.mark("tip of the spout", tip, "the end from which it pours", part)
    outline = [(r, h) for r, h, _ in profile] + [(-r, h) for r, h, _ in reversed(profile)]
    body = scene.shape(outline, 0)
    scene.shape(ellipse((0, heights[0]), float(radii[0]), 0.05), 1, shade=0.8)
    for radius, height, word in profile:
        for name, sign in (("image left", -1), ("image right", 1)):
            scene.mark(
                f"{name} side of the {word}",
                (sign * radius, height),
                f"the outline at the {word}, at the {name.split()[1]} of the picture",
                body,
                body + 1,
            )
    if lid:
        top = (0, heights[0] - 0.22)
        part = scene.limb([(0, heights[0] - 0.02), top], [float(radii[0]) * 0.6, 0.06], 3, depth=0.1)
        summit = min(polygon[:, 1].min() for polygon in scene.parts[part].polygons) + 0.01
        scene.mark(pick(kind, "top of the lid", "top of the cap"), (0, summit), "the upper end of the lid", part)
    if label:
        low, high = middle - 0.1, middle + 0.1
        width = float(radii[levels // 2]) * 0.6
        part = scene.shape([(-width, low), (width, low), (width, high), (-width, high)], LIGHT)
        scene.mark("middle of the label", (0, middle), "the centre of the light patch", part)
    scene.mark(
        pick(kind, "middle of the bottom", "centre of the base"), (0, heights[-1]), "the middle of the lower end", body
    )
    return noun
