"""labelme's JSON files, one beside each picture, read and written: points and rectangles tied by `group_id`.

Where a group of points has no rectangle but one polygon, the object has the polygon's label and the box round it. Of
X-AnyLabeling's turned rectangles (`rotation`) the upright box round them is taken, which is noted. labelme keeps what
it does not know at the top of a file; the order of a category's points (`keypoints`) and the group of a picture
(`group`) go there. A hidden point has the flag `hidden`; `hidden` (the module) lists what else says so, such as
X-AnyLabeling's `difficult`.
"""

import posixpath
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError
from .dataset import Dataset, LabelledObject
from .document import Labels, NamedObject
from .form import NOUN, LabelForm
from .hidden import HIDDEN, is_hidden_word, says_hidden
from .picture_search import PictureSearch
from .reading import files_below, leaves_folder, number, read_json
from .tying import NO_TIE, DrawnPoint, DrawnRectangle, tie_text, tied
from .writing import beside_pictures, by_picture, check_names, json_text, needed_size, point_labels

LOOSE = "object"  # category of points without a rectangle
_TURNED = ("rotation", "oriented_rectangle")  # turned rectangles, whose four corners are written
VERSION = "5.5.0"  # of labelme, whose files look like ours


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a folder and the folders below it, or of one file.

    word: the category of points without a rectangle, "object" by default.
    Shapes of other kinds and JSON files of other tools are left out and counted.
    """
    files = label_files(path)
    if not files:
        raise InputError(f"{path} has no JSON file in it; give the folder that labelme saved its files in.")
    labels, search = Labels(), PictureSearch(images)
    objects: list[NamedObject] = []
    orders: dict[str, dict[str, None]] = {}  # category -> names of its points in order
    sources: dict[int, Path] = {}  # image id -> the file that labels it
    for file in files:
        with labels.catching():
            data = read_json(file)
            if not isinstance(data, dict) or "shapes" not in data:
                labels.leave_out("JSON files that are not labelme's")
                continue
            if not isinstance(data["shapes"], list):
                got = str(data["shapes"])[:40]
                raise InputError(f"{file}, key 'shapes', must be a list, but got {got!r}; save it with labelme again.")
            image = _add_picture(labels, data, file, path, search)
            if image in sources:
                raise InputError(f"{file} labels the picture of {sources[image]} again; remove one of the two files.")
            sources[image] = file
            known = data.get("keypoints")  # of another tool it may be anything, which is ignored
            for kind, order in known.items() if isinstance(known, dict) else ():
                names = [str(name).strip() for name in order] if isinstance(order, list) else []  # as labels of shapes
                orders.setdefault(kind.strip(), {}).update(dict.fromkeys(names))
            with labels.of_picture(image):
                objects += _objects(image, data["shapes"], str(file), word or LOOSE, labels)
    labels.notes += search.notes()
    labels.add_named_objects(objects, orders)
    return labels


def label_files(path: Path, word: str = "") -> list[Path]:
    """The JSON files in a folder and below it, in order; the path itself where it is a file."""
    return files_below(path, "**/*.json") if path.is_dir() else [path]


def folder_of(path: Path) -> Path:
    """Where labelme's pictures are: beside its files."""
    return path if path.is_dir() else path.parent


def _add_picture(labels: Labels, data: Mapping[str, Any], file: Path, root: Path, search: PictureSearch) -> int:
    """Add the picture of a file, which it names relative to itself, and return its id."""
    name = data.get("imagePath")
    if not isinstance(name, str) or not name:
        raise InputError(f"{file}, key 'imagePath', must name a picture, but got {str(name)[:40]!r}.")
    below = PurePosixPath(file.parent.relative_to(folder_of(root)).as_posix())
    plain = PurePosixPath(name.replace("\\", "/"))
    place = posixpath.normpath(below / plain)  # "../pictures/a.png" of a folder of JSON files beside one of pictures
    own = file.with_suffix(plain.suffix).name  # a file that was renamed together with its picture
    all_names = [place, str(plain), str(below / plain.name), str(below / own)]
    names = [one for one in all_names if not leaves_folder(one)]
    sizes = {}
    for key, ours in (("imageWidth", "width"), ("imageHeight", "height")):
        if data.get(key) is not None:
            sizes[ours] = int(number(data[key], key, str(file)))
    group = data.get("group")
    return labels.add_image(
        search.find(names, name, free=True), source=place, **sizes, group=None if group is None else str(group)
    )


