"""The errors and warnings that a user can meet, and parts of sentences."""

from collections.abc import Sequence


class InputError(ValueError):
    """What the caller gave cannot be used; the message is one sentence that says what was wrong and what to do.

    >>> ak.read_picture("nowhere.jpg")
    Traceback (most recent call last):
    anykeypoint.errors.InputError: ...nowhere.jpg...
    """

    def __init__(self, *sentence: object) -> None:
        """The sentence is kept in one line, as what it quotes (an array, a name) may have several."""
        super().__init__(*(" ".join(str(part).split("\n")) if "\n" in str(part) else part for part in sentence))


class PredictionFailed(InputError):
    """A prediction failed for another reason than what the caller gave; the cause is the error that it failed with."""


class RenamedWarning(FutureWarning):
    """What the caller used has got another name or another meaning; the message says which."""


class ReadingWarning(UserWarning):
    """What the caller gave can be meant in another way than it was read, or was not all read; the message says how."""


def first_line(error: Exception) -> str:
    """The reason of another library's error as the end of a sentence: its first line, or its type if it has no text.

    Of the operating system's errors it is the reason alone, of YAML's the problem with its line.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.rstrip(".")
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and problem:
        begun = getattr(error, "context", None) if problem.startswith("but ") else None
        return f"{begun + ', ' if begun else ''}{problem} in line {mark.line + 1}"
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines and lines[0] else type(error).__name__


def first_few(texts: Sequence[str], most: int) -> str:
    """The first of several texts in a sentence, at most so many, and the number of the others."""
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def duration(seconds: float) -> str:
    """A time in words: "50 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
