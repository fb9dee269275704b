"""VGG Image Annotator 2, read: projects and annotation exports, as JSON or CSV.

VIA's regions have attributes that every user calls as they like. One of them names a point, another may tie it to a
rectangle: `via/name=PART,tie=ANIMAL:FILE` says which (`via/name=PART:FILE` where no attribute ties them, so that points
belong to the rectangle that they lie in). Without these they are found: the attribute that rectangles have too is the
tie, the one that only points have is the name. An attribute that only rectangles have is their category. An attribute
such as `visible` or `occluded` says whether a point is hidden.
"""

from collections.abc import Container, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from ..category import plain_text
from ..configs.doubled_keys import open_json
from ..errors import InputError
from .document import Labels, NamedObject
from .form import LabelForm
from .hidden import is_hidden_word, says_hidden, speaks_of_hiding
from .picture_search import PictureSearch
from .reading import number, read_json, read_table, tails
from .tying import NO_TIE, DrawnPoint, DrawnRectangle, tie_text, tied

LOOSE = "object"  # category of objects whose rectangle names none
METADATA = "_via_img_metadata"  # where a project has what an annotation export is
_COLUMNS = ("filename", "region_count", "region_shape_attributes", "region_attributes")  # those of a CSV that are read
_ONLY_2 = "whose files are not read; draw the points with VGG Image Annotator 2, or give labels in another form"
MOST_ODD = 0.25  # share of points that may speak against what two attributes mean, as some points have faults
# What users call the attributes where only points are drawn, so that rectangles cannot tell them apart.
_NAMES = frozenset(
    {"name", "keypoint", "keypoints", "key point", "part", "label", "joint", "landmark", "point", "type"}
)
_TIES = frozenset({"object", "object id", "id", "group", "group id", "instance", "instance id", "track", "track id"})


class Region(NamedTuple):
    """A region of a picture: what was drawn, its attributes as texts, and its name for errors."""

    shape: Mapping[str, Any]
    attributes: dict[str, str]
    where: str


class Roles(NamedTuple):
    """Which attribute names the points, which one ties them to a rectangle, and which one names a category."""

    name: str
    tie: str | None
    category: str | None


def read(path: Path, images: Path, word: str = "") -> Labels:
    """The labels of a project or of an export.

    word: the category of objects whose rectangle names none, "object" by default, and name=ATTRIBUTE,tie=ATTRIBUTE
        where the attributes are not to be found; all parted by commas.
    Regions of other kinds are left out and counted. Raises InputError where the attributes cannot be told apart.
    """
    labels = Labels()
    entries = _from_csv(path, labels) if path.suffix.lower() == ".csv" else _from_json(path, labels)
    pictures: dict[str, list[Region]] = {}  # file name -> its regions
    broken: set[str] = set()  # file names of pictures with a region that cannot be read
    for where, name, regions in entries:
        with labels.catching():
            if name in pictures:
                raise InputError(
                    f"{where} has the file name {name!r} of an entry before it; they cannot be told apart."
                )
            pictures[name] = []
            before = len(labels.faults)
            for place, region in enumerate(regions):
                with labels.catching():
                    pictures[name].append(_region(region, f"{where}, region {place}"))
            broken |= {name} if len(labels.faults) > before else set()
    if labels.faults and not any(pictures.values()):
        raise InputError(labels.faults[0])
    given, loose = _word(word)
    roles = _roles(pictures, given, path)
    search = PictureSearch(images)
    objects: list[NamedObject] = []
    for name, regions in pictures.items():
        with labels.catching():
            image = labels.add_image(search.find(tails(name), name), source=name)
            with labels.of_picture(image):
                objects += _objects(image, regions, roles, f"{path}: {name}", loose, labels)
            if name in broken:
                labels.bare.add(image)
    labels.notes += search.notes()
    labels.add_named_objects(objects, {})
    return labels


# --- the two kinds of files ----------------------------------------------------------------------------------------


def _from_json(path: Path, labels: Labels) -> list[tuple[str, str, list[Any]]]:
    """Name for errors, file name and regions of each entry of a project or of an export; without regions there are [].

    labels: collects the faults of entries.
    """
    data = read_json(path)
    if isinstance(data, dict) and isinstance(data.get(METADATA), dict):
        data = data[METADATA]
    if isinstance(data, dict) and {"project", "file", "metadata"} <= data.keys():
        raise InputError(f"{path} is a project of VGG Image Annotator 3, {_ONLY_2}.")
    if not isinstance(data, dict) or (data and not any(map(_is_entry, data.values()))):
        raise InputError(
            f"{path} is no file of VGG Image Annotator 2, which has a 'filename' and 'regions' for each picture; save "
            "the project, or export the annotations as JSON or CSV (not in COCO's form, which coco:FILE reads)."
        )
    entries = []
    for key, one in data.items():
        where = f"{path}: {key!r}"
        with labels.catching():
            if not isinstance(one, dict):
                raise InputError(f"{where} must be a JSON object with 'filename', but got {str(one)[:40]!r}.")
            name, regions = one.get("filename"), one.get("regions")
            if not isinstance(name, str) or not name:
                raise InputError(f"{where}, key 'filename', must name a picture, but got {str(name)[:40]!r}.")
            if isinstance(regions, dict):  # VIA 1 numbers them
                regions = list(regions.values())
            if regions is not None and not isinstance(regions, list):
                raise InputError(f"{where}, key 'regions', must be a list, but got {str(regions)[:40]!r}.")
            entries.append((where, name, regions or []))
    return entries


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and ("regions" in value or "filename" in value)


