"""Animal Kingdom: a COCO file with five classes of animals, 23 points, and the species in each annotation."""

from pathlib import Path, PurePosixPath

from ..category import plain_text
from .document import Labels, json_objects, load_document, whole_id
from .form import LabelForm
from .selecting import select, split_names


def read(path: Path, images: Path, selection: str = "") -> Labels:
    """The labels of a file.

    selection: names of classes (categories) or of species (`animal` of an annotation), separated by commas.
    The first part of a picture's path is the clip it is from, which becomes its group. The data set's own samples have
    annotations of a class that the file does not list; such a class gets the points of the others, which are the same
    for all.
    """
    labels = Labels.of(load_document(path))
    _add_unlisted_classes(labels)
    for entry in json_objects(labels.categories):
        if isinstance(entry.get("keypoints"), list):
            entry["keypoints"] = [name.strip() if isinstance(name, str) else name for name in entry["keypoints"]]
    for entry in json_objects(labels.images):
        parts = PurePosixPath(str(entry.get("file_name", ""))).parts
        if len(parts) > 1:
            entry.setdefault("group", parts[0])
    if not selection:
        return labels
    wanted = split_names(selection)
    of_species = [
        entry for entry in json_objects(labels.annotations) if plain_text(str(entry.get("animal", ""))) in wanted
    ]
    if not of_species:
        return select(labels, selection, path)
    labels.annotations = of_species
    return labels


def _add_unlisted_classes(labels: Labels) -> None:
    """List each class (`animal_parent_class`) that annotations have and the categories lack."""
    categories = json_objects(labels.categories)
    listed = {whole_id(entry, "id") for entry in categories}
    names = next((entry.get("keypoints") for entry in categories if entry.get("keypoints")), None)
    skeleton = next((entry.get("skeleton") for entry in categories if entry.get("skeleton")), [])
    for entry in json_objects(labels.annotations):
        name, identity = entry.get("animal_parent_class"), whole_id(entry, "category_id")
        if identity not in listed and isinstance(name, str) and names and identity is not None:
            listed.add(identity)
            labels.categories.append({"id": identity, "name": name, "keypoints": names, "skeleton": skeleton})


FORM = LabelForm(read, "Animal Kingdom (.json)", "classes or species, parted by commas")
