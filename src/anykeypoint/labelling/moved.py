"""Pictures of a project that were moved: which files are gone, and which files of another folder they are now.

Many folders have an `img0001.png` of one size, so it is what a file holds that tells, and not what it is called.
"""

import hashlib
import io
import os
from collections import Counter, defaultdict
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


def mark_of(source: Path | bytes) -> str:
    """What tells a file from others wherever it lies: a hash of its length, start and end; "" if it cannot be read.

    source: the file, or all that it holds.
    """
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
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
    files: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for one in found:
        for key in _keys(one):
            files[key].append(one.file)
    twins = Counter(key for picture in missing for key in _keys(picture))
    places: dict[int, str] = {}
    for picture in missing:
        key, narrow = _keys(picture)
        if len(files[key]) > 1 or twins[key] > 1:
            key = narrow
        if picture.mark and len(files[key]) == twins[key] == 1:
            places[picture.id] = files[key][0]
    return places


def _keys(picture: ProjectPicture | FoundPicture) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a picture is looked up by: its mark alone, and its mark with the name of its file."""
    return (picture.mark,), (picture.mark, PurePosixPath(picture.name).name)
