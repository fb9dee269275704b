"""Files written whole or not at all, the text of files, and the schema versions of files that we write."""

import codecs
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import InputError, first_line

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # how a file in UTF-16 begins


class NotWritten(InputError):
    """A file cannot be written, as the disk is full or the folder is gone: what was to be written may be right."""


def as_path(path: Any, what: str) -> Path:
    """A path given as text or as an object of pathlib; InputError for anything else. what: subject of the sentence."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"{what} must be given by its path, but got {path!r:.80} of type {type(path).__name__}.")
    text = os.fsdecode(path)
    if "\0" in text:
        raise InputError(f"{what} cannot have a zero byte in its path, but got {text!r:.80}.")
    return Path(text)


def text_of(data: bytes, what: str) -> str:
    """The text of a file in UTF-8, with or without a byte order mark, or in UTF-16 with one, as Windows' tools save it.

    what: the file, named in the error.
    """
    try:
        return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file so that readers meet the old content or the new, never a part of it.

    path: the file; a symbolic link is followed.
    data: its whole content. It goes to a temporary file in the same folder, which then replaces the old one.
    Raises InputError if the path is a folder or a device, and NotWritten if it cannot be written; the old file is then
    untouched.
    """
    target = Path(os.path.realpath(as_path(path, "A file to write")))
    start = os.fsdecode(os.fsencode(target.name)[:100])  # a name may have 255 bytes, and letters several bytes each
    temporary = target.with_name(f".{start}.{secrets.token_hex(4)}.tmp")
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise InputError(f"Cannot write {path}: it is not a file; give a file name.")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except FileNotFoundError:
        raise NotWritten(f"Cannot write {path}: there is no folder {target.parent}; make it first.") from None
    except OSError as error:
        raise NotWritten(f"Cannot write {path}: {(error.strerror or str(error)).rstrip('.')}.") from error


def made_folder(path: Any, what: str) -> Path:
    """A folder to write into, made where there is none; InputError where it cannot be. what: of the sentence."""
    folder = as_path(path, what)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{what} must be a folder, but {folder} is a file; give another name.") from None
    except OSError as error:
        raise NotWritten(f"Cannot make the folder {folder}: {first_line(error)}.") from error
    return folder


def common_folder(folders: Iterable[str]) -> str | None:
    """The folder that all of some folders, each absolute, are or lie below; None where they lie on several drives."""
    try:
        return os.path.commonpath(folders)
    except ValueError:  # on Windows alone
        return None


def check_new_file(path: str | Path, overwrite: bool) -> None:
    """InputError where a file is there already that is not to be replaced."""
    if Path(path).exists() and not overwrite:
        raise InputError(f"{path} is there already; give another name, or --overwrite to replace it.")


def check_new_folder(path: str | Path) -> None:
    """InputError where something is there already that is no empty folder, or where no folder can be made."""
    target = Path(path)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{path} is there already and is no empty folder; give the name of a new folder.")
    check_folder(target)


def check_folder(path: str | Path) -> None:
    """InputError where a folder of that name neither is there nor can be made, or cannot be written to."""
    target = Path(path)
    there = next(place for place in (target, *target.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"Cannot write {path}: {there} is no folder that can be written to; choose another place.")


def write_folder(path: str | Path, files: Mapping[str, bytes | Path]) -> None:
    """Write a new folder so that it is there with all its files or not at all.

    path: the folder; it must not exist, or be empty.
    files: path in the folder, with forward slashes -> content, or the path of a file to copy.
    The files go to a temporary folder beside it, which then takes its name. Raises InputError if something is there
    already or the folder cannot be written.
    """
    target = Path(os.path.realpath(as_path(path, "A file to write")))
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        check_new_folder(path)
        try:
            temporary.mkdir()
            for name, content in files.items():
                place = temporary / name
                place.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    place.write_bytes(content)
                else:
                    shutil.copyfile(content, place)
            if target.exists():
                target.rmdir()  # it is empty
            os.rename(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except FileNotFoundError as error:
        missing = target.parent if not target.parent.is_dir() else error.filename
        raise InputError(f"Cannot write {path}: there is no {missing}; make it first.") from None
    except OSError as error:
        raise InputError(f"Cannot write {path}: {(error.strerror or str(error)).rstrip('.')}.") from error


def check_schema(version: Any, newest: int, what: str) -> None:
    """InputError if a file was written in a newer schema than this version of the library knows.

    version: what the file states; None for files of version 0.1.0, which state none.
    newest: the newest schema version that can be read.
    what: subject of the sentence, the file.
    """
    if version is not None and (type(version) is not int or not 1 <= version <= newest):
        raise InputError(
            f"{what} has the schema version {version!r}, but this version of anykeypoint reads versions up to "
            f"{newest}; update anykeypoint."
        )
