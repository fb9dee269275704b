"""What people type, taken apart: lists of keypoints or words, and two paths in one argument; and text for terminals.

Every alphabet has its own semicolon, colon and comma, and all of them part what they part when typed on that keyboard.
"""

import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from ..errors import InputError

_ENDS = "\n\r\v\f\x1c-\x1e\x85\u2028\u2029"  # what Unicode and str.splitlines take as the end of a line
_SEMICOLONS = ";\uff1b\ufe54\u061b\u037e"  # ASCII, full width, small, Arabic, Greek question mark
_COMMAS = ",\uff0c\ufe50\u3001\uff64\u060c"  # ASCII, full width, small, ideographic (two widths), Arabic
_COLONS = ":\uff1a\ufe55"  # ASCII, full width, small
# Characters without width or ink that are pasted by accident: they would make two names that look the same differ.
# The joiners U+200C and U+200D and the marks of direction U+200E, U+200F and U+061C belong to words and emoji.
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
# Neither a colon nor a comma between digits parts: "12:30 mark", "1,5 mm mark". Nor does a comma inside brackets.
_COLON = re.compile(rf"(?<!\d)[{_COLONS}]|[{_COLONS}](?!\d)")
_COMMA = re.compile(rf"((?<!\d)[{_COMMAS}]|[{_COMMAS}](?!\d))(?![^(\uff08]*[)\uff09])")
_SEPARATOR = re.compile(f"[{_SEMICOLONS}{_ENDS}]")


def split_points(text: str, what: str = "The keypoints") -> tuple[list[tuple[str, str]], str]:
    """Take "left ear; nose: the tip of the nose" apart.

    text: names parted by semicolons or new lines, each perhaps with a description behind a colon. A colon between
        digits belongs to the name, as in "12:30 mark". Where there is neither a semicolon, a new line nor such a
        colon, commas part the names.
    what: subject of errors.
    Returns the pairs of name and description ("" for none), and a sentence where the text could be meant in another
    way, "" otherwise.
    Raises InputError for a tab or another control character inside, and for text that is not Unicode.
    """
    text = clean(text, what)
    parts = _filled(_SEPARATOR.split(text))
    if len(parts) != 1 or any(letter in text for letter in _SEMICOLONS):
        return [_named(part) for part in parts], ""
    names = _by_commas(parts[0])
    if len(names) < 2:
        return [_named(one) for one in names], ""
    name, description = _named(parts[0])
    described = [bool(_named(one)[1]) for one in names]
    if not description or all(described):
        return [_named(one) for one in names], (
            f"{parts[0]!r} was read as {len(names)} keypoints with commas between them; write ';' between keypoints, "
            "or behind a single one."
        )
    if len(_by_commas(name)) > 1 or sum(described) > 1:
        return [(name, description)], (
            f"{parts[0]!r} was read as one keypoint with a description; write ';' between keypoints."
        )
    return [(name, description)], ""


def split_words(text: str) -> tuple[list[str], str]:
    """Take "dog; cat" apart; commas part the words where there is no semicolon.

    Returns the words, perhaps blank ones among them, and a sentence where commas parted them, "" otherwise.
    """
    parts = _SEPARATOR.split(clean(text, "The words"))
    words = [part.strip() for part in (parts if len(parts) > 1 else split_commas(parts[0]))]
    if len(parts) > 1 or len(words) == 1:
        return words, ""
    return words, f"{text.strip()!r} was read as {len(words)} words with commas between them; write ';' between words."


def split_commas(text: str) -> list[str]:
    """The parts of "40,30,200,260" between its commas, of any alphabet."""
    return re.split(f"[{_COMMAS}]", text)


def clean(text: str, what: str) -> str:
    """Typed text in Unicode's composed form, without invisible characters that are pasted by accident.

    what: subject of errors.
    Raises InputError for a tab or another control character between words, and for bytes that are no text.
    """
    with suppress(UnicodeError):  # in an ASCII locale the command line's bytes arrive as lone surrogates
        text = text.encode("utf-8", "surrogateescape").decode("utf-8")
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    for line in re.split(f"[{_ENDS}]", text):
        for letter in line.strip():
            if letter == "\t":
                raise InputError(
                    f"{what} have a tab inside {line.strip()[:60]!r}; part names by ';', and a name from its "
                    "description by ':'."
                )
            if unicodedata.category(letter) in ("Cc", "Cs"):
                raise InputError(f"{what} have a character that is no text in {line.strip()[:60]!r}; take it out.")
    return text


def printable(text: str) -> str:
    """Text on one line of a terminal: line ends and other control characters are written as escapes such as "\\n"."""
    odd = [letter for letter in set(text) if unicodedata.category(letter) in ("Cc", "Zl", "Zp")]
    return text.translate({ord(letter): letter.encode("unicode_escape").decode() for letter in odd})


def split_paths(text: str, exists: Callable[[str], bool] = lambda path: Path(path).is_file()) -> tuple[str, str] | None:
    r"""Two paths with a colon between them, as in "dog.jpg:dog.json" or "C:\dog.jpg:C:\dog.json".

    exists: whether a path is there.
    The colon is the one with a file on either side, otherwise the last that does not follow the letter of a drive.
    None where no colon has text on both sides.
    """
    places = [i for i, letter in enumerate(text) if letter == ":" and text[:i].strip() and text[i + 1 :].strip()]
    both = [i for i in places if exists(text[:i]) and exists(text[i + 1 :])]
    between = [i for i in places if not is_drive(text, i)]
    for found in (both, between):
        if found:
            return text[: found[-1]], text[found[-1] + 1 :]
    return None


def is_drive(text: str, colon: int) -> bool:
    r"""Whether a colon follows the letter of a Windows drive, as in "C:\", that begins the text or follows a colon."""
    letter = text[colon - 1 : colon]
    first = colon == 1 or (colon > 1 and text[colon - 2] == ":")
    return first and letter.isascii() and letter.isalpha() and text[colon + 1 : colon + 2] in ("\\", "/")


def _named(part: str) -> tuple[str, str]:
    """Name and description of one keypoint."""
    colon = _COLON.search(part)
    if colon is None:
        return part.strip(), ""
    return part[: colon.start()].strip(), part[colon.end() :].strip()


def _by_commas(text: str) -> list[str]:
    """The parts of a text between its commas that are not blank."""
    cuts = [(0, 0), *(found.span() for found in _COMMA.finditer(text)), (len(text), len(text))]
    return _filled([text[end:start] for (_, end), (start, _) in pairwise(cuts)])


def _filled(parts: list[str]) -> list[str]:
    return [part.strip() for part in parts if part.strip()]
