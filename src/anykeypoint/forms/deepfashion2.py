"""DeepFashion2 converted to COCO: annotations have 294 points, of which each kind of garment has its own few."""

from pathlib import Path

from ..library.lookup import category as library_category
from . import coco
from .document import Labels, json_objects, whole_id
from .form import CHOICE, LabelForm
from .writing import point_labels

# Kind of garment -> the range of its points among the 294: first, and one past the last.
GARMENTS = {
    "short_sleeved_shirt": (0, 25),
    "long_sleeved_shirt": (25, 58),
    "short_sleeved_outwear": (58, 89),
    "long_sleeved_outwear": (89, 128),
    "vest": (128, 143),
    "sling": (143, 158),
    "shorts": (158, 168),
    "trousers": (168, 182),
    "skirt": (182, 190),
    "short_sleeved_dress": (190, 219),
    "long_sleeved_dress": (219, 256),
    "vest_dress": (256, 275),
    "sling_dress": (275, 294),
}
POINTS = max(end for _, end in GARMENTS.values())  # 294


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """The labels of a file, each garment with its own points under the library's names. selection: see `coco.read`."""
    labels = coco.read(path, images, selection)
    ranges: dict[int | None, tuple[int, int]] = {}
    for entry in json_objects(labels.categories):
        name = str(entry.get("name", "")).strip().replace(" ", "_")
        name = name.replace("sleeve_", "sleeved_").replace("_top", "_shirt")  # spellings of the data set's own list
        if name not in GARMENTS:
            labels.faults.append(
                f"{path}: category {entry.get('id')} is called {entry.get('name')!r}, no garment of DeepFashion2; "
                f"known are {', '.join(GARMENTS)}."
            )
            continue
        known = library_category(name)
        entry["keypoints"] = point_labels(known)
        entry["skeleton"] = [list(edge) for edge in known.skeleton]
        ranges[whole_id(entry, "id")] = GARMENTS[name]
    for entry in json_objects(labels.annotations):
        values, own = entry.get("keypoints"), ranges.get(whole_id(entry, "category_id"))
        if isinstance(values, list) and len(values) == 3 * POINTS and own is not None:
            entry["keypoints"] = values[3 * own[0] : 3 * own[1]]
    return labels


FORM = LabelForm(read, "DeepFashion2 turned to COCO (.json), 294 points", CHOICE)
