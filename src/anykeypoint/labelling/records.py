"""What a project keeps of each picture: its file, what a person said of it, and what the model said.

Points go by the unique names of the category (`pose.unique_names`), so that a category may grow or be put in another
order and no label changes its point. Coordinates are pixels of the upright picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..configs.checks import check_flag
from ..errors import InputError
from ..forms.reading import plain_number
from ..geometry import Box, check_box, check_overlap

ABSENT, HIDDEN, VISIBLE = 0, 1, 2  # as COCO's visibility: not in the picture, there but hidden, visible


@dataclass(frozen=True)
class ProjectPicture:
    """A picture of a project, or a further object of one.

    id: from 1, in the order in which pictures and objects were added.
    file: its path; relative to the project folder where it lies in it.
    name: what people see, its path below the folder that it was added from.
    size: (width, height) of the upright picture in pixels.
    of: of a further object, the id of its picture's first one; 0 of a first one.
    object: the number of the object in its picture, from 1.
    mark: tells its file wherever it lies, see `moved.mark_of`; "" where an earlier version added it.
    """

    id: int
    file: str
    name: str
    size: tuple[int, int]
    of: int = 0
    object: int = 1
    mark: str = ""

    @property
    def image_id(self) -> int:
        """The same for all objects of a picture."""
        return self.of or self.id

    def to_dict(self) -> dict[str, Any]:
        """As pictures.json has it."""
        more: dict[str, Any] = {"of": self.of, "object": self.object} if self.of else {}
        more |= {"mark": self.mark} if self.mark else {}
        return {"id": self.id, "file": self.file, "name": self.name, "size": list(self.size), **more}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ProjectPicture":
        """Of an entry of pictures.json."""
        width, height = data["size"]
        more = int(data.get("of", 0)), int(data.get("object", 1)), str(data.get("mark", ""))
        return cls(int(data["id"]), str(data["file"]), str(data["name"]), (int(width), int(height)), *more)


@dataclass(frozen=True)
class PointMark:
    """Where a person says that a point is. place: (x, y), None where it is absent; visibility: ABSENT to VISIBLE."""

    place: tuple[float, float] | None
    visibility: int

    def to_list(self) -> list[float | None]:
        """[x, y, visibility], null for the coordinates of an absent point."""
        return [*(self.place or (None, None)), self.visibility]

    @classmethod
    def from_list(cls, value: Any, what: str) -> "PointMark":
        """Of what `to_list` gives; InputError for anything else. what: the point, subject of the sentence."""
        entries = value if isinstance(value, list) and len(value) == 3 else [None, None, -1]
        x, y, visibility = entries
        if type(visibility) is not int or visibility not in (ABSENT, HIDDEN, VISIBLE):
            raise InputError(f"{what} must be [x, y, 0, 1 or 2], but got {str(value)[:60]}.")
        if visibility == ABSENT:
            return cls(None, ABSENT)
        place = plain_number(x), plain_number(y)
        if not all(abs(number) < 1e7 for number in place):
            raise InputError(f"{what} must have a place of two numbers, but got {str(value)[:60]}.")
        return cls(place, visibility)


@dataclass(frozen=True)
class Label:
    """What a person said of a picture.

    points: by name, those that the person touched; all of them once the picture is done.
    box: [x, y, w, h] drawn round the object; None for the whole picture.
    done: the person has looked at every point.
    example: the model is shown this picture when it answers others; only of a picture that is done.
    revision: one more with each saving, so that a window that shows an older one cannot save over a newer one.
    """

    points: Mapping[str, PointMark] = field(default_factory=dict)
    box: Box | None = None
    done: bool = False
    example: bool = False
    revision: int = 0

    @property
    def marked(self) -> bool:
        """Whether a point has a place."""
        return any(mark.place is not None for mark in self.points.values())

    def to_dict(self) -> dict[str, Any]:
        """As labels/N.json has it."""
        return {
            "points": {name: mark.to_list() for name, mark in self.points.items()},
            "box": None if self.box is None else list(self.box),
            "done": self.done,
            "example": self.example,
            "revision": self.revision,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Label":
        """Of what `to_dict` gives; InputError for anything else."""
        points, revision = data.get("points", {}), data.get("revision", 0)
        if not isinstance(points, Mapping) or type(revision) is not int:
            raise InputError("A label must have its points by name and a whole number as its revision.")
        marks = {str(name): PointMark.from_list(value, f"The point {name!r}") for name, value in points.items()}
        done = check_flag(data.get("done", False), "Whether a label is done")
        example = check_flag(data.get("example", False), "Whether a label is an example")
        box = data.get("box")
        return cls(marks, None if box is None else check_box(box), done, example, revision)


@dataclass(frozen=True)
class Renaming:
    """A change of names that is being written into labels.

    moved: old name -> new name. revisions: id of each label -> its revision before; one of that revision still has the
        old names.
    """

    moved: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[int, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As project.json has it; nothing where no name changes."""
        if not self.moved:
            return {}
        revisions = {str(number): revision for number, revision in self.revisions.items()}
        return {"renaming": {"moved": dict(self.moved), "revisions": revisions}}

    @classmethod
    def from_dict(cls, data: Any) -> "Renaming":
        """Of what `to_dict` gives under its key; None gives no renaming."""
        if not data:
            return cls()
        moved = {str(old): str(new) for old, new in data["moved"].items()}
        return cls(moved, {int(number): int(revision) for number, revision in data["revisions"].items()})


