"""Left and right in the names of points: which names are each other's mirror image, and which lack their other side.

A name has a side where exchanging left and right in it gives the name of another point of the same category; that is
what `mirrored_pairs` looks for. Side words of many languages are exchanged (`words`), and the letters l and r as
words ("L_ear", "ear.l", "earL1", "LEar"), in codes ("paw1LH", "FLP") and at the ends of a word ("lear").
"""

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice, pairwise, product
from typing import NamedTuple

from .words import SCHEME, SURE, SidePlace, letter_runs, lower, normal, side_places, side_words

Pairs = tuple[tuple[int, int], ...]

_LETTERS = {"l": "r", "r": "l"}
_ENUMERATION = "knopq"  # letters between l and r; where points are named by them too, l and r are letters of a list
_HOLE = "\0"
_LAST_OF_WORDS = 2  # last level of `_Exchange` at which words are exchanged, not letters
_MOST = 16  # largest number of names that one exchange may give


class _Exchange(NamedTuple):
    """What a name becomes when sides are exchanged.

    level: how sure the way is, from 0, the surest.
    key: the name that it becomes, as `plain_name`.
    schemes: the ways that are used: numbers of entries, or kinds of letters.
    slot: the name with `_HOLE` in place of its letters l and r; "" where words are exchanged.
    """

    level: int
    key: str
    schemes: frozenset[int | str]
    slot: str = ""


# --- what callers use ----------------------------------------------------------------------------------------------


def mirrored_pairs(names: Iterable[str]) -> Pairs:
    """Pairs of indices whose names become each other when left and right are exchanged; each index is in one at most.

    Where several points share a name, the first is paired with the first of the other side, and so on.
    """
    names = list(names)
    places: dict[str, list[int]] = {}  # plain name -> indices
    for i, name in enumerate(names):
        places.setdefault(plain_name(name), []).append(i)
    counted = _unequal_numbers(places)
    ways = [(way.level, i, way) for i, name in enumerate(names) for way in _exchanges(name) if way.key in places]
    pairs: list[tuple[int, int]] = []
    free = set(range(len(names)))
    for _, i, way in sorted(ways, key=lambda entry: entry[:2]):  # the surest first, then in the order of the points
        if i not in free or (counted and "bare" in way.schemes) or _is_listed(way.slot, places):
            continue
        partners = [j for j in places[way.key] if j in free and j != i and mirrors(names[j], names[i])]
        if partners:
            pairs.append((min(i, partners[0]), max(i, partners[0])))
            free -= {i, partners[0]}
    return tuple(sorted(pairs))


def unpaired(names: Sequence[str], pairs: Iterable[Sequence[int]]) -> list[int]:
    """Indices of the names that have a side and are in no pair, in order.

    pairs: of indices, from `mirrored_pairs` or from elsewhere.
    A word counts that means nothing but a side ("left", "linkes"); a letter, or a word that means other things as well,
    only where one of the pairs is made by it. Names of both sides, such as "between left and right eye", have none.
    """
    pairs = [tuple(pair) for pair in pairs]
    paired = {i for pair in pairs for i in pair}
    schemes: set[int | str] = set()
    for a, b in pairs:
        found = [way for way in _exchanges(names[a]) if way.key == plain_name(names[b])]
        schemes |= found[0].schemes if found else set()
    return [i for i, name in enumerate(names) if i not in paired and _has_side(name, schemes)]


def mirrors(first: str, second: str) -> bool:
    """Whether the first name becomes the second when left and right are exchanged in some way."""
    key = plain_name(second)
    return any(way.key == key for way in _exchanges(first))


def mirrored_name(name: str) -> str:
    """The plain name with left and right exchanged in the surest way; the plain name itself where there is none."""
    ways = _exchanges(name)
    return min(ways, key=lambda way: way.level).key if ways else plain_name(name)


def is_left(name: str, other: str) -> bool:
    """Whether of two mirrored names the first is that of the left; one with both sides in it counts as left."""
    key = plain_name(other)
    ways = [way for way in _exchanges(name) if way.key == key]
    if ways and ways[0].level > _LAST_OF_WORDS:
        return next((a == "l" for a, b in zip(plain_name(name), key, strict=False) if a != b), True)
    exchanged = ways[0].schemes if ways else set()
    return any(place.word.left and place.word.entry in exchanged for place in side_places(normal(name)))


def sides_of(text: str) -> set[tuple[str, str]]:
    """The sides that a text names by words that mean nothing else: (language, "left" or "right")."""
    return {
        (word.language, "left" if word.left else "right")
        for _, _, word, strength in side_places(normal(text))
        if strength == SURE
    }


def plain_name(name: str) -> str:
    """The form in which names are compared: composed characters, lower case, no underscores, single spaces."""
    return " ".join(normal(name).casefold().replace("_", " ").split())


# --- ways of exchanging --------------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 14)
def _exchanges(name: str) -> tuple[_Exchange, ...]:
    """All ways to exchange left and right in a name that give another one."""
    text = normal(name)
    places = side_places(text)
    sure = [place for place in places if place.strength == SURE]
    chosen = [(0, sure)]
    for language in dict.fromkeys(place.word.language for place in places):
        chosen.append((1, [place for place in sure if place.word.language == language]))
        chosen.append((2, [place for place in places if place.word.language == language]))
    ways: dict[str, _Exchange] = {}
    for level, some in chosen:
        if some:
            schemes = frozenset(place.word.entry for place in some)
            for key in _replaced(text, some):
                ways.setdefault(key, _Exchange(level, key, schemes))
    if not sure:
        for way in _letter_exchanges(text):
            ways.setdefault(way.key, way)
    ways.pop(plain_name(name), None)
    return tuple(ways.values())


