"""The pictures of MP-100, collected from the data sets that a user has.

MP-100 publishes labels only. Its pictures are those of thirteen data sets, which are copied or linked into a folder for
each category. Every picture that the label files (`mp100_*.json`) name is searched for, so that the missing ones are
known. Where the names do not identify a picture, its labels do: CarFusion's pictures, and those inside an .h5 file
(flies and locusts), which are written as files.
"""

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
from ..forms.reading import plain_number
from ..images import SUFFIXES, picture_size
from ..io import file_digest
from .deepposekit import Frame, Frames, installed, read_frames, write_frame

# Words by which the path of a picture, in lower case, shows the data set that it is from.
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
_SOURCES_OF_FOLDERS = {
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
CAR_POINTS = 13  # number of keypoints that MP-100 took of CarFusion's 14


def source_of(folder: str) -> str:
    """The data set that the pictures of a folder of MP-100 are from; "" for a folder that MP-100 does not have."""
    name = folder.lower()
    if name in _SOURCES_OF_FOLDERS:
        return _SOURCES_OF_FOLDERS[name]
    if name.removesuffix("_body") in BIRDS:
        return "cub200"
    return "animalweb" if name.endswith("_face") else "ap10k" if name.endswith("_body") else ""


@dataclass
class Folder:
    """One folder of MP-100 and the pictures that the labels name in it.

    name: name of the folder.
    source: the data set that it is from, see `source_of`.
    found: name of a picture -> where it is.
    missing: name of a picture -> why it was not found.
    """

    name: str
    source: str
    found: dict[str, Path | Frame] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceFiles:
    """The files below a folder of downloaded data sets.

    pictures: name of a picture in lower case -> all files of that name.
    documents: JSON files.
    archives: "fly" or "locust" -> .h5 files that may be its.
    sequences: folders of CarFusion's sequences.
    """

    pictures: dict[str, list[Path]]
    documents: list[Path]
    archives: dict[str, list[Path]]
    sequences: set[Path]

    @classmethod
    def below(cls, folder: Path) -> "SourceFiles":
        """List the files. Links to folders are followed; a folder that several links lead to is listed once."""
        files = cls(defaultdict(list), [], defaultdict(list), set())
        listed: set[str] = set()
        for path, subfolders, names in os.walk(folder, followlinks=True):
            real = os.path.realpath(path)
            if real in listed:
                subfolders.clear()
                continue
            listed.add(real)
            subfolders.sort()
            here = Path(path)
            if here.name == "gt" and _is_of(here, "carfusion") and any(name.endswith(".txt") for name in names):
                files.sequences.add(here.parent.parent)
            for name in sorted(names):
                files._add(here / name)
        return files

    def at(self, name: str) -> list[Path]:
        """The pictures whose path ends with `name`, which may have folders in front."""
        same_name = self.pictures.get(PurePosixPath(name).name.lower(), ())
        return [path for path in same_name if path.as_posix().endswith("/" + name)]

    def _add(self, path: Path) -> None:
        suffix = path.suffix.lower()
        if suffix in SUFFIXES:
            self.pictures[path.name.lower()].append(path)
        elif suffix == ".json":
            self.documents.append(path)
        elif suffix == ".h5":
            for insect in INSECTS:
                if _is_of(path, insect):
                    self.archives[insect].append(path)


def plan(sources: Path) -> list[Folder]:
    """The folders that the label files need, with the pictures that are among the sources.

    A picture is identified by the end of its path, else by its name among the files of its data set, else by its name
    alone. Of several candidates it is the one with the size that the labels give, or any where all have the same
    content. Pictures of CarFusion, flies and locusts that are not there by name are identified by their labels: an
    object must have the same points. Raises InputError where there are no label files.

    sources: folder with the downloaded data sets and MP-100's label files.
    """
    files = SourceFiles.below(sources)
    label_files = [path for path in files.documents if path.name.startswith("mp100")]
    if not label_files:
        raise InputError(
            f"There is no mp100_*.json in {sources} or below; put MP-100's label files there, they name the pictures."
        )
    wanted: dict[str, dict[str, Any]] = {}
    labels: dict[str, dict[bytes, np.ndarray]] = defaultdict(dict)  # by content: an object is in several splits' files
    for path in label_files:
        for name, entry, objects in _needs(load_document(path)):
            wanted.setdefault(name, entry)
            labels[name] |= {table.tobytes(): table for table in objects}
    cars = _car_labels([path for path in files.documents if path not in label_files], files.sequences)
    frames = _frames(files.archives)
    folders: dict[str, Folder] = {}
    for name, entry in sorted(wanted.items()):
        top = PurePosixPath(name).parts[0] if "/" in name else ""
        folder = folders.setdefault(top, Folder(top, source_of(top)))
        if folder.source == "carfusion" and not files.at(name):
            found = _car(labels[name].values(), cars, files)
        elif folder.source in INSECTS and files.archives[folder.source] and not files.at(name):
            found = _frame(labels[name].values(), frames[folder.source])
        else:
            found = _find(name, entry, files, SOURCES.get(folder.source, ()))
        if isinstance(found, str):
            folder.missing[name] = found
        else:
            folder.found[name] = found
    return list(folders.values())


def build(folders: Iterable[Folder], out: Path, copy: bool) -> int:
    """Link or copy every picture that was found to its place, or write it from its archive. Returns their number.

    Files that are there already are kept and not counted. Raises InputError where a file cannot be written.

    folders: what `plan` returned.
    out: the folder in which MP-100's folders are made.
    copy: copy the pictures instead of linking them.
    """
    count = 0
    for folder in folders:
        for name, path in folder.found.items():
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                continue
            if target.is_symlink():  # a broken link: its target has moved
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


# --- what the labels need -------------------------------------------------------------------------------------------


def _needs(document: Mapping[str, list]) -> Iterator[tuple[str, dict[str, Any], list[np.ndarray]]]:
    """Name, entry and objects' points of each picture. Faulty entries are skipped; `data check` reports them."""
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
    """(K, 3) x, y and visibility, zeros where a point is not labelled or not finite; (0, 3) for faulty values."""
    if not isinstance(values, list) or len(values) % 3:
        return np.zeros((0, 3))
    table = np.array([plain_number(value) for value in values]).reshape(-1, 3)
    return np.where(np.isfinite(table).all(axis=1, keepdims=True) & (table[:, 2:] > 0), table, 0.0)


# --- where the pictures are -----------------------------------------------------------------------------------------


def _is_of(path: Path, source: str) -> bool:
    """Whether the path of a file shows that it is from a data set."""
    return any(word in path.as_posix().lower() for word in SOURCES[source])


def _find(name: str, entry: Mapping[str, Any], files: SourceFiles, words: tuple[str, ...]) -> Path | str:
    """The picture of that name, or why it was not found.

    name: name of the picture in MP-100, with its folder.
    entry: its entry in the label file, with its size.
    files: the files of the sources.
    words: words in the paths of its data set, see SOURCES.
    """
    named = files.pictures.get(PurePosixPath(name).name.lower(), [])
    tail = "/".join(PurePosixPath(name).parts[1:])
    of_source = [path for path in named if any(word in path.parent.as_posix().lower() for word in words)]
    ending = [path for path in of_source or named if tail and path.as_posix().endswith("/" + tail)]
    candidates = files.at(name) or ending or of_source or named
    if len(candidates) < 2:
        return candidates[0] if candidates else NOWHERE
    size = (entry.get("width"), entry.get("height"))
    same_size = [path for path in candidates if picture_size(path) == size] if None not in size else candidates
    if len(same_size) == 1 or (same_size and len({file_digest(path) for path in same_size}) == 1):
        return same_size[0]
    return SEVERAL


def _car_key(table: np.ndarray) -> tuple:
    """The points of a car, rounded down to whole pixels as the conversion of CarFusion does: equal in both files."""
    table = table[:CAR_POINTS]
    return tuple((k, int(table[k, 0]), int(table[k, 1])) for k in np.flatnonzero(table[:, 2] > 0))


def _car_labels(json_files: Iterable[Path], sequences: Iterable[Path]) -> dict[tuple, set[str]] | None:
    """Key of a car -> names of CarFusion's pictures that show it; None where CarFusion's labels are missing.

    json_files: JSON files, of which some may be CarFusion's.
    sequences: folders of its sequences.
    """
    documents = []
    for path in json_files:
        if _is_of(path, "carfusion"):
            try:
                documents.append(load_document(path))
            except InputError:
                continue  # JSON of another kind
    documents += [carfusion.read(folder, folder).document() for folder in sorted(sequences)]
    found: dict[tuple, set[str]] = defaultdict(set)
    for document in documents:
        for name, _, objects in _needs(document):
            for table in objects:
                if key := _car_key(table):
                    found[key].add(name)
    return found if documents else None


def _car(objects: Iterable[np.ndarray], cars: Mapping[tuple, set[str]] | None, files: SourceFiles) -> Path | str:
    """The one picture of CarFusion that shows all of these cars, or why it was not found; cars: see `_car_labels`."""
    if cars is None:
        return NO_LABELS
    known = [cars[key] for key in map(_car_key, objects) if key in cars]
    names = set.intersection(*known) if known else set()
    if len(names) != 1:
        return UNMATCHED
    return _find("carfusion/" + names.pop(), {}, files, SOURCES["carfusion"])


def _frames(archives: Mapping[str, list[Path]]) -> dict[str, list[Frames] | None]:
    """ "fly" or "locust" -> its .h5 files; None where h5py is not installed."""
    if not installed():
        return dict.fromkeys(INSECTS)
    read = {path: read_frames(path) for path in {path for paths in archives.values() for path in paths}}
    return {insect: [read[path] for path in archives.get(insect, []) if read[path]] for insect in INSECTS}


def _frame(objects: Iterable[np.ndarray], frames: list[Frames] | None) -> Frame | str:
    """The one picture of the archives that has the points of these objects, or why it was not found."""
    if frames is None:
        return NO_H5PY
    found = {frame for table in objects for archive in frames for frame in archive.find(table[:, :2], table[:, 2])}
    return found.pop() if len(found) == 1 else UNMATCHED
