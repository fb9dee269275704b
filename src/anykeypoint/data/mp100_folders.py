"""MP-100's hundred folders, put together from the data sets that a user has.

MP-100 gives out labels only; its pictures are those of thirteen data sets, copied or linked into a folder for each
category. Where the label files (`mp100_*.json`) are among the sources every picture that they name is looked for, one
by one; that is what tells how much is missing. Where names do not help, a picture is found by its labels: CarFusion's,
and those that are inside an .h5 file (flies and locusts), which are written out.
"""

import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..errors import InputError
from ..forms import carfusion
from ..forms.deepfashion2 import GARMENTS
from ..forms.document import load_document
from ..forms.faults.known import INSECTS, VEHICLES
from ..forms.pictures import picture_size
from ..forms.reading import plain_number
from ..images import SUFFIXES
from .deepposekit import Frame, Frames, installed, read_frames, write_frame

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
UNMATCHED = "no picture of its source, or more than one, has the same points"
NO_LABELS = "CarFusion's labels (its own, or in COCO's form) are not among the sources"
NO_H5PY = "its pictures are in an .h5 file, which needs the package h5py; install anykeypoint with the extra 'h5'"
CAR_POINTS = 13  # that MP-100 took of CarFusion's 14


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
    found: dict[str, Path | Frame] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def plan(sources: Path) -> list[Folder]:
    """The folders that the label files among the sources need, with each picture found or missing, by name.

    A picture is found by its path's end, else by its name among its data set's files, else by its name alone; of
    several the one whose size the labels say, or any of them if all are the same. CarFusion's, flies and locusts that
    are not there by name are found by their labels: the picture on which an object has the very points.
    Raises InputError if there are no label files.
    """
    index, books, archives, tables = _index(sources)
    files = [path for path in books if path.name.startswith("mp100")]
    if not files:
        raise InputError(
            f"There is no mp100_*.json in {sources} or below; put MP-100's label files there, they name the pictures."
        )
    wanted: dict[str, dict[str, Any]] = {}
    labels: dict[str, dict[bytes, np.ndarray]] = defaultdict(dict)  # an object is in several splits' files
    for path in files:
        for name, entry, objects in _needs(load_document(path)):
            wanted.setdefault(name, entry)
            labels[name] |= {table.tobytes(): table for table in objects}
    cars = _car_labels([path for path in books if path not in files], tables)
    frames = _frames(archives)
    folders: dict[str, Folder] = {}
    for name, entry in sorted(wanted.items()):
        top = PurePosixPath(name).parts[0] if "/" in name else ""
        folder = folders.setdefault(top, Folder(top, source_of(top)))
        if folder.source == "carfusion" and not _at(index, name):
            found = _car(labels[name].values(), cars, index)
        elif folder.source in INSECTS and archives[folder.source] and not _at(index, name):
            found = _frame(labels[name].values(), frames[folder.source])
        else:
            found = _find(name, entry, index, SOURCES.get(folder.source, ()))
        if isinstance(found, str):
            folder.missing[name] = found
        else:
            folder.found[name] = found
    return list(folders.values())


def build(folders: Iterable[Folder], out: Path, copy: bool) -> int:
    """Link (or copy, or write out) every picture found to its place under `out`; how many. What is there stays."""
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
                if isinstance(path, Frame):
                    write_frame(path, target)
                elif copy:
                    shutil.copyfile(path, target)
                else:
                    os.symlink(path.resolve(), target)
            except OSError as error:
                hint = "" if copy else "; where links are not allowed, copy instead"
                raise InputError(f"Cannot put {target} in its place: {error.strerror or error}{hint}.") from error
            count += 1
    return count


# --- what is needed ------------------------------------------------------------------------------------------------


def _needs(document: Mapping[str, list]) -> Iterator[tuple[str, dict[str, Any], list[np.ndarray]]]:
    """Name, entry and objects' points of each picture; what is broken is for `data check` to tell."""
    objects: dict[Any, list[np.ndarray]] = defaultdict(list)
    for entry in document["annotations"]:
        if isinstance(entry, dict) and type(entry.get("image_id")) is int:
            objects[entry["image_id"]].append(_points(entry.get("keypoints")))
    for entry in document["images"]:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if (
            isinstance(name, str)
            and name
            and not PurePosixPath(name).is_absolute()
            and ".." not in PurePosixPath(name).parts
        ):
            yield name, entry, objects.get(entry.get("id"), [])


