"""From a user's words for files and boxes to poses, one file after the other."""

import csv
import glob
import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

from ..category import Category
from ..errors import InputError
from ..geometry import Box, check_box
from ..images import SUFFIXES, read_image
from ..pose import Pose

if TYPE_CHECKING:
    from ..detection.search import Search
    from ..pose import Explanation

MAX_BOX_FILE = 64 * 2**20  # bytes

_log = logging.getLogger(__name__)


class Model(Protocol):
    """What the pipeline asks of a model."""

    def predict(self, image: Any, category: Category, box: Box | None = None, **options: Any) -> Pose: ...


@dataclass(frozen=True)
class Boxes:
    """Boxes of the objects in files, [x, y, w, h] in pixels of the upright picture.

    everywhere: one box for every file, or None.
    by_file: file name -> its boxes; an empty list says that the file shows no object.
    """

    everywhere: Box | None = None
    by_file: Mapping[str, Sequence[Box]] = field(default_factory=dict)

    def assign(self, paths: Sequence[Path]) -> list[Sequence[Box] | None]:
        """The boxes of each path; None for a path that has none.

        A name fits a path whose last parts it is ("a.jpg" and "x/a.jpg" fit "photos/x/a.jpg"); the longest name wins.
        Raises InputError if a name fits several paths that it cannot tell apart, or no name fits any path.
        """
        if self.everywhere is not None:
            return [[self.everywhere]] * len(paths)
        names: dict[tuple[str, ...], str] = {}
        for name in self.by_file:
            if (other := names.setdefault(PurePath(name).parts, name)) != name:
                raise InputError(f"The box file's names {other!r} and {name!r} mean the same file; keep one.")
        lengths = sorted({len(parts) for parts in names}, reverse=True)
        users: dict[str, Path] = {}
        found: list[Sequence[Box] | None] = []
        for path in paths:
            tails = [path.parts[-length:] for length in lengths if 0 < length <= len(path.parts)]
            name = next((names[tail] for tail in tails if tail in names), None)
            if name is not None and users.setdefault(name, path) != path:
                raise InputError(
                    f"The boxes of {name!r} fit both {users[name]} and {path}; write the folders in the box file too."
                )
            found.append(None if name is None else self.by_file[name])
        if paths and not users:
            raise InputError(
                f"None of the box file's {len(names)} names fits an image, e.g. {paths[0]}; check the names."
            )
        return found


@dataclass(frozen=True)
class Result:
    """What became of one file: its poses, one per box, or one sentence that says why there are none.

    explanations: one per pose where they were asked for. note: one sentence for a picture in which a detector found
    nothing, which is no error.
    """

    path: Path
    poses: tuple[Pose, ...] = ()
    error: str | None = None
    explanations: tuple["Explanation", ...] = ()
    note: str | None = None


def find_images(source: str | Path) -> list[Path]:
    """The picture files that a word of the command line means, sorted by name.

    source: a file (of any name; reading it will tell), a folder (its own pictures, not those of folders within;
        hidden files and files without a picture's suffix are not looked at), or a pattern with * ? [ ] (every file
        that fits; ** crosses folders). Raises InputError if there is nothing of the kind.
    """
    text = str(source)
    path = Path(source)
    try:
        if path.is_dir():
            listed = [entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES and entry.name[0] != "."]
            found = sorted(entry for entry in listed if entry.is_file())
            if not found:
                raise InputError(f"The folder {text} has no pictures ({' '.join(SUFFIXES)}); name the files.")
            return found
        if path.exists():
            return [path]
        if glob.has_magic(text):
            found = sorted(Path(name) for name in glob.iglob(text, recursive=True) if Path(name).is_file())
            if not found:
                raise InputError(f"No file fits the pattern {text}; check it.")
            return found
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Cannot look for pictures at {text!r}: {_first_line(error)}.") from error
    if "://" in text:
        raise InputError(f"{text} is a URL, and pictures are never fetched; save it to a file and give its path.")
    raise InputError(f"There is no file or folder {text!r}; check the path.")


def read_boxes(source: str | Path) -> Boxes:
    """Read "x,y,w,h" (for every image), or a JSON or CSV file of boxes by file name.

    JSON: {"a.jpg": [x, y, w, h], "b.jpg": [[x, y, w, h], ...]}. CSV: a header with image,x,y,w,h, one line per box.
    Units are pixels of the upright picture. Raises InputError for anything else, naming the entry.
    """
    path = Path(source)
    if path.suffix.lower() not in (".json", ".csv"):
        parts = str(source).split(",")
        if len(parts) != 4:
            raise InputError(f"Boxes must be x,y,w,h or a .json or .csv file, but got {str(source)!r}.")
        return Boxes(everywhere=_box(parts, "The box"))
    try:
        if path.stat().st_size > MAX_BOX_FILE:
            raise InputError(f"The box file {path} is larger than {MAX_BOX_FILE // 2**20} MiB; split it.")
        text = path.read_text(encoding="utf-8-sig")
        read = _json_boxes if path.suffix.lower() == ".json" else _csv_boxes
        return Boxes(by_file=read(text, path))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Cannot read the box file {path}: {_first_line(error)}.") from error