def _objects(image: int, shapes: list, where: str, loose: str, labels: Labels) -> list[NamedObject]:
    """The objects of a picture. where: its file, named in errors; loose: the category of points without a rectangle."""
    rectangles, points, broken = [], [], set()
    polygons: dict[str, list[DrawnRectangle]] = {}  # tie -> the boxes round its polygons
    for place, shape in enumerate(shapes):
        at, before, tie = f"{where}: shape {place}", len(labels.faults), NO_TIE
        with labels.catching():
            if not isinstance(shape, dict):
                raise InputError(f"{at} must be a JSON object, but got {str(shape)[:40]!r}.")
            tie = NO_TIE if shape.get("group_id") is None else tie_text(shape["group_id"])
            places, label = shape.get("points"), shape.get("label")
            kind = shape.get("shape_type") or ("point" if isinstance(places, list) and len(places) == 1 else "polygon")
            if kind not in ("point", "rectangle", *_TURNED, "polygon"):
                labels.leave_out(f"{kind} shapes")
                continue
            if not isinstance(label, str) or not label.strip():
                raise InputError(f"{at}, key 'label', must be a text, but got {str(label)[:40]!r}.")
            label, corners = label.strip(), _places(places, f"{at} ({label!r})")
            if kind == "polygon":
                polygons.setdefault(tie, []).append(DrawnRectangle(tie, label, _hull(corners)))
            elif kind in ("rectangle", *_TURNED):
                rectangles.append(DrawnRectangle(tie, label, _box(corners, f"{at} ({label!r})")))
                if kind in _TURNED:
                    labels.count_note("rectangles are turned; the upright boxes round them were taken")
            elif len(corners) != 1:
                raise InputError(f"{at} ({label!r}) is a point with {len(corners)} places; it must have one.")
            else:
                points.append(DrawnPoint(tie, label, *corners[0], 1 if _is_hidden(shape) else 2, f"{at} ({label!r})"))
        if len(labels.faults) > before:
            broken.add(tie)
    drawn = {rectangle.tie for rectangle in rectangles}
    for tie, found in polygons.items():
        own = tie != NO_TIE and tie not in drawn and len(found) == 1 and any(point.tie == tie for point in points)
        rectangles += found if own else []
        for _ in found:
            labels.leave_out("polygon shapes" + (", of which the box was taken" if own else ""))
    return tied(image, rectangles, points, where, loose, labels, broken)


def _places(values: Any, at: str) -> list[tuple[float, float]]:
    """The places [x, y] of a shape in image pixels."""
    if not isinstance(values, list) or not values or not all(isinstance(p, list) and len(p) == 2 for p in values):
        raise InputError(f"{at}, key 'points', must be a list of places [x, y], but got {str(values)[:40]!r}.")
    return [(number(x, "points", at), number(y, "points", at)) for x, y in values]


def _box(corners: list[tuple[float, float]], at: str) -> list[float]:
    """The x, y, w, h of a rectangle from two opposite corners in any order, or from all four."""
    if len(corners) not in (2, 4):
        raise InputError(f"{at} is a rectangle with {len(corners)} corners; it must have 2 or 4.")
    return _hull(corners)


def _hull(places: list[tuple[float, float]]) -> list[float]:
    """The x, y, w, h of the box round places."""
    xs, ys = zip(*places, strict=True)
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _is_hidden(shape: Mapping[str, Any]) -> bool:
    given = (shape.get(key) for key in ("flags", "attributes"))  # the latter are X-AnyLabeling's
    marks = {"difficult": shape.get("difficult")}
    for values in given:
        marks |= values if isinstance(values, dict) else {}
    return says_hidden(marks) or is_hidden_word(shape.get("description"))


# --- writing -------------------------------------------------------------------------------------------------------


def write(data: Dataset, images: Path) -> dict[str, str | Path]:
    """A folder with a copy of each picture and its JSON file, as labelme opens it; an object's id is its `group_id`."""
    check_names(data, "labelme")
    pictures = by_picture(data, images)
    files: dict[str, str | Path] = {}
    for name, place in beside_pictures(pictures, ".json", "labelme").items():
        path, group, items = pictures[name]
        width, height = needed_size(path, "labelme's file states its size")
        files[place] = json_text(
            {
                "version": VERSION,
                "flags": {},
                "shapes": [shape for item in items for shape in _shapes(item)],
                "imagePath": PurePosixPath(name).name,
                "imageData": None,
                "imageHeight": height,
                "imageWidth": width,
                "keypoints": {item.category.name: point_labels(item.category) for item in items},
                **({} if group is None else {"group": group}),
            }
        )
        files[name] = path
    return files


def _shapes(item: LabelledObject) -> list[dict[str, Any]]:
    """The shapes of one object: its rectangle, then its labelled points."""
    x, y, w, h = item.box
    common = {"group_id": item.id, "description": ""}
    corners = [[x, y], [x + w, y + h]]
    box = {"label": item.category.name, "points": corners, **common, "shape_type": "rectangle", "flags": {}}
    shapes: list[dict[str, Any]] = [box]
    for label, point, seen in zip(point_labels(item.category), item.points.tolist(), item.visibility, strict=True):
        if seen:
            flags = {HIDDEN: True} if seen == 1 else {}
            shapes.append({"label": label, "points": [point], **common, "shape_type": "point", "flags": flags})
    return shapes


FORM = LabelForm(
    read,
    "labelme's folder of JSON files",
    NOUN,
    write=write,
    holds=frozenset({"boxes", "hidden", "groups", "empty"}),
    pictures=folder_of,
    files=label_files,
)