def _points(values: Any) -> np.ndarray:
    """(K, 3): x, y and visibility, 0 for a point that is not labelled or has no place; (0, 3) for anything else."""
    if not isinstance(values, list) or len(values) % 3:
        return np.zeros((0, 3))
    table = np.array([plain_number(value) for value in values]).reshape(-1, 3)
    return np.where(np.isfinite(table).all(axis=1, keepdims=True) & (table[:, 2:] > 0), table, 0.0)


# --- where it is ---------------------------------------------------------------------------------------------------


def _index(
    sources: Path,
) -> tuple[dict[str, list[Path]], list[Path], dict[str, list[Path]], set[Path]]:
    """All pictures below the sources by their name in lower case, all JSON files, the .h5 files that may be of an
    insect's, and the folders of CarFusion's sequences; links to folders are followed."""
    index: dict[str, list[Path]] = defaultdict(list)
    books: list[Path] = []
    archives: dict[str, list[Path]] = defaultdict(list)
    tables: set[Path] = set()
    seen: set[str] = set()
    for folder, below, files in os.walk(sources, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link back to where we were
            below.clear()
            continue
        seen.add(real)
        below.sort()
        here = Path(folder)
        if here.name == "gt" and _is_of(here, "carfusion") and any(file.endswith(".txt") for file in files):
            tables.add(here.parent.parent)
        for file in sorted(files):
            suffix = PurePosixPath(file).suffix.lower()
            if suffix in SUFFIXES:
                index[file.lower()].append(here / file)
            elif suffix == ".json":
                books.append(here / file)
            elif suffix == ".h5":
                for insect in INSECTS:
                    if _is_of(here / file, insect):
                        archives[insect].append(here / file)
    return index, books, archives, tables


def _is_of(path: Path, source: str) -> bool:
    return any(word in path.as_posix().lower() for word in SOURCES[source])


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


def _car_key(table: np.ndarray) -> tuple:
    """What a car has in common with itself in another file: its points, cut to whole pixels as the conversion does."""
    table = table[:CAR_POINTS]
    return tuple((place, int(table[place, 0]), int(table[place, 1])) for place in np.flatnonzero(table[:, 2] > 0))


def _car_labels(books: Iterable[Path], tables: Iterable[Path]) -> dict[tuple, set[str]] | None:
    """Car's key -> the names of CarFusion's pictures that it is on; None if its labels are not there.

    books: JSON files, of which some may be CarFusion's. tables: folders of its sequences.
    """
    documents = []
    for path in books:
        if _is_of(path, "carfusion"):
            try:
                documents.append(load_document(path))
            except InputError:
                continue  # some other JSON that lies there
    documents += [carfusion.read(folder, folder).document() for folder in sorted(tables)]
    found: dict[tuple, set[str]] = defaultdict(set)
    for document in documents:
        for name, _, objects in _needs(document):
            for table in objects:
                if key := _car_key(table):
                    found[key].add(name)
    return found if documents else None


def _car(
    objects: Iterable[np.ndarray], cars: Mapping[tuple, set[str]] | None, index: Mapping[str, list[Path]]
) -> Path | str:
    if cars is None:
        return NO_LABELS
    known = [cars[key] for key in map(_car_key, objects) if key in cars]
    names = set.intersection(*known) if known else set()
    if len(names) != 1:
        return UNMATCHED
    return _find("carfusion/" + names.pop(), {}, index, SOURCES["carfusion"])


def _frames(archives: Mapping[str, list[Path]]) -> dict[str, list[Frames] | None]:
    """Insect -> its .h5 files, None if the package that reads them is not there."""
    if not installed():
        return dict.fromkeys(INSECTS)
    read = {path: read_frames(path) for path in {path for paths in archives.values() for path in paths}}
    return {insect: [read[path] for path in archives.get(insect, []) if read[path]] for insect in INSECTS}


def _frame(objects: Iterable[np.ndarray], frames: list[Frames] | None) -> Frame | str:
    if frames is None:
        return NO_H5PY
    found = {frame for table in objects for book in frames for frame in book.find(table[:, :2], table[:, 2])}
    return found.pop() if len(found) == 1 else UNMATCHED
