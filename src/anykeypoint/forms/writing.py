"""What the writers of all label forms share: names of pictures, and phrases for what a form has no room for."""

import json
from collections.abc import Sequence
from pathlib import Path

from ..category import Category
from .dataset import LabelledObject


def picture_name(item: LabelledObject, images: Path) -> str:
    """The file name of an object's picture, relative to the folder of the pictures, with forward slashes."""
    return item.image.relative_to(images).as_posix()


def point_labels(category: Category) -> list[str]:
    """The keypoints' labels as the data set has them, or their names where it has none."""
    return [point.label or point.name for point in category.keypoints]


def hidden_lost(objects: Sequence[LabelledObject]) -> list[str]:
    """The phrase about hidden points for a form without visibility; empty if no point is hidden."""
    count = sum(int((item.visibility == 1).sum()) for item in objects)
    return [f"that {count} points are hidden"] if count else []


def outlines_lost(objects: Sequence[LabelledObject]) -> list[str]:
    """The phrase about outlines for a form without them; empty if no object has one."""
    count = sum(item.segmentation is not None for item in objects)
    return [f"{count} outlines"] if count else []


def json_text(value: object) -> str:
    """The JSON text of a value on one line, with a line end; NaN is refused."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
