"""300W (68 points) and AFLW (19 points) as COCO files that do not name their points; the library's definitions do."""

from pathlib import Path

from ..errors import InputError
from ..library.lookup import category as library_category
from .document import Labels, json_objects, load_document
from .form import LabelForm
from .writing import point_labels

# Number of points -> definition of the library. MP-100 keeps AFLW in a folder called amur_tiger_body.
_DEFINITIONS = {68: "human_face", 19: "amur_tiger_body"}


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """The labels of a file; a category without names of points gets those of the definition with as many points."""
    labels = Labels.of(load_document(path))
    lists = [entry.get("keypoints") for entry in json_objects(labels.annotations)]
    counts = {len(values) // 3 for values in lists if isinstance(values, list)}
    for entry in json_objects(labels.categories):
        if entry.get("keypoints") == []:
            if len(counts) != 1 or not counts <= set(_DEFINITIONS):
                raise InputError(
                    f"{path}: category {entry.get('id')} names no points, and {sorted(counts)} points are neither "
                    "300W's 68 nor AFLW's 19; name them under 'keypoints'."
                )
            known = library_category(_DEFINITIONS[next(iter(counts))])
            entry["keypoints"] = point_labels(known)
            entry["skeleton"] = [list(edge) for edge in known.skeleton]
    return labels


W300 = LabelForm(read, "300W faces, 68 points (.json)")
AFLW = LabelForm(read, "AFLW faces, 19 points (.json)")
