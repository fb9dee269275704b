"""Keypoint names of many data sets as comparable words: synonyms, limbs, sides and plurals are brought to one form."""

import re

# Words of different kinds of objects that name the same place; the first of each group stands for all.
_SYNONYMS = (
    ("foot", "paw", "hoof", "feet", "ankle", "fetlock"),
    ("hind", "rear"),
    ("front", "fore", "foremost"),
    ("nose", "snout", "muzzle", "bill", "beak"),
    ("tip", "end"),
    ("top", "upper", "upmost"),
    ("bottom", "lower", "lowest"),
    ("base", "root"),
    ("centre", "center", "middle", "mid"),
    ("hand", "wrist"),
    ("hem", "cuff"),
    ("corner", "edge", "vertex"),
    ("chin", "jaw"),
    ("left", "l", "leftmost"),
    ("right", "r", "rightmost"),
)
_STANDARD = {word: group[0] for group in _SYNONYMS for word in group}
_LIMBS = "paw|foot|hoof|leg|knee|elbow|ankle|wheel"  # before these "back" means hind, elsewhere a part of the body
_STOP_WORDS = frozenset(["a", "an", "and", "at", "by", "from", "in", "near", "of", "on", "or", "the", "to", "with"])


def content_words(name: str) -> list[str]:
    """The words of a keypoint's name that carry meaning: `"Tips of the L_EarBase"` -> tip, left, ear, base.

    "image left" becomes one word, as it is the opposite of the own left of a person or animal that faces the camera.
    """
    text = _split_compounds(name).casefold()
    text = re.sub(r"\bimage (left|right)\b", r"image\1", text)
    text = re.sub(rf"\bback(?= ({_LIMBS})\b)", "hind", text)
    words = []
    for word in re.findall(r"[a-z]+|[0-9]+", text):
        if word in _STOP_WORDS:
            continue
        word = _STANDARD.get(word, word)
        if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
            word = word[:-1]
        words.append(_STANDARD.get(word, word))
    return words


def readable_name(label: str) -> str:
    """A data set's label as a person would say it: `"L_EarBase"` -> left ear base; "" where no text is in it."""
    text = _split_compounds(label).lower()
    text = re.sub(r"\br\b", "right", re.sub(r"\bl\b", "left", text))
    return " ".join(text.split())


def _split_compounds(name: str) -> str:
    """Underscores as spaces, and a space before a capital or a digit that follows a small letter."""
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name.replace("_", " "))
