"""A category's names and descriptions as a template may contain them: without any control tokens that users wrote."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from ..category import Category
from ..configs.checks import near_names
from ..errors import InputError
from ..library.wordings import simplified, vague
from .sentences import inside, sentence

# How a question gives the keypoint's description: as it is; not at all; a sentence that there is none (CapeLLM, Table
# 7); relations that do not say where the point lies (Table 5); in fewer words (Table 6); or as a full sentence.
DESCRIBE = ("detailed", "removed", "replaced", "vague", "simplified", "sentences")

NO_DESCRIPTION = "There is no description to refer to."


def check_describe(describe: Any) -> str:
    """The value if it is one of DESCRIBE; InputError otherwise."""
    if not isinstance(describe, str) or describe not in DESCRIBE:
        near = near_names(describe, DESCRIBE) if isinstance(describe, str) else ""
        raise InputError(f"Descriptions can be given {', '.join(DESCRIBE)}, but got {describe!r}{near}.")
    return describe


def neutral(text: str, special: Sequence[str] = ()) -> str:
    """Users' text in one line, without control characters, surrogates, and strings that a tokenizer reads as control
    tokens.

    special: the strings of control tokens. One such as `</s>` gets a blank after its first character and is then
        ordinary text.
    """
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)
    text = " ".join(text.split())
    # A token with blanks at its ends would be in the text again as soon as the blank is put in.
    special = [token.strip() for token in special]
    while found := [token for token in special if len(token) > 1 and token in text]:
        for token in found:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


class CategoryText:
    """The values of a category for the slots of a template.

    category: the category that the conversation is about.
    noun: the object's noun; None takes the category's.
    visible: indices of the keypoints in the picture, for the slot {visible}.
    special: strings that must not stand in the text, see `neutral`.
    given: the name that the user calls a keypoint by; None takes each keypoint's own.
    """

    def __init__(
        self,
        category: Category,
        noun: str | None,
        visible: Sequence[int],
        special: Sequence[str],
        given: str | None = None,
    ) -> None:
        self.category, self.special = category, special
        self.names = [self._neutral(keypoint.name) for keypoint in category.keypoints]
        self.shared = {
            "noun": self._neutral(category.noun if noun is None else noun),
            "names": ", ".join(self.names),
            "visible": ", ".join(self.names[i] for i in visible),
        }
        self.given = None if given is None else self._neutral(given)

    def values(self, keypoint: int) -> dict[str, str]:
        """Slot -> value, for templates about the keypoint of this index."""
        name = self.names[keypoint]
        return {**self.shared, "name": name, "given": name if self.given is None else self.given}

    def description(self, keypoint: int, describe: str) -> str:
        """The description of the keypoint of this index, given in one of the ways of DESCRIBE; empty for none."""
        written = self.category.keypoints[keypoint].description
        if describe == "replaced":
            return NO_DESCRIPTION
        if describe == "vague":
            return self._neutral(vague(self.category, keypoint) or self._order(keypoint))
        if describe == "removed" or not written:
            return ""
        if describe == "simplified":
            written = simplified(self.category, keypoint)
        written = self._neutral(written)
        return self._sentence(keypoint, written) if describe == "sentences" else written

    def reason(self, keypoint: int, describe: str) -> str:
        """The description as the rest of a sentence that begins with "because" (Fig. 7); empty for none."""
        text = self.description(keypoint, describe)
        phrase = text and describe in ("detailed", "simplified")
        return inside(self._sentence(keypoint, text) if phrase else text)

    def _sentence(self, keypoint: int, description: str) -> str:
        name = self.names[keypoint]
        return sentence(name, description) if name and description else description

    def _neutral(self, text: str) -> str:
        return neutral(text, self.special)

    def _order(self, keypoint: int) -> str:
        """A sentence with the keypoint's position in the list of keypoints, for categories without vague words."""
        order = f"comes after the {self.names[keypoint - 1]}" if keypoint else "comes first"
        return f"The {self.names[keypoint]} is one of the keypoints of the {self.shared['noun']}; it {order}."
