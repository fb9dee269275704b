"""Pictures of a project that were moved: which files are gone, and which files of another folder they are now.

Many folders have an `img0001.png` of one size, so it is what a file holds that tells, and not what it is called.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .records import ProjectPicture

_ENDS = 1 << 16  # bytes at the start and at the end of a file that are looked at


class FoundPicture(NamedTuple):
    """A picture that is added. file, name, size, mark: as of `ProjectPicture`."""

    file: str
    name: str
    size: tuple[int, int]
    mark: str


def mark_of(path: Path) -> str:
    """What tells a file from others wherever it lies: a hash of its length, start and end; "" if it cannot be read."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(0)
            start = file.read(_ENDS)
            file.seek(max(length - _ENDS, 0))
            return hashlib.sha256(b"%d " % length + start + file.read()).hexdigest()[:16]
    except OSError:
        return ""


def gone(folder: Path, pictures: Iterable[ProjectPicture]) -> list[ProjectPicture]:
    """The pictures of a project folder, each once, whose files are not there."""
    return [picture for picture in pictures if not picture.of and not os.path.isfile(folder / picture.file)]


def note_of_gone(folder: Path, pictures: Iterable[ProjectPicture]) -> list[str]:
    """A sentence with the number of pictures that are gone, if there are any, and what to do."""
    missing = gone(folder, pictures)
    first = f"(the first is {folder / missing[0].file})" if missing else ""
    return [
        f"{len(missing)} of the pictures are not where they were {first}; put them back, or start with --pictures and "
        "the folder where they are now."
    ][: len(missing)]


def found_again(missing: Sequence[ProjectPicture], found: Sequence[FoundPicture]) -> dict[int, str]:
    """The id of each missing picture that is one of the found ones, and its file now.

    Of several that hold the same the one of the same name is meant; where that does not tell, none is.
    """
    places: dict[int, str] = {}
    for picture in missing:
        alike = [one for one in found if picture.mark and one.mark == picture.mark]
        twins = [other for other in missing if other.mark == picture.mark]
        if len(alike) > 1 or len(twins) > 1:
            alike = [one for one in alike if _last(one.name) == _last(picture.name)]
            twins = [other for other in twins if _last(other.name) == _last(picture.name)]
        if len(alike) == 1 and len(twins) == 1:
            places[picture.id] = alike[0].file
    return places


def _last(name: str) -> str:
    return PurePosixPath(name).name
