"""Labels of many formats as one `Dataset`: `read("dlc/mouse:labels.csv", images)`.

A specification is FORM:FILE or FORM/WORD:FILE. The form names the reader; the word chooses categories in files that
have them, and names the object in files that do not (`FORMS` says which). Some forms know where their pictures are.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from . import (
    carfusion,
    cub,
    cvat,
    dialects,
    dlc,
    field,
    joint,
    labelstudio,
    macaque,
    mp100,
    npz,
    onehand10k,
    pts,
    sleap,
    table,
)
from .dataset import Dataset, from_document
from .document import Labels

Reader = Callable[[Path, Path, str], Labels]  # the file, the pictures' folder and the word
Judge = Callable[[Mapping[str, list], Path, Path, str, bool, bool], Dataset]  # document, these, allow_missing, official


@dataclass(frozen=True)
class Form:
    """A format: its reader, a line that tells it, and what the word after "/" means there ("" if none is taken).

    pictures: the folder of the pictures as the file's place tells it, None where it does not; needed if not given.
    files: which files of a folder are labels; all, unless said. place: the file's place if a specification has none.
    judge: how its document is read, where not by COCO's rules.
    """

    read: Reader
    what: str
    word: str = ""
    pictures: Callable[[Path], Path | None] | None = None
    files: Callable[[Path, str], list[Path]] | None = None
    place: Callable[[], Path] | None = None
    judge: Judge | None = None


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
    "mp100": Form(
        mp100.read,
        "MP-100 by the released rules (.json)",
        "pairs or capellm, the rules, and categories or groups, parted by commas",
        pictures=mp100.root,
        judge=mp100.judge,
    ),
    "field": Form(
        field.read,
        f"the field data (their folder; that of {field.PLACE} if none is given)",
        "test (if none is named), train or val",
        pictures=lambda path: path / "images",
        files=field.files,
        place=field.place,
    ),
    "joint": Form(joint.read, "several data sets as one (.yaml)"),
    "cub": Form(
        cub.read,
        "CUB-200-2011 (its folder)",
        "species or kinds of bird, parted by commas",
        pictures=lambda path: path / "images",
    ),
    "carfusion": Form(
        carfusion.read,
        "CarFusion (its folder of sequences)",
        "sequences, parted by commas",
        pictures=lambda path: path,
        files=carfusion.files,
    ),
    "onehand10k": Form(onehand10k.read, "OneHand10K (label_joint.txt)", pictures=onehand10k.pictures),
    "pts": Form(pts.read, "a folder of .pts files (AnimalWeb, 300W)", _NOUN, pictures=lambda path: path),
    "labelstudio": Form(labelstudio.read, "Label Studio's JSON export", _NOUN),
    "cvat": Form(cvat.read, "CVAT for images (.xml)", _NOUN),
    "dlc": Form(dlc.read, "DeepLabCut and Lightning Pose labelled data (.csv)", _NOUN),
    "sleap": Form(sleap.read, "SLEAP projects (.slp), with the extra 'sleap'", _NOUN),
    "npz": Form(npz.read, "numpy arrays images, points, names, boxes and category (.npz)", _NOUN),
    "csv": Form(table.read, "the table that `predict` and `data convert` write (.csv)"),
}


def read(
    spec: str, images: str | Path | None = None, allow_missing: bool = False, *, official: bool = False
) -> Dataset:
    """The objects of a specification, with pictures in the folder `images`; see `coco.read_coco` for the rest.

    images: None where the form knows its pictures' place. official: read MP-100's boxes as the released code does where
    ours are refused (see `mp100.read_mp100`); other forms have one reading.
    Raises InputError for an unknown form, listing the known ones, and for whatever its reader cannot use.
    """
    form, word, path = parse(spec)
    if form == "joint":
        if images is not None:
            raise InputError(f"{path} says itself where the pictures are; leave out the folder {images}.")
        return joint.read_joint(path, lambda one, folder: read(one, folder, allow_missing, official=official))
    folder = pictures_of(spec, images)
    labels = load(spec, folder)
    if FORMS[form].judge is not None:
        return FORMS[form].judge(labels.document(), path, folder, word, allow_missing, official)
    return from_document(labels.document(), _file(spec), folder, allow_missing, labels.left_out)


def load(spec: str, images: str | Path | None = None) -> Labels:
    """The labels of a specification as a COCO document that no one has judged yet."""
    form, word, path = parse(spec)
    return FORMS[form].read(path, path if form == "joint" else pictures_of(spec, images), word)


def pictures_of(spec: str, images: str | Path | None = None) -> Path:
    """The folder of the pictures: the one given, else the one that the form knows; InputError if it knows none."""
    if images is not None:
        return Path(images)
    form, _, path = parse(spec)
    known = FORMS[form].pictures
    folder = None if known is None else known(path)
    if folder is None:
        raise InputError(f"It is not said where the pictures of {spec} are; give their folder too (--images FOLDER).")
    return folder


def parse(spec: str) -> tuple[str, str, Path]:
    """FORM/WORD:FILE -> form, word ("" if none) and path."""
    before, colon, path = spec.partition(":")
    form, _, word = before.partition("/")
    known = FORMS.get(form)
    if known is not None and known.place is not None and not colon:
        return form, word, known.place()
    if not path or not form:
        raise InputError(
            f"The data must be given as FORM:FILE, as in coco:FILE.json, but got {spec!r}; forms: {', '.join(FORMS)}."
        )
    if known is None:
        raise InputError(f"There is no data of the form {form!r} (as in {spec!r}); known are {', '.join(FORMS)}.")
    if word and not known.word:
        raise InputError(f"Data of the form {form!r} take no word after '/', but got {word!r}; write {form}:FILE.")
    return form, word, Path(path)


def _file(spec: str) -> Path:
    """The label file, or the folder of several."""
    form, word, path = parse(spec)
    files = [] if FORMS[form].files is None else FORMS[form].files(path, word)
    return files[0] if len(files) == 1 else path


def fingerprint(spec: str) -> str:
    """SHA-256, in hexadecimal, of what a specification reads: the file's own for coco:FILE, which is how it was before
    there were others, and for field, which is such a file; else of form, word, and names and contents of the files."""
    form, word, path = parse(spec)
    if form == "joint":
        return joint.fingerprint(path, fingerprint)
    digest = hashlib.sha256()
    try:
        if (form, word) == ("coco", "") or form == "field":
            with _file(spec).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        if FORMS[form].files is not None:
            files = FORMS[form].files(path, word)
        else:
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
