"""The names of keypoints that a model was trained on, kept in its folder as seen_names.json.

An evaluation by words reports kinds of known names and of new ones apart, as the former are easier.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..category import Category, plain_text
from ..errors import InputError, first_line
from ..io import write_bytes
from ..library.english import words_of

SEEN_NAMES = "seen_names.json"
SCHEMA_VERSION = 1
_KEYS = ("names", "nouns")


@dataclass(frozen=True)
class SeenNames:
    """What a model has seen in training.

    names: of keypoints, in lower case, each once, sorted.
    nouns: of their categories, the same.
    """

    names: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()

    @classmethod
    def of(cls, categories: Iterable[Category], before: "SeenNames | None" = None) -> "SeenNames":
        """The names of some categories, and those that were seen before."""
        categories, earlier = list(categories), before or cls()
        names = {plain_text(name) for category in categories for name in category.names}
        nouns = {plain_text(category.noun) for category in categories}
        return cls(tuple(sorted(names.union(earlier.names))), tuple(sorted(nouns.union(earlier.nouns))))

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the names."""
        return frozenset(word for name in self.names for word in words_of(name))

    def write(self, folder: Path) -> None:
        """Write the file of a model's folder, whole or not at all."""
        data = {"schema_version": SCHEMA_VERSION, **{key: list(getattr(self, key)) for key in _KEYS}}
        write_bytes(folder / SEEN_NAMES, (json.dumps(data, indent=0, ensure_ascii=False) + "\n").encode())


def read_seen(folder: Path) -> SeenNames | None:
    """The names in a model's folder; None where it has no such file. Raises InputError for a damaged one."""
    path = folder / SEEN_NAMES
    if not path.is_file():
        return None
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        version = data["schema_version"]
        found = [data[key] for key in _KEYS]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged ({first_line(error)}); remove it, or write it anew.") from error
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise InputError(
            f"{path} has the schema version {version!r}, but {SCHEMA_VERSION} is the newest known; update."
        )
    if not all(isinstance(part, list) and all(isinstance(text, str) for text in part) for part in found):
        raise InputError(f"{path} must have lists of texts under names and nouns; remove it, or write it anew.")
    return SeenNames(*map(tuple, found))
