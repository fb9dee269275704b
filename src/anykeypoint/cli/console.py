"""What the command line prints beside its results: notes, errors and progress, all on stderr.

`-q` and `-v` set how much of it there is, for the whole process.
"""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ..configs.typed import printable
from ..errors import duration

Item = TypeVar("Item")

PLAIN_EVERY = 30.0  # seconds between lines of progress where stderr is no terminal

_quiet = False  # whether notes and progress are left out


def set_volume(quiet: bool, verbose: bool) -> None:
    """Set how much is printed beside results and errors.

    quiet: nothing.
    verbose: also what the library logs (such as the traceback of a picture that failed) and warnings of libraries.
    """
    global _quiet
    _quiet = quiet
    logger = logging.getLogger("anykeypoint")
    logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, _DetailHandler)]
    logger.setLevel(logging.NOTSET)
    if verbose:
        logger.addHandler(_DetailHandler(sys.stderr))
        logger.setLevel(logging.DEBUG)
        warnings.simplefilter("default")


def is_quiet() -> bool:
    """Whether -q was given, for functions that print progress of their own."""
    return _quiet


def note(sentence: str) -> None:
    """Print a sentence on stderr, unless -q was given."""
    if not _quiet:
        print(sentence, file=sys.stderr, flush=True)


def error(sentence: str) -> None:
    """Print a sentence on stderr as an error."""
    print(f"error: {printable(sentence)}", file=sys.stderr, flush=True)


def padded(text: str, columns: int) -> str:
    """Text on one line of a terminal, filled with blanks up to a number of columns, of which some letters take two."""
    from rich.cells import cell_len

    text = printable(text)
    return text + " " * (columns - cell_len(text))


def columns_of(texts: Iterable[str], least: int) -> int:
    """The number of columns that the longest of some texts takes on a terminal, and at least `least`."""
    from rich.cells import cell_len

    return max([least, *(cell_len(printable(text)) for text in texts)])


def track(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """Go through `items` with progress and the time left on stderr.

    total: number of items; None takes len(items).
    """
    count = len(items) if total is None else total  # type: ignore[arg-type]
    with counting(count, title) as (_, advance):
        for item in items:
            yield item
            advance()


@contextmanager
def counting(
    total: int, title: str, shared_with_stdout: bool = False
) -> Iterator[tuple[Callable[[str], None], Callable[[], None]]]:
    """Progress over a known number of items: gives a function that prints a sentence, and one that counts an item.

    On a terminal there is a bar with the time left; elsewhere a plain line every PLAIN_EVERY seconds. The sentences are
    printed above the bar.

    total: number of items; there is no bar for a single one.
    title: what is done with the items, one word.
    shared_with_stdout: results are printed on the same terminal meanwhile, which a bar would disturb.
    """
    if _quiet or total < 2:
        yield _print_sentence, lambda: None
    elif shared_with_stdout or not sys.stderr.isatty():
        yield _print_sentence, _PlainProgress(total, title).advance
    else:
        with _bar(total, title) as functions:
            yield functions


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """A spinner on a terminal while something goes on whose end cannot be foreseen."""
    if _quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(title):
        yield


class _DetailHandler(logging.StreamHandler):
    """Prints what the library logs; a class of its own, so that `set_volume` finds the one that it added."""


class _PlainProgress:
    """Progress as plain lines, for logs: one every PLAIN_EVERY seconds."""

    def __init__(self, total: int, title: str) -> None:
        self.total, self.title, self.count = total, title, 0
        self.began = self.printed = time.monotonic()

    def advance(self) -> None:
        self.count += 1
        now = time.monotonic()
        if now - self.printed >= PLAIN_EVERY and self.count < self.total:
            left = (now - self.began) / self.count * (self.total - self.count)
            note(f"{self.title}: {self.count} of {self.total}, {duration(left)} left")
            self.printed = now


def _print_sentence(sentence: str) -> None:
    print(printable(sentence), file=sys.stderr, flush=True)


@contextmanager
def _bar(total: int, title: str) -> Iterator[tuple[Callable[[str], None], Callable[[], None]]]:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns: tuple[Any, ...] = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, redirect_stdout=False) as bar:  # stdout may be a pipe
        task = bar.add_task(title, total=total)
        yield (
            lambda sentence: console.print(sentence, markup=False, highlight=False, soft_wrap=True),
            lambda: bar.advance(task),
        )
