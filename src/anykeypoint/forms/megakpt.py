"""MegaKPT's 22 tests: a COCO file and a folder of pictures each, below one folder, as its authors pack them.

`megakpt.yaml` has the label file, the folder of the pictures and the keypoints that GKDT's scripts of evaluation name
for each test; where they name none, all count.
"""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ..category import plain_text
from ..configs.checks import near_names
from ..errors import InputError
from .document import Labels, json_objects, load_document
from .form import LabelForm

CUT = "The skeleton is left out, as the test has only some of the points that it joins."


@cache
def known_tests() -> dict[str, dict[str, Any]]:
    """Name of a test -> its label file, folder of pictures, and the names of its points where it has not all."""
    text = (resources.files("anykeypoint.forms") / "megakpt.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a test.

    path: the folder of MegaKPT.
    images: the same, or another folder with the same folders of pictures.
    word: name of the test; one must be named.
    """
    test = known_tests()[_name(word)]
    file = files(path, word)[0]
    labels = Labels.of(load_document(file))
    for entry in json_objects(labels.images):
        if isinstance(entry.get("file_name"), str) and entry["file_name"]:
            entry["file_name"] = f"{test['images']}/{entry['file_name']}"
    if "points" in test:
        _keep_points(labels, test["points"], file)
    return labels


def files(path: Path, word: str) -> list[Path]:
    """The one label file of a test."""
    return [path / known_tests()[_name(word)]["labels"]]


def _name(word: str) -> str:
    if word not in known_tests():
        near = near_names(word, known_tests()) if word else ""
        raise InputError(
            f"MegaKPT has the tests {', '.join(known_tests())}, but got megakpt/{word}{near}; name one of them."
        )
    return word


def _keep_points(labels: Labels, points: list[str], file: Path) -> None:
    """Leave out all points but those of these names, from the categories and the objects; changed in place."""
    kept: dict[Any, tuple[int, list[int]]] = {}  # id of a category -> its number of points, and those that are kept
    for entry in json_objects(labels.categories):
        names = [plain_text(str(name)) for name in entry.get("keypoints") or ()]
        if lacking := [name for name in points if plain_text(name) not in names]:
            raise InputError(f"{file}: the category {entry.get('name')!r} has no point {lacking[0]!r} of the test.")
        rows = [names.index(plain_text(name)) for name in points]
        kept[entry.get("id")] = len(names), rows
        entry |= {"keypoints": [entry["keypoints"][row] for row in rows], "skeleton": []}
    for entry in json_objects(labels.annotations):
        count, rows = kept.get(entry.get("category_id"), (0, []))
        values = entry.get("keypoints")
        if count and isinstance(values, list) and len(values) == 3 * count:
            entry["keypoints"] = [value for row in rows for value in values[3 * row : 3 * row + 3]]
            entry.pop("num_keypoints", None)  # counts points that are gone
    labels.notes.append(CUT)


FORM = LabelForm(
    read,
    "MegaKPT's tests (its folder)",
    "the test, such as cub or animal-pose",
    pictures=lambda path: path,
    files=files,
)
