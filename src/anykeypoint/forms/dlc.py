"""DeepLabCut's labelled data, read and written: `CollectedData_SCORER.csv`, of one animal or several; .h5 is read too.

Lightning Pose writes the same. The table has three or four header lines (scorer, individuals, bodyparts, coords), then
one line per picture, in image pixels. An empty or NaN cell is a point that is not labelled. Where several tables were
joined into one file, header lines come again, and each holds for the rows below it. A project's folder stands for the
tables of all its videos. The table has neither boxes nor a name for the animal: boxes are put round the points, and the
name comes from the specification, `dlc/mouse:FILE`.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .dataset import Dataset
from .document import Labels, NamedPoints
from .form import NOUN, LabelForm
from .frames import HDF5, read_frame
from .picture_search import PictureSearch
from .point_names import check_spellings, name_key
from .reading import files_below, is_missing, picture_key, read_table, tails
from .writing import by_picture, one_kind, point_labels

_HEADERS = ("scorer", "individuals", "bodyparts", "coords")
_VIDEOS = "labeled-data"  # the folder of a project that has a folder for each video
_NO_NAME = re.compile(r"Unnamed: \d+_level_\d+")  # what pandas writes above a column without a name


class _Animal(NamedTuple):
    """An individual in a picture: the picture's id, the points that are labelled by body part, and the row."""

    image: int
    points: NamedPoints
    where: str


Columns = dict[str, dict[str, tuple[int, int]]]  # individual -> body part -> columns of its x and y


