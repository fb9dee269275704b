"""Names of keypoints in words that people may type instead: synonyms, another language, and with typos.

The words are data, `rewordings.yaml`, a table of English words with one other word for each way. A test of robustness
to prompts (fusion paper, Fig. 7) asks whether a model finds the same points by them.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple

import yaml

from ..category import Category, plain_text, spoken
from .typos import KEYBOARD

TYPOS = "typos"
_LEAST = 4  # letters of a word that gets a typo, if the name has one


def ways() -> tuple[str, ...]:
    """The ways to reword names: those of the table, and "typos"."""
    return (*_table().ways, TYPOS)


def reworded(category: Category, way: str, seed: int = 0) -> Category:
    """The category with its names, and where it has them its phrases, in other words; all else is as it was.

    way: one of `ways()`.
    seed: draws the typos; a name has the same one in every category.
    A name stays as it is where none of its words is in the table, and where in its new words it would be that of
    another point of the category.
    """

    def other(text: str) -> str:
        return misspelt(text, seed) if way == TYPOS else in_other_words(text, way)

    own = category.keypoints
    names = [other(name) for name in category.names]
    while clashing := _clashing(names, category):
        for i in clashing:
            names[i] = own[i].name
    points = [replace(point, name=name, phrase=other(point.phrase)) for point, name in zip(own, names, strict=True)]
    return replace(category, keypoints=tuple(points))


def _clashing(names: Sequence[str], category: Category) -> list[int]:
    """Indices of the new names that another point of the category has too, where their descriptions are alike."""
    keys = [(plain_text(name), point.description) for name, point in zip(names, category.keypoints, strict=True)]
    return [i for i, key in enumerate(keys) if keys.count(key) > 1 and names[i] != category.keypoints[i].name]


@lru_cache(maxsize=2**14)
def in_other_words(text: str, way: str) -> str:
    """A name or phrase with each word that the table knows in the word of a way; longer entries are taken first."""
    table = _table()
    column = table.ways.index(way)
    return table.pattern.sub(lambda found: table.words[found.group().lower()][column] or found.group(), spoken(text))


@lru_cache(maxsize=2**14)
def misspelt(text: str, seed: int = 0) -> str:
    """A text with one typo: two letters exchanged, one left out, one doubled, or one of a neighbouring key.

    It is in a word of four letters or more where there is one, else in the longest, and never in its first letter. A
    text without a word of two letters stays as it is.

    seed: with the text it decides where the typo is and what it is.
    """
    found = list(re.finditer(r"[^\W\d_]{2,}", text))
    if not found:
        return text
    draw = random.Random(f"{seed} {text}")
    long = [match for match in found if len(match.group()) >= _LEAST]
    word = draw.choice(long) if long else max(found, key=lambda match: len(match.group()))
    choices = sorted(_misspellings(word.group()))
    return text[: word.start()] + draw.choice(choices) + text[word.end() :]


def _misspellings(word: str) -> set[str]:
    """All typos of a word that keep its first letter."""
    found = set()
    for i in range(1, len(word)):
        found |= {word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:]}
        found.add(word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :])
        for row in KEYBOARD:
            place = row.find(word[i].lower())
            if place >= 0:
                found |= {word[:i] + key + word[i + 1 :] for key in row[max(0, place - 1) : place + 2]}
    return {other for other in found if other.lower() != word.lower() and len(other) > 1}


class _Rewordings(NamedTuple):
    """The content of the file: the names of its columns, word -> its other words, and a pattern of all words."""

    ways: tuple[str, ...]
    words: Mapping[str, Sequence[str | None]]
    pattern: re.Pattern


@cache
def _table() -> _Rewordings:
    data = yaml.safe_load((resources.files("anykeypoint.library") / "rewordings.yaml").read_text(encoding="utf-8"))
    words = {str(word): tuple(others) for word, others in data["words"].items()}
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])", re.IGNORECASE)
    return _Rewordings(tuple(data["ways"]), words, pattern)
