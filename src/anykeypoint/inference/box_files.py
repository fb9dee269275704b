"""Boxes that the user gives: one for every picture, or a file with those of each picture (JSON, COCO's JSON, CSV).

Boxes are [x, y, w, h] in pixels of the upright picture.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..configs.doubled_keys import strict_json
from ..configs.typed import split_commas
from ..errors import InputError, first_line
from ..forms.poses import BOX_COLUMNS
from ..forms.reading import decimal_point, parting_sign, picture_key, whole_number
from ..forms.walk import is_crowd
from ..geometry import Box, check_box
from ..io import text_of

_OF_PREDICT = ("image", "object", *BOX_COLUMNS[:4])  # columns of its table that are read here
MAX_BYTES = 64 * 2**20  # size limit of a box file


@dataclass(frozen=True)
class Boxes:
    """Boxes of the objects in files.

    everywhere: one box for every file, or None.
    by_file: file name -> its boxes; an empty list means that the picture shows no object.
    left_out: a sentence about objects of the file that are not used; "" where there is none.
    """

    everywhere: Box | None = None
    by_file: Mapping[str, Sequence[Box]] = field(default_factory=dict)
    left_out: str = ""

    def assign(self, paths: Sequence[Path]) -> list[Sequence[Box] | None]:
        """The boxes of each path, in order; None for a path that has none.

        A name fits a path if it is the path's last parts: "a.jpg" and "x/a.jpg" both fit "photos/x/a.jpg", and the
        longest name wins; spellings with "\\" and in Unicode's other form are the same name.
        Raises InputError if one name fits several paths, or if no name fits any path.
        """
        if self.everywhere is not None:
            return [[self.everywhere]] * len(paths)
        names: dict[tuple[str, ...], str] = {}
        for name in self.by_file:
            if (other := names.setdefault(_parts(name), name)) != name:
                raise InputError(f"The box file's names {other!r} and {name!r} mean the same file; keep one.")
        lengths = sorted({len(parts) for parts in names}, reverse=True)
        users: dict[str, Path] = {}  # name -> the path that it fits
        assigned: list[Sequence[Box] | None] = []
        for path in paths:
            parts = _parts(str(path))
            tails = [parts[-length:] for length in lengths if 0 < length <= len(parts)]
            name = next((names[tail] for tail in tails if tail in names), None)
            if name is not None and users.setdefault(name, path) != path:
                raise InputError(
                    f"The boxes of {name!r} fit both {users[name]} and {path}; write the folders in the box file too."
                )
            assigned.append(None if name is None else self.by_file[name])
        if paths and not users:
            raise InputError(
                f"None of the box file's {len(names)} names fits an image, e.g. {paths[0]}; check the names."
            )
        return assigned


def read_boxes(source: str | Path) -> Boxes:
    """Boxes from "x,y,w,h", which is one for every picture, or from a JSON or CSV file of boxes by file name.

    A JSON file holds {"a.jpg": [x, y, w, h], "b.jpg": [[x, y, w, h], ...]}, or is one of COCO's with images and
    annotations, whose regions of a crowd and objects without a box are left out; a CSV file has the header
    image,x,y,w,h and one line per box, or is a table that `predict` wrote, also with semicolons and decimal commas, as
    spreadsheets write them (`forms.reading.read_table`). Raises InputError for anything else, naming
    the entry.
    """
    path = Path(source)
    if str(source).startswith("coco:") and not path.exists():  # as --data has it
        path = Path(str(source).removeprefix("coco:"))
    if path.suffix.lower() not in (".json", ".csv"):
        parts = split_commas(str(source))
        if len(parts) != 4:
            raise InputError(f"Boxes must be x,y,w,h or a .json or .csv file, but got {str(source)!r}.")
        return Boxes(everywhere=_box(parts, "The box"))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"The box file {path} is larger than {MAX_BYTES // 2**20} MiB; split it.")
        text = text_of(path.read_bytes(), str(path))
        return _json_boxes(text, path) if path.suffix.lower() == ".json" else _csv_boxes(text, path)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Cannot read the box file {path}: {first_line(error)}.") from error


def _json_boxes(text: str, path: Path) -> Boxes:
    data = strict_json(text)
    if not isinstance(data, dict):
        raise InputError(
            f"The box file {path} must be a mapping of file names to boxes, or COCO's with images and annotations, but "
            f"holds {_kind(data)}."
        )
    if isinstance(data.get("images"), list) and isinstance(data.get("annotations"), list):
        return _coco_boxes(data, path)
    by_file = {}
    for name, value in data.items():
        if not isinstance(value, list):
            raise InputError(f"The boxes of {name!r} in {path} must be a list, but got {_kind(value)}.")
        boxes = value if all(isinstance(item, list) for item in value) else [value]
        by_file[name] = [_box(item, f"A box of {name!r} in {path}") for item in boxes]
    return Boxes(by_file=by_file)


def _coco_boxes(data: dict[str, Any], path: Path) -> Boxes:
    """The boxes of a COCO document; a picture without an annotation has none."""
    names: dict[Any, str] = {}
    by_file: dict[str, list[Box]] = {}
    for place, entry in enumerate(data["images"]):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        identity = None if name is None else _identity(entry.get("id"))
        if not isinstance(name, str) or not name or identity is None:
            raise InputError(f"Entry {place} of 'images' in {path} must have an id and a file_name; mend it.")
        if names.setdefault(identity, name) != name:
            raise InputError(f"The box file {path} gives {names[identity]!r} and {name!r} one id; mend it.")
        by_file[name] = []
    crowds = without = 0
    for place, entry in enumerate(data["annotations"]):
        where = f"annotation {entry.get('id', place) if isinstance(entry, dict) else place} in {path}"
        identity = _identity(entry.get("image_id")) if isinstance(entry, dict) else None
        if identity is None:
            raise InputError(f"The {where} must have an image_id; mend it.")
        if identity not in names:
            raise InputError(
                f"The {where} is of the picture {entry['image_id']}, which 'images' does not have; mend it."
            )
        box = entry.get("bbox")
        if is_crowd(entry, f"The {where}"):
            crowds += 1
        elif box is None or box == []:
            without += 1
        elif not isinstance(box, list):
            raise InputError(f"The box of {where} must be a list, but got {_kind(box)}.")
        else:
            by_file[names[identity]].append(_box(box, f"The box of {where}"))
    counts = {"crowd regions": crowds, "objects without a box": without}
    said = ", ".join(f"{what} {count}" for what, count in counts.items() if count)
    return Boxes(by_file=by_file, left_out=said and f"Left out of {path}: {said}.")


def _identity(value: Any) -> int | str | None:
    """An id: the whole number that it means (1, 1.0 and "1" are one), or another text; None for anything else."""
    whole = whole_number(value)
    return value if whole is None and isinstance(value, str) else whole


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a path, equal for spellings of one path."""
    return tuple(picture_key(name).split("/"))


