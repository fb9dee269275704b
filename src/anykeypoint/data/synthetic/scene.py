"""A synthetic object as a list of painted parts and marked keypoints, and its rendering.

The functions of a family draw in a frame of their own (any unit, y down). `Scene.render` turns, scales and moves the
object so that it lies inside the picture, and transforms the marks with it. A keypoint belongs to one or more parts: it
is visible where a pixel of one of them is within a few pixels of it, and hidden where other parts cover them.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Point = tuple[float, float]
OVERSAMPLE = 2  # factor by which the picture is drawn larger and then averaged, which smooths edges


@dataclass
class Part:
    """One part of an object.

    polygons: the polygons that it is made of, each (N, 2) in the object's frame.
    paint: index of one of the object's four textures, or a colour.
    shade: factor on its brightness.
    depth: parts are drawn by rising depth.
    outline: whether it has an outline, where the object has outlines.
    """

    polygons: list[np.ndarray]
    paint: int | tuple[int, int, int]
    shade: float
    depth: float
    outline: bool


@dataclass
class Mark:
    """A keypoint.

    name: its name.
    description: its description.
    at: x, y in the object's frame.
    owners: numbers of the parts that it belongs to.
    """

    name: str
    description: str
    at: Point
    owners: tuple[int, ...]


@dataclass
class Scene:
    """An object that is being drawn.

    parts: its parts; those of one depth are drawn in this order.
    marks: its keypoints.
    turn: angle in radians by which the whole is turned.
    """

    parts: list[Part] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    turn: float = 0.0

    def shape(self, points, paint=0, shade=1.0, depth=0.0, outline=True) -> int:
        """Add a part with one polygon (N, 2). Returns its number. See `Part` for the options."""
        return self.shapes([points], paint, shade, depth, outline)

    def shapes(self, polygons, paint=0, shade=1.0, depth=0.0, outline=True) -> int:
        """Add a part with several polygons, each (N, 2). Returns its number. See `Part` for the options."""
        arrays = [np.asarray(points, dtype=np.float64) for points in polygons]
        self.parts.append(Part(arrays, paint, shade, depth, outline))
        return len(self.parts) - 1

    def limb(self, path, radii, paint=0, shade=1.0, depth=0.0, outline=True) -> int:
        """Add a rounded stroke. Returns its number. See `Part` for the options.

        path: (N, 2) points of its middle line.
        radii: half its width at each point, or one number.
        """
        return self.shapes(stroke(path, radii), paint, shade, depth, outline)

    def mark(self, name: str, at, description: str, *owners: int) -> None:
        """Add a keypoint at x, y. It belongs to the parts with the numbers `owners`, or to the last one without any."""
        self.marks.append(Mark(name, description, (float(at[0]), float(at[1])), owners or (len(self.parts) - 1,)))

    def render(self, size: int, look: "Look", pose: np.random.Generator):
        """Draw the object into a picture.

        Returns the RGB picture, the keypoints (K, 2) and the box x, y, w, h in its pixels, and the visibility (K,): 2
        where visible, 1 where hidden.

        size: side of the picture in pixels.
        look: colours and patterns.
        pose: generator of place, size, light and noise.
        """
        every = np.concatenate([polygon for part in self.parts for polygon in part.polygons])
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        matrix = np.array([[cos, sin], [-sin, cos]])
        every = every @ matrix
        low, high = every.min(axis=0), every.max(axis=0)
        large = size * OVERSAMPLE
        scale = pose.uniform(0.5, 0.86) * large / (high - low).max()
        room = large - scale * (high - low)
        shift = pose.uniform(0.08, 0.92, 2) * room - scale * low
        picture = look.background(large, pose)
        owners = Image.new("L", (large, large))
        ids = ImageDraw.Draw(owners)
        textures = look.textures(large, pose, {part.paint for part in self.parts})
        for number in sorted(range(len(self.parts)), key=lambda i: self.parts[i].depth):
            part = self.parts[number]
            placed = [polygon @ matrix * scale + shift for polygon in part.polygons]
            _paint(picture, part, placed, textures, look)
            for polygon in placed:
                ids.polygon(polygon.ravel().tolist(), fill=number + 1)
        picture = picture.reduce(OVERSAMPLE)
        light = 1 + pose.uniform(0, 0.7) * (_ramp(size, pose.uniform(0, 2 * math.pi)) - 0.4)
        light = Image.fromarray((255 * light.clip(0, 1)).astype(np.uint8))
        picture = ImageChops.multiply(picture, Image.merge("RGB", [light] * 3))
        if look.grain:
            noise = pose.integers(-look.grain, look.grain + 1, (size, size, 1), dtype=np.int16)
            picture = Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))
        points = np.array([mark.at for mark in self.marks]) @ matrix * scale + shift
        visibility = _visible(np.asarray(owners), points, self.marks)
        box = (*((scale * low + shift) / OVERSAMPLE), *(scale * (high - low) / OVERSAMPLE))
        return picture, points / OVERSAMPLE, tuple(float(value) for value in box), visibility


@dataclass(frozen=True)
class Look:
    """Colours and patterns of a kind of object, and of the background of one picture.

    colours: the colours of the four textures.
    patterns: the patterns of the four textures.
    period: period of the patterns as a share of the picture's side.
    angle: direction of the patterns in radians.
    outline: colour of the outlines, None for none.
    highlight: strength of the lighter patch on round parts, 0 for none.
    ground: pattern of the background.
    ground_colours: its two colours.
    grain: largest change of a pixel by noise.
    """

    colours: tuple[tuple[int, int, int], ...]
    patterns: tuple[str, ...]
    period: float
    angle: float
    outline: tuple[int, int, int] | None
    highlight: float
    ground: str
    ground_colours: tuple[tuple[int, int, int], ...]
    grain: int

    @classmethod
    def draw(cls, kind: np.random.Generator, pose: np.random.Generator) -> "Look":
        """Draw a look. `kind` decides all but small shifts of the colours, the background and the noise."""
        base = kind.integers(30, 235, 3)
        spread = kind.choice([40, 90, 160])
        colours = [(base + kind.integers(-spread, spread + 1, 3) * i / 3 + pose.integers(-18, 19, 3)) for i in range(4)]
        outline = tuple(int(v) for v in kind.integers(0, 70, 3)) if kind.random() < 0.6 else None
        return cls(
            colours=tuple(_rgb(colour) for colour in colours),
            patterns=tuple(kind.choice(["flat", "gradient", "stripes", "spots", "noise", "checks"], 4)),
            period=float(kind.uniform(0.03, 0.12)),
            angle=float(kind.uniform(0, math.pi)),
            outline=outline,
            highlight=float(kind.uniform(0, 1.4)) if kind.random() < 0.7 else 0.0,
            ground=str(
                pose.choice(["flat", "gradient", "noise", "clutter", "clutter", "checks", "stripes", "horizon"])
            ),
            ground_colours=tuple(_rgb(pose.integers(20, 250, 3)) for _ in range(2)),
            grain=int(pose.integers(0, 14)),
        )

    def textures(self, size: int, pose: np.random.Generator, used: set) -> dict[int, Image.Image]:
        """An RGB texture, as large as the picture, for each index of a colour in `used`."""
        result = {}
        for index, (colour, pattern) in enumerate(zip(self.colours, self.patterns, strict=True)):
            if index in used:
                other = self.colours[(index + 1) % len(self.colours)]
                result[index] = _texture(size, colour, other, pattern, self.period, self.angle + index, pose)
        return result

    def background(self, size: int, pose: np.random.Generator) -> Image.Image:
        """The background, RGB, `size` pixels a side."""
        first, second = self.ground_colours
        angle, period = pose.uniform(0, math.pi), pose.uniform(0.05, 0.3)
        if self.ground in ("clutter", "horizon"):
            picture = _texture(size, first, first, "noise", period, angle, pose)
            draw = ImageDraw.Draw(picture)
            if self.ground == "horizon":
                level = int(pose.uniform(0.3, 0.9) * size)
                draw.rectangle((0, level, size, size), fill=second)
            else:
                for _ in range(pose.integers(4, 18)):
                    centre, radius = pose.uniform(0, size, 2), pose.uniform(0.02, 0.25) * size
                    corners = centre + radius * pose.uniform(-1, 1, (pose.integers(3, 7), 2))
                    fill = _rgb(np.array(second) + pose.integers(-70, 71, 3))
                    draw.polygon(corners.ravel().tolist(), fill=fill)
            small = picture.resize((size // 4, size // 4)).filter(ImageFilter.GaussianBlur(pose.uniform(0, 2.5)))
            return small.resize((size, size), Image.Resampling.BILINEAR)
        return _texture(size, first, second, self.ground, period, angle, pose)


def ellipse(centre, rx: float, ry: float, angle: float = 0.0, count: int = 28) -> np.ndarray:
    """An ellipse as a polygon (count, 2). `angle` is in radians, clockwise in the picture."""
    turn = np.linspace(0, 2 * math.pi, count, endpoint=False)
    x, y = rx * np.cos(turn), ry * np.sin(turn)
    return np.stack([x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)], 1) + centre


def direction(angle: float, length: float = 1.0) -> np.ndarray:
    """A step (2,) in a direction; `angle` in radians, 0 to the right and a quarter turn downwards."""
    return length * np.array([math.cos(angle), math.sin(angle)])


def stroke(path, radii) -> list[np.ndarray]:
    """A stroke as polygons: a disc at each point of `path` and a trapezium between two points."""
    path = np.asarray(path, dtype=np.float64)
    radii = np.broadcast_to(np.asarray(radii, dtype=np.float64), len(path))
    polygons = [ellipse(point, radius, radius, count=14) for point, radius in zip(path, radii, strict=True)]
    for a, b, ra, rb in zip(path, path[1:], radii, radii[1:], strict=False):
        step = b - a
        side = np.array([-step[1], step[0]]) / max(float(np.hypot(*step)), 1e-9)
        polygons.append(np.array([a + side * ra, b + side * rb, b - side * rb, a - side * ra]))
    return polygons


def smooth(points, rounds: int = 2) -> np.ndarray:
    """A closed polygon with its corners cut off `rounds` times (Chaikin's algorithm)."""
    points = np.asarray(points, dtype=np.float64)
    for _ in range(rounds):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], 1).reshape(-1, 2)
    return points


