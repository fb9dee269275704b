"""How Label Studio addresses pictures: paths of its server's local files, uploads with a hash, and plain names."""

import os
import re
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ..errors import InputError
from ..images import SUFFIXES
from .picture_search import PictureSearch
from .reading import tails

_HASH = re.compile(r"^[0-9a-f]{8}-")  # an upload puts 8 digits before the name
_NOT_KEPT = re.compile(r"[^-\w.]")  # characters that an upload takes out of a name, after blanks became underscores


def picture_address(name: str, prefix: str) -> str:
    """What a task calls a picture.

    name: its file name relative to the folder of the pictures.
    prefix: what stands before it, as in "/data/local-files/?d=pics/"; "" for the bare name. Behind a prefix, characters
        that mean something in an address are quoted.
    """
    return prefix + quote(name, safe="/") if prefix else name


def picture_file(value: str, search: PictureSearch, where: str) -> str:
    """The file name of a picture, relative to the folder of the pictures.

    value: an address of Label Studio's server or a path.
    search: finds the pictures.
    where: the task, named in errors.
    An upload's name comes without its hash, and as the file in the folder whose name became that of the upload, if
    there is one such file alone. Raises InputError for an address whose server no address can have.
    """
    try:
        parts = urlsplit(value)
    except ValueError as error:
        raise InputError(
            f"{where} has its picture at {value[:120]!r}, which is no address ({error}); correct it, or leave the task "
            "out."
        ) from error
    local = parse_qs(parts.query).get("d")
    elsewhere = bool(parts.scheme) or value.startswith("/")  # an address of the server
    path = local[0] if local else unquote(parts.path) if elsewhere else value
    ends = tails(path) or [""]
    bare = _HASH.sub("", ends[-1])
    upload = elsewhere and bare != ends[-1]  # whose folder is a number of the server's
    name = search.find([*ends, bare], bare if upload else path)
    if not elsewhere or os.path.isfile(search.images / name):
        return name
    renamed = _renamed_by_upload(search.images).get(bare, []) if upload else []
    return renamed[0] if len(renamed) == 1 else bare


def upload_name(name: str) -> str:
    """What an upload makes of a file's name, before it puts a hash before it."""
    return _NOT_KEPT.sub("", name.strip().replace(" ", "_"))


def _renamed_by_upload(images: Path) -> dict[str, list[str]]:
    """Name after an upload -> the pictures of the folder that would get it."""
    found: dict[str, list[str]] = {}
    for entry in sorted(os.scandir(images), key=lambda one: one.name) if images.is_dir() else ():
        if entry.is_file() and os.path.splitext(entry.name)[1].lower() in SUFFIXES:
            found.setdefault(upload_name(entry.name), []).append(entry.name)
    return found
