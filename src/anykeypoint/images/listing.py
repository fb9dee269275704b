"""The pictures of a folder, and a count of everything else that lies in it."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError, first_line
from .formats import HEIF, HEIF_NEEDED, SUFFIXES, reads_heif

MOST_ENTRIES = 100_000  # files and folders that are counted below a folder; the home folder may hold millions

IN_SUBFOLDERS = "in subfolders"
_HIDDEN = "hidden"
_NO_SUFFIX = "without a suffix"


@dataclass(frozen=True)
class FolderPictures:
    """What a folder holds.

    folder: the folder.
    pictures: its pictures, sorted by path.
    others: what was passed over, with its number of files: "in subfolders" (pictures alone), "hidden" (pictures
        alone), "without a suffix", or a suffix such as ".heic".
    counted: whether all subfolders were looked into; False beyond MOST_ENTRIES files.
    """

    folder: Path
    pictures: tuple[Path, ...]
    others: Mapping[str, int] = field(default_factory=dict)
    counted: bool = True

    @property
    def passed_over(self) -> str:
        """What was passed over, as in "3 files passed over: 2 in subfolders, 1 .heic"; "" where there is nothing."""
        count = sum(self.others.values())
        if not count:
            return ""
        parts = ", ".join(f"{number} {what}" for what, number in self.others.items())
        least = "" if self.counted else "at least "
        needed = f" ({HEIF_NEEDED} to read {'/'.join(heif)})" if (heif := sorted({*HEIF} & {*self.others})) else ""
        return f"{least}{count} file{'' if count == 1 else 's'} passed over: {parts}{needed}"


def list_pictures(folder: str | Path, recursive: bool = False) -> FolderPictures:
    """The pictures of a folder, and how many files it holds besides.

    folder: any folder.
    recursive: also take the pictures in its subfolders, in folders that are links too; hidden folders are left out.

    A picture is a file with one of SUFFIXES that is not hidden; HEIC files are pictures where pillow-heif is installed.
    Hidden files and the files in subfolders are counted where they are pictures, all other files always.
    Raises InputError where the folder cannot be read. A folder without pictures is no error here.
    """
    folder = Path(folder)
    pictures: list[Path] = []
    others: Counter[str] = Counter()
    counted, entries = True, 0
    try:
        for path in _files(folder, recursive):
            entries += 1
            if not recursive and path.parent != folder and entries > MOST_ENTRIES:
                counted = False
                break
            kind = _kind(path)
            if path.parent != folder and not recursive:
                others[IN_SUBFOLDERS] += kind in ("", *HEIF)
            elif kind == "":
                pictures.append(path)
            else:
                others[kind] += kind != _HIDDEN or path.suffix.lower() in SUFFIXES
    except OSError as error:
        raise InputError(f"Cannot read the folder {folder}: {error.strerror or first_line(error)}.") from error
    # Subfolders first, then the commonest: the part that --recursive or an extra would read stands in front.
    ranked = sorted(others.items(), key=lambda item: (item[0] != IN_SUBFOLDERS, -item[1], item[0]))
    return FolderPictures(folder, tuple(sorted(pictures)), {what: n for what, n in ranked if n}, counted)


def _kind(path: Path) -> str:
    """ "" for a picture, otherwise what is counted for the file."""
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return _HIDDEN
    if suffix in HEIF:
        return "" if reads_heif() else suffix
    return "" if suffix in SUFFIXES else suffix or _NO_SUFFIX


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    """The regular files in a folder, then those in its subfolders, each folder once however it is linked."""
    seen = {os.path.realpath(folder)}
    waiting = [folder]
    while waiting:
        here, inner = waiting.pop(0), []
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:
            if here == folder or recursive:
                raise
            continue  # a subfolder whose pictures are only counted
        for entry in entries:
            if entry.is_file():
                yield Path(entry.path)
            elif entry.is_dir() and not entry.name.startswith("."):
                inner.append(Path(entry.path))
        for one in inner:
            if (real := os.path.realpath(one)) not in seen:
                seen.add(real)
                waiting.append(one)
