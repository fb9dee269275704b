"""Whether a name is in English, as far as its letters and words show it.

Text encoders for English read a name in another language without a complaint and answer anywhere. A name counts as
foreign where a word of it has letters of another script, or accents that no English word here has, or is a common word
of another language (`foreign_words.yaml`, and the side words of `sides`). Unknown words alone, such as technical terms,
do not: the aim is no false alarm on English names.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import NamedTuple

import yaml

from ..category import spoken
from ..sides.words import side_words
from .lookup import category, library_names

_COMPOUNDS = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_LONG = 8  # letters of a word that is looked into for stems, at least
_NO_SIDES = ("english", "latin")  # Latin words are terms of English anatomy


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; "leftEar" is two."""
    return [word.casefold() for word in _WORD.findall(_COMPOUNDS.sub(" ", text))]


def foreign_names(names: Iterable[str]) -> list[str]:
    """Those of some names of keypoints that look like no English, each once, in their order."""
    return [name for name in dict.fromkeys(names) if is_foreign(name)]


@lru_cache(maxsize=2**14)
def is_foreign(name: str) -> bool:
    """Whether a name looks like another language than English; a name without letters does not."""
    words = words_of(spoken(name))
    pairs = {" ".join(pair) for pair in pairwise(words)}
    return any(_foreign_script(word) or _foreign_word(word) for word in words) or not pairs.isdisjoint(
        _foreign().phrases
    )


def _foreign_script(word: str) -> bool:
    """Whether a word has letters of another script than Latin; one letter alone may be a symbol, as in "angle λ"."""
    other = [letter for letter in word if not unicodedata.name(letter, "LATIN").startswith(("LATIN", "MODIFIER"))]
    return len(other) > 1 or any(unicodedata.name(one, "").startswith(("CJK", "HIRAGANA", "KATAKANA")) for one in other)


def _foreign_word(word: str) -> bool:
    """Whether a word in lower case is a common word of another language, or has accents and is no English one."""
    foreign, plain = _foreign(), _folded(word)
    if plain in english_words() or plain in foreign.accented:
        return False
    if word in foreign.words or plain != word:
        return True
    return len(word) >= _LONG and (word.startswith(foreign.start) or word.endswith(foreign.end))


def _folded(word: str) -> str:
    """A word without accents."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))


class _Foreign(NamedTuple):
    """The content of the file: words, English words with accents, pairs of words, and stems of longer words."""

    words: frozenset[str]
    accented: frozenset[str]
    phrases: frozenset[str]
    start: tuple[str, ...]
    end: tuple[str, ...]


@cache
def _foreign() -> _Foreign:
    """The content of `foreign_words.yaml`, with the side words of other languages."""
    text = (resources.files("anykeypoint.library") / "foreign_words.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    words = {word for listed in data["words"].values() for word in listed.split()}
    for form, entries in side_words().forms.items():
        if len(form) > 3 and form != "links" and all(entry.language not in _NO_SIDES for entry in entries):
            words.add(form)  # "links" are those of a chain too
    glued = tuple(data["glued"])
    listed = (frozenset(words), frozenset(data["accented"]), frozenset(data["phrases"]))
    return _Foreign(*listed, start=(*glued, *data["start"]), end=glued)


@cache
def english_words() -> frozenset[str]:
    """English words: those of the library's names, descriptions and nouns."""
    texts = [json.dumps(json.loads((resources.files("anykeypoint.library") / "broader.json").read_text("utf-8")))]
    for name in library_names():
        known = category(name)
        texts += [text for point in known.keypoints for text in (point.name, point.description)]
    return frozenset(re.findall(r"[a-z]+", " ".join(texts).casefold()))
