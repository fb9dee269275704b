"""What a project's folder holds when it is opened; what is damaged is kept aside, and costs as little as can be."""

import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

from ..errors import InputError
from .project_files import NotRead, not_read, read_json, set_aside
from .records import Label, ProjectPicture, Renaming, StoredAnswer

Record = TypeVar("Record", Label, StoredAnswer)


def begin(folder: Path) -> None:
    """Make the folder of a new project; InputError where something else is in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"Cannot make the project {folder}: {(error.strerror or str(error)).rstrip('.')}.") from error
    if others:
        raise InputError(
            f"{folder} is no project, as it has no project.json, but holds {sorted(others)[0]}; give a new folder for "
            "the project, and the pictures beside it."
        )


def check_listed(file: Path) -> None:
    """InputError where there is no pictures.json, but labels whose pictures it listed."""
    if not file.exists() and record_files(file.parent / "labels"):
        raise InputError(f"{file} is missing, though labels/ has labels; put back a copy of it, labels/ is as it was.")


def pictures_of(entries: object, file: Path) -> dict[int, ProjectPicture]:
    """The pictures of pictures.json by id; InputError where it is damaged: without it no label has a picture."""
    try:
        found = [ProjectPicture.from_dict(entry) for entry in entries]  # type: ignore[attr-defined]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{file} is damaged ({error}); put back an earlier copy of it, labels/ is as it was."
        ) from None
    return {picture.id: picture for picture in found}


def renaming_of(entry: object, file: Path) -> Renaming:
    """What project.json says of a change of names; InputError where it is damaged."""
    try:
        return Renaming.from_dict(entry)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{file} is damaged ({error}); put back an earlier copy of it.") from None


def record_files(folder: Path) -> list[Path]:
    """The files of records in a subfolder, none where it is missing; InputError where it cannot be listed."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise not_read(folder, error) from error
    return [folder / name for name in names if fnmatch(name, "[0-9]*.json")]


def records_of(folder: Path, read: Callable[[Mapping], Record], then: str, notes: list[str]) -> dict[int, Record]:
    """The records of a subfolder by the id of their picture; a damaged file is kept aside.

    then: ends the sentence about such a file, which goes to `notes`. Raises InputError for one of a newer version, and
    for what cannot be read, which is not damaged.
    """
    found: dict[int, Record] = {}
    for path in record_files(folder):
        try:
            number, data = int(path.stem), read_json(path)
        except NotRead:
            raise
        except ValueError as error:
            if "schema version" in str(error):
                raise
            _set_aside(path, then, notes)
            continue
        try:
            found[number] = read(data)
        except (KeyError, TypeError, ValueError, AttributeError):
            _set_aside(path, then, notes)
    return found


def _set_aside(path: Path, then: str, notes: list[str]) -> None:
    kept = set_aside(path)
    notes.append(f"{path.name} of {path.parent.name}/ is damaged; it is kept as {kept.name} {then}.")
