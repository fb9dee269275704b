"""dlib's imglab XML, read and written: boxes with parts. Places are image pixels, taken as written.

dlib keeps only whole pixels and refuses others, so `x`, `y` and the sides of a box are rounded when they are written.
The attributes `exact_x`, `exact_box` and so on, which dlib passes over, have the whole number; they count as long as
they round to what stands beside them. The `<comment>`, which dlib keeps, has the order of each category's points.
"""

import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from ..errors import InputError
from .dataset import Dataset, LabelledObject
from .document import Labels, NamedObject, NamedPoints
from .form import NOUN, LabelForm
from .picture_search import PictureSearch
from .point_names import check_spellings
from .reading import natural_key, number, read_xml, tails
from .writing import by_picture, check_names, point_labels, xml_text

LOOSE = "object"  # category of boxes without a label
_SIDES = ("left", "top", "width", "height")
_NOT_READ = ("angle", "difficult", "truncated", "occluded", "pose", "gender", "age")  # attributes of a box


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a file.

    word: the category of boxes without a label, "object" by default.
    Parts come in the order of their names, "p2" before "p10", or in that of the comment where it has one. Boxes that
    are marked `ignore` and boxes without parts are left out and counted.
    """
    root = read_xml(path)
    if root.tag != "dataset" or root.find("images") is None:
        raise InputError(f"{path} has the root <{root.tag}>; imglab's XML has <dataset> with <images>.")
    labels, search = Labels(), PictureSearch(images)
    objects: list[NamedObject] = []
    scores: list[float | None] = []  # of each of them, where a detector found the box
    for place, picture in enumerate(root.iterfind("images/image")):
        where = f"{path}: image {place}"
        with labels.catching():
            given = picture.get("file", "")
            if not given:
                raise InputError(f"{where} has no key 'file'; save the file with imglab again.")
            where = f"{path}: {given}"
            sizes = {key: int(number(picture.get(key), key, where)) for key in ("width", "height") if picture.get(key)}
            name = search.find([*tails(given), *_mended(given)], given)
            if labels.knows(name, given):
                labels.count_note("entries list a picture again, and the objects of all count")
            image = labels.add_image(name, source=given, **sizes)
            for count, box in enumerate(picture.iterfind("box")):
                with labels.catching(), labels.of_picture(image):
                    at = f"{where}, box {count}"
                    if (found := _object(box, at, labels)) is not None:
                        score = box.get("detection_score")
                        scores.append(None if score is None else number(score, "detection_score", at))
                        objects.append((image, found[0] or word or LOOSE, *found[1:]))
    used: dict[str, set[str]] = {}
    for _, kind, points, _ in objects:
        used.setdefault(kind, set()).update(points)
    orders = {kind: sorted(used[kind], key=natural_key) for kind in used} | _orders(root.findtext("comment") or "")
    boxes = list(root.iter("box"))
    for key in _NOT_READ:
        if count := sum(box.get(key, "0") not in ("0", "unknown") for box in boxes):
            labels.notes.append(f"{path}: '{key}' of {count} boxes is not read.")
    labels.notes += search.notes()
    labels.add_named_objects(objects, orders)
    for entry, score in zip(labels.annotations, scores, strict=True):
        if score is not None:
            entry["score"] = score
    return labels


def _object(box: Element, where: str, labels: Labels) -> tuple[str, NamedPoints, list[float]] | None:
    """Label, parts and x, y, w, h of a box; None for one that is left out, which `labels` counts."""
    if box.get("ignore", "0").strip().lower() not in ("", "0", "false"):
        labels.leave_out("boxes marked ignore")
        return None
    parts = box.findall("part")
    if not parts:
        labels.leave_out("boxes without parts")
        return None
    sides = [number(box.get(key), key, where) for key in _SIDES]
    exact = [number(text, "exact_box", where) for text in box.get("exact_box", "").split(",") if text]
    if [round(value) for value in exact] == sides:
        sides = exact
    points: NamedPoints = {}
    for part in parts:
        name = part.get("name", "")
        if not name or name in points:
            what = f"the part {name!r} twice" if name else "a part without a name"
            raise InputError(f"{where} has {what}; give each part of a box its own name.")
        points[name] = (_place(part, "x", where), _place(part, "y", where), 2)
    check_spellings(points, where)
    return (box.findtext("label") or "").strip(), points, sides


def _place(part: Element, axis: str, where: str) -> float:
    """The x or y of a part: the exact one where there is one that rounds to the written one."""
    written = number(part.get(axis), axis, where)
    if (text := part.get(f"exact_{axis}")) is not None:
        exact = number(text, f"exact_{axis}", where)
        if round(exact) == written:
            return exact
    return written


def _mended(name: str) -> list[str]:
    """The file name in UTF-8 where dlib declared another encoding than it wrote."""
    try:
        return tails(name.encode("latin-1").decode("utf-8"))
    except UnicodeError:
        return []


def _orders(comment: str) -> dict[str, list[str]]:
    """Category -> names of its points in order, where the comment is one of our own."""
    try:
        data = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    known = data.get("keypoints") if isinstance(data, dict) else None
    if not isinstance(known, dict):
        return {}
    return {kind.strip(): [str(name) for name in order] for kind, order in known.items() if isinstance(order, list)}


# --- writing -------------------------------------------------------------------------------------------------------


def write(data: Dataset, images: Path) -> str:
    """The file, whose pictures have the names that they have below `images`; dlib looks for them beside the file."""
    check_names(data, "imglab")
    root = Element("dataset")
    SubElement(root, "name").text = "labels"
    kinds = {item.category.name: point_labels(item.category) for item in data.objects}
    SubElement(root, "comment").text = json.dumps({"keypoints": kinds}, ensure_ascii=False)
    listed = SubElement(root, "images")
    for name, labels in by_picture(data, images).items():
        picture = SubElement(listed, "image", {"file": name})
        for item in labels.objects:
            _write_box(picture, item)
    return xml_text(root)


def _write_box(picture: Element, item: LabelledObject) -> None:
    """An object as a box with its labelled points as parts."""
    sides = {key: str(round(value)) for key, value in zip(_SIDES, item.box, strict=True)}
    exact = {} if _whole(item.box) else {"exact_box": ",".join(repr(float(value)) for value in item.box)}
    score = {} if item.score is None else {"detection_score": repr(float(item.score))}
    box = SubElement(picture, "box", {**sides, **score, **exact})
    SubElement(box, "label").text = item.category.name
    for label, point, seen in zip(point_labels(item.category), item.points.tolist(), item.visibility, strict=True):
        if seen:
            places = {axis: str(round(value)) for axis, value in zip("xy", point, strict=True)}
            fine = {f"exact_{axis}": repr(value) for axis, value in zip("xy", point, strict=True)}
            SubElement(box, "part", {"name": label, **places, **({} if _whole(point) else fine)})


def _whole(values: Any) -> bool:
    return all(float(value).is_integer() for value in values)


FORM = LabelForm(
    read,
    "dlib's imglab (.xml)",
    NOUN,
    write=write,
    suffix=".xml",
    holds=frozenset({"boxes", "scores", "empty"}),
    pictures=lambda path: path.parent,
)