class _Table(NamedTuple):
    """Header lines and the rows below them: columns, the number of columns before the first, rows with their names."""

    columns: Columns
    start: int
    rows: list[tuple[str, list[str]]]


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a file, or of all tables of a project's folder (see `label_files`).

    word: the name of the animal, "object" by default.
    Individuals with the same body parts, in any order and spelling, are one category. Individuals with other parts
    than the first (DeepLabCut's "single") have a category of their own, named after the individual. A picture's group
    is its folder, which has the name of the video.
    """
    labels = Labels()
    tables = [table for file in label_files(path) for table in _tables(_lines(file), file, labels)]
    if not tables:
        raise InputError(labels.faults[0])
    known: dict[str, dict[str, None]] = {}  # individual -> its body parts in all tables
    for individual, parts in ((name, parts) for table in tables for name, parts in table.columns.items()):
        known.setdefault(individual, {}).update(dict.fromkeys(parts))
    kinds: dict[frozenset[str], str] = {}  # what spellings of the body parts have in common -> category
    orders: dict[str, list[str]] = {}  # category -> body parts in order
    owners: dict[str, str] = {}  # individual -> category
    for individual, parts in known.items():
        alike = frozenset(map(name_key, parts))
        if alike not in kinds:
            kinds[alike] = (word or "object") if not kinds else individual or "single"
            orders[kinds[alike]] = list(parts)
        owners[individual] = kinds[alike]
    search = PictureSearch(images)
    animals: dict[tuple[str, str], _Animal] = {}  # picture in the table and individual -> what the last row has of it
    for table in tables:
        for where, row in table.rows:
            with labels.catching():
                _read_row(labels, animals, row, table, search, where)
    labels.notes += search.notes()
    several = len(known) > 1  # of whom most are in few of the pictures
    objects = [
        (image, owners[individual], points, None)
        for (_, individual), (image, points, _) in animals.items()
        if points or not several
    ]
    labels.add_named_objects(objects, orders)
    return labels


def label_files(path: Path, word: str = "") -> list[Path]:
    """The file itself; of a folder the `CollectedData` of each video, the .h5 only where there is no .csv.

    What DeepLabCut makes of them, in the folder "training-datasets", has the same rows again and is passed over.
    """
    if not path.is_dir():
        return [path]
    root = path / _VIDEOS if (path / _VIDEOS).is_dir() else path
    tables = {file.with_suffix(""): file for file in files_below(root, "**/CollectedData*.h5")}
    tables |= {file.with_suffix(""): file for file in files_below(root, "**/CollectedData*.csv")}
    if not tables:
        raise InputError(
            f"{root} has no CollectedData_SCORER.csv or .h5 in it or below; give DeepLabCut's project, or a table."
        )
    return [tables[key] for key in sorted(tables)]


def folder_of(path: Path) -> Path | None:
    """The folder of the pictures: a project's, which "labeled-data" is in; None for a table that lies elsewhere."""
    folder = path if path.is_dir() else path.parent
    whole = folder.absolute()  # a table may be named from within its own folder
    for above in (folder, *folder.parents, whole, *whole.parents):
        if above.name == _VIDEOS:
            return above.parent
    return folder if path.is_dir() or (folder / _VIDEOS).is_dir() else None


def _lines(path: Path) -> list[list[str]]:
    return read_frame(path) if path.suffix.lower() in HDF5 else read_table(path)


def _tables(lines: Iterable[list[str]], path: Path, labels: Labels) -> Iterator[_Table]:
    """The tables of a file, which has more than one where several were joined; one that cannot be read is a fault."""
    blocks: list[tuple[dict[str, list[str]], list[list[str]]]] = [({}, [])]  # header lines, rows
    for line in lines:
        key = line[0].strip().lower()
        if key not in _HEADERS:
            blocks[-1][1].append(line)
            continue
        if blocks[-1][1]:
            blocks.append(({}, []))
        blocks[-1][0][key] = ["" if _NO_NAME.fullmatch(cell.strip()) else cell.strip() for cell in line]
    for count, (headers, rows) in enumerate(blocks, start=1):
        which = "" if len(blocks) == 1 else f" {count}"
        with labels.catching():
            columns, start = _columns(headers, str(path) if len(blocks) == 1 else f"{path}: header{which}")
            named = [(f"{path}: row {i} under the header{which}", row) for i, row in enumerate(rows, start=1)]
            yield _Table(columns, start, named)


def _read_row(
    labels: Labels,
    animals: dict[tuple[str, str], _Animal],
    row: list[str],
    table: _Table,
    search: PictureSearch,
    where: str,
) -> None:
    """Put the animals of a row into `animals`. One that an earlier row has too is replaced, and that is a fault.

    search: finds the pictures.
    where: the row, named in errors.
    """
    picture = "/".join(cell.strip().replace("\\", "/").strip("/") for cell in row[: table.start])
    cells = 1 + max(i for parts in table.columns.values() for places in parts.values() for i in places)
    if len(row) != cells:
        raise InputError(f"{where} has {len(row)} cells, but the header has {cells}.")
    if "." not in picture:
        raise InputError(f"{where} is called {picture!r}, no picture; give labelled data, not a video's predictions.")
    tail = PurePosixPath(picture)
    written = "/".join(cell.strip().strip("/") for cell in row[: table.start])
    name = search.find(tails(picture), written)
    group = str(tail.parent) if len(tail.parts) > 1 else None
    image = labels.add_image(name, source=picture, group=group)
    for individual, parts in table.columns.items():
        with labels.catching(), labels.of_picture(image):
            found = {part: [_cell(row[i], where, part) for i in places] for part, places in parts.items()}
            labelled = {part: np.isfinite(place) for part, place in found.items()}
            if odd := [part for part, (x, y) in labelled.items() if x != y]:
                raise InputError(f"{where} has only one of x and y for {odd[0]!r}; fill or empty both.")
            points = {part: (*found[part], 2) for part, there in labelled.items() if there.all()}
            check_spellings(points, where)
            key = (picture_key(picture), individual)
            before = animals.get(key)
            animals[key] = _Animal(image, points, where)
            if before is not None and before.points:
                raise InputError(f"{before.where} has the picture of a later row, {picture}, which counts; remove one.")


def _columns(headers: dict[str, list[str]], where: str) -> tuple[Columns, int]:
    """The columns of each point, and the number of columns before the first one. where: the table, named in errors."""
    if "bodyparts" not in headers or "coords" not in headers:
        raise InputError(
            f"{where} does not begin with DeepLabCut's lines scorer, bodyparts and coords; export it again."
        )
    coords, parts = [cell.lower() for cell in headers["coords"]], headers["bodyparts"]
    start = 1
    while start < len(coords) and coords[start] == "":
        start += 1
    individuals = headers.get("individuals") or [""] * len(coords)
    if len({len(coords), len(parts), len(individuals)}) > 1 or start == len(coords):
        raise InputError(f"{where} has header lines of different lengths; export it again.")
    places: dict[str, dict[str, dict[str, int]]] = {}  # individual -> body part -> axis -> column
    for i in range(start, len(coords)):
        if coords[i] not in ("x", "y"):
            predicted = "; a table with likelihoods holds predictions" if "likelihood" in coords else ""
            raise InputError(
                f"{where}, line 'coords', has {headers['coords'][i]!r} in column {i + 1} where labelled data has x and "
                f"y only{predicted}; export the labelled data."
            )
        place = places.setdefault(individuals[i], {}).setdefault(parts[i], {})
        if coords[i] in place:
            raise InputError(f"{where} has two columns {coords[i]!r} of {parts[i]!r}; remove one.")
        place[coords[i]] = i
    columns: Columns = {}
    for individual, table in places.items():
        for part, place in table.items():
            if len(place) != 2:
                raise InputError(f"{where} has only one of the columns x and y of {part!r}; export it again.")
            columns.setdefault(individual, {})[part] = (place["x"], place["y"])
    return columns, start


def _cell(text: str, where: str, part: str) -> float:
    """The number in a cell, NaN for an empty one. where, part: the row and the body part, named in errors."""
    if is_missing(text):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise InputError(f"{where} has {text[:40]!r} for {part!r}; it must be a number, or empty where not labelled.")
    return value


# --- writing -------------------------------------------------------------------------------------------------------


def write(data: Dataset, images: Path) -> str:
    """A table of labelled data: of several individuals where a picture has two objects, otherwise of one animal."""
    category = one_kind(data, "A DeepLabCut table")
    labels = point_labels(category)
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise InputError(f"A DeepLabCut table goes by names, but two points are called {min(twice)!r}; rename one.")
    by_image = {name: labels.objects for name, labels in by_picture(data, images).items() if labels.objects}
    most = max(map(len, by_image.values()))
    rows = []
    for name, items in by_image.items():
        cells = [value for item in items for value in item.points.ravel().tolist()]
        cells += [np.nan] * (2 * len(labels) * most - len(cells))
        rows.append([name, *("" if np.isnan(value) else value for value in cells)])
    return table_text("anykeypoint", labels, ("x", "y"), most, rows)


def table_text(
    scorer: str, points: Sequence[str], coords: Sequence[str], most: int, rows: Iterable[Sequence[str | float]]
) -> str:
    """A table of DeepLabCut's: three header lines, or four with the individuals object1, object2, ... of several.

    scorer: who put the points there. points: their names. coords: the columns of each point.
    most: number of individuals.
    rows: what the row is of, then the cells of each individual, point by point.
    """
    columns = [(f"object{i}", point, coord) for i in range(1, most + 1) for point in points for coord in coords]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["scorer", *[scorer] * len(columns)])
    if most > 1:
        writer.writerow(["individuals", *(column[0] for column in columns)])
    writer.writerow(["bodyparts", *(column[1] for column in columns)])
    writer.writerow(["coords", *(column[2] for column in columns)])
    writer.writerows(rows)
    return text.getvalue()


def _name_lost(data: Dataset) -> list[str]:
    name = data.objects[0].category.name if data.objects else "object"
    return [] if name == "object" else [f"the name {name!r} (read it again as dlc/{name}:FILE)"]


FORM = LabelForm(
    read,
    "DeepLabCut's and Lightning Pose's labels (.csv, .h5, or the project's folder)",
    NOUN,
    write=write,
    suffix=".csv",
    pictures=folder_of,
    files=label_files,
    also_lost=_name_lost,
)
