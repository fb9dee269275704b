"""The labels of a project as a file to download: in every form that `data convert` writes."""

import errno
import os
import shlex
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from ..errors import InputError
from ..forms.form import Written
from ..forms.registry import form_of, writable_forms
from ..forms.writing import encoded
from ..io import NotWritten
from ..labelling.exporting import dataset_of, exported
from ..labelling.project import Project

KINDS = {".json": "application/json", ".xml": "application/xml", ".csv": "text/csv", ".zip": "application/zip"}
_CHUNK = 2**20  # bytes that are read at once of a file that is sent


def forms_to_write() -> list[dict[str, str]]:
    """The forms that labels can be written in: name and a phrase about each, COCO first."""
    return [{"name": name, "what": form_of(name).what} for name in writable_forms()]


def lost_in(project: Project, form: str, answers: bool) -> dict[str, Any]:
    """What an export would be. Raises InputError where there is nothing to write."""
    written, root = exported(project, form, answers)
    name, _, _ = _name(project, form, written)
    labels = project.folder / "labels.json"
    return {
        "name": name,
        "objects": len(dataset_of(project, answers).objects),
        "lost": written.lost,
        "advice": form_of(form).advice,
        "adapt": shlex.join(
            ["anykeypoint", "adapt", "--data", f"coco:{labels}", "--images", str(root), "-o", f"{_stem(project)}_model"]
        ),
    }


def download_of(project: Project, form: str, answers: bool) -> tuple[str, str, bytes | IO[bytes]]:
    """Name of the file, its media type, and its bytes; a form that is a folder, or has a file beside it, is a ZIP.

    A ZIP may hold all pictures, and so is an open file without a name on the project's disk.

    Raises InputError where there is nothing to write, and NotWritten where the project's disk has no room for a ZIP.
    """
    written, _ = exported(project, form, answers)
    name, kind, folder = _name(project, form, written)
    content = written.content
    if not folder:
        if not isinstance(content, str):
            raise InputError(f"The form {form} is a folder; this is a fault of anykeypoint.")
        return name, kind, encoded(content)
    return name, kind, _zipped(project, _files(project, form, written, answers))


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """What is left of a file, part by part; it is closed then."""
    with file:
        while part := file.read(_CHUNK):
            yield part


def size_of(file: IO[bytes]) -> int:
    """Number of bytes of an open file."""
    return os.fstat(file.fileno()).st_size


def _zipped(project: Project, files: Mapping[str, str | Path]) -> IO[bytes]:
    """A ZIP of texts and of files by their places in it, on the project's disk, at its beginning."""
    with ExitStack() as opened:
        file = opened.enter_context(TemporaryFile(dir=project.folder))
        try:
            with zipfile.ZipFile(file, "w", strict_timestamps=False) as archive:  # a picture may be of 1970
                for place, one in files.items():
                    if isinstance(one, str):
                        archive.writestr(place, encoded(one), zipfile.ZIP_DEFLATED)
                    else:
                        archive.write(one, place)  # pictures are compressed already
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise NotWritten(f"There is no room for the export beside {project.folder}; free some first.") from error
        file.seek(0)
        opened.pop_all()  # it stays open for the reader
    return file


def _files(project: Project, form: str, written: Written, answers: bool) -> dict[str, str | Path]:
    if not isinstance(written.content, str):
        return dict(written.content)
    stem = _stem(project)
    beside = form_of(form).beside
    more = {} if beside is None else beside(dataset_of(project, answers))
    return {f"{stem}{form_of(form).suffix}": written.content, **{f"{stem}{end}": text for end, text in more.items()}}


def _name(project: Project, form: str, written: Written) -> tuple[str, str, bool]:
    """Name of the download, its media type, and whether it holds several files."""
    folder = not isinstance(written.content, str) or form_of(form).beside is not None
    suffix = ".zip" if folder else form_of(form).suffix
    return f"{_stem(project)}_{form}{suffix}", KINDS.get(suffix, "text/plain"), folder


def _stem(project: Project) -> str:
    """The project's folder as a file name of ASCII."""
    text = "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "_" for one in project.folder.name)
    return text.strip("_") or "labels"
