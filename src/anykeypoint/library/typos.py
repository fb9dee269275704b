"""Whether a word of a name is misspelt, as far as other words show it.

A text encoder reads "nsoe" without a complaint and answers anywhere. A word counts as misspelt where neither the
library nor the encoder knows it, nor a word that it is made of, and a slip away is a word of the library: letters
exchanged, one missing or too many, one in place of its neighbour on the keyboard, or a vowel in place of another. The
aim is no false alarm on the terms of a field.
"""

from collections.abc import Callable
from functools import lru_cache

from ..category import spoken
from ..configs.checks import edits
from .english import english_words, words_of

_SHORTEST = 3  # letters of a word, or of a part of it, that is looked at
_ENDINGS = ("s", "'s", "es", "ed", "d", "ing", "er", "r", "y", "ly", "al", "ar", "less", "most", "ward", "wards")
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # its rows of letters
_VOWELS = frozenset("aeiouy")


def misspelt(name: str, is_word: Callable[[str], bool]) -> list[tuple[str, str]]:
    """The words of a name that are misspelt, it seems, each with the word that was probably meant.

    is_word: whether something else knows a word, given in lower case.
    """

    def is_known(word: str) -> bool:
        return word in english_words() or is_word(word)

    found = []
    for word in words_of(spoken(name)):
        if (
            len(word) < _SHORTEST
            or not word.isascii()
            or any(map(is_known, _related(word)))
            or _is_made(word, is_known)
        ):
            continue
        if (near := _nearest(word)) is not None:
            found.append((word, near))
    return found


def _related(word: str) -> list[str]:
    """A word, its plural, and the words that it may be an ending of."""
    stems = [word[: -len(ending)] for ending in _ENDINGS if word.endswith(ending)]
    return [word, f"{word}s", *(stem for stem in stems if len(stem) >= _SHORTEST)]


def _is_made(word: str, is_known: Callable[[str], bool]) -> bool:
    """Whether a word is two known ones written together, such as "backboard"."""
    cuts = range(_SHORTEST, len(word) - _SHORTEST + 1)
    return any(is_known(word[:cut]) and is_known(word[cut:]) for cut in cuts)


@lru_cache(maxsize=2**14)
def _nearest(word: str) -> str | None:
    """The word of the library that is a slip away; of several one that begins alike and is as long."""
    near = [one for one in english_words() if len(one) >= _SHORTEST and _is_slip(word, one)]
    return min(near, key=lambda one: (one[0] != word[0], len(one) != len(word), one), default=None)


def _is_slip(word: str, meant: str) -> bool:
    """Whether a slip makes one word of another."""
    if (
        edits(word, meant) != 1
        or _VOWELS.isdisjoint(word)
        or (len(word) != len(meant) and min(len(word), len(meant)) < 4)
    ):
        return False  # an abbreviation, or so short that a letter more or less says nothing
    changed = [set(pair) for pair in zip(word, meant, strict=False) if len(set(pair)) == 2]
    if len(word) != len(meant) or len(changed) != 1:
        return True
    return changed[0] <= _VOWELS or any(changed[0] <= set(row[i : i + 2]) for row in KEYBOARD for i in range(len(row)))
