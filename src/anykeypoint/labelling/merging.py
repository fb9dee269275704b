"""Two windows that change one label: what each of them changed is put together, point by point.

A window sends its label with the label that it began from. Where both changed the same point, the later change counts,
and that is said.
"""

from dataclasses import replace
from typing import TypeVar

from .records import Label

Part = TypeVar("Part")


def merged(base: Label, given: Label, current: Label, picture: str) -> tuple[Label, list[str]]:
    """The label that two windows made together, and sentences about what was changed in both.

    base: the label that the later window began from. given: what it made of it.
    current: what is saved, perhaps by another window meanwhile; its revision is the result's.
    picture: its name, for the sentences.
    """
    points, both = dict(current.points), []
    for name in [*current.points, *(name for name in given.points if name not in current.points)]:
        mark, overruled = _later(base.points.get(name), given.points.get(name), current.points.get(name))
        both += [f"“{name}”"] if overruled else []
        if mark is None:
            points.pop(name, None)
        else:
            points[name] = mark
    box, overruled = _later(base.box, given.box, current.box)
    both += ["the box"] if overruled else []
    done, _ = _later(base.done, given.done, current.done)
    example, _ = _later(base.example, given.example, current.example)
    label = replace(current, points=points, box=box, done=done, example=example)
    said = []
    if both:
        were = "was" if len(both) == 1 else "were"
        listed = ", ".join(both)
        said.append(
            f"{listed[0].upper()}{listed[1:]} of {picture} {were} also changed in another window; the change made here "
            "is the later one and counts."
        )
    if label.example and not (label.done and label.marked):
        label = replace(label, example=False)
        said.append(f"{picture} is no example any longer, as another window changed it so that it cannot be one.")
    return label, said


def same_content(one: Label, other: Label) -> bool:
    """Whether two labels say the same, whatever their revisions."""
    return replace(one, revision=0) == replace(other, revision=0)


def _later(base: Part, given: Part, current: Part) -> tuple[Part, bool]:
    """A part of the label, and whether what another window made of it is replaced."""
    if given == base:
        return current, False
    return given, current not in (base, given)
