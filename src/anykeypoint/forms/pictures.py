"""Sizes and places of the pictures in a folder, without decoding any of them."""

import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path, PurePath
from urllib.parse import unquote

from ..errors import InputError
from ..images import SUFFIXES, picture_size
from .reading import files_below, spelled


def pictures_below(folder: Path) -> dict[str, list[Path]]:
    """The pictures in a folder and below it, by their names and also by their stems, in lower case."""
    index: dict[str, list[Path]] = defaultdict(list)
    for path in files_below(folder):
        if path.suffix.lower() in SUFFIXES:
            index[path.name.lower()].append(path)
            index[path.stem.lower()].append(path)
    return index


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

    def size_needed(self, name: str, why: str) -> tuple[int, int] | None:
        """(width, height) in pixels of a picture without whose size the places of its objects are not known.

        name: relative to the folder. Where it is missing and one other file can be it, which `data check --fix` then
            names, the size is that file's; None where no file or several can be it.
        why: what needs the size. Raises InputError for a file that is no readable picture: nothing would leave its
            objects out.
        """
        path = self.path(name)
        if self.has(name) and self.size(path) is None:
            raise InputError(f"{path} is no readable picture, and {why}; mend or leave out that picture.")
        files = [path] if self.has(name) else self.namesakes(path)
        return self.size(files[0]) if len(files) == 1 else None

    def namesakes(self, path: PurePath) -> list[Path]:
        """The files in the folder and below it with the name of a missing picture, or else its stem, in any case.

        A name that is quoted as in an address is also sought as the plain one.
        """
        quoted = PurePath(unquote(path.name))
        names = (path.name, path.stem, quoted.name, quoted.stem)
        return next((self.below[name.lower()] for name in names if name.lower() in self.below), [])

    @cached_property
    def below(self) -> dict[str, list[Path]]:
        """The `pictures_below` of the folder."""
        return pictures_below(self.folder)
