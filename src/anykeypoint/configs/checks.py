"""Checks of single values, so that one kind of mistake has one sentence everywhere.

`what` is the subject of the sentence, with an article and a capital: "A matcher's crop_scale".
"""

import math
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from numbers import Real
from typing import Any

from ..errors import InputError


def plain(value: Any) -> Any:
    """A number or a flag of numpy as Python's own, which is what callers mean by it; anything else as it is."""
    kind = type(value)  # by its name, as numpy is not imported for the command line's sake
    return value.item() if kind.__module__ == "numpy" and kind.__name__ != "ndarray" else value


def check_whole(value: Any, what: str, least: int = 1) -> int:
    """The value if it is an int (no bool) of at least `least`; InputError otherwise."""
    if type(value) is not int or value < least:
        raise InputError(f"{what} must be a whole number from {least}, but got {value!r}.")
    return value


def check_share(value: Any, what: str) -> float:
    """The value as a float if it is a number from 0 to 1; InputError otherwise."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise InputError(f"{what} must be a number from 0 to 1, but got {value!r}.")
    return float(value)


def check_rate(value: Any, what: str) -> float:
    """The value as a float if it is a number of at least 0 and below 1; InputError otherwise."""
    if not _is_number(value) or not 0 <= value < 1:
        raise InputError(f"{what} must be at least 0 and below 1, but got {value!r}.")
    return float(value)


def check_positive(value: Any, what: str, zero: bool = False) -> float:
    """The value as a float if it is a finite number above 0, or also 0 where `zero` is set; InputError otherwise."""
    if not _is_number(value) or value < 0 or (value == 0 and not zero):
        raise InputError(f"{what} must be a number {'from 0' if zero else 'above 0'}, but got {value!r}.")
    return float(value)


def check_finite(value: Any, what: str) -> float:
    """The value as a float if it is a finite number; InputError otherwise."""
    if not _is_number(value):
        raise InputError(f"{what} must be a finite number, but got {value!r}.")
    return float(value)


def check_flag(value: Any, what: str) -> bool:
    """The value if it is True or False; InputError otherwise."""
    if type(value) is not bool:
        raise InputError(f"{what} must be true or false, but got {value!r}.")
    return value


def check_choice(value: Any, what: str, known: Collection[str]) -> str:
    """The value if it is one of the known words; InputError that lists them otherwise."""
    if not isinstance(value, str) or value not in known:
        near = near_names(value, known)
        words = ", ".join(word or "''" for word in known)
        raise InputError(f"{what} must be one of {words}, but got {value!r}{near}.")
    return value


def check_text(value: Any, what: str) -> str:
    """The value if it is a text that is not blank; InputError otherwise."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{what} must be text that is not blank, but got {value!r}.")
    return value


def near_names(name: Any, known: Iterable[str]) -> str:
    """The part of a sentence that suggests the known names nearest to an unknown one; "" where none is near."""
    if not isinstance(name, str):
        return ""
    exact = {entry.casefold(): entry for entry in known}
    wanted = name.casefold()
    close = [entry for entry in exact if len(wanted) > 2 and edits(wanted, entry) == 1]
    close += get_close_matches(wanted, exact, n=3, cutoff=0.66)  # no matcher of letters in order alone finds all typos
    near = list(dict.fromkeys(exact[entry] for entry in close))[:3]
    return f" (near: {', '.join(near)})" if near else ""


def edits(first: str, second: str) -> int:
    """How many letters are to be put in, taken out, changed or exchanged with their neighbour; 2 for more than 1."""
    short, long = sorted((first, second), key=len)
    if len(long) - len(short) > 1:
        return 2
    same = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    rest, other = short[same:], long[same:]
    if len(short) < len(long):
        return 1 if rest == other[1:] else 2
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return 0 if not rest else 1 if rest[1:] == other[1:] or swapped == other else 2


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False
