"""Made-up objects as training material: drawn when they are asked for, never stored."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .coco import LabelledObject
from .synthetic import draw_object


@dataclass(frozen=True)
class Drawn(LabelledObject):
    """A made-up object whose picture is drawn anew from its two seeds."""

    kind: int = 0
    pose: int = 0

    def picture(self) -> Image.Image:
        """The picture, RGB."""
        return draw_object(self.kind, self.pose).image


def drawn_objects(count: int, seed: int, first_id: int = 0) -> Iterator[Drawn]:
    """That many objects, each of a kind of its own; all count as one category when training balances categories."""
    for i in range(count):
        kind, pose = seed * 1_000_003 + i, i
        made = draw_object(kind, pose)
        name = Path(f"made-up-{kind}-{pose}.png")
        yield Drawn(
            first_id + i, name, -1, made.category, made.box, made.points, made.visibility, None, kind=kind, pose=pose
        )