def predict_files(
    model: Model,
    paths: Iterable[Path],
    category: Category,
    boxes: "Boxes | Search | None" = None,
    explain: bool = False,
    **options: Any,
) -> Iterator[Result]:
    """Ask the model about each file; one Result per path, in order, as they come.

    boxes: from `read_boxes`; each box of a file gives a pose. Without boxes the whole picture is the box. With boxes by
        file, a file they do not name is an error (nobody said where to look), and one with an empty list has no poses.
        With a Search a detector finds the boxes, surest first; a file in which it finds none has no poses but a note.
    explain: ask `model.explain` instead, whose Explanation holds the pose; results have both.
    options: passed on to `model.predict` (strategy, density, describe).

    A file that cannot be read or predicted, for whatever reason, becomes a Result with an error sentence and the rest
    goes on. Raises InputError at once, before the first file, if the boxes do not fit the paths.
    """
    paths = list(paths)
    if isinstance(boxes, Boxes):
        assigned: Sequence[Sequence[Box | None] | Search | None] = boxes.assign(paths)
    else:
        assigned = [[None] if boxes is None else boxes] * len(paths)
    return (
        _predict_file(model, path, category, wanted, explain, options)
        for path, wanted in zip(paths, assigned, strict=True)
    )


def _predict_file(
    model: Model,
    path: Path,
    category: Category,
    wanted: "Sequence[Box | None] | Search | None",
    explain: bool,
    options: dict[str, Any],
) -> Result:
    try:
        if wanted is None:
            raise InputError(f"The box file does not name {path}; add its box, or an empty list if it shows no object.")
        picture = read_image(path)
        poses, explanations, note = [], [], None
        if isinstance(wanted, Sequence):
            places = [(box, {}) for box in wanted]
        else:
            found = wanted.find(picture)
            places = [(one.box, {"box_score": one.score, "box_word": one.word}) for one in found]
            note = None if found else f"{path}: {wanted.nothing()}"
        for box, detected in places:
            if box is not None:
                _check_overlap(box, picture.size, path)
            answer = (model.explain if explain else model.predict)(picture, category, box=box, **options)
            poses.append(replace(answer.pose if explain else answer, image=str(path), **detected))
            if explain:
                explanations.append(replace(answer, pose=poses[-1]))
        return Result(path, tuple(poses), explanations=tuple(explanations), note=note)
    except InputError as error:
        sentence = str(error)
        return Result(path, error=sentence if path.name in sentence else f"{path}: {sentence}")
    except Exception as error:  # one bad file must not stop the rest, whatever its fault
        _log.debug("Prediction on %s failed", path, exc_info=True)
        return Result(path, error=f"Prediction on {path} failed: {type(error).__name__}: {_first_line(error)}.")


def _check_overlap(box: Box, size: tuple[int, int], path: Path) -> None:
    x, y, w, h = box
    if x >= size[0] or y >= size[1] or x + w <= 0 or y + h <= 0:
        raise InputError(
            f"The box {list(box)} lies outside {path}, which has {size[0]} x {size[1]} pixels; give x,y,w,h."
        )


# --- box files -----------------------------------------------------------------------------------------------------


def _json_boxes(text: str, path: Path) -> dict[str, list[Box]]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"The box file {path} names {twice!r} twice; give it one list of boxes.")
        return dict(pairs)

    data = json.loads(text, object_pairs_hook=unique)
    if not isinstance(data, dict):
        raise InputError(f"The box file {path} must be a mapping of file names to boxes, but holds {_kind(data)}.")
    found = {}
    for name, value in data.items():
        if not isinstance(value, list):
            raise InputError(f"The boxes of {name!r} in {path} must be a list, but got {_kind(value)}.")
        boxes = value if all(isinstance(item, list) for item in value) else [value]
        found[name] = [_box(item, f"A box of {name!r} in {path}") for item in boxes]
    return found


def _csv_boxes(text: str, path: Path) -> dict[str, list[Box]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    columns = ["image", "x", "y", "w", "h"]
    if sorted(reader.fieldnames or ()) != sorted(columns):
        raise InputError(f"The box file {path} must have the columns {','.join(columns)}, but has {reader.fieldnames}.")
    found: dict[str, list[Box]] = {}
    for row in reader:
        if None in row or None in row.values() or not row["image"]:
            raise InputError(f"Line {reader.line_num} of {path} must have an image and four numbers.")
        box = _box([row[column] for column in columns[1:]], f"The box in line {reader.line_num} of {path}")
        found.setdefault(row["image"], []).append(box)
    return found


def _box(values: Sequence[Any], what: str) -> Box:
    """Four numbers, or texts of numbers; true, null and lists are none."""
    try:
        if any(isinstance(value, bool) or not isinstance(value, int | float | str) for value in values):
            raise ValueError
        numbers = [float(value) for value in values]
        return check_box(numbers)  # type: ignore[arg-type]
    except (InputError, ValueError, OverflowError):
        raise InputError(
            f"{what} must be four numbers x,y,w,h with w and h above 0, but got {_short(values)}."
        ) from None


def _kind(value: Any) -> str:
    return {dict: "a mapping", list: "a list", str: "a text", type(None): "null"}.get(type(value), f"{value!r}")


def _short(values: Sequence[Any]) -> str:
    text = ",".join(str(value) for value in values)
    return text if len(text) <= 80 else text[:77] + "..."


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines and lines[0] else type(error).__name__