def _csv_boxes(text: str, path: Path) -> Boxes:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=parting_sign(text))
    columns = ["image", "x", "y", "w", "h"]
    if set(_OF_PREDICT) <= set(reader.fieldnames or ()):
        return _boxes_of_poses(reader, path)
    if sorted(reader.fieldnames or ()) != sorted(columns):
        raise InputError(
            f"The box file {path} must have the columns {','.join(columns)}, or those of a table that `predict` wrote, "
            f"but has {reader.fieldnames}."
        )
    by_file: dict[str, list[Box]] = {}
    for row in reader:
        if None in row or None in row.values() or not row["image"]:
            raise InputError(f"Line {reader.line_num} of {path} must have an image and four numbers.")
        box = _box([row[column] for column in columns[1:]], f"The box in line {reader.line_num} of {path}")
        by_file.setdefault(row["image"], []).append(box)
    return Boxes(by_file=by_file)


def _boxes_of_poses(reader: csv.DictReader, path: Path) -> Boxes:
    """The boxes of a table with a line for each keypoint: one for each object, which all its lines repeat."""
    boxes: dict[tuple[str, str], Box] = {}
    without: set[tuple[str, str]] = set()
    for row in reader:
        cells = [row[column] for column in _OF_PREDICT]
        if None in cells or not row["image"]:
            raise InputError(f"Line {reader.line_num} of {path} must have an image, an object and four numbers.")
        pose = (row["image"], row["object"])
        if not any(cells[2:]):
            without.add(pose)
            continue
        box = _box(cells[2:], f"The box in line {reader.line_num} of {path}")
        if boxes.setdefault(pose, box) != box:
            raise InputError(
                f"Line {reader.line_num} of {path} gives object {pose[1]} of {pose[0]} another box; mend it."
            )
    by_file: dict[str, list[Box]] = {}
    for (image, _), box in boxes.items():
        by_file.setdefault(image, []).append(box)
    left = without - boxes.keys()
    return Boxes(by_file=by_file, left_out=f"Left out of {path}: objects without a box {len(left)}." if left else "")


def _box(values: Sequence[Any], what: str) -> Box:
    """A box from four numbers or texts of numbers; true, null, lists and shares of the picture are refused.

    what: the subject of the error.
    """
    try:
        if any(isinstance(value, bool) or not isinstance(value, int | float | str) for value in values):
            raise ValueError
        numbers = [float(decimal_point(value) if isinstance(value, str) else value) for value in values]
        box = check_box(numbers)  # type: ignore[arg-type]
    except (InputError, ValueError, OverflowError):
        raise InputError(
            f"{what} must be four numbers x,y,w,h with w or h above 0 and neither below, but got {_short(values)}."
        ) from None
    if all(0 <= value <= 1 for value in box):
        raise InputError(
            f"{what} must be x,y,w,h in pixels, but {_short(values)} all lie between 0 and 1 like shares of the "
            "picture; multiply them by its width and height."
        )
    return box


def _kind(value: Any) -> str:
    return {dict: "a mapping", list: "a list", str: "a text", type(None): "null"}.get(type(value), f"{value!r}")


def _short(values: Sequence[Any]) -> str:
    text = ",".join(str(value) for value in values)
    return text if len(text) <= 80 else text[:77] + "..."
