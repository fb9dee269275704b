"""TPS files of geometric morphometrics (tpsDig, geomorph), read and written: landmarks of one kind of object.

A specimen begins with `LM=N` and N lines `x y`; `IMAGE=` names its picture, `ID=` its number or name, `SCALE=` the
length of a pixel. Places are pixels whose y counts from the bottom of the picture, so the picture's height turns them
into image pixels. Landmarks have no names: they are numbered. Two negative numbers, or NA, are a missing landmark.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..images import SUFFIXES
from .dataset import Dataset
from .document import Labels
from .form import NOUN, LabelForm
from .picture_search import PictureSearch
from .reading import decimal_point, number, read_text, tails
from .writing import needed_size, one_kind, picture_name

_KEY = re.compile(r"\s*([A-Za-z]+3?)\s*=\s*(.*?)\s*$")
_READ = ("IMAGE", "ID", "SCALE")
_ENDS = (*SUFFIXES, *map(str.upper, SUFFIXES))
_CODE_PAGE = "cp1252"  # of tpsDig on Windows, for paths and comments that are not ASCII
_WHY = "TPS counts from the bottom of the picture"
_CURVES = ("CURVES", "OUTLINES", "POINTS")  # keys above places of semilandmarks
_END = "\x1a"  # ^Z, which DOS and some of its programs put at the end of a text
_MISSING = "NA"  # what geomorph writes for a missing landmark


@dataclass
class Specimen:
    """One specimen as written.

    where: its name for errors.
    rows: the lines of its landmarks.
    stated: the number of landmarks that it says it has.
    keys: the other keys in upper case, with their values.
    others: what lines are that are not landmarks -> how many there are.
    """

    where: str
    stated: str
    rows: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a file.

    word: the category, "object" by default.
    All specimens have as many landmarks as most do; others are faults. Points of curves and outlines (semilandmarks)
    are left out and counted. Ids are those of the file where all are different whole numbers; names of specimens are
    the groups of their pictures. Raises InputError for landmarks with three coordinates.
    """
    specimens = list(_specimens(path))
    counts = Counter(one.stated for one in specimens if one.stated != "0")
    if not counts:
        raise InputError(f"{path} has no landmarks (lines LM=N with N lines 'x y'); digitise at least one specimen.")
    labels, search = Labels(), PictureSearch(images)
    most = counts.most_common(1)[0][0]
    total = int(number(most, "LM", specimens[0].where))
    kind = labels.add_category(word or "object", [f"landmark {i}" for i in range(1, total + 1)])
    unread = Counter(key for one in specimens for key in one.keys if key not in _READ)
    labels.notes += [f"{path}: {key}= of {times} specimens is not read." for key, times in unread.items()]
    names = [one.keys.get("ID", "") for one in specimens]
    numbered = all(name.isdecimal() for name in names) and len(set(names)) == len(names)
    for one, name in zip(specimens, names, strict=True):
        for what in one.others.elements():
            labels.leave_out(what)
        with labels.catching():
            given = one.keys.get("IMAGE", "")
            if not given:
                raise InputError(f"{one.where} has no IMAGE=, so its picture is not known; add the line.")
            names = tails(given)  # some tools write the picture's name without its suffix
            file = search.find([*names, *(names[-1] + end for end in _ENDS if "." not in names[-1])], given)
            group = name if name and not name.isdecimal() else None
            image = labels.add_image(file, source=given, group=group)
            if one.stated == "0":
                labels.leave_out("specimens without landmarks")
                continue
            labels.bare.add(image)  # which is of no effect once its specimen is there
            if one.stated != most or len(one.rows) != total:
                raise InputError(
                    f"{one.where} says LM={one.stated} and has {len(one.rows)} lines of landmarks, but most specimens "
                    f"have {total}; digitise the same landmarks in each."
                )
            size = search.pictures.size_needed(file, _WHY)
            if size is None:  # any height serves, as the specimen is left out
                labels.unplaced.add(image)
            elif not search.pictures.has(file):
                labels.borrowed.add(image)
            places = np.array([_place(row, i, one.where) for i, row in enumerate(one.rows, start=1)])
            points = np.column_stack([places[:, 0], (0 if size is None else size[1]) - places[:, 1]])
            scale = _scale(one.keys.get("SCALE"), labels)
            labels.add_object(image, kind, points, np.where(np.isfinite(points[:, 0]), 2, 0), scale=scale)
            if numbered:
                labels.annotations[-1]["id"] = int(name)
    labels.notes += search.notes()
    return labels