@dataclass(frozen=True)
class FoundPoint:
    """Where the model says that a point is. place: (x, y); confidence, presence: 0 to 1, None where unknown."""

    place: tuple[float, float]
    confidence: float | None = None
    presence: float | None = None


@dataclass(frozen=True)
class StoredAnswer:
    """What the model said of a picture.

    points: by name; a point that could not be asked is not among them.
    doubt: how unsure the answer is, higher for more; pictures are sorted by it.
    asked: what the answer depends on, as text; another text means that it is out of date (see `turns`).
    by: how it was asked, as in "words" or "example 3".
    """

    points: Mapping[str, FoundPoint] = field(default_factory=dict)
    doubt: float = 0.0
    asked: str = ""
    by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As answers/N.json has it."""
        points = {name: [*one.place, one.confidence, one.presence] for name, one in self.points.items()}
        return {"points": points, "doubt": self.doubt, "asked": self.asked, "by": self.by}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "StoredAnswer":
        """Of what `to_dict` gives."""
        points = {
            str(name): FoundPoint((float(x), float(y)), _share(confidence), _share(presence))
            for name, (x, y, confidence, presence) in data["points"].items()
        }
        return cls(points, float(data["doubt"]), str(data["asked"]), str(data["by"]))


def _share(value: Any) -> float | None:
    return None if value is None else float(value)


def renamed(points: Mapping[str, PointMark], moved: Mapping[str, str]) -> dict[str, PointMark]:
    """Marks under the new names of their points. moved: old name -> new name."""
    kept = {name: mark for name, mark in points.items() if name in moved or name not in moved.values()}
    return {moved.get(name, name): mark for name, mark in kept.items()}


def check_inside(label: Label, picture: ProjectPicture) -> None:
    """InputError for a point more than a pixel outside its picture, or a box wholly outside."""
    for name, mark in label.points.items():
        x, y = mark.place or (0.0, 0.0)
        if not (-1 <= x <= picture.size[0] + 1 and -1 <= y <= picture.size[1] + 1):
            raise InputError(
                f"{picture.name} has {picture.size[0]} x {picture.size[1]} pixels, but the point {name!r} is at "
                f"({x:g}, {y:g}); a point that is not in the picture is absent."
            )
    if label.box is not None:
        check_overlap(label.box, picture.size, picture.name)
