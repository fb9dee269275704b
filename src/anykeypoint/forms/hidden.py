"""How tools say that a labelled point is hidden: flags, notes and attributes of many spellings, read in one place."""

from collections.abc import Mapping
from typing import Any

from ..category import plain_text

HIDDEN = "hidden"  # what our own files say
# Words for a point that is labelled but not visible, as keys of a flag, as notes and as values of an attribute.
_HIDDEN = frozenset({HIDDEN, "occluded", "occlusion", "invisible", "not visible", "obscured", "difficult", "covered"})
_VISIBLE = frozenset({"visible", "visibility"})  # keys whose value says it the other way round, or as COCO's number
_TRUE, _FALSE = frozenset({"true", "yes", "1", "on"}), frozenset({"false", "no", "0", "off", "", "none", "null"})


def speaks_of_hiding(key: str) -> bool:
    """Whether a flag or attribute of this name says whether a point is hidden."""
    return plain_text(key) in _HIDDEN | _VISIBLE


def is_hidden_word(text: Any) -> bool:
    """Whether a note or a value is one of the words for hidden points."""
    return isinstance(text, str) and plain_text(text) in _HIDDEN


def says_hidden(values: Mapping[str, Any]) -> bool:
    """Whether flags or attributes say that a point is hidden.

    values: name -> value, a boolean, a number or a text. `occluded: true`, `visible: false` and `visibility: 1` (as
    COCO counts: 2 is visible) say so, and so does any attribute whose value is a word such as "occluded".
    """
    for key, value in values.items():
        name, text = plain_text(str(key)), plain_text(str(value))
        if name in _HIDDEN and text not in _FALSE:
            return True
        if name == "visibility" and text in ("1", "1 0"):
            return True
        if name in _VISIBLE and text in _FALSE - {"", "none", "null"}:
            return True
        if is_hidden_word(value):
            return True
    return False
