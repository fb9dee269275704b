"""Some of a document's categories, chosen by name as in `coco/dog,cat:FILE`, with the objects of these."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..category import plain_text
from ..configs.checks import near_names
from ..errors import InputError
from .document import Labels, json_objects, whole_id


def select(
    labels: Labels, selection: str, path: Path, names_of: Callable[[dict[str, Any]], set[str]] | None = None
) -> Labels:
    """Keep the categories that a selection names, and the annotations of these; the labels are changed in place.

    selection: names separated by commas, compared as `plain_text`.
    path: the label file, named in the InputError for a name that no category has.
    names_of: the names that a category may be chosen by, in plain text; `own_names` by default.
    """
    wanted = split_names(selection)
    known: set[str] = set()
    ids: set[int | None] = set()
    categories = []
    for entry in json_objects(labels.categories):
        names = (names_of or own_names)(entry)
        known |= names
        if names & wanted:
            ids.add(whole_id(entry, "id"))
            categories.append(entry)
    if unknown := sorted(wanted - known):
        listed = ", ".join(" ".join(name.split()) for name in sorted(known - {""})[:80])
        near = near_names(unknown[0], known)
        raise InputError(f"{path} has no category or group {unknown[0]!r}{near}; known are {listed}.")
    labels.categories = categories
    everything = json_objects(labels.annotations)
    labels.annotations = [entry for entry in everything if whole_id(entry, "category_id") in ids]
    # A picture all of whose objects were not chosen is no picture without objects.
    left = {whole_id(entry, "image_id") for entry in everything}
    left -= {whole_id(entry, "image_id") for entry in labels.annotations} | {None}
    labels.images = [entry for entry in json_objects(labels.images) if whole_id(entry, "id") not in left]
    return labels


def own_names(entry: Mapping[str, Any]) -> set[str]:
    """The name of a category and the name of its group (`supercategory`), in plain text."""
    return {plain_text(str(entry.get(key, ""))) for key in ("name", "supercategory")}


def split_names(selection: str) -> set[str]:
    """The names of a selection that are separated by commas, in plain text."""
    return {plain_text(name) for name in selection.split(",") if name.strip()}
