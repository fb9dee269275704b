"""CVAT's XML "for images": skeletons, or single points put together by their group.

A `<skeleton>` is an object: its label is the category and its `<points>` are the keypoints, by label; `outside` is not
labelled, `occluded` is hidden. Loose `<points>` with one point each are keypoints of the object that their `group_id`
names, of all the picture where there is none; a `<box>` of the same group is the object's box, and of loose points its
label is the category. A skeleton's edges are those of the drawing (`<svg>`) that its label has.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from ..errors import InputError
from .document import Labels, NamedObject, NamedPoints
from .form import NOUN, Form
from .reading import find_picture, number, read_xml

LOOSE = "object"
NO_GROUP = "0"
_TAG, _ATTRIBUTE = re.compile(r"<(\w+)\s([^<>]*)>"), re.compile(r'([\w-]+)="([^"]*)"')


def read(path: Path, images: Path, word: str = "") -> Labels:
    """Labels of an export. word: what objects of loose points without a box are called.

    Keypoints come in the order of the task's labels, else of their first appearance. Shapes of other kinds are left
    out and counted.
    """
    root = read_xml(path)
    if root.tag != "annotations":
        raise InputError(f"{path} has the root <{root.tag}>; CVAT's XML has <annotations>.")
    if root.find("track") is not None:
        raise InputError(f"{path} holds tracks, so is CVAT's XML for video; export it 'for images'.")
    labels = Labels()
    found: list[NamedObject] = []
    for count, picture in enumerate(root.findall("image")):
        name = picture.get("name", "").replace("\\", "/")
        where = f"{path}: image {picture.get('id', count)}"
        if not name:
            raise InputError(f"{where} has no key 'name'; export the task again.")
        size = {key: int(number(picture.get(key), key, where)) for key in ("width", "height") if picture.get(key)}
        subset = f"images/{picture.get('subset')}/{name}"  # of a project's export
        image = labels.add_image(find_picture(images, [name, f"images/{name}", subset]), **size)
        for kind, points, box in _objects(picture, where, word or LOOSE, labels):
            found.append((image, kind, points, box))
    labels.add_named_objects(found, _declared(root))
    edges = dict(_edges(root))
    for entry in labels.categories:
        places = {name: place for place, name in enumerate(entry["keypoints"])}
        pairs = [[places.get(name) for name in pair] for pair in edges.get(entry["name"], ())]
        entry["skeleton"] = [pair for pair in pairs if None not in pair]
    return labels


def _objects(picture: Element, where: str, loose: str, labels: Labels) -> list[tuple]:
    skeletons: list[tuple[str, str, NamedPoints]] = []
    groups: dict[str, NamedPoints] = {}
    boxes: dict[str, list[tuple[str, list[float]]]] = {}
    for shape in picture:
        label, group = shape.get("label", ""), shape.get("group_id") or NO_GROUP
        if shape.tag == "skeleton":
            points: NamedPoints = {}
            for part in shape.findall("points"):
                _put(points, part, f"{where}, skeleton {label!r}")
            skeletons.append((group, label, points))
        elif shape.tag == "points" and ";" in shape.get("points", ""):
            labels.leave_out("shapes of several points, which have no names")
        elif shape.tag == "points":
            _put(groups.setdefault(group, {}), shape, where)
        elif shape.tag == "box":
            left, top, right, bottom = (number(shape.get(key), key, where) for key in ("xtl", "ytl", "xbr", "ybr"))
            if right <= left or bottom <= top:
                raise InputError(
                    f"{where} has a box of {right - left:g} x {bottom - top:g} pixels; it must have an area."
                )
            boxes.setdefault(group, []).append((label, [left, top, right - left, bottom - top]))
        else:
            labels.leave_out(f"{shape.tag} shapes")
    found = []
    owners = Counter([*groups, *(group for group, _, _ in skeletons if group != NO_GROUP)])
    for group, label, points in [*skeletons, *((group, "", points) for group, points in groups.items())]:
        if label and group == NO_GROUP:  # a skeleton needs no box
            found.append((label, points, None))
            continue
        here = boxes.get(group, [])
        if here and (len(here) > 1 or owners[group] > 1):
            raise InputError(
                f"{where} has {len(here)} boxes and {owners[group]} objects "
                f"{'without a group_id' if group == NO_GROUP else f'with group_id {group}'}, so it is not said which "
                "points are whose; group each box with its points, or use skeletons."
            )
        kind, box = here[0] if here else (loose, None)
        found.append((label or kind, points, box))
    for group, here in boxes.items():
        for _ in here if not owners[group] else ():
            labels.leave_out("boxes without points")
    return found


def _put(points: NamedPoints, shape: Element, where: str) -> None:
    label, text = shape.get("label", ""), shape.get("points", "")
    if label in points:
        raise InputError(f"{where} has the point {label!r} twice in one object; give it one, or another group_id.")
    if ";" in text or text.count(",") != 1:
        raise InputError(
            f"{where}, points {label!r}, must be one point 'x,y', but got {text[:40]!r}; "
            "points in one shape have no names."
        )
    x, y = (number(part, "points", f"{where}, points {label!r}") for part in text.split(","))
    hidden = shape.get("occluded") == "1"
    points[label] = (x, y, 0 if shape.get("outside") == "1" else 1 if hidden else 2)


def _declared(root: Element) -> dict[str, list[str]]:
    """Skeleton label -> the names of its points in the task's order, where the file has its labels."""
    order: dict[str, list[str]] = {}
    for label in root.iter("label"):
        name, parent = label.findtext("name", ""), label.findtext("parent", "")
        if parent:
            order.setdefault(parent, []).append(name)
    return order


def _edges(root: Element) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Skeleton label -> the names that each line of its drawing joins."""
    for label in root.iter("label"):
        tags = [(tag, dict(_ATTRIBUTE.findall(rest))) for tag, rest in _TAG.findall(label.findtext("svg", ""))]
        names = {
            of["data-node-id"]: of["data-label-name"] for _, of in tags if {"data-node-id", "data-label-name"} <= {*of}
        }
        ends = [(of.get("data-node-from"), of.get("data-node-to")) for tag, of in tags if tag == "line"]
        yield (
            label.findtext("name", ""),
            [(names[a], names[b]) for a, b in ends if a in names and b in names and a != b],
        )


FORM = Form(read, "CVAT for images (.xml)", NOUN)