def _specimens(path: Path) -> Iterator[Specimen]:
    """The specimens of a file, with their lines sorted by what they belong to: landmarks are those under LM=."""
    current: Specimen | None = None
    above = ""  # the key above lines that are no landmarks, such as POINTS or RADII
    for count, line in enumerate(read_text(path, _CODE_PAGE).replace(_END, "\n").splitlines(), start=1):
        if not line.strip():
            continue
        found = _KEY.match(line)
        key = found.group(1).upper() if found else ""
        if key == "LM3":
            raise InputError(
                f"{path}: line {count} has landmarks with three coordinates (LM3=); give those of pictures."
            )
        if key == "LM":
            if current is not None:
                yield current
            stated = found.group(2) if found else ""
            stated = str(int(stated)) if stated.isdecimal() else stated  # 03 is 3
            current, above = Specimen(f"{path}: line {count}", stated), ""
        elif current is None:
            raise InputError(f"{path} does not begin with LM=N but with {line[:40]!r}; give a TPS file.")
        elif found:
            above = key if key in _CURVES or current.rows or current.stated == "0" else ""
            if key not in _CURVES:
                current.keys.setdefault(key, found.group(2))
        elif above:
            what = "points of curves and outlines (semilandmarks)" if above in _CURVES else f"lines under {above}="
            current.others[what] += 1
        else:
            current.rows.append(line)
    if current is not None:
        yield current


def _place(row: str, place: int, where: str) -> tuple[float, float]:
    """The x, y of a landmark as written; NaN for a missing one. place: which one it is, named in errors."""
    cells = row.replace(",", ".").split()  # some countries write a decimal comma
    if len(cells) != 2:
        raise InputError(f"{where}, landmark {place}, must be two numbers 'x y', but got {row[:40]!r}.")
    if all(cell.upper() in (_MISSING, "NAN") for cell in cells):
        return np.nan, np.nan
    x, y = (number(cell, f"landmark {place}", where) for cell in cells)
    return (np.nan, np.nan) if x < 0 and y < 0 else (x, y)


def _scale(text: str | None, labels: Labels) -> float | None:
    """The length of a pixel; None where it is not said, or is no number above 0: the landmarks need none."""
    if text is None:
        return None
    try:
        scale = number(decimal_point(text), "SCALE", "")
    except InputError:
        scale = 0.0
    if scale > 0:
        return scale
    labels.count_note("specimens have a SCALE= that is no number above 0 and is not read")
    return None


# --- writing -------------------------------------------------------------------------------------------------------


def write(data: Dataset, images: Path) -> str:
    """A specimen for each object, whose `IMAGE=` is the name that the picture has below `images`."""
    one_kind(data, "A TPS file")
    lines: list[str] = []
    for item in data.objects:
        height = needed_size(item.image, _WHY)[1]
        lines.append(f"LM={len(item.points)}")
        for (x, y), seen in zip(item.points.tolist(), item.visibility, strict=True):
            up = height - y
            if seen and x < 0 and up < 0:
                raise InputError(
                    f"Object {item.id} has a point left of and below its picture, which TPS calls missing."
                )
            lines.append(f"{x!r} {up!r}" if seen else "-1 -1")
        lines += [f"IMAGE={picture_name(item, images)}", f"ID={item.id}"]
        if item.scale is not None:
            lines.append(f"SCALE={item.scale!r}")
    return "\n".join([*lines, ""])


def _names_lost(data: Dataset) -> list[str]:
    kind = data.objects[0].category if data.objects else None
    if kind is None:
        return []
    named = [] if kind.name == "object" else [f"the name {kind.name!r} (read it again as tps/{kind.name}:FILE)"]
    numbered = [f"landmark {i}" for i in range(1, len(kind) + 1)]
    return named + ([] if kind.names == numbered else ["the names of the points, which TPS numbers"])


FORM = LabelForm(
    read,
    "TPS files of geometric morphometrics (.tps)",
    NOUN,
    write=write,
    suffix=".tps",
    holds=frozenset({"ids", "scales"}),
    also_lost=_names_lost,
    pictures=lambda path: path.parent,
)