def _from_csv(path: Path, labels: Labels) -> list[tuple[str, str, list[Any]]]:
    """What `_from_json` gives, of a CSV export, which has a row for each region and one for a picture without.

    labels: collects the faults of rows.
    """
    table = read_table(path)
    if any(
        "temporal_coordinates" in cell for row in takewhile(lambda row: row[0].startswith("#"), table) for cell in row
    ):
        raise InputError(f"{path} is a table of VGG Image Annotator 3, {_ONLY_2}.")
    head, *rows = table
    head = [cell.lstrip("#").strip() for cell in head]
    if missing := [column for column in _COLUMNS if column not in head]:
        raise InputError(
            f"{path} has no column {missing[0]!r}; export the annotations from VGG Image Annotator as CSV."
        )
    name, count, shape, attributes = map(head.index, _COLUMNS)
    pictures: dict[str, list[Any]] = {}
    for place, row in enumerate(rows, start=1):
        where = f"{path}: row {place} under the header"
        with labels.catching():
            if len(row) != len(head):
                raise InputError(f"{where} has {len(row)} cells, but the header has {len(head)}.")
            regions = pictures.setdefault(row[name], [])
            if row[count].strip() != "0":
                regions.append({"shape_attributes": row[shape], "region_attributes": row[attributes]})
    return [(f"{path}: {key!r}", key, regions) for key, regions in pictures.items()]


def _region(value: Any, where: str) -> Region:
    """A region whose values have the right types."""
    parts = []
    for key in ("shape_attributes", "region_attributes"):
        part = value.get(key) if isinstance(value, dict) else None
        if isinstance(part, str):  # a cell of a CSV file
            try:
                part = open_json(part, where)
            except (ValueError, RecursionError):
                part = None
        if not isinstance(part, dict):
            raise InputError(f"{where}, key {key!r}, must be a JSON object, but got {str(part)[:40]!r}.")
        parts.append(part)
    return Region(parts[0], {str(key): _text(one) for key, one in parts[1].items()}, where)


def _text(value: Any) -> str:
    """The value of an attribute as text: that of a field as it is, of check boxes the ones that are set."""
    if isinstance(value, dict):
        return ",".join(str(key) for key, chosen in value.items() if chosen is True)
    return "" if value is None or value == "undefined" else tie_text(value)


# --- what the attributes mean --------------------------------------------------------------------------------------


def _word(word: str) -> tuple[dict[str, str], str]:
    """The attributes that a word gives by `name` and `tie`, and the category."""
    parts = [part.strip() for part in word.split(",") if part.strip()]
    given = {key.strip(): value.strip() for key, found, value in (part.partition("=") for part in parts) if found}
    nouns = [part for part in parts if "=" not in part]
    if len(nouns) > 1 or not {*given} <= {"name", "tie"}:
        raise InputError(f"The word of VIA's labels is CATEGORY,name=ATTRIBUTE,tie=ATTRIBUTE, but got {word!r}.")
    return given, nouns[0] if nouns else LOOSE


