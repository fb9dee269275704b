"""Many results together: the poses of the objects of a picture, or of many pictures (`Poses`)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from .errors import InputError
from .forms.poses import coco_document, csv_text, write_csv
from .pose import Pose


@dataclass(frozen=True, eq=False, repr=False)
class Poses(Sequence[Pose]):
    """N poses in order, of one picture or of many; indexes like a list, and a slice is Poses again.

    items: the poses. Raises InputError for anything else.
    """

    items: tuple[Pose, ...] = ()

    def __init__(self, items: Iterable[Pose] = ()) -> None:
        try:
            poses = tuple(items)
        except TypeError:
            poses = (None,)
        if odd := [one for one in poses if not isinstance(one, Pose)]:
            raise InputError(f"Poses must be a list of Pose objects, but got {type(odd[0]).__name__} among them.")
        object.__setattr__(self, "items", poses)

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Pose: ...

    @overload
    def __getitem__(self, index: slice) -> "Poses": ...

    def __getitem__(self, index: int | slice) -> "Pose | Poses":
        return Poses(self.items[index]) if isinstance(index, slice) else self.items[index]

    def __iter__(self) -> Iterator[Pose]:
        return iter(self.items)

    def __eq__(self, other: object) -> bool:
        """Whether the other holds equal poses in the same order: the same objects, or ones with the same values."""
        if not isinstance(other, Poses):
            return NotImplemented
        pairs = zip(self, other, strict=False)
        return len(self) == len(other) and all(one is two or one.to_dict() == two.to_dict() for one, two in pairs)

    __hash__ = None  # type: ignore[assignment]  # equal by values that are arrays

    def __repr__(self) -> str:
        pictures = len({pose.image for pose in self if pose.image})
        of = f" of {pictures} picture{'' if pictures == 1 else 's'}" if pictures else ""
        kinds = sorted({pose.category for pose in self if pose.category})
        named = f": {', '.join(map(repr, kinds[:3]))}{', ...' if len(kinds) > 3 else ''}" if kinds else ""
        return f"Poses({len(self)} object{'' if len(self) == 1 else 's'}{of}{named})"

    def to_coco(self, model: str = "") -> dict[str, Any]:
        """A whole COCO keypoints document, as `forms.poses.coco_document` makes it.

        model: the name of the model whose answers they are; "" leaves it out.
        Raises InputError if a pose has no file name, or two disagree on a picture's size or a category's keypoints.
        """
        return coco_document(self.items, model=model)

    def to_csv(self, path: str | Path | None = None) -> str:
        """A table with one line per keypoint under a header line (see `forms.poses.csv_text`).

        path: a file to write it to as well; None writes none.
        """
        if path is not None:
            write_csv(self.items, path)
        return csv_text(self.items)
