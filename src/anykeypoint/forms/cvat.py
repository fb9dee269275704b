"""CVAT's XML "for images" 1.1, read and written: skeletons, or single points that a group makes one object.

Places are image pixels.

A `<skeleton>` is an object: its label is the category, and its `<points>` are the keypoints by their labels, not
labelled where `outside` and hidden where `occluded`. Loose `<points>` with one point each are keypoints of the object
that their `group_id` names, or of one object for the whole picture where they have none. A `<box>` of the same group
is the object's box, and for loose points its label is the category. The edges of a skeleton are those of the drawing
(`<svg>`) of its label. CVAT's skeletons have no box; the attribute `box` of those that we write is ours, and CVAT
passes over it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from html import escape, unescape
from math import cos, pi, sin
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from ..category import Category
from ..errors import InputError
from ..geometry import turned_hull
from .dataset import Dataset, LabelledObject
from .document import Labels, NamedObject, NamedPoints
from .form import NOUN, LabelForm
from .picture_search import PictureSearch
from .point_names import check_spellings, name_key
from .reading import number, picture_key, read_xml, tails
from .writing import by_picture, check_names, json_text, needed_size, point_labels, xml_text

LOOSE = "object"  # category of loose points without a box
NO_GROUP = "0"  # CVAT's group_id of shapes that are in no group
_FLAGS = {"0": False, "false": False, "": False, "1": True, "true": True}
# A tag of the drawing with its attributes, and one attribute with its value.
_TAG, _ATTRIBUTE = re.compile(r"<(\w+)\s([^<>]*)>"), re.compile(r'([\w-]+)="([^"]*)"')

Object = tuple[str, NamedPoints, list[float] | None]  # category, points by name, and x, y, w, h or None
_Skeleton = tuple[str, str, NamedPoints, list[float] | None]  # group, label, points, and its own box or None


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of an export.

    word: the category of loose points without a box, "object" by default.
    Keypoints come in the order of the task's labels, or of their first appearance where the file does not list these.
    Shapes of other kinds are left out and counted.
    """
    root = read_xml(path)
    if root.tag != "annotations":
        raise InputError(f"{path} has the root <{root.tag}>; CVAT's XML has <annotations>.")
    if root.find("track") is not None:
        raise InputError(f"{path} holds tracks, so is CVAT's XML for video; export it 'for images'.")
    labels, search = Labels(), PictureSearch(images)
    objects: list[NamedObject] = []
    names = Counter(picture_key(_name(picture)) for picture in root.findall("image"))
    for count, picture in enumerate(root.findall("image")):
        with labels.catching():
            name = _name(picture)
            where = f"{path}: image {picture.get('id', count)}"
            if not name:
                raise InputError(f"{where} has no key 'name'; export the task again.")
            size = {key: int(number(picture.get(key), key, where)) for key in ("width", "height") if picture.get(key)}
            again = names[picture_key(name)] > 1
            place = search.find(_places(picture, name, again), picture.get("name", ""))
            if labels.knows(place, source := _source(picture, name, again)):
                labels.count_note("entries list a picture again, and the objects of all count")
            image = labels.add_image(place, source=source, **size)
            with labels.of_picture(image):
                objects += [(image, *entry) for entry in _objects(picture, where, word or LOOSE, labels)]
    labels.notes += search.notes()
    labels.add_named_objects(objects, _point_orders(root))
    edges = dict(_edges(root))
    for entry in labels.categories:
        places = {name_key(name): place for place, name in enumerate(entry["keypoints"])}
        pairs = [[places.get(name_key(name)) for name in pair] for pair in edges.get(entry["name"], ())]
        entry["skeleton"] = [pair for pair in pairs if None not in pair]
    labels.notes += _not_read(root, path)
    return labels


def _source(picture: Element, name: str, again: bool) -> str:
    """What the file calls a picture, with its task and subset; with id and size where only they tell it from another.

    again: another picture of the file has this name.
    """
    task, subset = picture.get("task_id"), picture.get("subset")
    parts = [*([f"task {task}"] if task else []), *([subset] if subset else []), name]
    size = f", {picture.get('width')} x {picture.get('height')}" if picture.get("width") else ""
    return "/".join(parts) + (f" (image {picture.get('id')}{size})" if again and len(parts) == 1 else "")


