"""Tasks for Label Studio's import, and the labelling setup that they need.

Labels that a person drew become annotations. A model's answers become predictions, which show under the model's name,
can be edited, and are no finished work: Label Studio exports them once they are submitted.
"""

import colorsys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from ..category import Category
from .dataset import Dataset, LabelledObject
from .labelstudio_controls import Controls
from .labelstudio_pictures import picture_address
from .writing import by_picture, check_names, json_text, needed_size, point_labels

MODEL = "anykeypoint"  # the name under which predictions show where the labels do not name their model
HIDDEN = "hidden"  # the note of a point that is labelled but not visible
OURS = Controls()  # of the setup that we write


def tasks_text(data: Dataset, images: Path, prefix: str = "") -> str:
    """Tasks, one for each picture: one rectangle per object, whose keypoints name it as `parentID`.

    prefix: what stands before the file names of pictures (see `labelstudio_pictures.picture_address`).
    Regions belong to the controls and to the picture of `setup_text`.
    """
    check_names(data, "Label Studio")
    answers = any(_is_answer(item) for item in data.objects)
    tasks: list[dict[str, Any]] = []
    for name, picture in by_picture(data, images).items():
        size = needed_size(picture.path, "Label Studio's places are shares of its size")
        known = {OURS.key: picture_address(name, prefix), "keypoints": {}}
        group = {} if picture.group is None else {"group": picture.group}
        task = {"id": len(tasks) + 1, "data": known | group, "annotations": []}
        for item in picture.objects:
            task["data"]["keypoints"][item.category.name] = point_labels(item.category)
            _results(task, data.model or MODEL if _is_answer(item) else "").extend(regions_of(item, size))
        for prediction in task.get("predictions", ()):
            prediction["score"] = float(np.mean([_score(item) for item in picture.objects if _is_answer(item)]))
        if not picture.objects and not answers:
            _results(task, "")  # somebody looked, and there is no object
        tasks.append(task)
    return json_text(tasks)


def _is_answer(item: LabelledObject) -> bool:
    """Whether a model gave the object."""
    return item.confidence is not None or item.score is not None


def _results(task: dict[str, Any], model: str) -> list[dict[str, Any]]:
    """The results of a task's annotation, or of its prediction by a model."""
    if model:
        return task.setdefault("predictions", [{"model_version": model, "score": 0.0, "result": []}])[0]["result"]
    if not task["annotations"]:
        task["annotations"].append({"id": task["id"], "result": []})
    return task["annotations"][0]["result"]


def regions_of(
    item: LabelledObject, size: tuple[int, int], controls: Controls = OURS, parent: str = ""
) -> list[dict[str, Any]]:
    """The regions of one object: its rectangle, where the setup has rectangles, then its labelled points.

    size: (width, height) of the picture in pixels.
    controls: of the setup that the regions are for.
    parent: id of the rectangle; "" makes one of the object's id.
    """
    labels = point_labels(item.category)
    percent = 100 / np.array([*size, *size], dtype=np.float64)  # percent of the picture per pixel
    common = {"to_name": controls.picture, "original_width": size[0], "original_height": size[1], "image_rotation": 0}
    parent = parent or f"object{item.id}"
    known = np.full(len(labels), np.nan) if item.confidence is None else item.confidence
    regions: list[dict[str, Any]] = []
    if controls.boxes:
        x, y, w, h = (np.array(item.box) * percent).tolist()
        value = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [item.category.name]}
        region = {"id": parent, "type": "rectanglelabels", "from_name": controls.boxes, **common, "value": value}
        regions.append(region if item.score is None else {**region, "score": item.score})
    owner = {"parentID": parent} if controls.boxes else {}
    for i in np.flatnonzero(item.visibility > 0):
        x, y = (item.points[i] * percent[:2]).tolist()
        value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [labels[i]]}
        region = {"id": f"{parent}_{i}", "type": "keypointlabels", "from_name": controls.points, **owner, **common}
        note = {"meta": {"text": [HIDDEN]}} if item.visibility[i] == 1 else {}
        sure = {} if np.isnan(known[i]) else {"score": float(known[i])}
        regions.append({**region, **note, **sure, "value": value})
    return regions


def _score(item: LabelledObject) -> float:
    """The score of an answer: its own, otherwise the mean of its known confidences, 0 where none is known."""
    if item.score is not None:
        return item.score
    known = np.empty(0) if item.confidence is None else item.confidence[item.visibility > 0]
    return float(np.nanmean(known)) if np.isfinite(known).any() else 0.0


def setup_text(data: Dataset) -> str:
    """The labelling setup (Settings > Labeling Interface > Code) with a label for each category and each keypoint."""
    return setup_of(list({item.category_id: item.category for item in data.objects}.values()))


def setup_of(kinds: Sequence[Category]) -> str:
    """The labelling setup for some categories."""
    view = Element("View")
    SubElement(view, "Image", name=OURS.picture, value=f"${OURS.key}", zoom="true", zoomControl="true")
    boxes = SubElement(view, "RectangleLabels", name=OURS.boxes, toName=OURS.picture)
    for name, colour in _coloured(kind.name for kind in kinds):
        SubElement(boxes, "Label", value=name, background=colour)
    points = SubElement(view, "KeyPointLabels", name=OURS.points, toName=OURS.picture)
    for i, (name, colour) in enumerate(_coloured(label for kind in kinds for label in point_labels(kind))):
        SubElement(points, "Label", value=name, background=colour, model_index=str(i))  # its YOLO export needs it
    indent(view)
    return tostring(view, encoding="unicode") + "\n"


def _coloured(names: Iterable[str]) -> list[tuple[str, str]]:
    """Each name once, with a colour; the colours go round the colour wheel."""
    unique = list(dict.fromkeys(names))
    shades = (colorsys.hsv_to_rgb(i / len(unique), 0.9, 0.9) for i in range(len(unique)))
    return [
        (name, "#" + "".join(f"{round(255 * part):02x}" for part in rgb))
        for name, rgb in zip(unique, shades, strict=True)
    ]
