"""Human-Art: a COCO file that names 21 points, with COCO's 17 under `keypoints` and all under `keypoints_21`."""

from pathlib import Path, PurePosixPath

from ..errors import InputError
from .document import Labels, json_objects, load_document
from .form import LabelForm
from .reading import find_picture

_BODY = 17  # number of COCO's points, which come first; fingers and toes come behind them


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """The labels of a file.

    images: file names begin with HumanArt/images, which this folder may be already.
    selection: "17" for COCO's points, "21" or "" for all.
    """
    if selection not in ("", "17", "21"):
        raise InputError(f"Human-Art has 17 or 21 points, but got humanart/{selection}; write humanart/17:FILE.")
    labels = Labels.of(load_document(path))
    for entry in json_objects(labels.categories):
        names = entry.get("keypoints")
        if selection == "17" and isinstance(names, list) and len(names) > _BODY:
            entry["keypoints"] = names[:_BODY]
            edges = entry.get("skeleton") or []
            entry["skeleton"] = [edge for edge in edges if isinstance(edge, list) and max(edge, default=0) <= _BODY]
    for entry in json_objects(labels.annotations):
        if selection != "17" and "keypoints_21" in entry:
            entry["keypoints"] = entry["keypoints_21"]
            entry["num_keypoints"] = entry.get("num_keypoints_21", entry.get("num_keypoints"))
    for entry in json_objects(labels.images):
        name = entry.get("file_name")
        if isinstance(name, str):
            parts = PurePosixPath(name).parts
            entry["file_name"] = find_picture(images, ["/".join(parts[i:]) for i in range(min(3, len(parts)))])
            labels.found_by(entry["file_name"], name)
    return labels


FORM = LabelForm(read, "Human-Art (.json)", "17 or 21, the number of points")
