"""Faults of a document's pictures: file names, files and sizes."""

import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..picture_search import named_outside
from ..reading import leaves_folder, picture_key, plain_number, tails
from .fault import Fault
from .findings import SLACK, Findings


def images(found: Findings) -> None:
    """Faults of file names and sizes; fills `sizes`, `stated` and `in_doubt`."""
    first: dict[str, tuple[int, dict[str, Any]]] = {}  # a picture -> id and entry of its first mention
    elsewhere = _Elsewhere(found)
    for place, identity, entry in found.entries("images"):
        key, where, name = ("images", place), f"image {identity}", entry.get("file_name")
        if isinstance(name, str) and leaves_folder(name) and elsewhere.files(entry):
            _not_at_its_path(found, elsewhere, entry, f"{name} is a path of another folder", where, key)
            continue
        if not isinstance(name, str) or not name or leaves_folder(name):
            found.say("broken entry", where, f"has no path inside the folder as file_name, but {str(name)[:60]!r}", key)
            continue
        stated, path = _stated(entry), found.pictures.path(name)
        if all(stated):
            found.stated[identity] = (int(stated[0]), int(stated[1]))
        stored = found.pictures.size(path) if found.pictures.has(name) else None
        if stored is not None and _in_doubt(stated, stored):
            found.in_doubt.add(identity)
        _twice(found, first.setdefault(picture_key(name), (identity, entry)), identity, entry, key)
        found.sizes[identity] = stored
        if not found.pictures.has(name):
            _not_at_its_path(found, elsewhere, entry, f"{name} is missing", where, key)
        elif stored is None:
            found.say("picture missing", where, f"{name} is no readable picture", key)
        elif (entry.get("width"), entry.get("height")) not in ((None, None), stored):
            turned = ", so it was labelled lying on its side" if stated == stored[::-1] else ""
            size = f"{str(entry.get('width'))[:20]} x {str(entry.get('height'))[:20]}"
            text = f"{name} is {stored[0]} x {stored[1]} pixels, but the labels say {size}{turned}"
            found.say("picture's size", where, text, key, "", stored, identity not in found.in_doubt)


def _stated(entry: Mapping[str, Any]) -> tuple[float, float]:
    """(width, height) as an entry states them; 0 for what is no size, such as null or a text."""
    numbers = [plain_number(entry.get(key)) for key in ("width", "height")]
    width, height = (number if 0 < number < math.inf else 0.0 for number in numbers)
    return width, height


def _in_doubt(stated: tuple[float, float], stored: tuple[int, int]) -> bool:
    """Whether a picture may be turned or scaled since the points were set: they may lie in the frame that is stated.

    stated: 0 for a side that is not. stored: of the file.
    """
    if stated == stored[::-1]:
        return stated != stored
    return any(side and abs(side - real) > SLACK for side, real in zip(stated, stored, strict=True))


def _twice(
    found: Findings, first: tuple[int, dict[str, Any]], identity: int, entry: dict[str, Any], key: tuple[str, int]
) -> None:
    """A picture that is listed before under another id; it can be one where its entries agree in all they both say.

    first: id and entry of its first mention.
    """
    before, other = first
    if before == identity:
        return
    shared = (set(entry) & set(other)) - {"id", "file_name"}
    if found.in_doubt & {identity, before}:  # the size that only one states may be the frame of its points
        shared |= {"width", "height"}
    differ = [one for one in sorted(shared) if entry.get(one) != other.get(one)]
    text = f"is the picture of image {before}, {other['file_name']}" + (f", with another {differ[0]}" if differ else "")
    found.faults.append(Fault("picture twice", "", f"image {identity}", text, key, (identity, before), (), not differ))


# --- files that are not at their paths -----------------------------------------------------------------------------


class _Elsewhere:
    """The files of the folder that may be pictures of other paths."""

    def __init__(self, found: Findings) -> None:
        self._pictures = found.pictures
        self._named: set[Path] = set()  # the files that entries name
        self._lost: dict[Path, set[str]] = defaultdict(set)  # a file -> the other pictures that it may be
        entries = [entry for entry in found.document["images"] if isinstance(entry, dict)]
        for entry in entries:
            name = entry.get("file_name")
            if not isinstance(name, str) or not name:
                continue
            if not leaves_folder(name) and self._pictures.has(name):
                self._named.add(self._pictures.path(name))
            else:
                for file in self.files(entry):
                    self._lost[file].add(picture_key(name))

    def files(self, entry: Mapping[str, Any]) -> list[Path]:
        """The files that have a picture's name, and its size where that is stated."""
        stated = _stated(entry)
        files = self._pictures.namesakes(PurePosixPath((tails(entry["file_name"]) or [""])[0]))
        if all(stated):  # pictures of different data sets often have the same numbers as names
            files = [file for file in files if self._pictures.size(file) == stated]
        return files

    def claim(self, file: Path, name: str) -> str:
        """What says that a file is, or may be, another picture than that of a name; "" for nothing."""
        if file in self._named:
            return "is another entry's"
        others = sorted(self._lost[file] - {picture_key(name)})
        return f"may be {others[0]} as well" if others else ""


def _not_at_its_path(
    found: Findings, elsewhere: _Elsewhere, entry: dict, what: str, where: str, key: tuple[str, int]
) -> None:
    """A picture that is not at its path: is there one file of its name, and of its size where stated, elsewhere?

    A file that another entry names, or may mean too, is not taken: the objects of two pictures would be put on one.
    """
    name, files = entry["file_name"], elsewhere.files(entry)
    found.sizes[entry["id"]] = None
    free = [file for file in files if not elsewhere.claim(file, name)]
    here = [file.relative_to(found.pictures.folder).as_posix() for file in free or files[:1]]
    outside = named_outside(found.pictures.folder, name) if len(free) == 1 else None
    if len(free) == 1 and outside is None:
        found.say("picture elsewhere", where, f"{what}, but there is {here[0]}", key, "", here[0])
        return
    if outside is not None:
        also = f", and {outside} is not in the pictures' folder"
    elif len(files) == 1:
        also = f", and {here[0]}, which has its name, {elsewhere.claim(files[0], name)}"
    else:
        also = f"; {len(files)} files elsewhere have its name and size" if files else ""
    if leaves_folder(name):
        found.unusable["images"].add(entry["id"])
        found.say("broken entry", where, f"{what}{also}", key, sure=False)
    else:
        found.say("picture missing", where, f"{what}{also}", key)
