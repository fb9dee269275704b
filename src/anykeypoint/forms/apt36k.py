"""APT-36K: AP-10K's points on videos, as a COCO file whose file names are paths of the machine it was made on."""

from pathlib import Path, PurePosixPath

from . import coco
from .document import Labels, json_objects
from .form import LabelForm
from .picture_search import PictureSearch
from .reading import tails


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """The labels of a file.

    images: a picture is the longest tail of its path that exists in this folder.
    selection: see `coco.read`.
    The folder of a picture is its video, which becomes its group.
    """
    labels, search = coco.read(path, images, selection), PictureSearch(images)
    for entry in json_objects(labels.images):
        name = entry.get("file_name")
        if not isinstance(name, str):
            continue
        parts = PurePosixPath(name.replace("\\", "/")).parts
        entry["file_name"] = search.find(tails(name), name)
        labels.found_by(entry["file_name"], name)
        if len(parts) > 1:
            entry.setdefault("group", "/".join(parts[-3:-1]))
    labels.notes += search.notes()
    return labels


FORM = LabelForm(read, "APT-36K (.json)", "species or families, parted by commas")
