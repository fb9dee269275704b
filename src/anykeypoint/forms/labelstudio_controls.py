"""Which controls a labelling setup of Label Studio has for rectangles and points, and the labels that these take."""

from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .reading import parse_xml


@dataclass(frozen=True)
class Controls:
    """The names in a labelling setup that regions go by.

    boxes: of the RectangleLabels; "" where there is none. points: of the KeyPointLabels. picture: of the Image.
    key: of the task's data that holds the picture's address.
    box_labels, point_labels: what the two controls take; empty where they are not known.
    """

    boxes: str = "bbox"
    points: str = "kp"
    picture: str = "image"
    key: str = "image"
    box_labels: tuple[str, ...] = ()
    point_labels: tuple[str, ...] = ()


def read_controls(setup: str) -> Controls:
    """The controls of a labelling setup: its first KeyPointLabels, the Image that they are on, and its RectangleLabels.

    Raises InputError for a text that is no setup, and for one without KeyPointLabels on an Image.
    """
    elements = list(parse_xml(setup, "The labelling setup").iter())
    named = {one.get("name", ""): one for one in elements}
    points = next((one for one in elements if one.tag == "KeyPointLabels"), None)
    picture = None if points is None else named.get(points.get("toName", ""))
    if points is None or picture is None or picture.tag != "Image":
        raise InputError("The labelling setup has no KeyPointLabels on an Image; add them, or paste our setup.")
    tag = picture.get("name", "")
    boxes = next((one for one in elements if one.tag == "RectangleLabels" and one.get("toName") == tag), None)
    key = picture.get("value", "").removeprefix("$")
    return Controls(
        "" if boxes is None else boxes.get("name", ""),
        points.get("name", ""),
        tag,
        key,
        () if boxes is None else _labels(boxes),
        _labels(points),
    )


def _labels(control: Any) -> tuple[str, ...]:
    return tuple(label.get("value", "") for label in control.iter("Label"))
