"""A project of Label Studio as its ML backend sees it: pictures, drawn regions, submitted annotations."""

import logging
import math
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...category import Category
from ...errors import InputError
from ...example import Example
from ...forms.dataset import LabelledObject
from ...forms.document import Labels
from ...forms.labelstudio_controls import Controls
from ...forms.labelstudio_pictures import picture_file
from ...forms.labelstudio_regions import RECTANGLES, Object, by_task_picture, objects_of
from ...forms.labelstudio_tasks import regions_of
from ...forms.picture_search import PictureSearch
from ...forms.reading import plain_number
from ...geometry import Box, turned_hull
from ...images import read_picture
from ...pose import Pose
from ..uploads import Uploaded, content_key
from .served import entries, mapping
from .tool_adapter import Correction, ToolAdapter, box_of, score_of

_log = logging.getLogger(__name__)

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


def drawn_boxes(regions: Any, size: tuple[int, int], category: str) -> list[Box]:
    """The rectangles of a category, or without a label, that were drawn; of a turned one the upright box round it.

    size: (width, height) of the picture, in whose pixels the boxes are.
    """
    width, height = size
    boxes: list[Box] = []
    for region in regions if isinstance(regions, list) else ():
        value = region.get("value") if isinstance(region, dict) and region.get("type") in RECTANGLES else None
        if isinstance(value, dict) and value.get("rectanglelabels", [category]) == [category]:
            x, y, w, h, degrees = (plain_number(value.get(key, 0)) for key in ("x", "y", "width", "height", "rotation"))
            box = (x * width / 100, y * height / 100, w * width / 100, h * height / 100)
            boxes.append(turned_hull(box, degrees, box[:2]) if degrees and math.isfinite(degrees) else box)
    return boxes


class LabelStudioProject:
    """What is known of a project here: the folder of its pictures, and what was submitted in it.

    adapter: gets the examples.
    pictures: the folder that the addresses of pictures mean.
    most: pixels of a picture.
    """

    def __init__(self, adapter: ToolAdapter, pictures: Path, most: int) -> None:
        if not pictures.is_dir():
            raise InputError(f"There is no folder {pictures}; give the folder of the pictures as --pictures.")
        self.adapter, self.pictures, self.most = adapter, pictures, most

    def file(self, address: Any) -> Path:
        """The file that an address means; InputError where the folder has none."""
        name = picture_file(address, PictureSearch(self.pictures), "The task") if isinstance(address, str) else ""
        if not name or not os.path.isfile(self.pictures / name):  # a name of any length
            raise InputError(
                f"There is no file for {str(address)[:120]!r} in the folder of --pictures, and nothing is fetched; "
                "give the folder that Label Studio serves, or its media folder."
            )
        return self.pictures / name

    def picture(self, address: Any) -> Uploaded:
        """The picture of an address."""
        picture = read_picture(self.file(address), self.most)
        return Uploaded(picture, content_key(picture))

    def learn(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Examples of what was submitted before this server was started: tasks come with their annotations."""
        for task in tasks:
            for annotation in entries(task.get("annotations") or [], "annotations"):
                if not self.adapter.knows(str(annotation.get("id"))):
                    try:
                        self.correct(annotation, task)
                    except InputError as error:
                        _log.warning("Label Studio: %s", error)

    def correct(self, annotation: Mapping[str, Any], task: Mapping[str, Any]) -> list[str]:
        """The objects of an annotation become examples, in place of those that it had; a cancelled one has none.

        Returns sentences about what was left out. Raises InputError for a picture that is not there or has another
        size than the one that was drawn on.
        """
        labels, marked = Labels(), []
        regions = [] if annotation.get("was_cancelled") else entries(annotation.get("result") or [], "result")
        kind = self.adapter.category.name
        for address, own in by_task_picture(mapping(task.get("data")), regions, WHERE, labels) if regions else ():
            found = [one for one in objects_of(own, kind, labels, WHERE) if one.category == kind]
            if found:
                path = self.file(address)
                picture = read_picture(path, self.most)
                _check_size(own, picture.size, path)
                key = content_key(picture)
                marked += [Correction(one, key) for each in found if (one := self._example(path, each, labels))]
        self.adapter.correct(str(annotation.get("id")), marked)
        return [*labels.faults, *labels.notes]

    def _example(self, path: Path, found: Object, labels: Labels) -> Example | None:
        """An object as an example; None where it has no point of the category."""
        known = {}
        for name, place in found.points.items():
            if name not in self.adapter.labels:
                labels.notes.append(f"The point {name!r} is none of {self.adapter.category.name!r} and was left out.")
            elif place[2] > 0:
                known[name] = place[:2]
        box = None if found.box is None else (found.box[0], found.box[1], found.box[2], found.box[3])
        return self.adapter.example(path, known, box) if known else None


def _check_size(regions: Sequence[Mapping[str, Any]], size: tuple[int, int], path: Path) -> None:
    """InputError where regions were drawn on a picture of another size: it is another picture of that name."""
    for region in regions:
        drawn = tuple(plain_number(region.get(f"original_{side}")) for side in ("width", "height"))
        if all(map(math.isfinite, drawn)) and drawn != size:
            raise InputError(
                f"{WHERE} was drawn on a picture of {drawn[0]:g} x {drawn[1]:g} pixels, but {path.name} has {size[0]} "
                f"x {size[1]}; give the folder that Label Studio serves as --pictures."
            )