def _replaced(text: str, places: list[SidePlace]) -> Iterator[str]:
    """The plain names with all these side words exchanged; of two that overlap only the first is."""
    apart: dict[tuple[int, int], list[str]] = {}  # start and end of a word -> what it may become
    last = 0
    for start, end, word, _ in sorted(places):
        if start >= last or (start, end) in apart:
            apart.setdefault((start, end), []).extend(word.others)
            last = end
    for others in islice(product(*apart.values()), _MOST):
        out, last = "", 0
        for (start, end), other in zip(apart, others, strict=True):
            out, last = out + text[last:start] + other, end
        yield plain_name(out + text[last:])


def _letter_exchanges(text: str) -> Iterator[_Exchange]:
    """The exchanges of the letters l and r: as words all at once, each alone, in codes, glued to a word."""
    parts = [part for run in letter_runs(text) for part in run]
    words = [(start, end) for start, end in parts if _is_letter(text, start, end)]
    if words:
        bare = re.fullmatch(r"[lr]\d+", text, re.IGNORECASE)
        scheme = "bare" if bare else "numbered" if any(_is_numbered(text, *word) for word in words) else "letter"
        yield _lettered(text, words, 3, scheme)
        if len(words) > 1:
            yield from (_lettered(text, [word], 4, scheme) for word in words)
    for start, end in parts:
        token = lower(text[start:end])
        for at, rest in ((start, "-" + token[1:]), (end - 1, token[:-1] + "-")):
            if len(token) == 2 and lower(text[at]) in _LETTERS:
                known = rest.strip("-") in side_words().codes
                yield _lettered(text, [(at, at + 1)], 4, "code" if known else "")
            elif len(token) > 2 and lower(text[at]) in _LETTERS and rest not in side_words().other_letters:
                yield _lettered(text, [(at, at + 1)], 5, "")
        if len(token) == 3 and text[start:end].isupper() and token[1] in _LETTERS:
            yield _lettered(text, [(start + 1, start + 2)], 5, "")


def _lettered(text: str, places: list[tuple[int, int]], level: int, scheme: str) -> _Exchange:
    """The exchange of the letters at these places."""
    letters, slot = list(text), list(text)
    for start, _ in places:
        letters[start], slot[start] = _LETTERS[lower(text[start])], _HOLE
    schemes = frozenset({scheme} - {""})
    return _Exchange(level, plain_name("".join(letters)), schemes, plain_name("".join(slot)) if scheme else "")


def _is_letter(text: str, start: int, end: int) -> bool:
    """Whether this part of a name is the letter l or r as a word, and no article ("l'œil")."""
    return end - start == 1 and lower(text[start]) in _LETTERS and text[end : end + 1] not in ("'", "\u2019")


def _is_numbered(text: str, start: int, end: int) -> bool:
    """Whether the letter has a number behind it and nothing in front, as the vertebra in "disc L4"."""
    return text[end : end + 1].isdigit() and not text[start - 1 : start].isalnum()


def _is_listed(slot: str, names: Container[str]) -> bool:
    """Whether two letters between l and r are there in their place, as where points are called A to Z."""
    return bool(slot) and sum(slot.replace(_HOLE, letter) in names for letter in _ENUMERATION) > 1


def _unequal_numbers(names: Iterable[str]) -> bool:
    """Whether names such as L1 and R1 count something else than sides, as resistors do.

    So it is where other letters are counted as well, and L and R not to the same numbers.
    """
    numbers: dict[str, set[str]] = {}
    for name in names:
        if found := re.fullmatch(r"([a-z])(\d+)", name):
            numbers.setdefault(found[1], set()).add(found[2])
    return bool(numbers.keys() - _LETTERS.keys()) and numbers.get("l") != numbers.get("r")


# --- sides without a partner ---------------------------------------------------------------------------------------


def _has_side(name: str, schemes: set[int | str]) -> bool:
    """Whether a name without a partner has a side, in a category whose pairs are made in these ways."""
    text = normal(name)
    places = side_places(text)
    if any(place.strength == SURE for place in places):
        return not _has_both(text, [place for place in places if place.strength == SURE])
    if any(place.strength == SCHEME and place.word.entry in schemes for place in places):
        return True
    letters = {lower(text[start]) for run in letter_runs(text) for start, end in run if _is_letter(text, start, end)}
    if len(letters) > 1:
        return False
    return any(way.schemes & schemes for way in _exchanges(name) if way.level in (3, 4))


def _has_both(text: str, places: list[SidePlace]) -> bool:
    """Whether a name tells of both sides, by a left and a right with a conjunction or nothing between them."""
    places = sorted(places)
    for first, second in pairwise(places):
        if first.word.left == second.word.left:
            continue
        between = lower(text[first.end : second.start])
        words = re.findall(r"[^\W\d_]+", between)
        if not words or any(word in side_words().conjunctions for word in words):
            return True
        if any(len(word) == 1 and ord(word) > 0x2E80 and word in between for word in side_words().conjunctions):
            return True
    return False
