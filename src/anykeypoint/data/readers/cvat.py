"""CVAT's XML "for images": skeletons, or single points put together by their group.

A `<skeleton>` is an object: its label is the category and its `<points>` are the keypoints, by label; `outside` is not
labelled, `occluded` is hidden. Loose `<points>` with one point each are keypoints of the object that their `group_id`
names, of all the picture where there is none; a `<box>` of the same group is its box and its label the category.
"""

from pathlib import Path
from xml.etree.ElementTree import Element

from ...errors import InputError
from .common import Labels, NamedObject, NamedPoints, find_picture, number, read_xml

LOOSE = "object"


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
        image = labels.add_image(find_picture(images, [name, f"images/{name}"]), **size)
        for kind, points, box in _objects(picture, where, word or LOOSE, labels):
            found.append((image, kind, points, box))
    labels.add_named_objects(found, _declared(root))
    return labels


def _objects(picture: Element, where: str, loose: str, labels: Labels) -> list[tuple]:
    found = []
    groups: dict[str, NamedPoints] = {}
    boxes: dict[str, tuple[str, list[float]]] = {}
    for shape in picture:
        label, group = shape.get("label", ""), shape.get("group_id") or "0"
        if shape.tag == "skeleton":
            points: NamedPoints = {}
            for part in shape.findall("points"):
                _put(points, part, f"{where}, skeleton {label!r}")
            found.append((label, points, None))
        elif shape.tag == "points":
            _put(groups.setdefault(group, {}), shape, where)
        elif shape.tag == "box":
            if group in boxes:
                raise InputError(
                    f"{where} has two boxes {'without a group_id' if group == '0' else f'with group_id {group}'}, so "
                    "it is not said which points are whose; group each box with its points, or use skeletons."
                )
            left, top, right, bottom = (number(shape.get(key), key, where) for key in ("xtl", "ytl", "xbr", "ybr"))
            if right <= left or bottom <= top:
                raise InputError(
                    f"{where} has a box of {right - left:g} x {bottom - top:g} pixels; it must have an area."
                )
            boxes[group] = (label, [left, top, right - left, bottom - top])
        else:
            labels.leave_out(f"{shape.tag} shapes")
    for group, points in groups.items():
        kind, box = boxes.pop(group, (loose, None))
        found.append((kind, points, box))
    for _ in boxes:
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
