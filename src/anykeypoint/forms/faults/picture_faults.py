"""Faults of a document's pictures: file names, files and sizes."""

import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..picture_search import FoldersAbove
from ..reading import leaves_folder, picture_key, plain_number, tails
from .fault import Fault
from .findings import SLACK, Findings


def images(found: Findings) -> None:
    """Faults of file names and sizes; fills `sizes`, `stated` and `in_doubt`."""
    first: dict[str, tuple[int, dict[str, Any]]] = {}  # a picture -> id and entry of its first mention
    elsewhere = _Elsewhere(found)
    for place, identity, entry in found.entries("images"):
        key, where, name = ("images", place), f"image {identity}", entry.get("file_name")
        if isinstance(name, str) and leaves_folder(name) and tails(name):
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
        same = picture_key(path.as_posix() if found.pictures.has(name) else name)
        _twice(found, first.setdefault(same, (identity, entry)), identity, entry, key)
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


_Sought = tuple[PurePosixPath, tuple[float, float]]  # the bare name of a picture, and its size as stated


class _Elsewhere:
    """The files of the folder that may be pictures of other paths.

    above: the folders above, of which a path may be.
    """

    def __init__(self, found: Findings) -> None:
        self.above = FoldersAbove(found.pictures.folder)
        self._pictures = found.pictures
        self._files: dict[_Sought, list[Path]] = {}
        self._free: dict[_Sought, list[Path]] = {}
        self._named: set[Path] = set()  # the files that entries name
        self._lost: dict[Path, list[str]] = defaultdict(list)  # a file -> other pictures that it may be, the first two
        sought: dict[_Sought, list[str]] = defaultdict(list)  # the first two pictures that are sought by a name
        for entry in found.document["images"]:
            name = entry.get("file_name") if isinstance(entry, dict) else None
            if not isinstance(name, str) or not name:
                continue
            if not leaves_folder(name) and self._pictures.has(name):
                self._named.add(self._pictures.path(name))
                continue
            names, key = sought[_sought(entry)], picture_key(name)
            if len(names) < 2 and key not in names:
                names.append(key)
        for one, names in sought.items():
            for file in self._files_of(one):
                known = self._lost[file]
                known += [name for name in names if name not in known][: 2 - len(known)]

    def files(self, entry: Mapping[str, Any]) -> list[Path]:
        """The files that have a picture's name, and its size where that is stated."""
        return self._files_of(_sought(entry))

    def free(self, entry: Mapping[str, Any]) -> list[Path]:
        """Those of the `files` of a picture that is not at its path that are no other picture, and may be none."""
        one = _sought(entry)
        if one not in self._free:
            files = self._files_of(one)
            self._free[one] = [file for file in files if file not in self._named and len(self._lost[file]) < 2]
        return self._free[one]

    def claim(self, file: Path, name: str) -> str:
        """What says that a file is, or may be, another picture than that of a name."""
        if file in self._named:
            return "is another entry's"
        return f"may be {next(one for one in self._lost[file] if one != picture_key(name))} as well"

    def _files_of(self, one: _Sought) -> list[Path]:
        if one not in self._files:
            name, stated = one
            files = self._pictures.namesakes(name)
            if all(stated):  # pictures of different data sets often have the same numbers as names
                files = [file for file in files if self._pictures.size(file) == stated]
            self._files[one] = files
        return self._files[one]


def _sought(entry: Mapping[str, Any]) -> _Sought:
    """What a picture that is not at its path is sought by."""
    return PurePosixPath((tails(entry["file_name"]) or [""])[-1]), _stated(entry)


def _not_at_its_path(
    found: Findings, elsewhere: _Elsewhere, entry: dict, what: str, where: str, key: tuple[str, int]
) -> None:
    """A picture that is not at its path: is there one file of its name, and of its size where stated, elsewhere?

    A file that another entry names, or may mean too, is not taken: the objects of two pictures would be put on one.
    """
    name, files = entry["file_name"], elsewhere.files(entry)
    found.sizes[entry["id"]] = None
    free = elsewhere.free(entry)
    here = [file.relative_to(found.pictures.folder).as_posix() for file in free or files[:1]]
    outside = elsewhere.above.file(name) if len(free) == 1 else None
    if len(free) == 1 and outside is None:
        found.say("picture elsewhere", where, f"{what}, but there is {here[0]}", key, "", here[0])
        return
    if outside is not None:
        also = f", and {outside} is not in the pictures' folder"
    elif len(files) == 1:
        also = f", and {here[0]}, which has its name, {elsewhere.claim(files[0], name)}"
    else:
        also = f"; {len(files)} files elsewhere may be it" if files else ""
    if leaves_folder(name):
        found.unusable["images"].add(entry["id"])
        found.say("broken entry", where, what + (also or ", and no file here has its name"), key, sure=False)
    else:
        found.say("picture missing", where, f"{what}{also}", key)
