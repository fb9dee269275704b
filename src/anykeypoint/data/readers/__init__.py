"""Labels of many formats as one `Dataset`: `read("dlc/mouse:labels.csv", images)`.

A specification is FORM:FILE or FORM/WORD:FILE. The form names the reader; the word chooses categories in files that
have them, and names the object in files that do not (`FORMS` says which).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ..coco import Dataset, from_document
from . import cub, cvat, dialects, dlc, labelstudio, macaque, npz, pts, sleap, table
from .common import Labels

Reader = Callable[[Path, Path, str], Labels]


@dataclass(frozen=True)
class Form:
    """A format: its reader, a line that tells it, and what the word after "/" means there ("" if none is taken)."""

    read: Reader
    what: str
    word: str = ""


_CHOICE = "categories or groups, parted by commas"
_NOUN = "what the object is called"
FORMS: dict[str, Form] = {
    "coco": Form(dialects.coco, "COCO keypoints (.json), and data sets in its form", _CHOICE),
    "ap10k": Form(dialects.coco, "AP-10K (.json)", "species or families, parted by commas"),
    "apt36k": Form(dialects.apt36k, "APT-36K (.json)", "species or families, parted by commas"),
    "animalpose": Form(dialects.animal_pose, "AnimalPose (.json, the authors' or COCO's form)", _CHOICE),
    "animalkingdom": Form(dialects.animal_kingdom, "Animal Kingdom (.json)", "classes or species, parted by commas"),
    "macaque": Form(macaque.read, "MacaquePose (the authors' .csv, or .json)", _CHOICE),
    "humanart": Form(dialects.human_art, "Human-Art (.json)", "17 or 21, the number of points"),
    "300w": Form(dialects.faces, "300W faces, 68 points (.json)"),
    "aflw": Form(dialects.faces, "AFLW faces, 19 points (.json)"),
    "deepfashion2": Form(dialects.deepfashion2, "DeepFashion2 turned to COCO (.json), 294 points", _CHOICE),
    "cub": Form(cub.read, "CUB-200-2011 (its folder)", "species or kinds of bird, parted by commas"),
    "pts": Form(pts.read, "a folder of .pts files (AnimalWeb, 300W)", _NOUN),
    "labelstudio": Form(labelstudio.read, "Label Studio's JSON export", _NOUN),
    "cvat": Form(cvat.read, "CVAT for images (.xml)", _NOUN),
    "dlc": Form(dlc.read, "DeepLabCut and Lightning Pose labelled data (.csv)", _NOUN),
    "sleap": Form(sleap.read, "SLEAP projects (.slp), with the extra 'sleap'", _NOUN),
    "npz": Form(npz.read, "numpy arrays images, points, names, boxes and category (.npz)", _NOUN),
    "csv": Form(table.read, "the table that `predict` and `data convert` write (.csv)"),
}


def read(spec: str, images: str | Path, allow_missing: bool = False) -> Dataset:
    """The objects of a specification, with pictures in the folder `images`; see `coco.read_coco` for the rest.

    Raises InputError for an unknown form, listing the known ones, and for whatever its reader cannot use.
    """
    labels = load(spec, images)
    return from_document(labels.document(), parse(spec)[2], Path(images), allow_missing, labels.left_out)


def load(spec: str, images: str | Path) -> Labels:
    """The labels of a specification as a COCO document that no one has judged yet."""
    form, word, path = parse(spec)
    return FORMS[form].read(path, Path(images), word)


def parse(spec: str) -> tuple[str, str, Path]:
    """FORM/WORD:FILE -> form, word ("" if none) and path."""
    before, _, path = spec.partition(":")
    form, _, word = before.partition("/")
    if not path or not form:
        raise InputError(
            f"The data must be given as FORM:FILE, as in coco:FILE.json, but got {spec!r}; forms: {', '.join(FORMS)}."
        )
    if form not in FORMS:
        raise InputError(f"There is no data of the form {form!r} (as in {spec!r}); known are {', '.join(FORMS)}.")
    if word and not FORMS[form].word:
        raise InputError(f"Data of the form {form!r} take no word after '/', but got {word!r}; write {form}:FILE.")
    return form, word, Path(path)


def fingerprint(spec: str) -> str:
    """SHA-256, in hexadecimal, of what a specification reads: the file's own for coco:FILE, which is how it was before
    there were others; else of form, word, and names and contents of the files."""
    form, word, path = parse(spec)
    digest = hashlib.sha256()
    try:
        if (form, word) == ("coco", ""):
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
        digest.update(f"{form}/{word}\n".encode())
        for entry in files:
            with entry.open("rb") as file:
                inside = hashlib.file_digest(file, "sha256").hexdigest()
            name = entry.relative_to(path).as_posix() if path.is_dir() else ""
            digest.update(f"{name} {inside}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise InputError(f"Cannot read the labels {path}: {error.strerror or error}.") from error
    return digest.hexdigest()
