"""Between poses and the regions of Label Studio, which count in percent of the picture."""

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...category import Category
from ...errors import InputError
from ...forms.dataset import LabelledObject
from ...forms.document import Labels
from ...forms.labelstudio_controls import Controls
from ...forms.labelstudio_regions import RECTANGLES, by_task_picture, objects_of
from ...forms.labelstudio_tasks import regions_of
from ...forms.reading import plain_number
from ...geometry import Box, turned_hull
from ...images import read_picture
from ...pose import Pose
from ..uploads import pixels_key
from .tool_adapter import Correction, ToolAdapter, box_of, score_of

WHERE = "The annotation"


def regions_of_poses(poses: Sequence[Pose], category: Category, controls: Controls) -> list[dict[str, Any]]:
    """The regions of some objects; a point that is not present has none."""
    regions: list[dict[str, Any]] = []
    for pose in poses:
        visibility = np.where(pose.present, 2, 0)
        item = LabelledObject(
            1, Path(pose.image), 1, category, box_of(pose), pose.xy, visibility, None, None, None, "",
            pose.confidence, score_of(pose),
        )  # fmt: skip
        regions += regions_of(item, pose.image_size, controls, secrets.token_hex(5))
    return regions


def drawn_boxes(regions: Any, size: tuple[int, int]) -> list[Box]:
    """The rectangles among regions that a person has just drawn, in image pixels; of a turned one the box round it."""
    width, height = size
    boxes: list[Box] = []
    for region in regions if isinstance(regions, list) else ():
        value = region.get("value") if isinstance(region, dict) and region.get("type") in RECTANGLES else None
        if isinstance(value, dict):
            x, y, w, h, degrees = (plain_number(value.get(key, 0)) for key in ("x", "y", "width", "height", "rotation"))
            box = (x * width / 100, y * height / 100, w * width / 100, h * height / 100)
            boxes.append(turned_hull(box, degrees, box[:2]) if degrees and math.isfinite(degrees) else box)
    return boxes


def corrected(
    annotation: Mapping[str, Any], task: Mapping[str, Any], adapter: ToolAdapter, file: Callable[[Any], Path]
) -> tuple[list[Correction], list[str]]:
    """The objects of an annotation as examples, and sentences about what was left out.

    annotation, task: as Label Studio sends them. A cancelled annotation has no objects.
    file: the file that the address of a picture means, or an InputError.
    Raises InputError for a picture that is not there or has another size than the one that was drawn on.
    """
    drawn = annotation.get("result")
    if annotation.get("was_cancelled") or not isinstance(drawn, list):
        return [], []
    labels, marked = Labels(), []
    regions = [region for region in drawn if isinstance(region, dict)]
    data = task.get("data")
    if not isinstance(data, dict):
        raise InputError(f"{WHERE} came without the data of its task; let the webhook send its payload.")
    for address, own in by_task_picture(data, regions, WHERE, labels):
        found = [one for one in objects_of(own, adapter.category.name, labels, WHERE)]
        found = [one for one in found if one.category == adapter.category.name]
        if not found:
            continue
        path = file(address)
        picture = read_picture(path)
        drawn_on = next((size for region in own if (size := _size(region))), picture.size)
        if drawn_on != picture.size:
            raise InputError(
                f"{WHERE} was drawn on a picture of {drawn_on[0]} x {drawn_on[1]} pixels, but {path.name} has "
                f"{picture.size[0]} x {picture.size[1]}; give the folder that Label Studio serves as --pictures."
            )
        for one in found:
            places = {name: place[:2] for name, place in one.points.items() if place[2] > 0}
            known = {name: place for name, place in places.items() if name in adapter.labels}
            labels.notes += [f"The point {name!r} is none of the category's." for name in places if name not in known]
            if known:
                box = None if one.box is None else (one.box[0], one.box[1], one.box[2], one.box[3])
                marked.append(Correction(adapter.example(path, known, box), pixels_key(picture)))
    return marked, [*labels.faults, *labels.notes]


def _size(region: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = (plain_number(region.get(f"original_{side}")) for side in ("width", "height"))
    return (int(width), int(height)) if math.isfinite(width) and math.isfinite(height) else None
