"""Semantic accuracy (KptLLM++, Table 1): is the name that a model gives for a marked point the right one?

The paper leaves ambiguous names out, "like those describing the collar", without listing them; our list is a file.
"""

import json
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path

from ..category import plain_text
from ..errors import InputError

NAMING_KEYS = ("exact", "normalised")
_ARTICLES = {"a", "an", "the"}


def normalised(text: str) -> str:
    """Lower case, single spaces, without underscores, hyphens, other punctuation and articles."""
    words = re.sub(r"[^\w\s]", " ", plain_text(text)).split()
    return " ".join(word for word in words if word not in _ARTICLES)


def excluded_names(path: str | Path | None = None) -> tuple[str, ...]:
    """Patterns (`*` for anything) of names that are not asked, from {"names": [...]}; None reads the shipped list."""
    shipped = resources.files("anykeypoint.evaluation") / "excluded_names.json"
    origin = shipped.name if path is None else str(path)
    try:
        data = json.loads((shipped if path is None else Path(path)).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the excluded names {origin}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{origin} is not valid JSON: {str(error).splitlines()[0]}.") from error
    names = data.get("names") if isinstance(data, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise InputError(f"{origin} must hold a list of names or patterns under 'names'.")
    return tuple(names)


def is_excluded(name: str, patterns: Sequence[str]) -> bool:
    """Does a keypoint's name, in lower case, fit one of the patterns?"""
    return any(fnmatchcase(plain_text(name), plain_text(pattern)) for pattern in patterns)


def semantic_accuracy(answers: Sequence[str], names: Sequence[str], excluded: Sequence[str] = ()) -> dict[str, float]:
    """Shares in percent of answers that are their point's name: "exact", but for spaces round it, and "normalised".

    excluded: patterns as `excluded_names` gives, compared with lower-case names; points with such a name are left out.
    "points" and "excluded" count. Raises InputError where nothing is left to ask.
    """
    if len(answers) != len(names):
        raise InputError(f"There must be one answer per name, but got {len(answers)} for {len(names)} names.")
    asked = [
        (answer.strip(), name.strip())
        for answer, name in zip(answers, names, strict=True)
        if not is_excluded(name, excluded)
    ]
    if not asked:
        raise InputError(f"All {len(names)} points are excluded by name; there is nothing to measure.")
    exact = sum(answer == name for answer, name in asked)
    alike = sum(normalised(answer) == normalised(name) for answer, name in asked)
    return {
        "exact": 100 * exact / len(asked),
        "normalised": 100 * alike / len(asked),
        "points": len(asked),
        "excluded": len(names) - len(asked),
    }
