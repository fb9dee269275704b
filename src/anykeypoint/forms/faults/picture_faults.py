"""Faults of a document's pictures: file names, files and sizes."""

from pathlib import Path
from typing import Any

from ..reading import leaves_folder, picture_key, tails
from .fault import Fault
from .findings import Findings


def images(found: Findings) -> None:
    """Faults of file names and sizes; fills `sizes` and `stated`."""
    first: dict[str, tuple[int, dict[str, Any]]] = {}  # a picture -> id and entry of its first mention
    for place, identity, entry in found.entries("images"):
        key, where, name = ("images", place), f"image {identity}", entry.get("file_name")
        if (
            isinstance(name, str)
            and leaves_folder(name)
            and len(meant := _candidates(found, entry, Path((tails(name) or [""])[0]))) == 1
        ):
            found.sizes[identity] = None
            _found_elsewhere(found, meant[0], f"{name} is a path of another folder", where, key)
            continue
        if not isinstance(name, str) or not name or leaves_folder(name):
            found.say("broken entry", where, f"has no path inside the folder as file_name, but {str(name)[:60]!r}", key)
            continue
        stated = (entry.get("width"), entry.get("height"))
        if all(type(side) is int and side > 0 for side in stated):
            found.stated[identity] = stated
        _twice(found, first.setdefault(picture_key(name), (identity, entry)), identity, entry, key)
        path = found.pictures.path(name)
        if not found.pictures.has(name):
            found.sizes[identity] = None
            _missing_picture(found, entry, path, where, key)
            continue
        stored = found.pictures.size(path)
        if stored is None:
            found.sizes[identity] = None
            found.say("picture missing", where, f"{name} is no readable picture", key)
            continue
        found.sizes[identity] = stored
        if stated not in ((None, None), stored):
            turned = ", so it was labelled lying on its side" if stated == stored[::-1] else ""
            size = f"{str(stated[0])[:20]} x {str(stated[1])[:20]}"
            text = f"{name} is {stored[0]} x {stored[1]} pixels, but the labels say {size}{turned}"
            found.say("picture's size", where, text, key, "", stored)


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
    agree = all(entry[one] == other[one] for one in shared)
    text = f"is the picture of image {before}, {other['file_name']}"
    if not agree:
        text += f", with another {min(one for one in shared if entry[one] != other[one])}"
    found.faults.append(Fault("picture twice", "", f"image {identity}", text, key, (identity, before), (), agree))


def _missing_picture(found: Findings, entry: dict, path: Path, where: str, key: tuple[str, int]) -> None:
    """A picture that is not at its path: is there one file of its name, and of its size where stated, elsewhere?"""
    name, candidates = entry["file_name"], _candidates(found, entry, path)
    if len(candidates) == 1:
        _found_elsewhere(found, candidates[0], f"{name} is missing", where, key)
    else:
        also = f"; {len(candidates)} files elsewhere have its name and size" if candidates else ""
        found.say("picture missing", where, f"{name} is missing{also}", key)


def _candidates(found: Findings, entry: dict, path: Path) -> list[Path]:
    """The files of the folder that have a picture's name, and its size where that is stated."""
    index, stated = found.pictures.below, (entry.get("width"), entry.get("height"))
    candidates = index.get(path.name.lower(), []) or index.get(path.stem.lower(), [])
    if None not in stated:  # pictures of different data sets often have the same numbers as names
        candidates = [other for other in candidates if found.pictures.size(other) == stated]
    return candidates


def _found_elsewhere(found: Findings, place: Path, what: str, where: str, key: tuple[str, int]) -> None:
    here = place.relative_to(found.pictures.folder).as_posix()
    found.say("picture elsewhere", where, f"{what}, but there is {here}", key, "", here)
