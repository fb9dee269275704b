"""Sizes and places of the pictures in a folder, without decoding any of them."""

import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path

from ..errors import InputError
from ..images import SUFFIXES, picture_size
from .reading import spelled


def pictures_below(folder: Path) -> dict[str, list[Path]]:
    """The pictures in a folder and below it, by their names and also by their stems, in lower case."""
    index: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.suffix.lower() in SUFFIXES and path.is_file():
            index[path.name.lower()].append(path)
            index[path.stem.lower()].append(path)
    return index


def size_where_there(path: Path, why: str) -> tuple[int, int] | None:
    """(width, height) of a picture in pixels; None where there is no file, whose objects are left out later.

    why: what needs the size. Raises InputError for a file that is no readable picture: without its size the places of
    its objects would be wrong, and nothing would leave them out.
    """
    size = picture_size(path)
    if size is None and path.is_file():
        raise InputError(f"{path} is no readable picture, and {why}; mend or leave out that picture.")
    return size


class Pictures:
    """The pictures of a folder; each file's existence and header are read once and remembered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sizes: dict[Path, tuple[int, int] | None] = {}
        self._files: dict[str, tuple[Path, bool]] = {}

    def has(self, name: str) -> bool:
        """Whether there is a file of that name, relative to the folder."""
        return self._file(name)[1]

    def path(self, name: str) -> Path:
        """Where the file of that name is, in the spelling of the folder (see `reading.spelled`), or would be."""
        return self._file(name)[0]

    def _file(self, name: str) -> tuple[Path, bool]:
        if name not in self._files:
            path = self.folder / spelled(self.folder, name)
            self._files[name] = (path, os.path.isfile(path))
        return self._files[name]

    def size(self, path: Path) -> tuple[int, int] | None:
        """The `picture_size` of a file."""
        if path not in self._sizes:
            self._sizes[path] = picture_size(path)
        return self._sizes[path]

    @cached_property
    def below(self) -> dict[str, list[Path]]:
        """The `pictures_below` of the folder."""
        return pictures_below(self.folder)
