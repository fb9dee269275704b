"""The table of label forms, and labels of every form as one `Dataset`: `read("dlc/mouse:labels.csv", images)`.

A specification is FORM:FILE or FORM/WORD:FILE. The form names the reader; the word chooses categories in forms that
have them, and names the object in forms that do not (`LabelForm.word` says which). A new form is one file with a
`LabelForm` and one line in `FORMS`.
"""

import hashlib
from collections import Counter
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

from ..category import Category
from ..configs.checks import near_names
from ..configs.typed import is_drive
from ..errors import InputError
from ..io import file_digest
from .coco import from_document
from .dataset import Dataset, check_faults
from .document import Labels
from .faults.doubts import doubts
from .form import LabelForm, Written
from .losses import lost
from .phrases import LIBRARY, in_phrases
from .pictures import Pictures
from .reading import spelled

# Name of the form -> MODULE:NAME of its `LabelForm`; a leading dot means a module of this package.
FORMS: dict[str, str] = {
    "coco": ".coco:FORM",
    "ap10k": ".coco:AP10K",
    "apt36k": ".apt36k:FORM",
    "animalpose": ".animalpose:FORM",
    "animalkingdom": ".animalkingdom:FORM",
    "macaque": ".macaque:FORM",
    "humanart": ".humanart:FORM",
    "300w": ".faces:W300",
    "aflw": ".faces:AFLW",
    "deepfashion2": ".deepfashion2:FORM",
    "mp100": ".mp100:FORM",
    "field": ".field:FORM",
    "joint": ".joint:FORM",
    "cub": ".cub:FORM",
    "carfusion": ".carfusion:FORM",
    "onehand10k": ".onehand10k:FORM",
    "spair": ".spair:FORM",
    "soco": ".soco:FORM",
    "megakpt": ".megakpt:FORM",
    "pts": ".pts:FORM",
    "labelstudio": ".labelstudio:FORM",
    "cvat": ".cvat:FORM",
    "dlc": ".dlc:FORM",
    "sleap": ".sleap:FORM",
    "npz": ".npz:FORM",
    "csv": ".table:FORM",
    "yolo": ".yolo_pose:FORM",
    "labelme": ".labelme:FORM",
    "tps": ".tps:FORM",
    "imglab": ".imglab:FORM",
    "via": ".via:FORM",
}


def form_of(name: str) -> LabelForm:
    """The form of that name; InputError, listing the known ones, if there is none."""
    if name not in FORMS:
        raise InputError(
            f"There are no labels of the form {name!r}{near_names(name, FORMS)}; known are {', '.join(FORMS)}."
        )
    return _load(FORMS[name])


@cache
def _load(entry: str) -> LabelForm:
    module, _, attribute = entry.partition(":")
    return getattr(import_module(module, __package__), attribute)


# --- reading -------------------------------------------------------------------------------------------------------


def read(
    spec: str,
    images: str | Path | None = None,
    allow_missing: bool = False,
    *,
    official: bool = False,
    phrases: str | None = LIBRARY,
    strict: bool = False,
) -> Dataset:
    """The objects of a specification.

    spec: FORM:FILE or FORM/WORD:FILE.
    images: the folder of the pictures; None where the form knows it.
    allow_missing: leave out objects whose picture is missing; otherwise a missing picture is an error.
    official: read MP-100's boxes as the released code does where ours are refused (see `mp100.read_mp100`); other
        forms have one reading.
    strict: refuse labels with a fault; otherwise what cannot be used is left out (see `Dataset.faults`).
    phrases: whose words text encoders read for the points: "library", "file", a file of phrases, or None for those of
        the file where it has phrases (see `phrases.in_phrases`).
    Raises InputError for an unknown form, listing the known ones, for a file that cannot be read at all, and for labels
    in which every object has a fault.
    """
    name, word, path = parse(spec)
    form = form_of(name)
    if form.join is not None:
        if images is not None:
            raise InputError(f"{path} says itself where the pictures are; leave out the folder {images}.")

        def member(one: str, folder: Path | None) -> Dataset:
            return read(one, folder, allow_missing, official=official, phrases=phrases, strict=strict)

        return form.join(path, member, _pictures)
    folder = pictures_of(spec, images)
    labels = load(spec, folder)
    check_faults(labels.faults, strict)
    if form.interpret is not None:
        data = form.interpret(labels.document(), path, folder, word, allow_missing, official)
    else:
        data = from_document(labels.document(), _named_file(spec), folder, allow_missing)
    data = _with_reader(data, labels, folder)
    data = replace(data, notes=(*data.notes, *doubts(data.objects)))
    check_faults(data.faults, strict, left=bool(data.objects))
    check_faults(data.supplied, strict)
    return in_phrases(data, phrases, labels.categories, path)


def read_categories(spec: str) -> list[Category]:
    """The categories of a specification. No picture is opened, and none need be there."""
    name, _, path = parse(spec)
    form = form_of(name)
    placed = form.join is not None or (form.pictures is not None and form.pictures(path) is not None)
    return list(read(spec, None if placed else Path(), allow_missing=True).categories.values())


