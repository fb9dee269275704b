"""The files of a project folder: JSON with a schema version, written whole or not at all, and the lock of its writer.

A file that a person's work is in is never thrown away: one that cannot be read is kept under another name.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..configs.doubled_keys import strict_json
from ..errors import InputError, first_line
from ..io import NotWritten, check_schema, write_bytes

SCHEMA_VERSION = 1  # of every JSON file of a project but labels.json, which is COCO's
KEY = "schema_version"
LOCK = ".lock"
DAMAGED = ".damaged"  # what is put behind the name of a file that cannot be read


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write one file of a project; its folder is made where it is missing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritten(f"Cannot write {path}: {first_line(error)}.") from error
    text = json.dumps({KEY: SCHEMA_VERSION, **data}, ensure_ascii=False, allow_nan=False, indent=1)
    write_bytes(path, (text + "\n").encode("utf-8", "backslashreplace"))


def line_of(entry: dict[str, Any]) -> str:
    """The line of an entry in a file of `write_lines`."""
    return f"  {json.dumps(entry, ensure_ascii=False, allow_nan=False)}"


def write_lines(path: Path, key: str, lines: Iterable[str]) -> None:
    """Write a file of a project that holds a long list, each entry on a line of its own.

    lines: of `line_of`. The file is written anew with each picture that is dropped, and its thousands of other entries
        need not become JSON again each time.
    """
    together = ",\n".join(lines)
    text = f'{{\n "{KEY}": {SCHEMA_VERSION},\n "{key}": [\n{together}\n ]\n}}\n'
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


class NotRead(InputError):
    """A file cannot be read, as the disk fails or its rights forbid it: what it holds may be whole."""


def not_read(path: Path, error: OSError) -> NotRead:
    """The error of a file or folder of a project that cannot be read."""
    said = f"{first_line(error)}; nothing was changed, open it again when it can be read"
    return NotRead(f"Cannot read the project's {path}: {said}.")


def read_json(path: Path) -> dict[str, Any]:
    """One file of a project without its version.

    Raises NotRead where it cannot be read, and InputError where it is no JSON object or is of a newer library.
    """
    try:
        data = strict_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise not_read(path, error) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"Cannot read the project's {path}: {first_line(error)}.") from error
    if not isinstance(data, dict):
        raise InputError(f"The project's {path} must hold a JSON object, but holds {str(data)[:40]!r}.")
    check_schema(data.pop(KEY, None), SCHEMA_VERSION, str(path))
    return data


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be read, so that a new one does not replace it; gives its new path."""
    number, kept = 1, path.with_name(path.name + DAMAGED)
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}{DAMAGED}{number}")
    os.replace(path, kept)
    return kept


class FolderLock:
    """Held while a program writes a project: two at once would each save over what the other has.

    The operating system lets go of it when the program ends, however it ends. Where the system has no such locks,
    nothing is locked.
    """

    def __init__(self, folder: Path) -> None:
        """Raises InputError where another program holds it, or the folder cannot be written."""
        self._file = None
        with _without_fcntl():
            import fcntl

            try:
                self._file = (folder / LOCK).open("a")
            except OSError as error:
                raise InputError(f"Cannot write in the project {folder}: {first_line(error)}.") from error
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.close()
                raise InputError(
                    f"The project {folder} is open in another program; close that one first, or use its page."
                ) from None
            except OSError:  # a file system without locks
                self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._file is not None:
            self._file.close()
            self._file = None


@contextlib.contextmanager
def _without_fcntl() -> Iterator[None]:
    """Windows has no fcntl: there two programs may open one project."""
    with contextlib.suppress(ModuleNotFoundError):
        yield
