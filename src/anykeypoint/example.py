"""Examples: pictures with keypoints marked (the papers' "support"), and the files that mark them.

A marked picture is written PICTURE:FILE. The file holds {"nose": [x, y], ...} as JSON, or is one that `predict` writes:
COCO keypoints or the CSV table. K is the number of keypoints.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .category import Category, Keypoint, plain_text, spoken
from .configs.checks import near_names
from .configs.doubled_keys import strict_json
from .configs.typed import split_paths
from .density import frozen_array
from .errors import InputError, first_line
from .forms.poses import CSV_COLUMNS
from .forms.reading import picture_key, plain_number
from .geometry import Box, check_box
from .images import ImageSource, kept_source
from .io import text_of
from .library.lookup import as_category
from .pose import unique_names


@dataclass(frozen=True, eq=False, repr=False)
class Example:
    """One object with its keypoints marked.

    image: what `images.read_picture` takes. Arrays, Pillow images and file objects are read at once, so that what is
        done to them later does not change the example.
    points: [K, 2] in image pixels, NaN where a point is not marked.
    box: [x, y, w, h] of the object in image pixels; None for the whole picture.
    category: the names of the points (see `library.lookup.as_category`); None where only their places are known.
    Raises InputError if no point is marked, the category has another number of points, or a picture that is
    read at once cannot be.

    >>> names = ["upper left", "upper right", "lower right", "lower left"]
    >>> corners = [[152, 96], [410, 96], [427, 418], [102, 420]]
    >>> sheet = ak.Example("examples/paper_1.jpg", corners, category=names)
    >>> sheet
    Example('object', 4 keypoints, 4 marked)
    >>> ak.load().predict("examples/paper_2.jpg", sheet.category, example=sheet).names[0]
    'upper left'
    """

    image: ImageSource
    points: np.ndarray
    box: Box | None = None
    category: Category | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", kept_source(self.image))
        points = frozen_array(self.points, "An example's points")
        if points.ndim != 2 or points.shape[1] != 2:
            raise InputError(f"An example's points must be (K, 2) in pixels, but got {points.shape}.")
        if np.isinf(points).any():
            raise InputError("An example's points must be finite, or NaN where not marked, but one is infinite.")
        if not np.isfinite(points).all(axis=1).any():
            raise InputError("An example must have one marked point or more, but all of its points are NaN.")
        if self.category is not None:
            object.__setattr__(self, "category", as_category(self.category))
        if self.category is not None and len(self.category) != len(points):
            raise InputError(
                f"The example has {len(points)} points, but its category {self.category.name!r} has "
                f"{len(self.category)}; give one point for each, NaN where it is not marked."
            )
        object.__setattr__(self, "points", points)
        if self.box is not None:
            object.__setattr__(self, "box", check_box(self.box))

    @property
    def marked(self) -> np.ndarray:
        """Which points are marked: [K] bool."""
        return np.isfinite(self.points).all(axis=1)

    @property
    def shown(self) -> np.ndarray:
        """The name of `marked` in version 0.1.0."""
        return self.marked

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        named: Any = "" if self.category is None else f"{self.category.name!r}, "
        return f"Example({named}{len(self)} keypoints, {int(self.marked.sum())} marked)"


FILES = (".json", ".csv")  # suffixes of files that mark points; no picture has one
Place = tuple[float, float]  # x and y in image pixels, NaN where not marked


@dataclass(frozen=True)
class MarkedPicture:
    """A picture and the named places that a file marks in it.

    picture, file: paths of the picture and of the file.
    places: by name, made unique as `pose.unique_names` does.
    names: the names of the places as the file has them, in the same order.
    box: [x, y, w, h] of the object in image pixels; None where the file has none.
    category: its name, "object" where the file has none.
    skeleton: edges as pairs of 0-based indices.
    note: a sentence about how the file was read; "" where there is nothing to say.
    """

    picture: Path
    file: Path
    places: Mapping[str, Place]
    names: Sequence[str]
    box: Box | None = None
    category: str = "object"
    skeleton: tuple[tuple[int, int], ...] = ()
    note: str = ""


def read_marked(text: str) -> MarkedPicture:
    """Read "PICTURE:FILE"; InputError if the text or the file is of another form."""
    paths = split_paths(text)
    if paths is None:
        raise InputError(
            f"An example must be a picture and a file with its points, as in dog.jpg:dog.json, but got {text!r}."
        )
    picture, file = paths
    if Path(picture).suffix.lower() in FILES and Path(file).suffix.lower() not in FILES:
        raise InputError(f"An example is PICTURE:FILE, but got {text!r}; write {file}:{picture}.")
    for path in (Path(picture), Path(file)):
        if not path.is_file():
            raise InputError(f"There is no file {path}, which the example {text!r} names; check the path.")
    return _without_sentinels(_read(Path(picture), Path(file)))


def _read(picture: Path, file: Path) -> MarkedPicture:
    """What a file of any form marks in a picture."""
    if file.suffix.lower() == ".csv":
        return _from_table(picture, file)
    try:
        data = strict_json(text_of(file.read_bytes(), str(file)))
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Cannot read the points in {file}: {first_line(error)}.") from error
    if not isinstance(data, dict) or not data:
        raise InputError(f'{file} must be a JSON object as {{"nose": [x, y], ...}}, or COCO keypoints; write one.')
    if "annotations" in data:
        return _from_coco(picture, file)
    places = {name: _place(value, f"{file}: the place of {name!r}") for name, value in data.items()}
    return MarkedPicture(picture, file, places, list(places))


def _without_sentinels(marked: MarkedPicture) -> MarkedPicture:
    """The picture without places such as (-1, -1), which tools write for points that are not labelled; noted."""
    from .forms.faults.sentinels import is_sentinel

    lost = [name for name, place in marked.places.items() if is_sentinel(*place)]
    if not lost:
        return marked
    places = {name: (np.nan, np.nan) if name in lost else place for name, place in marked.places.items()}
    x, y = marked.places[lost[0]]
    what = f"{marked.file} has {', '.join(lost)[:100]} at ({x:g}, {y:g}), which is how tools say 'not labelled'"
    note = f"{what}; taken as not marked."
    return replace(marked, places=places, note=f"{marked.note} {note}".strip())


def marked_category(marked: Sequence[MarkedPicture], noun: str | None = None) -> Category:
    """The category of all points that the examples mark.

    marked: its points are those of the first, then those that the others add.
    noun: the word for the object; None takes the first one's category.
    """
    first, names = marked[0], dict(zip(marked[0].places, marked[0].names, strict=True))
    for one in marked[1:]:
        names |= {key: name for key, name in zip(one.places, one.names, strict=True) if key not in names}
    word = first.category.replace("_", " ") if noun is None else noun
    points = tuple(Keypoint(spoken(name)) for name in names.values())
    return Category(first.category, points, first.skeleton, noun=word)


def to_example(marked: MarkedPicture, category: Category) -> Example:
    """The example of a category; points of it that the file does not have are not marked.

    Raises InputError for a marked point that the category does not have, and for two that are the same one.
    """
    names = unique_names(category.names)
    exact = {name: i for i, name in enumerate(names)}
    known = {plain_text(name): i for i, name in enumerate(names)}
    points, taken = np.full((len(category), 2), np.nan), dict[int, str]()
    for name, place in marked.places.items():
        row = exact.get(name, known.get(plain_text(name)))
        if row is None:
            raise InputError(
                f"{marked.file} has a point {name!r}, but {category.name!r} has none of that name"
                f"{near_names(name, category.names)}; it has {', '.join(category.names)[:200]}."
            )
        if row in taken:
            raise InputError(
                f"{marked.file} has {taken[row]!r} and {name!r}, which are both {names[row]!r} of {category.name!r}; "
                "leave one out."
            )
        taken[row], points[row] = name, place
    return Example(marked.picture, points, marked.box, category)


def _from_coco(picture: Path, file: Path) -> MarkedPicture:
    """The one object of a picture in a file of COCO keypoints."""
    from .forms.category_entry import category_entry, usable_edges
    from .forms.document import json_objects, load_document, whole_id
    from .forms.skeletons import guess_note, skeleton_bases
    from .forms.walk import box_of, keypoints_of

    data = load_document(file)
    names = {whole_id(image, "id"): image.get("file_name") for image in json_objects(data["images"])}
    meant = _nearest(picture, [name for name in names.values() if isinstance(name, str)])
    ids = {i for i, name in names.items() if isinstance(name, str) and name in meant and i is not None}
    entries = [one for one in json_objects(data["annotations"]) if whole_id(one, "image_id") in ids]
    entries = _objects_of(entries, file)
    _check_one(len(entries), picture, file)
    (entry,) = entries
    where, owner = f"{file}: annotation {whole_id(entry, 'id')}", whole_id(entry, "category_id")
    kinds = [kind for kind in json_objects(data["categories"]) if whole_id(kind, "id") == owner]
    if owner is None or len(kinds) != 1:
        count = f"{len(kinds) or 'none'} of that id"
        raise InputError(f"{where} must have a category_id of one of the categories, but there are {count}; mend it.")
    kind = category_entry(kinds[0], f"{file}: category {owner}")
    points, _ = keypoints_of(entry, kind.name, len(kind.labels), where)
    box = None if entry.get("bbox") in (None, []) else _box_at(where, box_of(entry, where))
    skeleton, odd = usable_edges(kind, skeleton_bases(data).by_category.get(owner, 0), f"{file}: category {owner}")
    marked = _marked(picture, file, kind.labels, points, box, kind.name, skeleton)
    return replace(marked, note=" ".join(filter(None, (*odd, guess_note(data, file)))))


def _box_at(where: str, box: Box) -> Box:
    """The box of an annotation, checked."""
    try:
        return check_box(box)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _objects_of(entries: Sequence[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    """The annotations of a picture that are objects of it: no crowds, and one of those under two ids of the picture.

    Those without a labelled point do not count where another has one.
    """
    from .forms.document import whole_id
    from .forms.walk import is_flag

    first: dict[str, Any] = {}  # category and points -> the id of the picture's entry
    singles = []
    for entry in entries:
        same, image = str((whole_id(entry, "category_id"), entry.get("keypoints"))), whole_id(entry, "image_id")
        again = first.setdefault(same, image) != image
        where = f"{file}: annotation {whole_id(entry, 'id')}"
        if not (again or is_flag(entry, "iscrowd", where) or is_flag(entry, "ignore", where)):
            singles.append(entry)
    return [entry for entry in singles if _has_points(entry)] or singles


def _has_points(entry: dict[str, Any]) -> bool:
    """Whether an annotation has a labelled point; False too where its points cannot be read."""
    try:
        return bool((np.array(entry["keypoints"], dtype=np.float64).reshape(-1, 3)[:, 2] > 0).any())
    except (KeyError, TypeError, ValueError):
        return False


def _from_table(picture: Path, file: Path) -> MarkedPicture:
    """The one object of a picture in a CSV table of `forms.poses`."""
    from .forms.reading import number
    from .forms.table import check_length, rows_of

    objects: dict[tuple[str, str], list[list[str]]] = {}  # (picture, number in it) -> its rows
    rows = list(rows_of(file))
    meant = _nearest(picture, [row[0] for _, row, _ in rows if row])
    for where, row, cells in rows:
        check_length(row, cells, where)
        if row[0] in meant:
            objects.setdefault((row[0], row[1]), []).append(row)
    _check_one(len(objects), picture, file)
    (lines,) = objects.values()
    points = np.full((len(lines), 2), np.nan)
    present = CSV_COLUMNS.index("present")
    for point, row in zip(points, lines, strict=True):
        if row[present].strip().lower() == "true":  # spreadsheets write TRUE
            point[:] = [number(row[4], "x", str(file)), number(row[5], "y", str(file))]
    # Version 0.1.0 took the whole picture of a table even where a detector's box stood in it; so it stays.
    return _marked(picture, file, [row[3] for row in lines], points, None, lines[0][2] or "object", ())


def _nearest(picture: Path, names: Iterable[str]) -> set[str]:
    """The names of pictures that mean a picture: those of its file name that share the most folders with its path.

    A name that is the end of the path goes before one that names another folder: of `1.png` and `b/1.png`, the picture
    `a/1.png` is the first.
    """
    own = picture_key(picture.absolute().as_posix()).split("/")[::-1]
    shared: dict[str, tuple[bool, int]] = {}
    for name in names:
        parts = picture_key(name).split("/")[::-1]
        count = next((i for i, (a, b) in enumerate(zip(own, parts, strict=False)) if a != b), len(parts))
        shared[name] = (count == len(parts), count)
    most = max(shared.values(), default=(False, 0))
    return {name for name, count in shared.items() if count == most and count[1] > 0}


def _check_one(count: int, picture: Path, file: Path) -> None:
    """InputError unless the file has one object of the picture."""
    if count != 1:
        raise InputError(
            f"{file} must have one object of {picture.name}, but has {count or 'none'}; give a file with that one."
        )


def _marked(
    picture: Path, file: Path, names: Sequence[str], points: np.ndarray, box: Any, category: str, skeleton: Any
) -> MarkedPicture:
    places = {key: (float(x), float(y)) for key, (x, y) in zip(unique_names(names), points, strict=True)}
    return MarkedPicture(picture, file, places, list(names), box, category, skeleton)


def _place(value: Any, what: str) -> Place:
    """A place from its JSON form [x, y], or null for a point that is not marked."""
    if value is None:
        return (np.nan, np.nan)
    numbers = [plain_number(one) for one in value] if isinstance(value, list) and len(value) == 2 else [np.nan]
    if not np.isfinite(numbers).all():
        other = "; of another tool's labels `data convert` makes COCO" if isinstance(value, str | dict) else ""
        raise InputError(
            f"{what} must be [x, y] in pixels, or null where it is not marked, but got {str(value)[:60]}{other}."
        )
    return (numbers[0], numbers[1])
