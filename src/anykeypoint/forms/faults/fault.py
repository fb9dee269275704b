"""What this room shares: a fault, the kinds of faults, counts per category, and what skeletons count from."""

from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class Rewrite:
    """A value that `mend` puts in the place of another: index of the entry in its section, key of it, new value."""

    place: int
    key: str
    value: Any


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with labels.

    kind: one of `KINDS`.
    category: name of the category that it concerns; "" where it concerns none.
    where: the entry or entries, as in "annotation 12".
    text: what is wrong, a phrase that follows `where` in a sentence.
    key: section of the document and index in it, -1 where it concerns several entries.
    value: what `mend` needs besides, such as the index of a point; depends on the kind.
    rewrites: the values that mend it, where they are known; the other faults of a report are those of a document in
        which these values are rewritten.
    sure: whether `mend` can mend it, where it can mend faults of this kind.
    """

    kind: str
    category: str
    where: str
    text: str
    key: tuple[str, int] = ("", -1)
    value: Any = None
    rewrites: tuple[Rewrite, ...] = ()
    sure: bool = True

    @property
    def places(self) -> set[int]:
        """The indices in its section of the entries that it concerns."""
        return {rewrite.place for rewrite in self.rewrites} | ({self.key[1]} - {-1})


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault, as `kinds.yaml` has it.

    kind: its name.
    means: what is wrong, a sentence.
    example: what a label file with this fault has.
    fix: what `mend` does about it, a phrase; "" where only a person can know what is right.
    person: what is left for a person to do, a sentence.
    """

    kind: str
    means: str
    example: str
    fix: str
    person: str


def fault_kinds() -> list[FaultKind]:
    """All kinds, in the order in which they are reported and mended."""
    text = (resources.files("anykeypoint.forms.faults") / "kinds.yaml").read_text(encoding="utf-8")
    return [FaultKind(**entry) for entry in yaml.safe_load(text)]


# Kind of fault -> what `mend` does about it, a phrase; "" where only a person can know what is right.
KINDS: dict[str, str] = {kind.kind: kind.fix for kind in fault_kinds()}


@dataclass
class CategoryCounts:
    """How much there is of one category.

    name: its name.
    points: number of its keypoints.
    images: ids of the pictures with objects of it.
    missing: ids of those whose file is missing.
    objects: number of its objects with a labelled point.
    visible: number of labelled points of all of them.
    outside: number of boxes that reach beyond their picture.
    """

    name: str
    points: int = 0
    images: set[Any] = field(default_factory=set)
    missing: set[Any] = field(default_factory=set)
    objects: int = 0
    visible: int = 0
    outside: int = 0


@dataclass
class LabelReport:
    """What `examine` finds.

    counts: by the id of the category, in the file's order.
    faults: in the order in which they are found.
    left_out: reason -> number of objects that readers leave out for it, without a fault.
    """

    counts: dict[Any, CategoryCounts]
    faults: list[Fault]
    left_out: dict[str, int] = field(default_factory=dict)