def _rgb(values) -> tuple[int, int, int]:
    red, green, blue = np.clip(np.asarray(values), 0, 255).astype(int)
    return int(red), int(green), int(blue)


def _ramp(size: int, angle: float) -> np.ndarray:
    """(size, size) values that rise by 1 over the picture in a direction, with 0 in the middle."""
    line = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    return line[None, :] * np.float32(math.cos(angle)) + line[:, None] * np.float32(math.sin(angle))


def _texture(size, colour, other, pattern, period, angle, pose) -> Image.Image:
    """A pattern of two colours, RGB, `size` pixels a side."""
    if pattern == "flat":
        return Image.new("RGB", (size, size), colour)
    half = size // 2
    ramp = _ramp(half, angle)
    if pattern == "gradient":
        mix = ramp + 0.5
    elif pattern == "stripes":
        mix = (ramp % period < period / 2).astype(np.float32)
    elif pattern == "checks":
        across = _ramp(half, angle + math.pi / 2)
        mix = ((ramp % period < period / 2) ^ (across % period < period / 2)).astype(np.float32)
    elif pattern == "spots":
        across = _ramp(half, angle + math.pi / 2)
        mix = ((ramp % period - period / 2) ** 2 + (across % period - period / 2) ** 2 < period**2 / 12) * np.float32(1)
    else:
        cells = max(3, min(half, round(1.5 / period)))
        coarse = Image.fromarray(pose.integers(0, 256, (cells, cells), dtype=np.uint8))
        mix = np.asarray(coarse.resize((half, half), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    first, second = np.array(colour, dtype=np.float32), np.array(other, dtype=np.float32)
    if pattern == "noise":
        second = second * 0.4 + first * 0.6
    small = Image.fromarray((255 * np.clip(mix, 0, 1)).astype(np.uint8))
    blend = first + np.linspace(0, 1, 256, dtype=np.float32)[:, None] * (second - first)
    small.putpalette(blend.astype(np.uint8).tobytes())  # a palette is much faster than mixing the colours per pixel
    return small.convert("RGB").resize((size, size), Image.Resampling.NEAREST)


def _paint(picture: Image.Image, part: Part, placed: list[np.ndarray], textures: dict, look: Look) -> None:
    """Draw a part whose polygons are placed, in pixels of the picture."""
    draw = ImageDraw.Draw(picture)
    flat = [polygon.ravel().tolist() for polygon in placed]
    if part.outline and look.outline is not None:
        for polygon in flat:
            draw.line(polygon + polygon[:4], fill=look.outline, width=max(2, picture.width // 128), joint="curve")
    if isinstance(part.paint, tuple):
        for polygon in flat:
            draw.polygon(polygon, fill=_rgb(np.array(part.paint) * part.shade))
        return
    every = np.concatenate(placed)
    left, top = np.floor(every.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(every.max(axis=0)).astype(int) + 2
    mask = Image.new("L", (right - left, bottom - top))
    fill = ImageDraw.Draw(mask)
    for polygon in placed:
        fill.polygon((polygon - (left, top)).ravel().tolist(), fill=255)
    texture = textures[part.paint].crop((left, top, right, bottom))
    if part.shade != 1:
        texture = texture.point([min(255, int(value * part.shade)) for value in range(256)] * 3)
    picture.paste(texture, (left, top), mask)
    if look.highlight and len(placed) == 1 and len(every) > 8:  # a lighter patch on round parts, towards the light
        centre = every.mean(axis=0)
        patch = centre + (every - centre) * 0.5 - 0.14 * (every.max(axis=0) - every.min(axis=0))
        gloss = Image.new("L", mask.size)
        ImageDraw.Draw(gloss).polygon((patch - (left, top)).ravel().tolist(), fill=int(40 * look.highlight))
        picture.paste((255, 255, 255), (left, top), ImageChops.multiply(gloss, mask))


def _visible(owners: np.ndarray, points: np.ndarray, marks: list[Mark]) -> np.ndarray:
    """Visibility (K,): 2 where a pixel near the point is of one of its owners, else 1.

    owners: for each pixel the number of its part plus 1, 0 for the background.
    points: (K, 2) in these pixels.
    """
    reach = 3  # pixels
    result = np.ones(len(marks), dtype=int)
    for index, ((x, y), mark) in enumerate(zip(points, marks, strict=True)):
        row, column = int(y), int(x)
        window = owners[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
        if np.isin(window, [owner + 1 for owner in mark.owners]).any():
            result[index] = 2
    return result
