"""MP-100's hundred folders, put together from the data sets that a user has.

MP-100 gives out labels only; its pictures are those of thirteen data sets, copied or linked into a folder for each
category. Where the label files (`mp100_*.json`) are among the sources every picture that they name is looked for, one
by one; that is what tells how much is missing.
"""

import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError
from ..images import SUFFIXES
from .coco import load_document
from .faults import VEHICLES
from .pictures import picture_size
from .readers.dialects import GARMENTS

# Source -> what the path of one of its pictures may hold, in lower case, to tell it from other sources' pictures.
SOURCES: dict[str, tuple[str, ...]] = {
    "coco": ("coco", "train2017", "val2017", "train2014", "val2014"),
    "300w": ("300w", "300-w"),
    "aflw": ("aflw",),
    "onehand10k": ("onehand",),
    "deepfashion2": ("deepfashion", "deepfasion"),
    "ap10k": ("ap10k", "ap-10k", "ap_10k"),
    "macaque": ("macaque",),
    "fly": ("fly", "deepposekit"),
    "locust": ("locust", "deepposekit"),
    "cub200": ("cub",),
    "carfusion": ("carfusion", "car_fusion"),
    "animalweb": ("animalweb", "animal_web"),
    "keypoint5": ("keypoint-5", "keypoint5", "3dinn"),
}
_FOLDERS = {
    "human_body": "coco",
    "human_face": "300w",
    "amur_tiger_body": "aflw",
    "human_hand": "onehand10k",
    "macaque_body": "macaque",
    "fly_body": "fly",
    "locust_body": "locust",
    "person": "coco",
    "hand": "onehand10k",
    "macaque": "macaque",
    "fly": "fly",
    "locust": "locust",
    **dict.fromkeys(GARMENTS, "deepfashion2"),
    **dict.fromkeys(VEHICLES, "carfusion"),
    **dict.fromkeys(("bed", "chair", "sofa", "swivelchair", "table"), "keypoint5"),
}
BIRDS = ("grebe", "gull", "kingfisher", "sparrow", "tern", "warbler", "woodpecker", "wren")

NOWHERE = "no file of that name among the sources"
SEVERAL = "several files of that name, none of the size that the labels say"
UNMATCHED = "no object of CarFusion's labels has the same box and points"
NO_LABELS = "CarFusion's labels (COCO) are not among the sources"


def source_of(folder: str) -> str:
    """The data set that a folder of MP-100 is from, "" if it is none of the hundred."""
    name = folder.lower()
    if name in _FOLDERS:
        return _FOLDERS[name]
    if name.removesuffix("_body") in BIRDS:
        return "cub200"
    return "animalweb" if name.endswith("_face") else "ap10k" if name.endswith("_body") else ""


@dataclass
class Folder:
    """One folder: its source, the pictures that the labels name, and where each is; else why it is missing."""

    name: str
    source: str
    found: dict[str, Path] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def plan(sources: Path) -> list[Folder]:
    """The folders that the label files among the sources need, with each picture found or missing, by name.

    A picture is found by its path's end, else by its name among its data set's files, else by its name alone; of
    several the one whose size the labels say, or any of them if all are the same. CarFusion's are found by their
    labels: the picture on which an object has the very box and points.
    Raises InputError if there are no label files.
    """
    index, books = _index(sources)
    files = [path for path in books if path.name.startswith("mp100")]
    if not files:
        raise InputError(
            f"There is no mp100_*.json in {sources} or below; put MP-100's label files there, they name the pictures."
        )
    wanted: dict[str, dict[str, Any]] = {}
    labels: dict[str, set[Any]] = defaultdict(set)
    for path in files:
        for name, entry, keys in _needs(load_document(path)):
            wanted.setdefault(name, entry)
            labels[name] |= keys
    cars = _car_labels([path for path in books if path not in files])
    folders: dict[str, Folder] = {}
    for name, entry in sorted(wanted.items()):
        top = PurePosixPath(name).parts[0] if "/" in name else ""
        folder = folders.setdefault(top, Folder(top, source_of(top)))
        if folder.source == "carfusion" and not _at(index, name):
            found = _car(labels[name], cars, index)
        else:
            found = _find(name, entry, index, SOURCES.get(folder.source, ()))
        if isinstance(found, Path):
            folder.found[name] = found
        else:
            folder.missing[name] = found
    return list(folders.values())