def _not_read(root: Element, path: Path) -> list[str]:
    """A sentence for each thing that shapes have and that is not read: their attributes, and turns of all but boxes."""
    pictures = root.findall("image")
    attributes = Counter(one.get("name", "") for picture in pictures for one in picture.iter("attribute"))
    turned = sum(
        bool((shape.get("rotation") or "0").strip("0."))
        for picture in pictures
        for shape in picture.iter()
        if shape.tag in ("skeleton", "points")
    )
    notes = [f"{path}: the attribute {name!r} of {count} shapes is not read." for name, count in attributes.items()]
    return notes + ([f"{path}: 'rotation' of {turned} skeletons and points is not read."] if turned else [])


def _name(picture: Element) -> str:
    """The name of an `<image>`, with forward slashes; "" where it has none."""
    return picture.get("name", "").replace("\\", "/")


def _places(picture: Element, name: str, again: bool) -> list[str]:
    """The file names that a picture may have, the likeliest first.

    again: another picture of the file has this name, so that only a folder of its task or subset tells them apart.
    """
    task, subset = picture.get("task_id"), picture.get("subset")
    folders = [] if task is None else [f"{before}{task}" for before in ("", "t", "task", "task_", "task-", "Task_")]
    whole, *ends = tails(name) or [name]
    own = [f"{folder}/{whole}" for folder in [*folders, *([subset] if subset else [])]]
    own += [f"images/{place}" for place in own]
    plain = [whole, f"images/{whole}"]
    return [*own, *plain, *ends] if again else [*plain, *own, *ends]


def _objects(picture: Element, where: str, loose: str, labels: Labels) -> list[Object]:
    """The objects of a picture.

    where: the picture, named in errors.
    loose: the category of loose points without a box.
    labels: counts shapes that are left out, and collects faults; a group with one has no object.
    """
    bad: set[str] = set()  # groups with a point or box that cannot be used
    skeletons: list[_Skeleton] = []
    groups: dict[str, NamedPoints] = {}  # group -> its loose points
    boxes: dict[str, list[tuple[str, list[float]]]] = {}  # group -> label and box of each of its boxes
    for shape in picture:
        label, group = shape.get("label", ""), shape.get("group_id") or NO_GROUP
        before = len(labels.faults)
        with labels.catching():
            if shape.tag == "skeleton":
                points: NamedPoints = {}
                for part in shape.findall("points"):
                    _add_point(points, part, f"{where}, skeleton {label!r}")
                skeletons.append((group, label, points, _own_box(shape, f"{where}, skeleton {label!r}")))
            elif shape.tag == "points" and ";" in shape.get("points", ""):
                labels.leave_out("shapes of several points, which have no names")
            elif shape.tag == "points":
                _add_point(groups.setdefault(group, {}), shape, where)
            elif shape.tag == "box":
                boxes.setdefault(group, []).append((label, _box(shape, where, labels.notes)))
            else:
                labels.leave_out(f"{shape.tag} shapes")
        if len(labels.faults) > before and shape.tag != "skeleton":
            bad.add(group)
    skeletons = [entry for entry in skeletons if entry[0] == NO_GROUP or entry[0] not in bad]
    groups = {group: points for group, points in groups.items() if group not in bad}
    boxes = {group: here for group, here in boxes.items() if group not in bad}
    return _with_boxes(skeletons, groups, boxes, where, loose, labels)


def _with_boxes(
    skeletons: list[_Skeleton],
    groups: dict[str, NamedPoints],
    boxes: dict[str, list[tuple[str, list[float]]]],
    where: str,
    loose: str,
    labels: Labels,
) -> list[Object]:
    """Skeletons and groups of loose points with the box of their group; the arguments are those of `_objects`."""
    objects: list[Object] = []
    owners = Counter([*groups, *(group for group, *_ in skeletons if group != NO_GROUP)])
    for group, label, points, own in [*skeletons, *((group, "", points, None) for group, points in groups.items())]:
        here = boxes.get(group, [])
        with labels.catching():
            check_spellings(points, where + (f", skeleton {label!r}," if label else ""))
            if label and group == NO_GROUP:  # a skeleton without a group has no `<box>`
                objects.append((label, points, own))
                continue
            if here and (len(here) > 1 or owners[group] > 1):
                raise InputError(
                    f"{where} has {len(here)} boxes and {owners[group]} objects "
                    f"{'without a group_id' if group == NO_GROUP else f'with group_id {group}'}, so it is not said "
                    "which points are whose; group each box with its points, or use skeletons."
                )
            kind, box = here[0] if here else (loose, None)
            objects.append((label or kind, points, box))
    for group, here in boxes.items():
        for _ in here if not owners[group] else ():
            labels.leave_out("boxes without points")
    return objects


