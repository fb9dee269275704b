"""The words for left and right in a name, in many languages, from `words.yaml`.

A side word may be a word of the name ("left ear", "leftEar1"), or part of one ("leftear", "linkeroor", "左耳").
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise, product
from typing import NamedTuple

import yaml

SURE, SCHEME, PARTNER = 2, 1, 0  # what makes a word a side: itself, a pair of its kind, only its own partner
_OTHER = {"left": "right", "right": "left"}
_GLUED = 4  # smallest number of letters of a word that is looked for at both ends of longer words


class SideWord(NamedTuple):
    """A form of a side word.

    language, entry: where it is from: the language, and the number of its line in the file.
    left: whether it means left.
    others: the forms that it becomes on the other side.
    strength: SURE or SCHEME.
    glued: "anywhere", "start" or "", as in the file.
    """

    language: str
    entry: int
    left: bool
    others: tuple[str, ...]
    strength: int
    glued: str


class SidePlace(NamedTuple):
    """A side word in a name, from `start` to `end`; `strength` is what makes it one here."""

    start: int
    end: int
    word: SideWord
    strength: int


@dataclass(frozen=True)
class SideWords:
    """The content of the file, prepared.

    forms: a form -> the side words that have it.
    anywhere: finds forms that are glued anywhere.
    lengths: numbers of letters of the forms that are looked for at both ends of longer words, falling.
    phrases: finds phrases that mean something else.
    """

    forms: Mapping[str, tuple[SideWord, ...]]
    anywhere: re.Pattern
    lengths: tuple[int, ...]
    conjunctions: frozenset[str]
    other_words: frozenset[str]
    phrases: re.Pattern
    codes: str
    other_letters: frozenset[str]


@cache
def side_words() -> SideWords:
    """The content of `words.yaml`."""
    data = yaml.safe_load((resources.files("anykeypoint.sides") / "words.yaml").read_text(encoding="utf-8"))
    forms: dict[str, list[SideWord]] = {}
    number = 0
    for language, entries in data["languages"].items():
        for entry in entries:
            number += 1
            for ending, side in product(entry.get("endings", [""]), ("left", "right")):
                others = tuple(stem + ending for stem in entry[_OTHER[side]])
                strength = SURE if entry.get("clear", True) in (True, side) else SCHEME
                word = SideWord(language, number, side == "left", others, strength, entry.get("glued", ""))
                for stem in entry[side]:
                    forms.setdefault(stem + ending, []).append(word)
    anywhere = [form for form, words in forms.items() if any(word.glued == "anywhere" for word in words)]
    lengths = {len(form) for form in forms if len(form) >= _GLUED}
    phrases = [re.escape(phrase).replace(r"\ ", r"[\s_.-]+") for phrase in data["other_phrases"]]
    return SideWords(
        {form: tuple(words) for form, words in forms.items()},
        re.compile("|".join(map(re.escape, anywhere))),
        tuple(sorted(lengths, reverse=True)),
        frozenset(data["conjunctions"]),
        frozenset(data["other_words"]),
        re.compile(rf"(?<![^\W\d_])(?:{'|'.join(phrases)})(?![^\W\d_])"),
        data["code_letters"],
        frozenset(data["other_letters"]),
    )


# --- side words in a name ------------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 14)
def side_places(text: str) -> tuple[SidePlace, ...]:
    """The side words of a name, in order; of one place there may be several, of different languages."""
    words = side_words()
    masked = [match.span() for match in words.phrases.finditer(lower(text))]
    found: list[SidePlace] = []
    for run in letter_runs(text):
        here = [place for part in run for place in _in_part(text, *part)]
        if not here and len(run) > 1:
            here = _in_part(text, run[0][0], run[-1][1])  # LEFTear
        found += here
    return tuple(place for place in found if not any(a <= place.start and place.end <= b for a, b in masked))


def _in_part(text: str, start: int, end: int) -> list[SidePlace]:
    """The side words in a part of a name: the part itself, or glued to others."""
    words, token = side_words(), lower(text[start:end])
    if token in words.other_words:
        return []
    if token in words.forms:
        return [SidePlace(start, end, word, word.strength) for word in words.forms[token]]
    found = []
    for match in words.anywhere.finditer(token):
        a, b = match.span()
        inner = a > 0 and b < len(token)
        weak = inner and any(at <= a and b <= at + len(other) for other, at in _found_in(token))
        strength = PARTNER if weak else SURE
        found += [SidePlace(start + a, start + b, word, strength) for word in words.forms[match[0]] if word.glued]
    return found or [*_at_ends(token, start)]


def _at_ends(token: str, start: int) -> Iterator[SidePlace]:
    """The longest side word at each end of a longer one. start: place of that in the name."""
    words = side_words()
    for at_start in (True, False):
        for length in (length for length in words.lengths if length < len(token)):
            first = 0 if at_start else len(token) - length
            known = [w for w in words.forms.get(token[first : first + length], ()) if w.strength == SURE]
            for word in known:
                strength = SURE if word.glued == "start" and at_start else PARTNER
                yield SidePlace(start + first, start + first + length, word, strength)
            if known:
                break


def _found_in(token: str) -> list[tuple[str, int]]:
    """The words with another meaning that a longer word holds, with their places in it."""
    return [(other, token.find(other)) for other in side_words().other_words if other in token]


def letter_runs(text: str) -> list[list[tuple[int, int]]]:
    """The runs of letters of a name, each as its parts, split where camel case begins a new word."""
    runs = []
    for match in re.finditer(r"[^\W\d_]+", text):
        start, end = match.span()
        cuts = [i for i in range(start + 1, end) if _begins(text, i, end)]
        edges = [start, *cuts, end]
        runs.append(list(pairwise(edges)))
    return runs


def _begins(text: str, i: int, end: int) -> bool:
    """Whether camel case begins a word at i: a capital behind a small letter, or before one and behind a capital."""
    if not text[i].isupper():
        return False
    return text[i - 1].islower() or (text[i - 1].isupper() and i + 1 < end and text[i + 1].islower())


def normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def lower(text: str) -> str:
    """Lower case with one character for one, so that places stay."""
    return text.lower() if text.isascii() else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
