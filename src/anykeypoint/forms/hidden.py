"""How tools say that a labelled point is hidden: flags, notes and attributes of many spellings, read in one place."""

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "hidden"  # what our own files say
# Words for a point that is labelled but not visible, as keys of a flag, as notes and as values of an attribute.
HIDDEN_WORDS = frozenset(
    {HIDDEN, "occluded", "occlusion", "invisible", "not visible", "obscured", "difficult", "covered"}
)
_VISIBLE = frozenset({"visible", "visibility"})  # keys whose value says it the other way round, or as COCO's number
_FALSE = frozenset({"false", "no", "0", "off", "", "none", "null"})


def plain_word(text: str) -> str:
    """The form in which such words are compared: lower case, with a blank for "_", "-" and "."."""
    return re.sub(r"[\s_.-]+", " ", text.strip().casefold())


def speaks_of_hiding(key: str) -> bool:
    """Whether a flag or attribute of this name says whether a point is hidden."""
    return plain_word(key) in HIDDEN_WORDS | _VISIBLE


def is_hidden_word(text: Any) -> bool:
    """Whether a note or a value is one of the words for hidden points."""
    return isinstance(text, str) and plain_word(text) in HIDDEN_WORDS


def says_hidden(values: Mapping[str, Any]) -> bool:
    """Whether flags or attributes say that a point is hidden.

    values: name -> value, a boolean, a number or a text. `occluded: true`, `visible: false` and `visibility: 1` (as
    COCO counts: 2 is visible) say so, and so does any attribute whose value is a word such as "occluded".
    """
    for key, value in values.items():
        name, text = plain_word(str(key)), plain_word(str(value)).removesuffix(" 0")  # 1.0 is 1
        if name in HIDDEN_WORDS and text not in _FALSE:
            return True
        if name == "visibility" and text == "1":
            return True
        if name in _VISIBLE and text in _FALSE - {"", "none", "null"}:
            return True
        if is_hidden_word(value):
            return True
    return False
