"""Where a picture that was dropped onto the page is stored: under its own name, never over another picture."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ..errors import InputError

LONGEST = 120  # bytes of a part of a name; file systems take 255, and a letter may have several
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')  # on some system no file name may have these
_RESERVED = {"con", "prn", "aux", "nul", *(f"{device}{i}" for device in ("com", "lpt") for i in range(1, 10))}


def safe_name(name: str) -> str:
    """A file name as it may be stored below a folder, with forward slashes.

    name: as a browser gives it, perhaps with folders in front. Characters that a file name cannot have become "_", and
    parts that lead elsewhere ("..", a drive) go. Raises InputError where nothing is left.
    """
    parts = []
    for part in PurePosixPath(name.replace("\\", "/")).parts:
        clean = _FORBIDDEN.sub("_", part).strip(" /.")
        if not clean:
            continue
        if clean.split(".")[0].lower() in _RESERVED:
            clean = f"_{clean}"
        parts.append(_shortened(clean.encode("utf-8", "replace").decode("utf-8")))
    if not parts or not name.rstrip().rsplit("/", 1)[-1]:
        raise InputError(f"A picture must have a file name, but got {name[:80]!r}.")
    return "/".join(parts[-4:])


def free_place(folder: Path, inside: str, digest: bytes, is_taken: Callable[[Path], bool]) -> tuple[Path, bool]:
    """Where a picture goes, and whether the very same picture is there already.

    folder: that pictures are stored in.
    inside: its name, from `safe_name`.
    digest: SHA-256 of its bytes.
    is_taken: whether a place is that of another picture although no file is there.
    """
    first = folder / inside
    place, number = first, 1
    while place.exists() or is_taken(place):
        if place.is_file() and hashlib.sha256(place.read_bytes()).digest() == digest:
            return place, True
        number += 1
        place = first.with_name(f"{first.stem} ({number}){first.suffix}")
    return place, False


def _shortened(part: str) -> str:
    """A part of a path with at most LONGEST bytes; what stands behind the last dot stays."""
    if len(part.encode()) <= LONGEST:
        return part
    stem, dot, suffix = part.rpartition(".")
    end = f".{suffix}" if dot and len(suffix) < 10 else ""
    kept = (stem if end else part).encode()[: LONGEST - len(end.encode())]
    return kept.decode(errors="ignore") + end  # no letter is cut in two