def _own_box(shape: Element, where: str) -> list[float] | None:
    """The x, y, w, h in the attribute `box` of a skeleton; None without one, as in all that CVAT wrote."""
    text = shape.get("box")
    if text is None:
        return None
    values = [number(part, "box", where) for part in text.split(",")]
    if len(values) != 4:
        raise InputError(f"{where}, key 'box', must be four numbers x,y,w,h, but got {text[:40]!r}.")
    return values


def _box(shape: Element, where: str, notes: list[str]) -> list[float]:
    """The x, y, w, h of a `<box>` in image pixels; of a turned one its upright hull, which is noted."""
    left, top, right, bottom = (number(shape.get(key), key, where) for key in ("xtl", "ytl", "xbr", "ybr"))
    if right < left or bottom < top or (right == left and bottom == top):
        raise InputError(
            f"{where} has a box of {right - left:g} x {bottom - top:g} pixels; it must have a longer side."
        )
    box = (left, top, right - left, bottom - top)
    if not (degrees := number(shape.get("rotation", "0"), "rotation", where)):
        return list(box)
    notes.append(f"{where} has a box that is turned by {degrees:g} degrees; the upright box round it was taken.")
    return list(turned_hull(box, degrees, ((left + right) / 2, (top + bottom) / 2)))


def _add_point(points: NamedPoints, shape: Element, where: str) -> None:
    """Add the point of a `<points>` shape by its label. points: those of its object, changed in place."""
    label, text = shape.get("label", ""), shape.get("points", "")
    if label in points:
        raise InputError(f"{where} has the point {label!r} twice in one object; give it one, or another group_id.")
    if ";" in text or text.count(",") != 1:
        raise InputError(
            f"{where}, points {label!r}, must be one point 'x,y', but got {text[:40]!r}; "
            "points in one shape have no names."
        )
    x, y = (number(part, "points", f"{where}, points {label!r}") for part in text.split(","))
    outside, hidden = (_flag(shape, key, where) for key in ("outside", "occluded"))
    points[label] = (x, y, 0 if outside else 1 if hidden else 2)


def _flag(shape: Element, key: str, where: str) -> bool:
    """Whether a shape has a flag, which CVAT writes as 0 or 1 and scripts as False or True."""
    text = shape.get(key, "0").strip().lower()
    if text not in _FLAGS:
        label = shape.get("label", "")
        raise InputError(f"{where}, points {label!r}, key {key!r}, must be 0 or 1, but got {text[:40]!r}.")
    return _FLAGS[text]


def _point_orders(root: Element) -> dict[str, list[str]]:
    """Label of a skeleton -> names of its points in the task's order, where the file lists the task's labels."""
    order: dict[str, list[str]] = {}
    for label in root.iter("label"):
        name, parent = label.findtext("name", ""), label.findtext("parent", "")
        if parent:
            order.setdefault(parent, []).append(name)
    return order


