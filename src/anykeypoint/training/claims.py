"""The folder of a training, held by the process that trains in it: two would overwrite each other's checkpoints.

The lock is the operating system's, on a file in the folder, so that it goes with the process however that ends.
"""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import InputError, first_line
from ..io import NotWritten, made_folder, write_bytes

LOCK, HOLDER = "in_use.lock", "in_use.json"  # the file that is locked, and who holds it


@contextmanager
def claimed(folder: Path, does: str = "trains") -> Iterator[None]:
    """A context in which this process alone writes the runs of a folder, which is made.

    Of the processes of `accelerate launch` the first one holds it for all. A claim within a claim holds as well.

    folder: of a training, or of whatever else is run once and goes on where it was stopped.
    does: the verb of the sentence where another process has the folder.

    Raises InputError that says which process has it.
    """
    if int(os.environ.get("RANK", "0")):
        yield
        return
    folder = made_folder(folder, "The folder of a run").resolve()
    lock = FileLock(folder / LOCK, timeout=0, is_singleton=True)
    if lock.is_locked:
        yield
        return
    try:
        lock.acquire()
    except Timeout:
        raise InputError(_holder(folder, does)) from None
    except OSError as error:
        raise NotWritten(f"Cannot write {folder / LOCK}: {first_line(error)}; choose another folder.") from error
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        mine = {"pid": os.getpid(), "host": platform.node(), "since": since}
        write_bytes(folder / HOLDER, (json.dumps(mine) + "\n").encode())
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def check_unclaimed(folder: Path) -> None:
    """InputError, before any work, where another process trains in a folder; nothing is made or kept."""
    if (folder / LOCK).exists():
        with claimed(folder):
            pass


def _holder(folder: Path, does: str) -> str:
    """The sentence about a folder that another process has."""
    try:
        held = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        where = "" if held["host"] == platform.node() else f" on {held['host']}"
        who = f"process {held['pid']}{where}, since {held['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # between taking the lock and writing who has it
        who = "since just now"
    return f"Another process {does} in {folder} already ({who}); wait until it is done, or give another output folder."