def build(folders: Iterable[Folder], out: Path, copy: bool) -> int:
    """Link (or copy) every picture found to its place under `out`; how many. What is there already stays."""
    count = 0
    for folder in folders:
        for name, path in folder.found.items():
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                continue
            if target.is_symlink():  # of a source that has moved
                target.unlink()
            try:
                if copy:
                    shutil.copyfile(path, target)
                else:
                    os.symlink(path.resolve(), target)
            except OSError as error:
                hint = "" if copy else "; where links are not allowed, copy instead"
                raise InputError(f"Cannot put {target} in its place: {error.strerror or error}{hint}.") from error
            count += 1
    return count


# --- what is needed ------------------------------------------------------------------------------------------------


def _needs(document: Mapping[str, list]) -> Iterator[tuple[str, dict[str, Any], set[Any]]]:
    """Name, entry and objects' keys of each picture; what is broken is for `data check` to tell."""
    keys: dict[Any, set[Any]] = defaultdict(set)
    for entry in document["annotations"]:
        if isinstance(entry, dict) and type(entry.get("image_id")) is int:
            keys[entry["image_id"]].add(_label_key(entry))
    for entry in document["images"]:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if (
            isinstance(name, str)
            and name
            and not PurePosixPath(name).is_absolute()
            and ".." not in PurePosixPath(name).parts
        ):
            yield name, entry, keys.get(entry.get("id"), set())


def _label_key(entry: Mapping[str, Any]) -> tuple:
    """What an object has in common with itself in another file: its box and points, to a tenth of a pixel."""
    numbers = []
    for key in ("bbox", "keypoints"):
        values = entry.get(key)
        numbers.append(
            tuple(round(v, 1) for v in values if type(v) in (int, float)) if isinstance(values, list) else ()
        )
    return tuple(numbers)


# --- where it is ---------------------------------------------------------------------------------------------------


def _index(sources: Path) -> tuple[dict[str, list[Path]], list[Path]]:
    """All pictures below the sources by their name in lower case, and all JSON files; links to folders are followed."""
    index: dict[str, list[Path]] = defaultdict(list)
    books: list[Path] = []
    seen: set[str] = set()
    for folder, below, files in os.walk(sources, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link back to where we were
            below.clear()
            continue
        seen.add(real)
        below.sort()
        for file in sorted(files):
            suffix = PurePosixPath(file).suffix.lower()
            if suffix in SUFFIXES:
                index[file.lower()].append(Path(folder) / file)
            elif suffix == ".json":
                books.append(Path(folder) / file)
    return index, books


def _at(index: Mapping[str, list[Path]], name: str) -> list[Path]:
    """The files whose path ends as the name does."""
    return [path for path in index.get(PurePosixPath(name).name.lower(), ()) if path.as_posix().endswith("/" + name)]


def _find(name: str, entry: Mapping[str, Any], index: Mapping[str, list[Path]], words: tuple[str, ...]) -> Path | str:
    named = index.get(PurePosixPath(name).name.lower(), [])
    tail = "/".join(PurePosixPath(name).parts[1:])
    of_source = [path for path in named if any(word in path.parent.as_posix().lower() for word in words)]
    ending = [path for path in of_source or named if tail and path.as_posix().endswith("/" + tail)]
    candidates = _at(index, name) or ending or of_source or named
    if len(candidates) < 2:
        return candidates[0] if candidates else NOWHERE
    size = (entry.get("width"), entry.get("height"))
    fitting = [path for path in candidates if picture_size(path) == size] if None not in size else candidates
    if len(fitting) == 1 or (fitting and len({_digest(path) for path in fitting}) == 1):
        return fitting[0]
    return SEVERAL


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _car_labels(books: Iterable[Path]) -> dict[tuple, set[str]] | None:
    """Object's key -> the names of CarFusion's pictures that it is on; None if its labels are not there."""
    found: dict[tuple, set[str]] = defaultdict(set)
    any_file = False
    for path in books:
        if not any(word in path.as_posix().lower() for word in SOURCES["carfusion"]):
            continue
        try:
            document = load_document(path)
        except InputError:
            continue  # some other JSON that lies there
        any_file = True
        for name, _, keys in _needs(document):
            for key in keys:
                found[key].add(name)
    return found if any_file else None


def _car(keys: set[Any], cars: Mapping[tuple, set[str]] | None, index: Mapping[str, list[Path]]) -> Path | str:
    if cars is None:
        return NO_LABELS
    names = set().union(*(cars.get(key, set()) for key in keys), set())
    if len(names) != 1:
        return UNMATCHED
    found = _find("carfusion/" + names.pop(), {}, index, SOURCES["carfusion"])
    return found