def _edges(root: Element) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Label of a skeleton, and the names of the two points that each line of its drawing connects."""
    for label in root.iter("label"):
        tags = [(tag, dict(_ATTRIBUTE.findall(rest))) for tag, rest in _TAG.findall(label.findtext("svg", ""))]
        names = {
            values["data-node-id"]: unescape(values["data-label-name"])
            for _, values in tags
            if {"data-node-id", "data-label-name"} <= {*values}
        }
        ends = [(values.get("data-node-from"), values.get("data-node-to")) for tag, values in tags if tag == "line"]
        yield (
            label.findtext("name", ""),
            [(names[a], names[b]) for a, b in ends if a in names and b in names and a != b],
        )


# --- writing -------------------------------------------------------------------------------------------------------


def write(data: Dataset, images: Path) -> str:
    """The annotations of a task whose pictures have the names that they have below `images`; objects are skeletons.

    To be uploaded as "CVAT 1.1" to a task with a skeleton label for each category and a point in it for each keypoint;
    the `<labels>` of the file say their names, and `<svg>` the edges.
    """
    check_names(data, "CVAT")
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for category in {item.category_id: item.category for item in data.objects}.values():
        _write_label(labels, category)
    for count, (name, labelled) in enumerate(by_picture(data, images).items()):
        width, height = needed_size(labelled.path, "CVAT's file states its size")
        sizes = {"width": str(width), "height": str(height)}
        picture = SubElement(root, "image", {"id": str(count), "name": name, **sizes})
        for item in labelled.objects:
            _write_skeleton(picture, item)
    return xml_text(root)


def _write_label(labels: Element, category: Category) -> None:
    """The entries of a category and of its points in the list of the task's labels."""
    entry = SubElement(labels, "label")
    for tag, text in (("name", category.name), ("type", "skeleton"), ("attributes", ""), ("svg", _drawing(category))):
        SubElement(entry, tag).text = text
    for label in point_labels(category):
        entry = SubElement(labels, "label")
        for tag, text in (("name", label), ("type", "points"), ("attributes", ""), ("parent", category.name)):
            SubElement(entry, tag).text = text


def _drawing(category: Category) -> str:
    """The drawing of a skeleton: its points on a circle, as CVAT asks only for their order, and its edges."""
    turn = 2 * pi / len(category)
    places = [(f"{50 + 40 * sin(i * turn):.2f}", f"{50 - 40 * cos(i * turn):.2f}") for i in range(len(category))]
    lines = [
        f'<line x1="{places[a][0]}" y1="{places[a][1]}" x2="{places[b][0]}" y2="{places[b][1]}" stroke="black" '
        f'data-type="edge" data-node-from="{a + 1}" stroke-width="0.5" data-node-to="{b + 1}"></line>'
        for a, b in category.skeleton
    ]
    circles = [
        f'<circle r="1.5" stroke="black" fill="#b3b3b3" cx="{x}" cy="{y}" stroke-width="0.1" '
        f'data-type="element node" data-element-id="{i}" data-node-id="{i}" data-label-name="{escape(label)}"></circle>'
        for i, ((x, y), label) in enumerate(zip(places, point_labels(category), strict=True), start=1)
    ]
    return "".join([*lines, *circles])


def _write_skeleton(picture: Element, item: LabelledObject) -> None:
    """An object as a skeleton; a point that is not labelled is `outside`, and has to be somewhere: in the box."""
    common = {"source": "manual", "occluded": "0", "z_order": "0"}
    box = ",".join(repr(float(value)) for value in item.box)
    skeleton = SubElement(picture, "skeleton", {"label": item.category.name, **common, "box": box})
    x, y, w, h = item.box
    for label, point, seen in zip(point_labels(item.category), item.points.tolist(), item.visibility, strict=True):
        px, py = point if seen else (x + w / 2, y + h / 2)
        states = {"outside": str(int(seen == 0)), "occluded": str(int(seen == 1))}
        SubElement(skeleton, "points", {"label": label, "source": "manual", **states, "points": f"{px!r},{py!r}"})


def label_setup(data: Dataset) -> str:
    """The labels that a task needs, as its constructor takes them (Labels > Raw)."""
    kinds = {item.category_id: item.category for item in data.objects}.values()
    setup = []
    for kind in kinds:
        points = [{"name": label, "type": "points", "attributes": []} for label in point_labels(kind)]
        setup.append(
            {"name": kind.name, "type": "skeleton", "attributes": [], "sublabels": points, "svg": _drawing(kind)}
        )
    return json_text(setup)


FORM = LabelForm(
    read,
    "CVAT for images (.xml)",
    NOUN,
    write=write,
    suffix=".xml",
    holds=frozenset({"boxes", "hidden", "skeletons", "empty"}),
    beside=lambda data: {".labels.json": label_setup(data)},
    advice="Paste the .labels.json into a new task under Labels > Raw, and upload the .xml to it as CVAT 1.1 (see "
    "docs/tools.md).",
)
