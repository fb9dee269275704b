"""A word of doubt where a model that reads English is asked in another language."""

import warnings
from collections.abc import Iterable

from ..errors import ReadingWarning
from ..library.english import foreign_names

_MOST = 2  # number of names in the sentence


def warn_of_foreign(names: Iterable[str], reader: str, said: set[str]) -> None:
    """Warn with a ReadingWarning of names that look like another language, of each name once.

    reader: what reads English alone, as in "the text encoder minilm-l6".
    said: the names that were warned of before; the new ones are added.
    """
    found = [name for name in foreign_names(names) if name not in said]
    if not found:
        return
    said.update(found)
    more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
    listed = ", ".join(repr(name[:40]) for name in found[:_MOST])
    warnings.warn(
        f"Not in English, it seems: {listed}{more}; {reader} understands English alone, so write names in English, "
        "or give an example.",
        ReadingWarning,
        stacklevel=3,
    )
