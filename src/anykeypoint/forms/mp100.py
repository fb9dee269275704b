"""MP-100's own files, read as the released loaders read them (see `data.mp100`).

The words after "/" are the rules (pairs, the default, or capellm) and any of: categories, groups of them, ids, and the
library's definitions, as in mp100/capellm,person:FILE. An id or a definition tells two categories called "face" apart:
mp100/18 (amur_tiger_body) and mp100/40 (human_face).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..category import plain_text
from ..errors import InputError
from ..library.lookup import mp100_categories
from .dataset import Dataset, load_document
from .dialects import own_words, select
from .document import Labels
from .mp100_rules import CAPELLM, PAIRS, from_document, picture

FOLDERS = ("annotations", "cross_category_annotations")


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of the chosen categories; pictures are looked for in `images` and in its own folder `images`."""
    labels = Labels.of(load_document(path))
    _, chosen = _parted(word)
    if chosen:
        labels = select(labels, chosen, path, _words)
    for entry in labels.images:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if isinstance(name, str) and name:
            place = picture(images, name)
            if place != images / name and os.path.isfile(place):
                entry["file_name"] = place.relative_to(images).as_posix()
    return labels


def judge(
    document: Mapping[str, list], path: Path, images: Path, word: str, allow_missing: bool, official: bool
) -> Dataset:
    """`data.mp100.from_document` by the rules that the word names."""
    rules, _ = _parted(word)
    return from_document(document, path, images, rules=rules, official=official, allow_missing=allow_missing)


def root(path: Path) -> Path | None:
    """ROOT of ROOT/annotations/FILE or ROOT/cross_category_annotations/FILE; None for a file elsewhere."""
    folder = path.absolute().parent
    return folder.parent if folder.name in FOLDERS else None


def _parted(word: str) -> tuple[str, str]:
    """The rules and the other words."""
    words = [part.strip() for part in word.split(",") if part.strip()]
    rules = [part for part in words if part in (PAIRS, CAPELLM)]
    if len(rules) > 1:
        raise InputError(f"MP-100 is read by one set of rules, {PAIRS} or {CAPELLM}, but got mp100/{word}; name one.")
    return (rules or [PAIRS])[0], ",".join(part for part in words if part not in rules)


def _words(entry: Mapping[str, Any]) -> set[str]:
    words = own_words(entry) | {str(entry.get("id"))}
    known = mp100_categories().get(entry["id"]) if type(entry.get("id")) is int else None
    if known is not None and plain_text(known["name"]) == plain_text(str(entry.get("name"))):
        words.add(plain_text(known["definition"]))
    return words
