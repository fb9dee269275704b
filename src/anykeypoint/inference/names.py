"""What pictures are called in written files: paths relative to one folder, so that files and pictures can move."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..io import common_folder


@dataclass(frozen=True)
class PictureNames:
    """Names of pictures in the files that are written about them.

    start: the folder that the names are relative to.
    by_path: path of a picture -> its name, with forward slashes, never absolute and never above `start`.
    """

    start: Path
    by_path: Mapping[Path, str]


def name_pictures(sources: Sequence[str | Path], paths: Sequence[Path]) -> PictureNames:
    """Names that start at the folder given; for single files at the folder that holds all of them.

    sources: what the user gave, folders among it.
    paths: the pictures that are meant.
    Raises InputError where no folder holds all of them, as on two drives.
    """
    folders = [os.path.abspath(source) for source in sources if os.path.isdir(source)]
    places = {path: os.path.abspath(path) for path in paths}
    alone = [os.path.dirname(place) for place in places.values() if not any(_within(place, one) for one in folders)]
    used = [one for one in folders if any(_within(place, one) for place in places.values())]
    start = common_folder([*used, *alone]) if places else os.getcwd()
    if start is None:
        raise InputError(
            "The pictures lie on several drives, so that no folder holds them all; predict each drive on its own."
        )
    names = {path: _text(os.path.relpath(place, start)).replace(os.sep, "/") for path, place in places.items()}
    return PictureNames(_as_given(start, sources), names)


def _text(path: str) -> str:
    """A path as text that is the same in every locale; bytes that are not UTF-8 stay lone surrogates."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def _within(place: str, folder: str) -> bool:
    """Whether an absolute path lies below an absolute folder."""
    return place.startswith(folder if folder.endswith(os.sep) else folder + os.sep)


def _as_given(start: str, sources: Sequence[str | Path]) -> Path:
    """The folder as the user wrote it, otherwise relative to where the user stands if it is below."""
    for source in sources:
        if os.path.isdir(source) and os.path.abspath(source) == start:
            return Path(source)
    here = os.getcwd()
    return Path(os.path.relpath(start, here)) if start == here or _within(start, here) else Path(start)
