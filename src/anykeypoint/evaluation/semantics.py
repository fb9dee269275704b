"""Which names count as the same, and which are not measured, for semantic accuracy (KptLLM++, Table 1).

The paper leaves ambiguous names out, "like those describing the collar", without listing them; the list here is the
file excluded_names.json.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path

from ..category import plain_text
from ..configs.doubled_keys import strict_json
from ..errors import InputError

NAMING_KEYS = ("exact", "normalised")
_ARTICLES = {"a", "an", "the"}


def normalised(text: str) -> str:
    """The text in lower case with single spaces, without underscores, hyphens, other punctuation and articles."""
    words = re.sub(r"[^\w\s]", " ", plain_text(text)).split()
    return " ".join(word for word in words if word not in _ARTICLES)


def excluded_names(path: str | Path | None = None) -> tuple[str, ...]:
    """Patterns of names that are not measured; `*` stands for any text.

    path: JSON file {"names": [...]}; None reads the shipped list. Raises InputError for a file without such a list.
    """
    shipped = resources.files("anykeypoint.evaluation") / "excluded_names.json"
    origin = shipped.name if path is None else str(path)
    try:
        data = strict_json((shipped if path is None else Path(path)).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the excluded names {origin}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{origin} is not valid JSON: {str(error).splitlines()[0]}.") from error
    names = data.get("names") if isinstance(data, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise InputError(f"{origin} must hold a list of names or patterns under 'names'.")
    return tuple(names)


def is_excluded(name: str, patterns: Sequence[str]) -> bool:
    """Whether a keypoint's name, in lower case, matches one of the patterns."""
    return any(fnmatchcase(plain_text(name), plain_text(pattern)) for pattern in patterns)
