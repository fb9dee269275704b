"""Pictures whose files are the same, byte for byte, under several names.

A model that learnt from one of them has seen the others, so that a test on these overestimates it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import first_few
from ..io import file_digest
from .pictures import Pictures


def copies(names: Iterable[str], pictures: Pictures) -> dict[str, str]:
    """Name of each picture that is a copy of an earlier one -> the name of the first.

    Files of the same length are read whole, and no others. A file under two spellings of its name is one picture, and a
    name without a file none.
    """
    of_length: dict[int, dict[Path, str]] = defaultdict(dict)
    for name in names:
        if pictures.has(name):
            path = pictures.path(name)
            of_length[path.stat().st_size].setdefault(path, name)
    found = {}
    for alike in of_length.values():
        first: dict[str, str] = {}  # what a file holds -> the first name of such a file
        for path, name in alike.items() if len(alike) > 1 else ():
            if (other := first.setdefault(file_digest(path), name)) != name:
                found[name] = other
    return found


def copies_note(document: Mapping[str, list], pictures: Pictures, most: int | None = None) -> str | None:
    """The sentence about pictures of a COCO document that are copies of others; None where there are none.

    most: number of copies that are named; None names all.
    """
    names = [entry.get("file_name") for entry in document["images"] if isinstance(entry, dict)]
    found = copies([name for name in names if isinstance(name, str) and name], pictures)
    if not found:
        return None
    pairs = first_few([f"{name} of {first}" for name, first in found.items()], most or len(found))
    are = f"{len(found)} pictures are copies" if len(found) > 1 else "One picture is a copy"
    return f"{are} of another, byte for byte: {pairs}; a test on one that was trained on overestimates the model."
