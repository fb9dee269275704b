"""Many results together: the poses of the objects of a picture, or of many pictures (`Poses`)."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .configs.doubled_keys import strict_json
from .errors import InputError, first_line
from .forms.poses import SCHEMA_VERSION, coco_document, csv_text, write_csv
from .io import check_schema
from .pose import Pose

if TYPE_CHECKING:
    import pandas
    import supervision
    from matplotlib.figure import Figure
    from PIL import Image


@dataclass(frozen=True, eq=False, repr=False)
class Poses(Sequence[Pose]):
    """N poses in order, of one picture or of many; indexes like a list, and a slice is Poses again.

    items: the poses. Raises InputError for anything else.

    >>> poses = ak.load().predict_many(["examples/cat.jpg", "examples/astronaut.jpg"], ["nose", "left eye"])
    >>> poses
    Poses(2 objects of 2 pictures: 'object')
    >>> poses[0].names
    ['nose', 'left eye']
    >>> len(poses.to_csv().splitlines()), len(poses.to_coco()["annotations"])
    (5, 2)
    """

    items: tuple[Pose, ...] = ()

    def __init__(self, items: Iterable[Pose] = ()) -> None:
        if not isinstance(items, Iterable):
            raise InputError(f"Poses must be a list of Pose objects, but got one {type(items).__name__}; write [it].")
        poses: tuple[Any, ...] = tuple(items)
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

    # --- other libraries ---------------------------------------------------------------------------------------------

    def to_dataframe(self) -> "pandas.DataFrame":
        """A tidy table of pandas, a line for each keypoint, with the columns of `forms.poses.csv_text`.

        Numbers that are unknown are NaN, `present` is bool and `object` counts from 1 within each picture. Raises
        InputError where pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError(
                f"A table needs the package pandas ({error}); pip install 'anykeypoint[tables]'."
            ) from error
        names, *rows = csv.reader(io.StringIO(csv_text(self.items), newline=""))
        columns = zip(*rows, strict=True) if rows else [()] * len(names)
        return pandas.DataFrame({name: _column(name, cells) for name, cells in zip(names, columns, strict=True)})

    def to_supervision(self) -> "supervision.KeyPoints":
        """The objects of one picture as KeyPoints of supervision, for its annotators and trackers.

        xy (n, m, 2) float32, in image pixels; a point without a place is (0, 0) and not visible, as supervision has it.
        keypoint_confidence (n, m); None where no point has one. visible (n, m): the points that are present.
        detection_confidence (n,): the scores of the boxes, where a detector found all of them. class_id (n,): 0.
        data: "class_name" (n,), "xyxy" (n, 4) the boxes, "presence" (n, m), and where the poses have densities
            "covariance" (n, m, 2, 2) in square image pixels, which its ellipses show.

        Raises InputError for poses of several categories or pictures, as KeyPoints hold one array, and without the
        package supervision.
        """
        try:
            import supervision
        except ImportError as error:
            raise InputError(
                f"KeyPoints need the package supervision ({error}); pip install 'anykeypoint[supervision]'."
            ) from error
        if not self.items:
            return supervision.KeyPoints.empty()
        self._check_one("categories", [(pose.category, *pose.names) for pose in self])
        self._check_one("pictures", [(pose.image, pose.image_size) for pose in self])
        count, points = len(self), len(self[0])
        confidence, scores = np.stack([pose.confidence for pose in self]), [pose.box_score for pose in self]
        places = np.stack([pose.xy for pose in self])
        boxes = np.array([pose.box or (0, 0, *pose.image_size) for pose in self], dtype=np.float64)
        boxes[:, 2:] += boxes[:, :2]
        data = {
            "class_name": np.array([pose.category or "object" for pose in self]),
            "xyxy": boxes.astype(np.float32),
            "presence": np.stack([pose.presence for pose in self]).astype(np.float32),
        }
        if any(pose.covariance is not None for pose in self):
            unknown = np.full((points, 2, 2), np.nan)
            every = [pose.covariance for pose in self]
            data["covariance"] = np.stack([unknown if one is None else one for one in every]).astype(np.float32)
        return supervision.KeyPoints(
            xy=np.nan_to_num(places, nan=0.0).astype(np.float32),
            class_id=np.zeros(count, dtype=int),
            keypoint_confidence=None if np.isnan(confidence).all() else confidence.astype(np.float32),
            detection_confidence=None if None in scores else np.array(scores, dtype=np.float32),
            visible=np.stack([pose.present for pose in self]),
            data=data,
        )

    def _check_one(self, what: str, values: list[Any]) -> None:
        if len(set(values)) > 1:
            raise InputError(
                f"supervision's KeyPoints hold objects of one picture and one category, but these are of "
                f"{len(set(values))} {what}; convert those of each by themselves."
            )

    # --- files -------------------------------------------------------------------------------------------------------

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

    # --- pictures ----------------------------------------------------------------------------------------------------

    def plot(self, images: Any = None, columns: int | None = None) -> "Figure":
        """A figure of matplotlib: each picture with all of its objects.

        images: the picture of all poses, or a list with one for each pose; None reads the files that the poses name.
        columns: number of pictures in a row; None makes the figure about as wide as high.
        Raises InputError if there is no pose or no picture, or a picture is not of its poses' size.
        """
        from .drawing.sheets import by_picture, figure

        return figure(by_picture(self.items, images), columns)

    def _repr_png_(self) -> bytes | None:
        """The first pictures, with all of their objects, as a notebook shows them."""
        from .drawing.sheets import notebook_png

        return notebook_png(self.items)


def show(poses: Pose | Iterable[Pose], image: Any = None) -> "Image.Image":
    """Show one pose or several on their pictures: below the cell of a notebook, else in the system's picture viewer.

    poses: a Pose, Poses or a list of Pose objects; of many pictures the first six are shown.
    image: the picture of all poses, or a list with one for each pose; None reads the files that the poses name.

    Returns the picture shown. Raises InputError where there is nothing to show, a picture cannot be read or is of
    another size, and where there is neither notebook nor screen.

    >>> pose = ak.load().predict("examples/cat.jpg", ["nose", "left eye"])
    >>> ak.show(pose).size
    (640, 426)
    """
    from .drawing.sheets import by_picture, sheet
    from .drawing.showing import show_picture

    drawn = sheet(by_picture([poses] if isinstance(poses, Pose) else Poses(poses).items, image))
    show_picture(drawn)
    return drawn


def read_json(path: str | Path) -> Poses:
    """The poses in a file of `forms.poses.write_json`, of version 0.1.0 too.

    Raises InputError if the file cannot be read, holds anything else, or has a newer schema.
    """
    try:
        items = strict_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Cannot read the poses in {path}: {first_line(error)}.") from error
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(f"{path} must hold a list of poses, as write_json writes it.")
    poses = []
    for item in items:
        check_schema(item.pop("schema_version", None), SCHEMA_VERSION, str(path))
        poses.append(Pose.from_dict(item))
    return Poses(poses)


_TEXTS = ("image", "category", "keypoint", "box_word")  # columns of the table that are no numbers


def _column(name: str, cells: Sequence[str]) -> Any:
    """A column of the table with its type."""
    if name in _TEXTS:
        return np.array(cells, dtype=object)
    if name == "present":
        return np.array([cell == "true" for cell in cells], dtype=bool)
    if name == "object":
        return np.array([int(cell) for cell in cells], dtype=int)
    return np.array([float(cell) if cell else np.nan for cell in cells])
