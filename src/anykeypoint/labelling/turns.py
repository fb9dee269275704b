"""Which picture of a project is answered next, and how many have their answer: kept up to date by what changed.

What all answers depend on is one text (`shared`): the model, the category and the examples. Where it changes, every
answer is out of date and all pictures are looked at; otherwise only those that changed are.
"""

import hashlib
import threading
import time
from bisect import bisect_left, insort
from collections.abc import Hashable
from dataclasses import dataclass

from ..geometry import Box
from .kept import file_state
from .project import Project

FINE = " fine"  # ends what was asked of an answer that had its second look
RETRY = 60.0  # seconds after which what failed for a passing reason is asked again

Rank = tuple[bool, bool, float, int]  # has a first answer; has an older one; -doubt; id


@dataclass(frozen=True)
class Counts:
    """Of the pictures that are not done.

    total: their number. fresh: those with an answer that is up to date. left: those that still need one. rough: those
    that still need their second look.
    """

    total: int = 0
    fresh: int = 0
    left: int = 0
    rough: int = 0


@dataclass(frozen=True)
class _Failure:
    """A picture that could not be answered: what was asked, the sentence that says why, the state of its file, and the
    time (`time.monotonic`) from which on it is asked again; None where it waits for its file."""

    asked: str
    sentence: str
    file: Hashable
    again: float | None


@dataclass(frozen=True)
class _Standing:
    """How a picture that is not done stands.

    fresh: its answer is up to date. rank: its place among those to answer, None where it needs nothing.
    """

    fresh: bool
    rank: Rank | None


class Turns:
    """The pictures of a project in the order in which they are answered. Safe to use from several threads.

    First come pictures without an answer, then those whose answer is out of date, the least sure first, then those
    that had no second look yet.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.RLock()
        self._shared, self._revision = "", 0
        self._keys: dict[Box | None, str] = {}
        self._standing: dict[int, _Standing] = {}
        self._order: list[Rank] = []
        self._counts = Counts()
        self._failed: dict[int, _Failure] = {}

    def update(self, shared: str) -> None:
        """Take in what changed. shared: what all answers depend on, as it is now."""
        with self._lock:
            if shared == self._shared:
                self._revision, changed = self._project.changes.since(self._revision)
                for number in changed:
                    self._forget(number)
                    self._take_in(number)
                return
            self._shared, self._keys, self._standing, self._counts = shared, {}, {}, Counts()
            self._revision, _ = self._project.changes.since(self._revision)
            self._order = []
            for picture in self._project.pictures:
                self._take_in(picture.id, ordered=False)
            self._order.sort()
            for number in [number for number in self._failed if number not in self._standing]:
                del self._failed[number]

    @property
    def counts(self) -> Counts:
        """How many pictures stand how."""
        with self._lock:
            return self._counts

    @property
    def failed(self) -> dict[int, str]:
        """Id of each picture that could not be answered -> the sentence that says why."""
        with self._lock:
            return {number: failure.sentence for number, failure in sorted(self._failed.items())}

    def failure(self, number: int) -> str | None:
        """Why a picture could not be answered; None where it was, or was not tried."""
        with self._lock:
            found = self._failed.get(number)
            return None if found is None else found.sentence

    def next(self, focus: int | None) -> tuple[int, str] | None:
        """The picture to answer next, and what its answer depends on, with FINE where a second look is taken.

        focus: the picture that is being looked at, which comes first, and at once with its second look.
        """
        with self._lock:
            for number in list(self._failed) if not self._order else [focus]:
                self._try_again(number)
            if focus is not None and (known := self._standing.get(focus)) is not None and known.rank is not None:
                return focus, self._key(focus) + FINE
            if not self._order:
                return None
            rough, _, _, number = self._order[0]
            return number, self._key(number) + (FINE if rough else "")

    def fail(self, number: int, asked: str, sentence: str, file: Hashable, passing: bool = False) -> None:
        """A picture could not be answered.

        asked: as `next` gave it.
        file: the state of its file before it was read (`file`), as it may have been put back meanwhile.
        passing: whether the reason may go away by itself, as a full disk does; otherwise it lies with the file.
        """
        again = time.monotonic() + RETRY if passing else None
        with self._lock:
            self._failed[number] = _Failure(asked.removesuffix(FINE), sentence, file, again)
            self._project.changes.mark(number)

    def file(self, number: int) -> Hashable:
        """The state of the file of a picture; another one where the file was changed."""
        return file_state(self._project.path(self._project.picture(number)))

    def _try_again(self, number: int | None) -> None:
        """A picture that could not be answered is asked again where its file is another one, as it was put back, and
        after a while where the reason may have passed."""
        failure = None if number is None else self._failed.get(number)
        if number is None or failure is None:
            return
        waits = failure.again is None or time.monotonic() < failure.again
        if waits and failure.file == self.file(number):
            return
        del self._failed[number]
        self._project.changes.mark(number)
        self._forget(number)
        self._take_in(number)

    def _key(self, number: int) -> str:
        """What the answer of a picture depends on."""
        box = self._project.label(number).box
        if box not in self._keys:
            self._keys[box] = hashlib.sha256(f"{self._shared} {box}".encode()).hexdigest()[:20]
        return self._keys[box]

    def _forget(self, number: int) -> None:
        known = self._standing.pop(number, None)
        if known is None:
            return
        self._count(known, -1)
        if known.rank is not None:
            del self._order[bisect_left(self._order, known.rank)]

    def _take_in(self, number: int, ordered: bool = True) -> None:
        """Say how a picture stands. ordered: put it in its place; otherwise the order is sorted afterwards."""
        if self._project.label(number).done:
            self._failed.pop(number, None)
            return
        key, answer = self._key(number), self._project.answer(number)
        fresh = answer is not None and answer.asked.removesuffix(FINE) == key
        failed = number in self._failed and self._failed[number].asked == key
        if number in self._failed and (not failed or (answer is not None and answer.asked == key + FINE)):
            del self._failed[number]  # something else is asked now, or it was answered after all
            self._project.changes.mark(number)
            failed = False
        needed = not failed and (answer is None or answer.asked != key + FINE)
        rank = (fresh, answer is not None, 0.0 if answer is None else -answer.doubt, number) if needed else None
        known = self._standing[number] = _Standing(fresh, rank)
        self._count(known, 1)
        if rank is not None and ordered:
            insort(self._order, rank)
        elif rank is not None:
            self._order.append(rank)

    def _count(self, known: _Standing, by: int) -> None:
        now, needed = self._counts, known.rank is not None
        self._counts = Counts(
            now.total + by,
            now.fresh + by * known.fresh,
            now.left + by * (needed and not known.fresh),
            now.rough + by * (needed and known.fresh),
        )
