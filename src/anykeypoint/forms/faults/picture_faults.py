"""Faults of a document's pictures: file names, files and sizes."""

from pathlib import Path

from ..reading import leaves_folder
from .findings import Findings


def images(found: Findings) -> None:
    """Faults of file names and sizes; fills `sizes`."""
    for place, identity, entry in found.entries("images"):
        key, where, name = ("images", place), f"image {identity}", entry.get("file_name")
        if not isinstance(name, str) or not name or leaves_folder(name):
            found.say("broken entry", where, f"has no path inside the folder as file_name, but {str(name)[:60]!r}", key)
            continue
        path = found.pictures.folder / name
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
        stated = (entry.get("width"), entry.get("height"))
        if stated not in ((None, None), stored):
            turned = ", so it was labelled lying on its side" if stated == stored[::-1] else ""
            size = f"{str(stated[0])[:20]} x {str(stated[1])[:20]}"
            text = f"{name} is {stored[0]} x {stored[1]} pixels, but the labels say {size}{turned}"
            found.say("picture's size", where, text, key, "", stored)


def _missing_picture(found: Findings, entry: dict, path: Path, where: str, key: tuple[str, int]) -> None:
    """A picture that is not at its path: is there one file of its name, and of its size where stated, elsewhere?"""
    name, index = entry["file_name"], found.pictures.below
    candidates = index.get(path.name.lower(), []) or index.get(path.stem.lower(), [])
    stated = (entry.get("width"), entry.get("height"))
    if None not in stated:  # pictures of different data sets often have the same numbers as names
        candidates = [other for other in candidates if found.pictures.size(other) == stated]
    if len(candidates) == 1:
        here = candidates[0].relative_to(found.pictures.folder).as_posix()
        found.say("picture elsewhere", where, f"{name} is missing, but there is {here}", key, "", here)
    else:
        also = f"; {len(candidates)} files elsewhere have its name and size" if candidates else ""
        found.say("picture missing", where, f"{name} is missing{also}", key)