def _roles(pictures: Mapping[str, Sequence[Region]], given: Mapping[str, str], path: Path) -> Roles:
    """Which attribute means what; InputError, naming the attributes, where what is given and the regions do not tell.

    pictures: file name -> its regions.
    given: attributes by their role, `name` and `tie`.
    """
    used: dict[str, dict[str, None]] = {"point": {}, "rect": {}}  # kind of region -> attributes that are filled in
    for region in (region for regions in pictures.values() for region in regions):
        filled = [key for key, value in region.attributes.items() if value and not speaks_of_hiding(key)]
        used.setdefault(str(region.shape.get("name")), {}).update(dict.fromkeys(filled))
    points, boxes = used["point"], used["rect"]
    if not points and not any(
        region.shape.get("name") == "point" for regions in pictures.values() for region in regions
    ):
        kinds = {str(region.shape.get("name")) for regions in pictures.values() for region in regions}
        raise InputError(
            f"{path} has no region that is a point, but {', '.join(sorted(kinds)) or 'no regions at all'}; draw each "
            "keypoint as a point."
        )
    known = ", ".join(sorted({*points, *boxes})) or "none"
    if unknown := [value for value in given.values() if value not in {*points, *boxes}]:
        raise InputError(f"{path} has no attribute {unknown[0]!r}; the regions have {known}.")
    names = [given["name"]] if "name" in given else list(points)
    ties = [given.get("tie")] if given else [*points, None]
    repeated = {name for name in names if _repeats(pictures, name)}
    ranked = sorted(
        (
            (_rank(name, tie, boxes, name in repeated, odd), name, tie)
            for name in names
            for tie in ties
            if name != tie and (odd := _odd(pictures, name, tie, boxes)) < (MOST_ODD if not given else 2)
        ),
        key=lambda one: one[0],
        reverse=True,
    )
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        raise InputError(
            f"{path} does not tell what its attributes mean ({known}); say which names the points and which ties them "
            f"to a rectangle, as in via/name=PART,tie=ANIMAL:{path.name}."
        )
    _, name, tie = ranked[0]
    kinds = [key for key in boxes if key != tie]
    return Roles(name, tie, kinds[0] if len(kinds) == 1 else None)


def _rank(name: str, tie: str | None, boxes: Container[str], repeated: bool, odd: float) -> tuple:
    """How well two attributes fit as the name of points and as their tie; greater is better.

    boxes: the attributes of rectangles.
    repeated: a picture has two points of one name. Without that, an attribute beside one that is called like a name is
        a remark such as "blurred" rather than a tie.
    odd: what `_odd` says.
    """
    plain, known = "" if tie is None else plain_text(tie), plain_text(name) in _NAMES
    fit = 1 if tie is None else 2 if repeated or not known else 0
    return (name not in boxes, known, tie in boxes, plain in _TIES, fit, -odd)


def _repeats(pictures: Mapping[str, Sequence[Region]], name: str) -> bool:
    """Whether a picture has two points with one value of the attribute `name`."""
    for regions in pictures.values():
        values = [region.attributes.get(name) for region in regions if region.shape.get("name") == "point"]
        if len(set(values)) < len(values):
            return True
    return False


def _odd(pictures: Mapping[str, Sequence[Region]], name: str, tie: str | None, boxes: Container[str]) -> float:
    """The share of points that speak against two attributes: no rectangle shares their tie, or a name comes twice."""
    total = odd = 0
    for regions in pictures.values():
        tied_to = {region.attributes.get(str(tie)) for region in regions if region.shape.get("name") == "rect"}
        seen: set[tuple[str, str]] = set()
        for region in regions:
            if region.shape.get("name") == "point":
                key = (region.attributes.get(str(tie), ""), region.attributes.get(name, ""))
                alone = tie in boxes and key[0] not in tied_to
                twice = tie is not None and key in seen
                odd, total = odd + (alone or twice), total + 1
                seen.add(key)
    return odd / max(total, 1)


def _objects(
    image: int, regions: Sequence[Region], roles: Roles, where: str, loose: str, labels: Labels
) -> list[NamedObject]:
    """The objects of a picture. where: the picture, named in errors; loose: the category of unnamed objects."""
    rectangles, points, broken = [], [], set()
    for shape, attributes, at in regions:
        kind = str(shape.get("name"))
        if kind not in ("point", "rect"):
            labels.leave_out(f"{kind} regions")
            continue
        tie = attributes.get(roles.tie, NO_TIE) if roles.tie is not None else NO_TIE
        before = len(labels.faults)
        with labels.catching():
            if kind == "rect":
                box = [number(shape.get(key), key, at) for key in ("x", "y", "width", "height")]
                category = attributes.get(roles.category, "") if roles.category is not None else ""
                rectangles.append(DrawnRectangle(tie, category, box))
                continue
            name = attributes.get(roles.name, "")
            if not name:
                raise InputError(f"{at} is a point without the attribute {roles.name!r}, which names it; fill it in.")
            marks = {key: value for key, value in attributes.items() if key not in (roles.name, roles.tie)}
            x, y = (number(shape.get(key), key, at) for key in ("cx", "cy"))
            points.append(DrawnPoint(tie, name, x, y, 1 if _is_hidden(marks) else 2, f"{at} ({name!r})"))
        if len(labels.faults) > before:
            broken.add(tie)
    return tied(image, rectangles, points, where, loose, labels, broken)


def _is_hidden(marks: Mapping[str, str]) -> bool:
    """Whether a point's other attributes say that it is hidden; check boxes may have set several words."""
    return says_hidden(marks) or any(is_hidden_word(word) for text in marks.values() for word in text.split(","))


FORM = LabelForm(
    read,
    "VGG Image Annotator 2, projects and exports (.json, .csv)",
    "what the object is called, and name=ATTRIBUTE,tie=ATTRIBUTE of the points' names and rectangles",
    pictures=lambda path: path.parent,
)
