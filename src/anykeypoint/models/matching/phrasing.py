"""The forms in which a text encoder reads a keypoint: its name alone, with the object's noun, with its broader kind.

    name      left front paw
    noun      left front paw of a sheep
    broader   left front paw of a four-legged animal
    both      left front paw of a sheep, a four-legged animal
    turned    paw, left front
    inside    left front sheep paw

A description follows behind a colon. Where a form needs what is not known, or a name whose words cannot change places,
it is the next plainer one.
"""

import re
from dataclasses import dataclass

from ...category import Keypoint, spoken
from ...library.broader import broader_kind
from ..towers.place_words import is_place_word

FORMS = ("name", "noun", "broader", "both", "turned", "inside")
UNKNOWN = "object"  # noun of a category of which nothing is known


@dataclass(frozen=True)
class Phrase:
    """What a text encoder reads for a keypoint.

    text: the phrase.
    name: the name in it, whose position words count (`towers.place_words`).
    """

    text: str
    name: str


def phrase_of(
    point: Keypoint, noun: str, form: str = "name", described: bool = False, name: str | None = None
) -> Phrase:
    """The phrase of a keypoint.

    noun: of the category; "object" where nothing is known of it.
    form: one of FORMS.
    described: whether the description follows.
    name: the name in other words; None takes the keypoint's own.

    A keypoint with a phrase of its own (`forms.phrases`) has that one in every form.
    """
    if point.phrase:
        text = spoken(point.phrase)
        return Phrase(text, text)
    text = _formed(spoken(point.name if name is None else name), _bare(noun), form)
    return Phrase(f"{text}: {point.description}" if described and point.description else text, spoken(point.name))


def _formed(name: str, noun: str, form: str) -> str:
    """The name in one of the forms."""
    if form in ("turned", "inside"):
        place, rest = _parted(name)
        if not place or not rest or (form == "inside" and noun == UNKNOWN):
            return name
        return f"{rest}, {place}" if form == "turned" else f"{place} {noun} {rest}"
    if form == "name" or noun == UNKNOWN:
        return name
    broader = broader_kind(noun) if form in ("broader", "both") else None
    if form == "broader" and broader:
        return f"{name} of {broader}"
    return f"{name} of {_with_article(noun)}" + (f", {broader}" if broader else "")


def _parted(name: str) -> tuple[str, str]:
    """The position words that a name begins with, and the rest: "left front paw" -> "left front", "paw".

    Both are empty for a name whose words cannot change places: "left end of the collar", "left ear (middle)".
    """
    words = name.split()
    if not all(word.rstrip(".").isalpha() for word in words) or "of" in words:
        return "", ""
    count = next((i for i, word in enumerate(words) if not is_place_word(word.rstrip("."))), len(words))
    return " ".join(words[:count]), " ".join(words[count:])


def _bare(noun: str) -> str:
    """The noun without what follows a comma: "dog, six points" is a dog."""
    return spoken(noun.split(",")[0]) or UNKNOWN


def _with_article(noun: str) -> str:
    """A noun as it follows "of": "a sheep", "an ape", "jeans"."""
    if re.search(r"[^suia]s$", noun) or re.match(r"(?:the|a|an|its|pair of) ", noun):
        return noun
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
