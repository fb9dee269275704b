"""The field data: about fifty kinds of object from two dozen sources, as COCO files in three parts.

FOLDER/field_train.json, field_val.json and field_test.json, whose categories differ, with the pictures in
FOLDER/images.
"""

import os
from collections.abc import Callable
from pathlib import Path

from ..configs.checks import near_names
from ..errors import InputError
from ..io import file_digest
from . import coco
from .document import Labels
from .form import LabelForm

PARTS = ("test", "train", "val")  # the first is taken if none is named
PLACE = "ANYKEYPOINT_FIELD"  # name of the environment variable with the folder


def read(path: Path, images: Path, part: str = "") -> Labels:
    """The labels of a part. path: the folder."""
    return coco.read(files(path, part)[0], images)


def files(path: Path, part: str) -> list[Path]:
    """The one label file of a part."""
    if part not in ("", *PARTS):
        near = near_names(part, PARTS)
        raise InputError(
            f"The field data have the parts {', '.join(PARTS)}, but got field/{part}{near}; name one of them."
        )
    return [path / f"field_{part or PARTS[0]}.json"]


def place() -> Path:
    """The folder that the environment variable names."""
    if not os.environ.get(PLACE):
        raise InputError(f"It is not said where the field data are; write field:FOLDER, or set {PLACE} to the folder.")
    return Path(os.environ[PLACE])


def _digest(path: Path, part: str, _: Callable[[str], str]) -> str:
    """The SHA-256 of the part's file, so that a copy of it read as `coco:FILE` counts as the same data."""
    return file_digest(files(path, part)[0])


FORM = LabelForm(
    read,
    f"the field data (their folder; that of {PLACE} if none is given)",
    "test (if none is named), train or val",
    pictures=lambda path: path / "images",
    files=files,
    place=place,
    digest=_digest,
)
