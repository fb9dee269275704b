"""The broader kind of an object, from `broader.json`: a sheep is "a four-legged animal"."""

import json
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources

from ..category import plain_text

_ADDITION = re.compile(r",.*| \(.*| (?:from|in|on|with|at|reaching|seen) .*")


@lru_cache(maxsize=2**12)
def broader_kind(noun: str) -> str | None:
    """The broader kind of a noun with its article; None where the table knows none.

    noun: as a category has it. What follows a comma or a preposition is left out where the whole is not in the table
        ("mouse from the side"), then plurals become singular, then the last words decide ("amur tiger").
    """
    table, words = _table(), plain_text(noun)
    for text in (words, plain_text(_ADDITION.sub("", words))):
        parts = text.split()
        for start in range(len(parts)):
            tail = " ".join(parts[start:])
            found = table.get(tail) or table.get(re.sub(r"(?<=[^s])s$", "", tail))
            if found:
                return found
    return None


@cache
def _table() -> Mapping[str, str]:
    return json.loads((resources.files("anykeypoint.library") / "broader.json").read_text(encoding="utf-8"))
