"""Synthetic flat things: clothes, sheets and vessels. The same contract as `creatures`.

The left of clothes is the wearer's. Sheets and vessels have sides of the picture ("image left") or corners as one reads
them; they are turned by small angles, so that these names stay true.
"""

# ruff: noqa: RUF005 - an array plus a tuple adds a step here; it does not concatenate

import math
from collections.abc import Callable

import numpy as np

from .scene import Scene, ellipse
from .words import DARK, LIGHT, Namer, Rng, namer, pick


def garment(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A garment laid flat. Left is the wearer's left, at the right of the picture when the front is up."""
    of, front, tell = namer(kind), kind.random() < 0.8, kind.random() < 0.4
    lower = kind.random() < 0.35
    scene.turn = pose.uniform(-0.35, 0.35)
    signs = {"left": 1 if front else -1, "right": -1 if front else 1}
    seen = {side: "right" if sign > 0 else "left" for side, sign in signs.items()}

    def hint(side: str) -> str:
        return f"on the wearer's {side}" + (f", at the {seen[side]} of the picture" if tell else "")

    if lower:
        return _lower_garment(kind, pose, scene, of, signs, hint)
    return _upper_garment(kind, pose, scene, of, front, signs, hint)


def _lower_garment(
    kind: Rng,
    pose: Rng,
    scene: Scene,
    of: Namer,
    signs: dict[str, int],
    hint: Callable[[str], str],
) -> str:
    """Trousers, shorts, leggings or a skirt."""
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


def _upper_garment(
    kind: Rng,
    pose: Rng,
    scene: Scene,
    of: Namer,
    front: bool,
    signs: dict[str, int],
    hint: Callable[[str], str],
) -> str:
    """A shirt, sweater, jacket, dress, vest or coat."""
    noun, sleeve = pick(
        kind, ("shirt", 0.5), ("sweater", 1.0), ("jacket", 1.0), ("dress", 0.4), ("vest", 0.0), ("coat", 0.9)
    )
    long = kind.uniform(1.5, 2.2) if noun in ("dress", "coat") else kind.uniform(0.9, 1.3)
    neck, shoulder, chest = kind.uniform(0.13, 0.24), kind.uniform(0.42, 0.56), kind.uniform(0.38, 0.5)
    hem, thick = chest + kind.uniform(-0.05, 0.4), kind.uniform(0.12, 0.19)
    dip, pocket, closed = kind.uniform(0.05, 0.3), kind.random() < 0.3, kind.random() < 0.4
    collar, bend, sleeve_paint = pick(kind, "collar", "neckline"), pick(kind, "elbow", "middle"), pick(kind, 0, 1)
    sleeve *= kind.uniform(0.8, 1.2)
    _sleeves(pose, scene, of, signs, hint, sleeve, shoulder, thick, bend, sleeve_paint)
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
    _hems_and_collar(scene, of, signs, hint, long, neck, shoulder, chest, hem, dip, collar, cloth)
    _closure_and_pocket(scene, front, long, dip, pocket, closed)
    return noun


def _sleeves(
    pose: Rng,
    scene: Scene,
    of: Namer,
    signs: dict[str, int],
    hint: Callable[[str], str],
    sleeve: float,
    shoulder: float,
    thick: float,
    bend: str,
    sleeve_paint: int,
) -> None:
    """Draw and mark the sleeves; `sleeve` is their length, 0 for none."""
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


def _hems_and_collar(
    scene: Scene,
    of: Namer,
    signs: dict[str, int],
    hint: Callable[[str], str],
    long: float,
    neck: float,
    shoulder: float,
    chest: float,
    hem: float,
    dip: float,
    collar: str,
    cloth: int,
) -> None:
    """Mark the collar, the shoulders, the armholes and the hem."""
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


def _closure_and_pocket(scene: Scene, front: bool, long: float, dip: float, pocket: bool, closed: bool) -> None:
    """Draw and mark buttons and a breast pocket, where the front is in view."""
    if closed and front:
        scene.limb([(0, dip + 0.02), (0, long)], 0.015, DARK)
        for step in (0.25, 0.5, 0.75):
            scene.shape(ellipse((0, dip + (long - dip) * step), 0.035, 0.035), 3)
        scene.mark("middle button", (0, dip + (long - dip) * 0.5), "the second of the three buttons")
    if pocket and front:
        at = np.array([0.2, 0.5])
        scene.shape(at + 0.11 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]), 2)
        scene.mark("pocket", at, "the middle of the breast pocket on the wearer's left")


def sheet(kind: Rng, pose: Rng, scene: Scene) -> str:
    """A flat rectangular thing at an angle. Its corners are named as one reads it, as it is turned by small angles."""
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
    """A solid of revolution that stands upright, such as a bottle or a lamp. Sides are those of the picture."""
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
