"""The field data: about fifty kinds of object from two dozen sources, in COCO's form, in three parts whose categories
differ.

FOLDER/field_train.json, field_val.json and field_test.json, with the pictures in FOLDER/images.
"""

import os
from pathlib import Path

from ..errors import InputError
from . import dialects
from .document import Labels

PARTS = ("test", "train", "val")  # the first if none is named
PLACE = "ANYKEYPOINT_FIELD"  # the environment variable with the folder


def read(path: Path, images: Path, part: str = "") -> Labels:
    """Labels of a part."""
    return dialects.coco(files(path, part)[0], images)


def files(path: Path, part: str) -> list[Path]:
    """The part's file."""
    if part not in ("", *PARTS):
        raise InputError(f"The field data have the parts {', '.join(PARTS)}, but got field/{part}; name one of them.")
    return [path / f"field_{part or PARTS[0]}.json"]


def place() -> Path:
    """The folder that the environment names."""
    if not os.environ.get(PLACE):
        raise InputError(f"It is not said where the field data are; write field:FOLDER, or set {PLACE} to the folder.")
    return Path(os.environ[PLACE])
