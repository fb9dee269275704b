"""Ids, file names and names of points of a COCO file of labels, taken over for predictions of the same pictures.

Tools that compare predictions with labels, such as pycocotools, match pictures and categories by their ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..category import Category, plain_text
from ..errors import InputError
from .document import json_objects, load_document, whole_id
from .reading import picture_key, tails

_NAMED = 3  # number of pictures that an error names


@dataclass(frozen=True)
class LabelIds:
    """What predictions take from labels.

    pictures: path of a picture -> its `file_name` in the labels.
    image_ids: `file_name` -> id.
    category, category_id: name and id of the category.
    points: the names of its keypoints, as the labels spell them.
    """

    pictures: Mapping[Path, str]
    image_ids: Mapping[str, int]
    category: str
    category_id: int
    points: Sequence[str]


def label_ids(file: Path, pictures: Sequence[Path], category: Category) -> LabelIds:
    """The ids that a file of labels has for pictures and a category.

    file: COCO keypoints.
    pictures: paths; each must end with a `file_name` of the labels, and the longest such name is meant.
    category: the labels must have one with the same points in the same order.
    Raises InputError for a picture or a category that the labels do not have, and for one that is not unique.
    """
    document = load_document(file)
    listed: dict[str, tuple[int, str]] = {}  # what identifies a picture -> id and file name
    for entry in json_objects(document["images"]):
        identity, name = whole_id(entry, "id"), entry.get("file_name")
        if identity is None or not isinstance(name, str):
            continue
        if listed.setdefault(picture_key(name), (identity, name))[0] != identity:
            raise InputError(f"{file} lists the picture {name} under two ids, so that neither can be taken; mend it.")
    names = {path: _listed_name(path, listed) for path in pictures}
    if missing := [path.name for path, key in names.items() if key is None]:
        more = " ..." if len(missing) > _NAMED else ""
        raise InputError(
            f"{file} does not list {len(missing)} of the {len(pictures)} pictures ({', '.join(missing[:_NAMED])}{more})"
            "; predict those that it lists, or take ids of another file."
        )
    found = {path: listed[key] for path, key in names.items() if key is not None}
    ids: dict[int, Path] = {}
    for path, (identity, name) in found.items():
        if ids.setdefault(identity, path) != path:
            raise InputError(f"{file} lists {name} once, but both {ids[identity]} and {path} end like it; name one.")
    kind = _category_entry(document["categories"], category, file)
    return LabelIds(
        {path: name for path, (_, name) in found.items()},
        {name: identity for identity, name in found.values()},
        kind["name"],
        kind["id"],
        kind["keypoints"],
    )


def _listed_name(path: Path, listed: Mapping[str, Any]) -> str | None:
    """The longest end of a path that the labels list."""
    return next((tail for tail in tails(picture_key(path.absolute().as_posix())) if tail in listed), None)


def _category_entry(entries: list, category: Category, file: Path) -> dict[str, Any]:
    """The entry of the labels' category with the same points in the same order; of several the one of that name."""
    fitting = []
    for entry in json_objects(entries):
        points, identity = entry.get("keypoints"), whole_id(entry, "id")
        if identity is None or not isinstance(points, list) or not isinstance(entry.get("name"), str):
            continue
        if len(points) == len(category) and all(map(_is_point, points, category.keypoints)):
            fitting.append({**entry, "id": identity})
    called = (plain_text(category.name), plain_text(category.noun))
    same = [entry for entry in fitting if plain_text(entry["name"]) in called]
    if len(same or fitting) == 1:
        return (same or fitting)[0]
    raise InputError(
        f"{file} has {len(fitting) or 'no'} categories with the {len(category)} keypoints of {category.name!r} in "
        "their order; its ids cannot be taken for another category."
    )


def _is_point(name: Any, point: Any) -> bool:
    """Whether a name in the labels means a keypoint."""
    return isinstance(name, str) and plain_text(name) in (plain_text(point.name), plain_text(point.label or point.name))