def _with_reader(data: Dataset, labels: Labels, folder: Path) -> Dataset:
    """The data set with what the reader of the form left out, and noted, before the walk."""
    lost = {
        folder / spelled(folder, one["file_name"]) for one in labels.images if labels.bare and one["id"] in labels.bare
    }
    data = replace(data, empty=tuple(path for path in data.empty if path not in lost))
    skipped = Counter(labels.left_out) + Counter(data.skipped)
    notes = (*labels.all_notes(), *data.notes)
    faults, pairs = (*labels.faults, *data.faults), tuple(labels.pairs)
    return replace(data, skipped=dict(skipped), faults=faults, notes=notes, model=labels.model, pairs=pairs)


def load(spec: str, images: str | Path | None = None) -> Labels:
    """The labels of a specification as a COCO document whose entries have not been checked yet; see `read`."""
    name, word, path = parse(spec)
    form = form_of(name)
    folder = path if form.join is not None else pictures_of(spec, images)
    labels = form.read(path, folder, word)
    labels.leave_out_confused(path)
    pictures = Pictures(folder)
    labels.cut_boxes(lambda name: pictures.size(folder / name))
    return labels


def _pictures(spec: str, images: Path | None = None) -> list[Path]:
    """The paths of the pictures that the labels of a specification name, there or not; their objects are not read."""
    folder = pictures_of(spec, images)
    names = (entry.get("file_name") for entry in load(spec, folder).images if isinstance(entry, dict))
    return [folder / name for name in names if isinstance(name, str)]


def pictures_of(spec: str, images: str | Path | None = None) -> Path:
    """The folder of the pictures: the one given, otherwise the one that the form knows; InputError if it knows none."""
    if images is not None:
        return Path(images)
    name, _, path = parse(spec)
    known = form_of(name).pictures
    if form_of(name).join is not None:
        raise InputError(f"{path} puts several data sets together, each with its own pictures; give one of its own.")
    folder = None if known is None else known(path)
    if folder is None and not path.exists():
        raise InputError(f"There is no label file {path}; check the path.")
    if folder is None:
        raise InputError(f"It is not said where the pictures of {spec} are; give their folder too (--images FOLDER).")
    return folder


def parse(spec: str) -> tuple[str, str, Path]:
    """FORM/WORD:FILE -> name of the form, word ("" if there is none) and path."""
    before, colon, path = (spec if isinstance(spec, str) else "").partition(":")
    name, _, word = before.partition("/")
    form = form_of(name) if name in FORMS else None
    if form is not None and form.place is not None and not colon:
        return name, word, form.place()
    if not path or not name:
        raise InputError(
            f"The data must be given as FORM:FILE, as in coco:FILE.json, but got {spec!r}; forms: {', '.join(FORMS)}."
        )
    if is_drive(spec, len(before)):
        raise InputError(f"Say which form the labels {spec} have, as in coco:{spec}; forms: {', '.join(FORMS)}.")
    if form is None:
        raise InputError(
            f"There is no data of the form {name!r} (as in {spec!r}){near_names(name, FORMS)}; known are "
            f"{', '.join(FORMS)}."
        )
    if word and not form.word:
        raise InputError(f"Data of the form {name!r} take no word after '/', but got {word!r}; write {name}:FILE.")
    return name, word, Path(path)


def fingerprint(spec: str) -> str:
    """The SHA-256, in hexadecimal, of what a specification reads.

    It covers the form, the word, and names and contents of the label files, unless the form has a digest of its own.
    """
    name, word, path = parse(spec)
    form = form_of(name)
    try:
        own = None if form.digest is None else form.digest(path, word, fingerprint)
        if own is not None:
            return own
        if form.files is not None:
            files = form.files(path, word)
        else:
            files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
        digest = hashlib.sha256(f"{name}/{word}\n".encode())
        for entry in files:
            inside = entry.relative_to(path).as_posix() if path.is_dir() else ""
            digest.update(f"{inside} {file_digest(entry)}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise InputError(f"Cannot read the labels {path}: {error.strerror or error}.") from error
    return digest.hexdigest()


def label_files(spec: str) -> list[Path]:
    """The label files of a specification; a folder stands for itself where its form does not name the files in it."""
    name, word, path = parse(spec)
    find = form_of(name).files
    return [path] if find is None else find(path, word)


def _named_file(spec: str) -> Path:
    """What errors call the labels: the label file, or the folder where there are several."""
    files = label_files(spec)
    return files[0] if len(files) == 1 else parse(spec)[2]


# --- writing -------------------------------------------------------------------------------------------------------


def writable_forms() -> list[str]:
    """The names of the forms that labels can be written in."""
    return [name for name in FORMS if form_of(name).write is not None]


def convert(dataset: Dataset, images: Path, name: str, prefix: str = "") -> Written:
    """The objects of a data set in another form, in their order.

    images: the folder that file names of pictures are relative to.
    name: one of `writable_forms`.
    prefix: what stands before the file names of pictures, in forms that address them.
    Returns the content of the file or folder, which `writing.save` writes, and a phrase for each thing that the form
    has no room for. Raises InputError for another name, and for what the form cannot hold at all.
    """
    if name not in writable_forms():
        near = near_names(name, writable_forms())
        raise InputError(f"Labels can be written as {', '.join(writable_forms())}, but got {name!r}{near}.")
    if not dataset.objects:
        raise InputError("There is no labelled object to write; check the data with `data check`.")
    form = form_of(name)
    assert form.write is not None
    if prefix and not form.prefixed:
        raise InputError(
            f"The form {name} names pictures by their files, so that no prefix {prefix!r} fits; leave it out."
        )
    more = (prefix,) if form.prefixed else ()
    return Written(form.write(dataset, images, *more), lost(dataset, form))
