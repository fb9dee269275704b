"""Words of doubt where a model is asked in words that it does not understand: another language, or misspelt.

Each sentence is made of some names, so that the command line says it once of all names, and the page beside each one.
"""

import warnings
from collections.abc import Callable, Sequence

from ..errors import ReadingWarning, first_few
from ..library.english import foreign_names
from ..library.typos import misspelt

_MOST = 2  # number of names in the sentence


def foreign_sentence(names: Sequence[str], reader: str) -> str:
    """That some of the names look like another language; "" where none does.

    reader: what reads English alone, as in "the text encoder minilm-l6".
    """
    return _of_foreign(foreign_names(names), reader)


def typo_sentence(names: Sequence[str], is_word: Callable[[str], bool]) -> str:
    """That words of some names are misspelt, with those that were probably meant; "" where none is.

    is_word: see `library.typos.misspelt`.
    """
    return _of_typos([pair for name in names for pair in misspelt(name, is_word)])


def warn_of_foreign(names: Sequence[str], reader: str, said: set[str]) -> None:
    """Warn with a ReadingWarning of names that look like another language, of each name once.

    reader: as for `foreign_sentence`.
    said: the names that were warned of before; the new ones are added.
    """
    found = [name for name in foreign_names(names) if name not in said]
    said.update(found)
    _warn(_of_foreign(found, reader))


def warn_of_typos(names: Sequence[str], is_word: Callable[[str], bool], said: set[str]) -> None:
    """Warn with a ReadingWarning of words that are misspelt, of each word once.

    is_word: see `library.typos.misspelt`. said: the words that were warned of before; the new ones are added.
    """
    found = {word: near for name in names for word, near in misspelt(name, is_word) if word not in said}
    said.update(found)
    _warn(_of_typos(list(found.items())))


def _of_foreign(found: Sequence[str], reader: str) -> str:
    listed = first_few([repr(name[:40]) for name in found], _MOST)
    sentence = (
        f"Not in English, it seems: {listed}; {reader} understands English alone, so write names in English, or give "
        "an example."
    )
    return sentence if found else ""


def _of_typos(found: Sequence[tuple[str, str]]) -> str:
    listed = first_few([f"{word[:40]!r} for {near!r}" for word, near in found], _MOST)
    return f"Misspelt, it seems: {listed}; correct it, or give an example." if found else ""


def _warn(sentence: str) -> None:
    if sentence:
        warnings.warn(sentence, ReadingWarning, stacklevel=4)
